"""Comments over HTTP."""

from typing import Any

from sqlalchemy import Select

from omnidesk.api import Blueprint, PageQuery, current_user
from omnidesk.api.errors import failure
from omnidesk.comments.models import Comment
from omnidesk.comments.schemas import CommentCreate, CommentPatch, CommentSchema
from omnidesk.tickets.models import KNOWN

blp = Blueprint("comments", description="What staff notes on tickets, for each other")


def need_ticket(ticket_id: int) -> None:
    """Raise 404 where there is no such ticket."""
    if not KNOWN(ticket_id=ticket_id):
        raise failure(404)


def known(last: list[int] | None, ticket_id: int) -> None:
    """Tell a ticket without comments from no ticket: that is 404."""
    if last is None:
        need_ticket(ticket_id)


@blp.get("/tickets/<id(example=100):ticket_id>/comments")
@blp.arguments(PageQuery, location="query")
@blp.page(CommentSchema, known)
def list_comments(filters: dict[str, Any], ticket_id: int) -> Select[Any]:
    """List the comments on a ticket, oldest first"""
    return Comment.matching(ticket_id=ticket_id, **filters)


@blp.post("/tickets/<id(example=100):ticket_id>/comments")
@blp.arguments(CommentCreate)
@blp.created(CommentSchema, "get_comment")
def create_comment(data: dict[str, Any], ticket_id: int) -> Comment:
    """Comment on a ticket"""
    need_ticket(ticket_id)
    return Comment(**data, ticket_id=ticket_id, user_id=current_user.user_id)


@blp.get("/comments/<id:comment_id>")
@blp.item(CommentSchema)
def get_comment(comment_id: int) -> Select[Any]:
    """Show a comment"""
    return Comment.matching(comment_id=comment_id)


@blp.patch("/comments/<id:comment_id>")
@blp.arguments(CommentPatch)
@blp.changed(Comment, CommentSchema, owner="user_id")
def update_comment(comment: Comment, data: dict[str, Any]) -> None:
    """Say something else in a comment, as its author or an admin"""
    comment.change(**data)


@blp.delete("/comments/<id:comment_id>")
@blp.deleted(Comment, CommentSchema, owner="user_id")
def delete_comment(_comment: Comment) -> None:
    """Delete a comment, as its author or an admin"""
