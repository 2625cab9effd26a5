"""Which providers send updates: how each proves that it is the one, and what its updates say."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flask import current_app, request
from sqlalchemy import bindparam, select

from omnidesk.channels.models import Channel
from omnidesk.db.statements import Statement
from omnidesk.http.errors import http_error
from omnidesk.providers.telegram import signature as telegram_signature
from omnidesk.providers.telegram import updates as telegram_updates
from omnidesk.providers.updates import Update
from omnidesk.providers.webhook import signature as webhook_signature
from omnidesk.providers.webhook import updates as webhook_updates
from omnidesk.providers.whatsapp import signature as whatsapp_signature
from omnidesk.providers.whatsapp import updates as whatsapp_updates

COLUMNS = ("channel_id", "channel", "type", "settings", "secrets", "bot_first")
FOUND = Statement(
    select(*(getattr(Channel, name) for name in COLUMNS)).where(
        Channel.channel_id == bindparam("channel_id"), Channel.type == bindparam("type")
    )
)

CHANNEL_EXISTS = Statement(
    select(Channel.channel_id).where(Channel.channel_id == bindparam("channel_id"))
)


class HookProvider(NamedTuple):
    """What a provider signs with, how that is checked, and how its updates are read."""

    secret: str
    is_signed: Callable[[bytes, Mapping[str, str], str], bool]
    read: Callable[[Any, Channel], Iterator[Update]]


PROVIDERS = {
    "whatsapp": HookProvider(
        whatsapp_signature.SECRET,
        whatsapp_signature.is_signed,
        lambda body, channel: whatsapp_updates.read(body, channel.setting("phone_number_id")),
    ),
    "telegram": HookProvider(
        telegram_signature.SECRET,
        telegram_signature.is_signed,
        lambda body, _: telegram_updates.read(body),
    ),
    "webhook": HookProvider(
        webhook_signature.SECRET,
        webhook_signature.is_signed,
        lambda body, _: webhook_updates.read(body),
    ),
}


def channel_of(channel_type: str, channel_id: int) -> Channel:
    """Return a channel of a type, active or not, beside the session; raise 404 for none.

    It is read in autocommit: on SQLite, a stranger's request must not take the write lock.
    """
    known = channel_type in PROVIDERS
    rows = FOUND.fetch(channel_id=channel_id, type=channel_type) if known else ()
    if not rows:
        raise http_error(404)
    return Channel(**dict(zip(COLUMNS, rows[0], strict=True)))


def secret_of(channel: Channel, name: str) -> str:
    """Return a secret of a channel; raise 503 and log where the environment lacks it."""
    secret = channel.secret(name)
    if secret is None:
        message = "Channel %s takes no updates: its secret %s is not in the environment."
        current_app.logger.error(message, channel.channel_id, name)
        raise http_error(503)
    return secret


def require_signature(channel: Channel, body: bytes) -> None:
    """Raise 401 unless a body is signed by the channel's provider; 503 without a secret for it."""
    provider = PROVIDERS[channel.type]
    secret = secret_of(channel, provider.secret)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        is_signed = provider.is_signed(body, headers, secret)
    except ValueError as error:
        message = "Channel %s takes no updates: its secret %s cannot be used. %s"
        current_app.logger.error(message, channel.channel_id, provider.secret, error)
        raise http_error(503) from None
    if not is_signed:
        raise http_error(401)


def read_updates(channel: Channel, value: Any) -> list[Update] | None:
    """Return what a body tells; None where it is nested too deep to be read."""
    try:
        return [*PROVIDERS[channel.type].read(value, channel)]
    except RecursionError:
        return None
