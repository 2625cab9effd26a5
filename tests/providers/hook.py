"""A hook that stores every update, for tests of what providers send."""

import json
from typing import Any

from tests.providers.habits import Reply
from tests.providers.serving import Request
from tests.providers.standin import StandIn


class Hook(StandIn):
    """A hook that stores everything."""

    def recipient(self, request: Request) -> str | None:
        """Return nobody."""
        return None

    def answer(self, request: Request) -> Reply:
        """Return 200, and the challenge if there is one."""
        return Reply(200, request.query.get("hub.challenge", "").encode())

    @property
    def bodies(self) -> list[Any]:
        """The JSON that arrived."""
        return [json.loads(request.body) for request in self.requests]
