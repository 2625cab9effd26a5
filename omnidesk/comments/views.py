"""The routes of comments on tickets."""

from typing import Any

from omnidesk.comments.models import Comment
from omnidesk.comments.schemas import CommentCreate, CommentPatch, CommentQuery, CommentSchema
from omnidesk.http import Blueprint, PreparedSelect, current_user
from omnidesk.http.errors import http_error
from omnidesk.tickets.models import TICKET_EXISTS

blp = Blueprint("comments", description="Comments on tickets, by staff for staff")


@blp.get("/tickets/<id(example=100):ticket_id>/comments")
@blp.arguments(CommentQuery, location="query")
@blp.page(CommentSchema, parent=TICKET_EXISTS)
def list_comments(filters: dict[str, Any], ticket_id: int) -> PreparedSelect:
    """List the comments on a ticket, oldest first"""
    return PreparedSelect(Comment.matching, {**filters, "ticket_id": ticket_id})


@blp.post("/tickets/<id(example=100):ticket_id>/comments")
@blp.arguments(CommentCreate)
@blp.created(CommentSchema, "get_comment")
def create_comment(data: dict[str, Any], ticket_id: int) -> Comment:
    """Comment on a ticket"""
    if not TICKET_EXISTS.fetch(ticket_id=ticket_id):
        raise http_error(404)
    return Comment(**data, ticket_id=ticket_id, user_id=current_user.user_id)


@blp.get("/comments/<id:comment_id>")
@blp.item(CommentSchema)
def get_comment(comment_id: int) -> PreparedSelect:
    """Show a comment"""
    return PreparedSelect(Comment.matching, {"comment_id": comment_id})


@blp.patch("/comments/<id:comment_id>")
@blp.arguments(CommentPatch)
@blp.changed(Comment, CommentSchema, owner="user_id")
@blp.alt_response(409, "CONFLICT")
def update_comment(comment: Comment, data: dict[str, Any]) -> None:
    """Say something else in a comment, as its author or an admin"""
    comment.change(**data)


@blp.delete("/comments/<id:comment_id>")
@blp.deleted(Comment, CommentSchema, owner="user_id")
def delete_comment(_comment: Comment) -> None:
    """Delete a comment, as its author or an admin"""
