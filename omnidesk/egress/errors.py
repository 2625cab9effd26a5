"""Why a request was not sent, or was not answered.

Their texts are stored and shown. They name a scheme, a host and a port at most, since the path of a
URL may hold a secret, as Telegram's does.
"""


class NotConnected(Exception):  # noqa: N818 - a state of the request, which callers act on
    """No byte of the request was sent: it can be sent again."""


class ForbiddenUrl(NotConnected):
    """No request may go to this URL, by its text or by the addresses of its host."""


class NoAnswer(Exception):  # noqa: N818 - likewise
    """The request was sent, whole or in part or perhaps not, and no complete answer came."""
