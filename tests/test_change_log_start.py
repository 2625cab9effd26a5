"""Old changes are deleted, and readers of the feed who need them are told so."""

import re
from contextvars import Context
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from omnidesk.db import db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.feed_start import CHANGES, start_anew
from omnidesk.db.numbers import continue_after
from omnidesk.operations import change_log
from tests.conftest import Caller, make_client, make_event, make_ticket
from tests.test_change_log import Connect, add, connect, take_number
from tests.test_changes import changes

__all__ = ["connect"]


def prune(app: Flask, *options: str) -> str:
    """Run the command; return what it says."""
    db.session.rollback()
    result = Context().run(app.test_cli_runner().invoke, args=["prune", *options])
    assert result.exit_code == 0, result.output
    return str(result.output)


def age_all(days: int = 10) -> int:
    """Let all changes that there are be so many days old; return the seq of the last."""
    db.session.execute(update(Change).values(at=utcnow() - timedelta(days=days)))
    db.session.commit()
    last = db.session.scalar(select(func.max(Change.seq))) or 0
    db.session.rollback()
    return last


@pytest.fixture(params=[1, 1000])
def steps(request: Any, monkeypatch: Any) -> None:
    """Delete a change at a time, or all at once."""
    monkeypatch.setattr(change_log, "MIN_STEP", request.param)
    monkeypatch.setattr(change_log, "MAX_STEP", request.param)


@pytest.mark.usefixtures("steps")
def test_old_changes_are_deleted_and_the_others_stay(agent: Caller) -> None:
    make_client(full_name="Old")
    last = age_all()
    make_client(full_name="New")

    said = prune(agent.app, "--change-log-days", "9")

    assert f"{last} changes were deleted." in said
    assert [change["after"]["full_name"] for change in changes(agent)] == ["New"]
    assert changes(agent, f"after={last}") == changes(agent)
    assert "0 changes" in prune(agent.app, "--change-log-days", "9")


@pytest.mark.usefixtures("steps")
def test_changes_from_while_the_clock_was_fast_keep_no_later_ones(agent: Caller) -> None:
    for name in "abc":
        make_client(full_name=name)
    last = age_all()
    in_a_year = update(Change).where(Change.seq.in_((last - 2, last - 1)))
    db.session.execute(in_a_year.values(at=utcnow() + timedelta(days=365)))
    db.session.commit()
    make_client(full_name="New")

    said = prune(agent.app, "--change-log-days", "9")

    assert f"{last} changes were deleted." in said
    assert [change["after"]["full_name"] for change in changes(agent)] == ["New"]


def test_nothing_is_deleted_from_the_log_unless_that_is_asked_for(agent: Caller) -> None:
    make_client()
    last = age_all(days=10_000)

    said = prune(agent.app)

    assert "changes" not in said.replace("exchanges", "")
    assert changes(agent)[-1]["seq"] == last


def test_the_setting_says_what_is_old(agent: Caller, app_with: Any) -> None:
    make_client()
    last = age_all()

    assert "0 changes" in prune(app_with(CHANGE_LOG_DAYS=11))
    assert f"{last} changes" in prune(app_with(CHANGE_LOG_DAYS=9))


@pytest.mark.parametrize("days", ["0", "-1", "x", "36601"])
def test_a_number_of_days_with_a_fault_is_refused(app: Flask, days: str) -> None:
    result = app.test_cli_runner().invoke(args=["prune", "--change-log-days", days])

    assert result.exit_code == 2
    assert "--change-log-days" in result.output


def followed(caller: Caller, limit: int) -> str:
    """Return the link to what follows the first page of the feed."""
    page = caller.get(f"/api/changes?limit={limit}")
    (url,) = re.findall('<([^>]*)>; rel="next"', page.headers["Link"])
    return str(url)


def test_a_reader_who_fell_behind_gets_410_with_where_to_begin(agent: Caller) -> None:
    for name in "abc":
        make_client(full_name=name)
    behind = followed(agent, 1)
    last = age_all()
    current = followed(agent, 200)
    make_client(full_name="d")

    prune(agent.app, "--change-log-days", "9")

    for url, field in ((behind, "cursor"), ("/api/changes?after=0", "after")):
        gone = agent.get(url)
        assert gone.status_code == 410
        assert gone.json["detail"] == "Gone"
        assert gone.json["oldest_seq"] == last + 1
        assert str(last + 1) in gone.json["errors"][field][0]
    assert agent.get(f"/api/changes?after={last - 1}").status_code == 410
    for url in (current, f"/api/changes?after={last}", "/api/changes"):
        assert [change["after"]["full_name"] for change in agent.get(url).json] == ["d"]


def test_a_page_that_links_on_from_an_old_after_is_served(agent: Caller) -> None:
    for name in "abc":
        make_client(full_name=name)
    last = age_all()
    page = agent.get("/api/changes?after=0")
    (url,) = re.findall('<([^>]*)>; rel="next"', page.headers["Link"])
    prune(agent.app, "--change-log-days", "9")
    make_client(full_name="d")

    assert "after=0" in url
    assert [change["seq"] for change in agent.get(url).json] == [last + 1]


