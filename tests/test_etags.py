"""ETags of rows: 304 for a row that the client has, 412 for a change of an older version."""

from typing import Any

from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_event,
    make_ticket,
)


def rows(caller: Caller) -> dict[str, dict[str, Any]]:
    """Return an address of each kind of row that can be changed, with a change."""
    event = make_event(created_by=caller.user.user_id)
    return {
        f"/api/tickets/{make_ticket().ticket_id}": {"subject": "Other"},
        f"/api/events/{event.event_id}": {"title": "Other"},
        f"/api/clients/{make_client().client_id}": {"full_name": "Other"},
        f"/api/conversations/{make_conversation().conversation_id}": {"handled_by_bot": True},
        f"/api/users/{caller.user.user_id}": {"full_name": "Other"},
    }


def test_an_etag_moves_with_every_change_and_only_then(admin: Caller) -> None:
    for path, change in rows(admin).items():
        first = admin.get(path)
        same = admin.patch(path, json={})
        other = admin.patch(path, json=change)

        assert first.headers["ETag"] == same.headers["ETag"] != other.headers["ETag"]
        assert admin.get(path).headers["ETag"] == other.headers["ETag"]


def test_a_row_that_the_client_has_is_304(admin: Caller) -> None:
    for path, change in rows(admin).items():
        had = {"If-None-Match": admin.get(path).headers["ETag"]}

        same = admin.get(path, headers=had)
        admin.patch(path, json=change)
        other = admin.get(path, headers=had)

        assert (same.status_code, same.data) == (304, b"")
        assert same.headers["ETag"] == had["If-None-Match"]
        assert "Date" not in same.headers, "the server adds its own"
        assert other.status_code == 200


def test_a_change_of_an_older_version_is_412_with_the_current_row(admin: Caller) -> None:
    for path, change in rows(admin).items():
        known = {"If-Match": admin.get(path).headers["ETag"]}

        first = admin.patch(path, json=change, headers=known)
        second = admin.patch(path, json=change, headers=known)

        assert first.status_code == 200
        assert second.status_code == 412
        assert second.json == {"detail": "Precondition Failed", "current": first.json}
        etag = first.headers["ETag"]
        for tag in (etag, f"W/{etag}", f'"0", {etag}', "*"):
            assert admin.patch(path, json={}, headers={"If-Match": tag}).status_code == 200
        for tag in ('"0"', "", '"', "\xff"):
            assert admin.patch(path, json={}, headers={"If-Match": tag}).status_code == 412


def test_an_older_version_is_not_deleted(agent: Caller) -> None:
    event = make_event(created_by=agent.user.user_id)
    path = f"/api/events/{event.event_id}"
    known = {"If-Match": agent.get(path).headers["ETag"]}
    agent.patch(path, json={"title": "Other"})

    assert agent.delete(path, headers=known).status_code == 412
    known = {"If-Match": agent.get(path).headers["ETag"]}
    assert agent.delete(path, headers=known).status_code == 204


def test_a_new_row_has_its_etag(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "subject": "Help"}

    made = agent.post("/api/tickets", json=body)

    assert agent.get(made.headers["Location"]).headers["ETag"] == made.headers["ETag"]
