"""Channels as JSON."""

from typing import Any

from marshmallow import fields
from marshmallow.validate import Range
from sqlalchemy import Enum

from config import MAX_HOURS
from omnidesk.channels.fields import BaseUrlField, SecretField, UrlField
from omnidesk.channels.models import Channel
from omnidesk.channels.setups import SETUPS
from omnidesk.http import PageQuery, PatchSchema, ResponseSchema, RowEtag, Schema
from omnidesk.http.fields import (
    BooleanField,
    CountField,
    EnumField,
    IdField,
    JsonField,
    TextField,
    TimeField,
)
from omnidesk.http.parameters import IncludeField

SETTINGS = {"api_base": "https://api.telegram.org"}
SECRETS = {"bot_token": "CHANNEL_TELEGRAM_BOT_TOKEN"}


class ChannelSettingsInput(Schema):
    """What a channel's type is set up with; null stands for the default."""

    api_base = BaseUrlField(
        allow_none=True,
        example=SETTINGS["api_base"],
        description="WhatsApp and Telegram: where their API is, if not at the maker's",
    )
    phone_number_id = TextField(
        pattern="[0-9]{1,32}",
        form="digits",
        max_length=32,
        allow_none=True,
        description="WhatsApp: the id of the phone number that sends",
    )
    api_version = TextField(
        pattern=r"v[0-9]{1,3}\.[0-9]{1,2}",
        form="a version such as v25.0",
        max_length=7,
        allow_none=True,
        description="WhatsApp: the version of its API",
    )
    url = UrlField(allow_none=True, description="Webhook: where messages are sent to")


class ChannelSecretsInput(Schema):
    """Of each secret the environment variable that has it; null for none."""

    access_token = SecretField(description="WhatsApp: the token of the system user")
    app_secret = SecretField(description="WhatsApp: what its updates are signed with")
    verify_token = SecretField(description="WhatsApp: what it sends once to verify the hook")
    bot_token = SecretField(
        example=SECRETS["bot_token"], description="Telegram: the token of the bot"
    )
    webhook_secret = SecretField(description="Telegram: what comes with each update")
    signing_secret = SecretField(description="Webhook: what is signed with, in both directions")


class ChannelFields(Schema):
    """What can be changed of a channel."""

    settings = fields.Nested(
        ChannelSettingsInput,
        load_default=dict,
        metadata={"description": "What its type is set up with", "example": SETTINGS},
    )
    secrets = fields.Nested(
        ChannelSecretsInput,
        load_default=dict,
        metadata={
            "description": "Of each secret the name of the environment variable that has it, which"
            " begins with `CHANNEL_`. Secrets themselves are never stored",
            "example": SECRETS,
        },
    )
    active = BooleanField(
        load_default=True, example=True, description="Whether messages are sent on it"
    )
    bot_first = BooleanField(
        load_default=False,
        example=False,
        description="Whether a bot answers its new conversations first, and not people",
    )
    reopen_hours = CountField(
        strict=True,
        validate=Range(min=0, max=MAX_HOURS),
        allow_none=True,
        load_default=None,
        example=None,
        description="How many hours after its last message a conversation is opened again, and no"
        " new one begins; null for the setting `REOPEN_HOURS`",
    )


class ChannelCreate(ChannelFields):
    """A new channel."""

    channel = TextField(
        Channel.channel,
        required=True,
        example="telegram",
        description="The name by which conversations are on it: their `channel`",
    )
    type = EnumField(
        Enum(*SETUPS, name="channeltype"),
        required=True,
        example="telegram",
        description="Who brings and sends its messages",
    )


class ChannelPatch(PatchSchema, ChannelFields):
    """What can be changed of a channel; what is left out of an object stays as it is."""


class ChannelSchema(ResponseSchema, ChannelCreate):
    """A channel."""

    channel_id = IdField(example=1, description="The id of the channel")
    settings: Any = JsonField(
        metadata={"type": "object", "additionalProperties": {"type": "string"}},
        example=SETTINGS,
        description="What its type is set up with",
    )
    secrets: Any = JsonField(
        metadata={"type": "object", "additionalProperties": {"type": "string"}},
        example=SECRETS,
        description="Of each secret the name of the environment variable that has it",
    )
    created_at = TimeField(example="2025-10-29T09:12:00Z", description="When it was set up")

    class Meta:
        """The order of the columns."""

        fields = (
            "channel_id",
            "channel",
            "type",
            "settings",
            "secrets",
            "active",
            "bot_first",
            "reopen_hours",
            "created_at",
        )

    related = {"etag": RowEtag()}


class ChannelQuery(PageQuery):
    """What a list of channels shows."""

    include = IncludeField(ChannelSchema)
