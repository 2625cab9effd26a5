"""The routes of channels."""

from typing import Any

from omnidesk.channels.models import Channel
from omnidesk.channels.schemas import ChannelCreate, ChannelPatch, ChannelQuery, ChannelSchema
from omnidesk.http import Blueprint, PreparedSelect

blp = Blueprint("channels", description="Channels: who brings and sends messages")


@blp.get("/channels")
@blp.admin_only
@blp.arguments(ChannelQuery, location="query")
@blp.page(ChannelSchema)
def list_channels(filters: dict[str, Any]) -> PreparedSelect:
    """List channels, as an admin"""
    return PreparedSelect(Channel.matching, filters)


@blp.get("/channels/<id:channel_id>")
@blp.admin_only
@blp.item(ChannelSchema)
def get_channel(channel_id: int) -> PreparedSelect:
    """Show a channel, as an admin"""
    return PreparedSelect(Channel.matching, {"channel_id": channel_id})


@blp.post("/channels")
@blp.admin_only
@blp.arguments(ChannelCreate)
@blp.created(ChannelSchema, "get_channel")
@blp.alt_response(409, "CONFLICT")
def create_channel(data: dict[str, Any]) -> Channel:
    """Set up a channel, as an admin"""
    return Channel.new(**data)


@blp.patch("/channels/<id:channel_id>")
@blp.admin_only
@blp.arguments(ChannelPatch)
@blp.changed(Channel, ChannelSchema)
def update_channel(channel: Channel, data: dict[str, Any]) -> None:
    """Change a channel, as an admin"""
    channel.change(**data)


@blp.delete("/channels/<id:channel_id>")
@blp.admin_only
@blp.deleted(Channel, ChannelSchema)
@blp.alt_response(409, "CONFLICT")
def delete_channel(_channel: Channel) -> None:
    """Delete a channel that no conversation is on, as an admin"""
