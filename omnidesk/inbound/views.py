"""The route of inbound messages."""

from typing import Any

import orjson
from flask import Response, url_for

from omnidesk.conversations.fields import MAX_VALUES
from omnidesk.db import db
from omnidesk.http import Blueprint, may_read
from omnidesk.http.etags import json_response
from omnidesk.http.responses import LOCATION
from omnidesk.inbound.receiving import Received, receive
from omnidesk.inbound.schemas import InboundCreate, InboundSchema

SHOWN = InboundSchema()

blp = Blueprint("inbound", description="Messages from channels")


@blp.post("/inbound")
@blp.scope("messages:relay", shows="conversations")
@blp.admin_only
@blp.arguments(InboundCreate, max_values=MAX_VALUES)
@blp.response(201, InboundSchema, headers=LOCATION, example=InboundSchema.example())
@blp.alt_response(200, schema=InboundSchema, example=InboundSchema.example(), success=True)
def receive_message(data: dict[str, Any]) -> Response:
    """Store a message that a client wrote on a channel, once"""
    received = receive(**data)
    db.session.commit()
    return response_to(received)


def response_to(received: Received) -> Response:
    """Return what was stored: 201 with the address of a new message, 200 for one sent again."""
    readable = received if may_read("clients") else received._replace(client=None)
    response = json_response(orjson.dumps(SHOWN.dump(readable)).decode())
    if received.is_new:
        message = received.message
        response.status_code = 201
        response.headers["Location"] = url_for(
            "conversations.get_message",
            conversation_id=message.conversation_id,
            message_id=message.message_id,
        )
    return response
