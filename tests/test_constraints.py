"""A broken constraint is told as the field to blame, if it stands for a rule."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from omnidesk.db import db
from omnidesk.db.constraints import rule_violation
from omnidesk.tickets.tags import Tag
from omnidesk.users.models import User

USER = {"full_name": "Ada", "username": "ada", "active": True, "password_hash": "x"}
TAGS = {"tag": "vip", "tickets": 1}


@pytest.mark.parametrize(
    ("entity", "rows"), [(User, [USER | {"role": "x"}]), (Tag, [TAGS, TAGS])], ids=["check", "key"]
)
def test_a_constraint_that_is_no_rule_blames_no_field(app: Any, entity: Any, rows: Any) -> None:
    with pytest.raises(IntegrityError) as error:
        db.session.execute(insert(entity.__table__), rows)
    db.session.rollback()

    assert rule_violation(error.value) is None
