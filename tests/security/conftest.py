"""Fixtures for hostile clients: a desk on real gunicorn, which must go on whatever they send."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests

from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_conversation,
    make_message,
    make_ticket,
)

TICKET = {"client_id": 1, "subject": "Help"}
EVENT = {"title": "Call", "start_time": "2025-11-01T15:00:00Z", "end_time": "2025-11-01T15:30:00Z"}
USER = {"full_name": "New", "username": "new", "password": "correct horse 7"}
SECRET = re.compile(
    r'password_hash":[^[]|argon2|\$2b\$|scrypt:|pbkdf2|Traceback|SELECT |INSERT |site-packages'
)
TIME = re.compile(r'"(\d{4}-\d\d-\d\d.\d\d:\d\d[^"]*)"')
SHOWN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def ascii_json(body: Any) -> bytes:
    """Return JSON in ASCII, lone surrogates as escapes."""
    return json.dumps(body).encode()


class Desk(NamedTuple):
    """A server with a client, a ticket and a conversation, numbered 1, and people who call it."""

    address: str
    admin: Caller
    agent: Caller

    def ask(self, method: str, path: str, who: str = "agent", **kwargs: Any) -> Any:
        """Return a response: JSON if it is anything, without a secret, all its times in UTC."""
        headers = {"agent": self.agent.headers, "admin": self.admin.headers, "": {}}[who]
        headers = headers | kwargs.pop("headers", {})
        answer = requests.request(
            method, self.address + path, headers=headers, timeout=30, **kwargs
        )
        assert not SECRET.search(answer.text)
        if answer.content:
            is_export = answer.status_code == 200 and path.endswith("/export")
            kind = "application/x-ndjson" if is_export else "application/json"
            assert answer.headers["Content-Type"] == kind
        if answer.status_code >= 400 and method != "HEAD":
            assert isinstance(answer.json()["detail"], str)
        elif method == "GET":
            assert all(SHOWN.fullmatch(time) for time in TIME.findall(answer.text))
        return answer

    def send(self, method: str, path: str, body: Any, who: str = "agent") -> Any:
        """Return the response to a body, which may hold what is no text."""
        kind = {"Content-Type": "application/json"}
        return self.ask(method, path, who, data=ascii_json(body), headers=kind)

    def log_in(self, username: str = "emp1", password: str = PASSWORD, **headers: str) -> Any:
        """Return the response to a login."""
        body = {"username": username, "password": password}
        return self.ask("POST", "/api/login", "", json=body, headers=headers)

    def status_of(self, token: str) -> int:
        """Return the status that a token is answered."""
        headers = {"Authorization": f"Bearer {token}"}
        return int(self.ask("GET", "/api/me", "", headers=headers).status_code)


@pytest.fixture
def desk(server: str, admin: Caller, agent: Caller) -> Iterator[Desk]:
    """A desk that still answers afterwards."""
    make_client()
    make_ticket(1)
    make_message(make_conversation(client_id=1))
    found = Desk(server, admin, agent)
    yield found
    assert found.ask("GET", "/api/summary", "admin").status_code == 200
