"""Comments as JSON."""

from omnidesk.comments.models import Comment
from omnidesk.http import PatchSchema, ResponseSchema, Schema
from omnidesk.http.fields import IdField, TextField, TimeField


class CommentCreate(Schema):
    """A new comment; its author is the user of the token."""

    body = TextField(Comment.body, required=True, example="Called back: it was the router.")


class CommentPatch(PatchSchema, CommentCreate):
    """The field of a comment that can be changed."""


class CommentSchema(ResponseSchema, CommentCreate):
    """A comment."""

    comment_id = IdField(example=1)
    ticket_id = IdField(example=100)
    user_id = IdField(example=2)
    created_at = TimeField(example="2025-10-29T09:12:00Z")
    edited_at = TimeField(allow_none=True, example=None)

    class Meta:
        """The order of the columns."""

        fields = ("comment_id", "ticket_id", "user_id", "body", "created_at", "edited_at")
