"""Webhooks and their deliveries as JSON."""

from typing import Any

from marshmallow import ValidationError, fields, validates_schema
from marshmallow.validate import Range
from sqlalchemy import Enum

from omnidesk.db import MAX_ID
from omnidesk.http import PageQuery, PatchSchema, ResponseSchema, RowEtag, Schema
from omnidesk.http.error_schemas import ErrorSchema
from omnidesk.http.fields import (
    ANY_TEXT,
    BooleanField,
    CountField,
    DocumentedField,
    EnumField,
    IdField,
    JsonField,
    ListField,
    TextField,
    TimeField,
)
from omnidesk.http.parameters import EnumsParameter, IdParameter, IncludeField
from omnidesk.webhooks.deliveries import STATES, WebhookDelivery
from omnidesk.webhooks.event_types import GROUPS, NAMES
from omnidesk.webhooks.models import FORMATS, Webhook

TYPE = Enum(*NAMES, *GROUPS, name="webhooktype")
TYPE_LIST = {"type": "array", "items": {"$ref": "#/components/schemas/Webhooktype"}}
MAX_REPLAY = 10_000  # changes
EXAMPLE_TYPES = ["ticket.closed", "comment.*"]


class WebhookFields(Schema):
    """What a webhook consists of, but for its types."""

    url = TextField(
        Webhook.url,
        pattern=ANY_TEXT,
        required=True,
        example="https://example.com/hooks/omnidesk",
        description="Where requests are sent to: a public host, by https",
    )
    format = EnumField(
        Enum(*FORMATS, name="webhookformat"),
        load_default="standard",
        example="standard",
        description="`standard` for the whole change, `slack` for a line of text",
    )
    active = BooleanField(load_default=True, example=True, description="Whether anything is sent")
    description = TextField(
        Webhook.description,
        load_default=None,
        example="Data warehouse",
        description="What the webhook is for",
    )


class WebhookCreate(WebhookFields):
    """A new webhook."""

    types = ListField(
        EnumField(TYPE),
        max_length=len(NAMES) + len(GROUPS),
        required=True,
        example=EXAMPLE_TYPES,
        description="What is told: names of types, and all of a kind such as `ticket.*`",
    )


class WebhookPatch(PatchSchema, WebhookCreate):
    """The fields of a webhook that can be changed."""


class WebhookSchema(ResponseSchema, WebhookFields):
    """A webhook, without its secret."""

    webhook_id = IdField(example=1, description="The id of the webhook")
    types = JsonField(metadata=TYPE_LIST, example=EXAMPLE_TYPES, description="What is told")
    inactive_reason = TextField(
        Webhook.inactive_reason,
        example=None,
        description="Why the server has set it inactive; null where nobody or an admin has",
    )
    inactive_since = TimeField(
        allow_none=True, example=None, description="Since when it is inactive; null if it is active"
    )
    failing_since = TimeField(
        allow_none=True,
        example=None,
        description="The first failure after the last success; null if there is none",
    )
    warning = TextField(
        Webhook.warning,
        example=None,
        description="Which changes it was not told of, as the change log had them no more",
    )
    created_at = TimeField(example="2025-10-29T08:00:00Z", description="When it was made")

    class Meta:
        """The order of the columns."""

        fields: tuple[str, ...] = (
            *("webhook_id", "url", "types", "format", "active", "description"),
            *("inactive_reason", "inactive_since", "failing_since", "warning", "created_at"),
        )

    related = {"etag": RowEtag()}


class WebhookQuery(PageQuery):
    """What a list of webhooks shows."""

    include = IncludeField(WebhookSchema)


class NewWebhookSchema(WebhookSchema):
    """A webhook with its secret, which is shown only once."""

    secret = TextField(
        Webhook.secret,
        allow_none=True,
        pattern=ANY_TEXT,
        example="whsec_<secret>",
        description="What signatures are made with; null in the answer to a request that is sent"
        " again",
    )

    class Meta:
        """The order of the columns."""

        fields = (*WebhookSchema.Meta.fields, "secret")


class WebhookTestSchema(ResponseSchema):
    """What became of a test."""

    ok = BooleanField(example=True, description="Whether the receiver has answered 2xx")
    status_code = CountField(
        allow_none=True, example=200, description="What it has answered; null for no answer"
    )
    error = TextField(
        WebhookDelivery.error, example=None, description="What went wrong; null if nothing has"
    )


class WebhookDeliveryQuery(PageQuery):
    """The filters of deliveries."""

    state = EnumsParameter(
        WebhookDelivery.state, description="Only those in one of these states, such as `failed`"
    )
    seq = IdParameter(description="Only the one of the change with this `seq`")


class WebhookDeliverySchema(ResponseSchema):
    """What became of telling a webhook of a change."""

    delivery_id = IdField(example=1, description="The id of the delivery")
    webhook_id = IdField(example=1, description="The webhook that is told")
    seq = IdField(example=42, description="The number of the change")
    type = EnumField(
        Enum(*NAMES, name="webhookeventtype"),
        example="ticket.closed",
        description="As what the change is told",
    )
    state = EnumField(
        Enum(*STATES, name="webhookdeliverystate"),
        example="sent",
        description="`pending` until it is `sent`, or has `failed` for good",
    )
    attempts = CountField(example=1, description="How often it was tried")
    created_at = TimeField(
        example="2025-10-29T09:12:00Z", description="When the delivery was made from the change"
    )
    attempted_at = TimeField(
        allow_none=True, example="2025-10-29T09:12:00Z", description="When it was last tried"
    )
    due_at = TimeField(
        allow_none=True, example=None, description="When it is next tried; null for never"
    )
    status_code = CountField(
        allow_none=True, example=200, description="The last answer; null for none"
    )
    error = TextField(
        WebhookDelivery.error, example=None, description="What went wrong at the last try"
    )


class PositionField(DocumentedField, fields.Integer):
    """The seq of a change, or 0 before the first."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=Range(min=0, max=MAX_ID), **kwargs)


class Replay(Schema):
    """Which changes a webhook is told of once more."""

    after_seq = PositionField(
        required=True, example=41, description="The changes after the one with this `seq`"
    )
    to_seq = IdField(
        required=True, example=42, description="The last of them; at most 10,000 further on"
    )

    @validates_schema(skip_on_field_errors=True)
    def check_span(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError for a span without changes, and for one that is too long."""
        if not 0 < data["to_seq"] - data["after_seq"] <= MAX_REPLAY:
            message = f"Must be 1 to {MAX_REPLAY:,} after after_seq."
            raise ValidationError(message, "to_seq")


class ReplayedSchema(ResponseSchema):
    """How many deliveries are made once more."""

    deliveries = CountField(example=1, description="How many changes the webhook is told of again")


OLDEST_SEQ = IdField(required=True, description="The oldest `seq` that can be read")
ReplayGoneSchema = ErrorSchema.from_dict({"oldest_seq": OLDEST_SEQ}, name="ReplayGone")
