"""Comments on the wire."""

from omnidesk.api import Answer, Patch, Schema
from omnidesk.api.fields import Id, Text, Time
from omnidesk.comments.models import Comment


class CommentCreate(Schema):
    """A new comment; who writes it is known from the token."""

    body = Text(Comment.body, required=True, example="Called back: it was the router.")


class CommentPatch(Patch, CommentCreate):
    """What a comment is to say instead."""


class CommentSchema(Answer, CommentCreate):
    """A comment."""

    comment_id = Id(example=1)
    ticket_id = Id(example=100)
    user_id = Id(example=2)
    created_at = Time(example="2025-10-29T09:12:00Z")
    edited_at = Time(allow_none=True, example=None)

    class Meta:
        """The order of the columns."""

        fields = ("comment_id", "ticket_id", "user_id", "body", "created_at", "edited_at")
