"""HTTP requests that leave the server: to public addresses only, one request a connection."""

from omnidesk.egress.answers import Answer
from omnidesk.egress.client import Connection, connect
from omnidesk.egress.errors import ForbiddenUrl, NoAnswer, NotConnected
from omnidesk.egress.resolving import check_url
from omnidesk.egress.urls import Rules

__all__ = [
    "Answer",
    "Connection",
    "ForbiddenUrl",
    "NoAnswer",
    "NotConnected",
    "Rules",
    "check_url",
    "connect",
]
