"""Comments as JSON."""

from omnidesk.comments.models import Comment
from omnidesk.http import PageQuery, PatchSchema, Related, ResponseSchema, RowEtag, Schema
from omnidesk.http.fields import IdField, TextField, TimeField
from omnidesk.http.parameters import IncludeField
from omnidesk.users.schemas import RelatedUser


class CommentCreate(Schema):
    """A new comment; its author is the user of the token."""

    body = TextField(
        Comment.body,
        required=True,
        example="Called back: it was the router.",
        description="The text",
    )


class CommentPatch(PatchSchema, CommentCreate):
    """The field of a comment that can be changed."""


class CommentSchema(ResponseSchema, CommentCreate):
    """A comment."""

    comment_id = IdField(example=1, description="The id of the comment")
    ticket_id = IdField(example=100, description="The ticket that the comment is on")
    user_id = IdField(example=2, description="The author")
    created_at = TimeField(
        example="2025-10-29T09:12:00Z", description="When the comment was written"
    )
    edited_at = TimeField(
        allow_none=True, example=None, description="When the text was last changed; null for never"
    )

    class Meta:
        """The order of the columns."""

        fields = ("comment_id", "ticket_id", "user_id", "body", "created_at", "edited_at")

    related = {"user": Related(RelatedUser, "users", "The author"), "etag": RowEtag()}


class CommentQuery(PageQuery):
    """What a list of comments shows."""

    include = IncludeField(CommentSchema)
