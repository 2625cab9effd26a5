"""Deliveries are made from the change log: none is forgotten, none is made twice."""

import random
import threading
from contextvars import Context
from typing import Any

from flask import Flask
from sqlalchemy import create_engine, func, select, text, update

from omnidesk.clients.models import Client
from omnidesk.db import db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.feed_start import delete_through, renumber_restored, start_anew
from omnidesk.webhooks.deliveries import MAX_AGE, WebhookDelivery
from omnidesk.webhooks.feed import AT_ONCE, changes_after, positions
from omnidesk.webhooks.making import make_deliveries
from omnidesk.webhooks.models import Webhook
from omnidesk.webhooks.queue import WebhookQueue
from tests.conftest import (
    Caller,
    make_client,
    on_postgresql,
    recorded_statements,
    reload,
)
from tests.servers import run_concurrently
from tests.test_change_log import Connect, add, connect, take_number
from tests.webhooks import deliveries, make_webhook

__all__ = ["connect"]


READ = "omnidesk.webhooks.making.changes_after"


def seqs(webhook: Webhook) -> list[int]:
    """Return of which changes a webhook is told."""
    return [delivery.seq for delivery in deliveries(webhook)]


def names(webhook: Webhook) -> list[str]:
    """Return the names of the clients that a webhook is told of."""
    told = select(Change.after).where(Change.seq.in_(seqs(webhook)))
    found = db.session.scalars(told.order_by(Change.seq)).all()
    db.session.rollback()
    return [row.partition('"full_name":"')[2].partition('"')[0] for row in found if row]


def newest() -> int:
    """Return the seq of the newest change."""
    found = db.session.scalar(select(func.max(Change.seq)))
    db.session.rollback()
    return found or 0


def make_all() -> None:
    """Make deliveries until there is nothing more to do."""
    while make_deliveries():
        continue


def test_a_new_webhook_is_not_told_of_what_was_before(app: Any) -> None:
    make_client(full_name="Before")
    webhook = make_webhook()
    make_client(full_name="After")

    make_deliveries()
    make_deliveries()

    assert names(webhook) == ["After"]


def test_nothing_is_written_where_nothing_is_new(app: Any) -> None:
    make_webhook()
    make_webhook()
    make_client()
    make_deliveries()
    db.session.remove()

    with recorded_statements() as statements:
        make_deliveries()

    assert all(statement.startswith("SELECT") for statement in statements)
    assert len(statements) == 2  # where they are, and what comes next: for both together


def test_webhooks_that_are_behind_catch_up_and_go_on_with_the_others(app: Any) -> None:
    webhooks = [make_webhook() for _ in range(3)]
    late = webhooks[0]
    late.change(active=False)
    db.session.commit()
    for _ in range(4):
        make_client()
        make_deliveries()
    late.change(active=True)
    db.session.commit()
    make_client()

    make_deliveries()

    assert {place.after_seq for place in positions()} == {newest()}
    assert seqs(webhooks[0]) == seqs(webhooks[1]) == seqs(webhooks[2])
    assert len(seqs(late)) == 5


def test_very_many_changes_are_made_in_steps(app: Any, monkeypatch: Any) -> None:
    webhook = make_webhook()
    db.session.add_all(Client(full_name=f"{n}", active=True) for n in range(AT_ONCE + 5))
    db.session.commit()

    more = [make_deliveries(), make_deliveries()]

    assert more == [True, False]
    assert len(seqs(webhook)) == AT_ONCE + 5


def test_two_who_make_them_at_once_make_none_twice_and_forget_none(app: Flask) -> None:
    webhooks = [make_webhook() for _ in range(3)]
    stop = threading.Event()

    def make() -> None:
        with app.app_context():
            while not stop.is_set():
                make_deliveries()

    makers = [threading.Thread(target=make) for _ in range(2)]
    for maker in makers:
        maker.start()
    for _ in range(40):
        make_client()
    stop.set()
    for maker in makers:
        maker.join()
    make_all()

    logged = [*range(1, newest() + 1)]
    assert all(sorted(seqs(webhook)) == logged for webhook in webhooks)


