"""Updates that were not understood, as JSON."""

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.http import PageQuery, ResponseSchema
from omnidesk.http.fields import ANY_TEXT, IdField, TextField, TimeField


class UnsupportedQuery(PageQuery):
    """The list has no filters."""


class UnsupportedSchema(ResponseSchema):
    """An update that was not understood."""

    unsupported_update_id = IdField(example=1, description="The id of the update")
    channel_id = IdField(example=1, description="The channel that it came on")
    message_id = IdField(
        allow_none=True,
        example=None,
        description="The message of the kind `unsupported` that was stored for it; null for none",
    )
    received_at = TimeField(example="2025-10-29T09:12:00Z", description="When it came")
    body = TextField(
        UnsupportedUpdate.body,
        pattern=ANY_TEXT,
        example='{"type":"poll_creation"}',
        description="The update as it came, cut to 65,536 characters",
    )

    class Meta:
        """The order of the columns."""

        fields = ("unsupported_update_id", "channel_id", "message_id", "received_at", "body")