def test_after_holds_beside_an_earlier_cursor(agent: Caller) -> None:
    for name in "abc":
        make_client(full_name=name)
    seqs = [change["seq"] for change in changes(agent)]

    page = agent.get(f"{followed(agent, 1)}&after={seqs[-2]}")

    assert [change["seq"] for change in page.json] == seqs[-1:]


def test_a_conditional_request_from_a_lost_position_is_410_not_304(agent: Caller) -> None:
    make_client()
    url = "/api/changes?after=0"
    tag = {"If-None-Match": agent.get(url).headers["ETag"]}
    assert agent.get(url, headers=tag).status_code == 304
    age_all()

    prune(agent.app, "--change-log-days", "9")

    assert agent.get(url, headers=tag).status_code == 410


@pytest.mark.parametrize("path", ["/api/changes", "/api/clients/1/history"])
def test_a_list_of_changes_has_another_etag_when_some_are_gone(agent: Caller, path: str) -> None:
    make_client()
    tag = {"If-None-Match": agent.get(path).headers["ETag"]}
    age_all()

    prune(agent.app, "--change-log-days", "9")

    page = agent.get(path, headers=tag)
    assert (page.status_code, page.json) == (200, [])


def test_a_list_never_gets_an_etag_back_that_it_had_with_other_rows(agent: Caller) -> None:
    empty = {"If-None-Match": agent.get("/api/events").headers["ETag"]}
    make_event()
    age_all()
    prune(agent.app, "--change-log-days", "9")
    pruned = {"If-None-Match": agent.get("/api/events").headers["ETag"]}

    assert agent.get("/api/events", headers=empty).status_code == 200
    assert agent.get("/api/events", headers=pruned).status_code == 304
    make_event(title="Another")
    assert agent.get("/api/events", headers=pruned).status_code == 200


def test_the_history_of_a_living_row_begins_later(agent: Caller, admin: Caller) -> None:
    make_ticket()
    make_event(created_by=agent.user.user_id)
    agent.delete("/api/events/1")
    age_all()

    prune(agent.app, "--change-log-days", "9")

    for path in ("/api/tickets/1", "/api/clients/1"):
        history = agent.get(f"{path}/history")
        assert (history.status_code, history.json) == (200, [])
    assert admin.get("/api/users/1/history").json == []
    assert agent.get("/api/events/1/history").status_code == 404
    agent.patch("/api/tickets/1", json={"subject": "New"})
    (newest,) = agent.get("/api/tickets/1/history").json
    assert newest["after"]["subject"] == "New"


def start_elsewhere(beyond: int = 0) -> None:
    """Let the feed start anew, as after a restore."""
    db.session.rollback()
    with db.engine.begin() as connection:
        continue_after(connection, CHANGES, beyond)
        start_anew(connection)


def test_after_a_restore_no_earlier_position_is_read_on_from(agent: Caller) -> None:
    for name in "abc":
        make_client(full_name=name)
    behind, current = followed(agent, 1), followed(agent, 200)
    last = age_all(days=0)
    start_elsewhere(last + 500)

    for url in (behind, current, f"/api/changes?after={last}", f"/api/changes?after={last + 500}"):
        assert agent.get(url).status_code == 410
    assert agent.get("/api/changes").json == []
    assert (
        agent.get("/api/changes", headers={"Prefer": "count=exact"}).headers["X-Total-Count"] == "0"
    )
    make_client(full_name="d")
    (new,) = agent.get("/api/changes").json
    oldest = agent.get(current).json["oldest_seq"]
    assert new["seq"] == oldest == last + 500 + 1_000_001
    assert changes(agent, f"after={oldest - 1}") == changes(agent) == [new]
    (history,) = agent.get("/api/clients/1/history").json
    assert history["after"]["full_name"] == "a", "what was restored is shown where it was made"


def test_changes_from_before_a_restore_can_be_deleted_later(agent: Caller) -> None:
    make_client()
    path = "/api/clients/1/history"
    last = age_all()
    start_elsewhere()
    tag = {"If-None-Match": agent.get(path).headers["ETag"]}
    oldest = agent.get("/api/changes?after=0").json["oldest_seq"]

    assert f"{last} changes" in prune(agent.app, "--change-log-days", "9")

    assert agent.get("/api/changes?after=0").json["oldest_seq"] == oldest
    assert agent.get(path, headers=tag).json == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True, scope="session")
@pytest.mark.parametrize("restored", [False, True])
def test_no_change_is_met_twice_or_never_where_a_later_number_was_committed_first(
    connect: Connect, agent: Caller, restored: bool
) -> None:
    early, late = connect(), connect()
    take_number(late)
    add(early, "second")
    add(late, "first")
    early.commit()
    late.commit()
    last = age_all()
    if restored:
        start_elsewhere(last)
    else:
        is_first = Change.seq == last
        db.session.execute(update(Change).where(is_first).values(at=utcnow()))
        db.session.commit()
        prune(agent.app, "--change-log-days", "9")
    make_client(full_name="new")
    page = agent.get("/api/changes?limit=1")
    oldest = agent.get("/api/changes?after=0").json["oldest_seq"]

    seen = changes(agent)

    assert page.json[0]["seq"] >= oldest
    assert changes(agent, f"after={oldest - 1}") == seen
    assert [change["after"]["full_name"] for change in seen] == ["new"]
