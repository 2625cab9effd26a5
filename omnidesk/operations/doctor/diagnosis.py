"""What is wrong with an installation, and what to do about it.

Each check is a function that yields its findings. One that the database cannot answer is a finding
itself, and the others are made nonetheless.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from omnidesk.db import db
from omnidesk.db.constraints import error_message
from omnidesk.operations.doctor import (
    database_checks,
    machine_checks,
    sending_checks,
    settings_checks,
)
from omnidesk.operations.doctor.findings import FAULT, Finding

Check = Callable[[], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    settings_checks.mode,
    settings_checks.secret,
    settings_checks.cors,
    settings_checks.trusted_proxies,
    settings_checks.metrics,
    database_checks.database,
    database_checks.schema,
    machine_checks.disk,
    machine_checks.files,
    database_checks.clock,
    database_checks.collation,
    database_checks.connections,
    database_checks.default_passwords,
    database_checks.counters,
    database_checks.search,
    database_checks.retention,
    machine_checks.backup,
    machine_checks.dumps,
    sending_checks.worker,
    sending_checks.webhooks,
    sending_checks.channel_secrets,
)


class Diagnosis(NamedTuple):
    """What was checked, and what was found."""

    checks: list[str]
    findings: list[Finding]

    @property
    def status(self) -> int:
        """Return the exit status: 0 if all is well, 1 for warnings, 2 for faults."""
        levels = [finding.level for finding in self.findings]
        return 2 if FAULT in levels else int(bool(levels))

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "status": ("ok", "warnings", "faults")[self.status],
            "checks": self.checks,
            "findings": [finding._asdict() for finding in self.findings],
        }


def diagnose() -> Diagnosis:
    """Return what all checks find."""
    findings: list[Finding] = []
    unmade: defaultdict[str, list[str]] = defaultdict(list)
    for check in CHECKS:
        try:
            findings += list(check())
        except (SQLAlchemyError, OSError) as error:
            db.session.rollback()
            unmade[message_of(error)].append(name_of(check))
    findings += [
        Finding("unknown", FAULT, f"Not checked: {', '.join(names)}.", why)
        for why, names in unmade.items()
    ]
    return Diagnosis([name_of(check) for check in CHECKS], findings)


def message_of(error: Exception) -> str:
    """Return an error in one line."""
    return error_message(error) if isinstance(error, SQLAlchemyError) else str(error)


def name_of(check: Check) -> str:
    """Return a check's name, such as `default passwords`."""
    return check.__name__.replace("_", " ")