def test_a_webhook_that_was_moved_meanwhile_is_left_alone(app: Any, monkeypatch: Any) -> None:
    webhook = make_webhook()
    make_client()

    def slowly(seq: int) -> Any:
        page = changes_after(seq)
        monkeypatch.setattr(READ, changes_after)
        Context().run(in_other_context, app)
        return page

    monkeypatch.setattr(READ, slowly)
    make_deliveries()

    assert seqs(webhook) == [newest() - 1, newest()]
    assert [place.after_seq for place in positions()] == [newest()]


def in_other_context(app: Flask) -> None:
    """Make deliveries as another worker would, after one more change."""
    with app.app_context():
        make_client()
        make_deliveries()


@on_postgresql
def test_what_commits_late_is_not_forgotten(connect: Connect) -> None:
    webhook = make_webhook()
    early, late = connect(), connect()
    take_number(early)
    add(early, "Early")
    add(late, "Late")
    late.commit()
    make_client(full_name="Meanwhile")
    make_all()
    assert names(webhook) == []

    early.commit()
    make_all()

    assert names(webhook) == ["Early", "Late", "Meanwhile"]


@on_postgresql
def test_of_many_who_commit_in_any_order_each_change_is_told_once(app: Flask) -> None:
    webhooks = [make_webhook() for _ in range(2)]
    engine = create_engine(db.engine.url, pool_size=8, max_overflow=0)
    done = threading.Event()

    def write(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - a seed for each
        for _ in range(15):
            with engine.begin() as connection:
                for _ in range(chance.randint(1, 3)):
                    connection.execute(
                        text(
                            "INSERT INTO client (full_name, active, created_at)"
                            " VALUES ('x', TRUE, now())"
                        )
                    )
                    connection.execute(text(f"SELECT pg_sleep({chance.random() * 0.01})"))

    def follow() -> None:
        with app.app_context():
            while not done.is_set():
                make_deliveries()

    follower = threading.Thread(target=follow)
    follower.start()
    run_concurrently(8, write)
    done.set()
    follower.join()
    engine.dispose()
    make_all()

    logged = [*range(1, newest() + 1)]
    assert all(sorted(seqs(webhook)) == logged for webhook in webhooks)


def test_where_the_log_was_pruned_it_goes_on_and_says_so(admin: Caller) -> None:
    webhook = make_webhook()
    for name in ("Gone", "There"):
        make_client(full_name=name)
    last = newest()
    with db.engine.begin() as connection:
        start, _ = delete_through(connection, last - 1)

    make_deliveries()

    assert names(webhook) == ["There"]
    said = f"It was not told of changes up to {start}, which the change log no longer has."
    assert admin.get("/api/webhooks/1").json["warning"] == said
    assert admin.patch("/api/webhooks/1", json={"active": True}).json["warning"] is None


def test_where_the_log_was_pruned_behind_it_nothing_is_said(app: Any) -> None:
    webhook = make_webhook()
    make_client(full_name="Known")
    make_deliveries()
    last = newest()
    with db.engine.begin() as connection:
        delete_through(connection, last)
    make_client(full_name="New")

    make_deliveries()

    assert (names(webhook), reload(webhook).warning) == (["New"], None)


def test_a_restored_database_tells_what_was_not_told_and_what_is_new(app: Any) -> None:
    webhook = make_webhook()
    make_client(full_name="Told")
    make_deliveries()
    make_client(full_name="Not told")
    with db.engine.begin() as connection:
        renumber_restored(connection)
        start_anew(connection)
    make_client(full_name="New")

    make_all()

    assert names(webhook) == ["Told", "Not told", "New"]
    assert reload(webhook).warning is None


def test_an_inactive_webhook_is_told_of_nothing(app: Any) -> None:
    webhook = make_webhook(active=False)
    make_client()

    make_deliveries()

    assert seqs(webhook) == []


def test_old_deliveries_are_deleted_and_pending_ones_are_not(app: Any) -> None:
    webhook = make_webhook()
    for _ in range(3):
        make_client()
    make_deliveries()
    old, recent, _ = seqs(webhook)
    for seq, age in ((old, MAX_AGE), (recent, MAX_AGE / 2)):
        sent = {"state": "sent", "due_at": None, "attempted_at": utcnow() - age}
        db.session.execute(update(WebhookDelivery).where(WebhookDelivery.seq == seq).values(sent))
    db.session.commit()

    WebhookQueue(threading.Event()).prune()

    assert seqs(webhook) == [recent, recent + 1]
