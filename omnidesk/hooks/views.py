"""The routes where providers send updates, and the list of those that were not understood."""

from typing import Any

from flask import Response, current_app, request

from omnidesk.channels.models import Channel, UnsupportedUpdate
from omnidesk.db import utcnow
from omnidesk.hooks.documentation import CHALLENGE, SIGNATURES, TYPE, UPDATES
from omnidesk.hooks.providers import CHANNEL_EXISTS, channel_of, require_signature, secret_of
from omnidesk.hooks.receiving import receive_body
from omnidesk.hooks.schemas import UnsupportedQuery, UnsupportedSchema
from omnidesk.hooks.unsupported import matching
from omnidesk.http import Blueprint, PreparedSelect
from omnidesk.http.errors import http_error
from omnidesk.http.parsing import read_body
from omnidesk.http.rate_limits import strangers_counted
from omnidesk.providers.whatsapp.signature import is_token

HOOK = "/hooks/<channel_type>/<id:channel_id>"
MAX_BODY = 3 * 1024 * 1024  # bytes: WhatsApp's own limit

blp = Blueprint("hooks", description="Updates from the providers of channels")


@blp.post(HOOK, parameters=[TYPE])
@blp.signed
@blp.doc(**UPDATES, parameters=SIGNATURES)
@blp.response(200)
def receive_updates(channel_type: str, channel_id: int) -> Response:
    """Store what the provider of a channel tells"""
    with strangers_counted():
        channel, body = channel_of(channel_type, channel_id), signed_body()
        require_signature(channel, body)
    current_app.extensions["rate_limits"].count_hook(channel_id)
    receive_body(channel, body)
    return Response(status=200)  # and nothing else: Telegram executes what it finds in a body


@blp.get(HOOK, parameters=[TYPE])
@blp.signed
@blp.doc(parameters=CHALLENGE)
@blp.response(200, {"type": "string"}, content_type="text/plain", example="1158201444")
@blp.alt_response(403, "FORBIDDEN")
def answer_challenge(channel_type: str, channel_id: int) -> Response:
    """Answer WhatsApp's question whether this is the hook of a channel"""
    with strangers_counted():
        token = verify_token(channel_of(channel_type, channel_id))
        given, mode = (request.args.get(f"hub.{name}", "") for name in ("verify_token", "mode"))
        if not is_token(given, token) or mode != "subscribe":
            raise http_error(403)
    challenge = request.args.get("hub.challenge", "").encode(errors="surrogateescape")
    return Response(challenge, mimetype="text/plain")


@blp.get("/channels/<id:channel_id>/unsupported")
@blp.admin_only
@blp.arguments(UnsupportedQuery, location="query")
@blp.page(UnsupportedSchema, parent=CHANNEL_EXISTS)
def list_unsupported_updates(filters: dict[str, Any], channel_id: int) -> PreparedSelect:
    """List what a channel's provider sent in the last seven days and was not understood"""
    since = utcnow() - UnsupportedUpdate.MAX_AGE
    values = {**filters, "channel_id": channel_id, "received_since": since}
    return PreparedSelect(matching, values)


def verify_token(channel: Channel) -> str:
    """Return the token of WhatsApp's challenge; raise 404 for a channel of another type."""
    if channel.type != "whatsapp":
        raise http_error(404)
    return secret_of(channel, "verify_token")


def signed_body() -> bytes:
    """Return the whole body; raise 400 or 413."""
    request.max_content_length = MAX_BODY
    return read_body(request)
