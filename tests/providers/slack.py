"""A stand-in for Slack's incoming webhooks, whose posts are one line of text.

Run `python -m tests.providers.slack --help` to use it as a program.
"""

from tests.providers.habits import Reply
from tests.providers.program import run
from tests.providers.serving import Request
from tests.providers.standin import Accepted, StandIn


class Slack(StandIn):
    """Takes every post that has a text."""

    def recipient(self, request: Request) -> str | None:
        """Return the path, which stands for a channel of Slack's."""
        return request.path

    def answer(self, request: Request) -> Reply:
        """Return 200, or 400 without a text."""
        text = request.object().get("text")
        if not isinstance(text, str):
            return Reply(400, b"no_text")
        self.accept(Accepted(request.path, text, "", request.object()))
        return Reply(200, b"ok")


if __name__ == "__main__":
    run(Slack)
