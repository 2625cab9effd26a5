"""The routes of webhooks, for admins."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, current_app

from omnidesk.db import RuleViolation, db
from omnidesk.egress import ForbiddenUrl, Rules, check_url
from omnidesk.http import Blueprint, PreparedSelect
from omnidesk.http.errors import http_error
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.feed import feed_start
from omnidesk.webhooks.models import EXISTS, Webhook
from omnidesk.webhooks.replaying import replay
from omnidesk.webhooks.schemas import (
    NewWebhookSchema,
    Replay,
    ReplayedSchema,
    ReplayGoneSchema,
    WebhookCreate,
    WebhookDeliveryQuery,
    WebhookDeliverySchema,
    WebhookPatch,
    WebhookQuery,
    WebhookSchema,
    WebhookTestSchema,
)
from omnidesk.webhooks.trying import try_out

blp = Blueprint("webhooks", description="Other systems that are told of changes")

TOO_OLD = "Changes before {} can no longer be read."
GONE = {"detail": "Gone", "errors": {"after_seq": [TOO_OLD.format(43)]}, "oldest_seq": 43}


@blp.after_request
def forbid_caching(response: Response) -> Response:
    """Let no cache store these responses, some of which have a secret."""
    response.headers["Cache-Control"] = "no-store"
    return response


def checks_url(view: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a `url` that requests must not go to, before the database is asked anything."""

    @wraps(view)
    def call(data: dict[str, Any], **path: int) -> Any:
        if "url" in data:
            try:
                check_url(data["url"], Rules.of(current_app.config))
            except ForbiddenUrl as error:
                raise RuleViolation("url", str(error)) from None
        return view(data, **path)

    return call


def found(webhook_id: int, **lock: Any) -> Webhook:
    """Return a webhook; raise 404 where there is none."""
    webhook = db.session.get(Webhook, webhook_id, **lock)
    if webhook is None:
        raise http_error(404)
    return webhook


def require_logged(after_seq: int) -> None:
    """Raise 410 where the change log no longer has all changes after one."""
    start = feed_start()
    if after_seq < start:
        error = http_error(410, {"after_seq": [TOO_OLD.format(start + 1)]})
        error.oldest_seq = start + 1  # type: ignore[attr-defined]
        raise error


@blp.get("/webhooks")
@blp.admin_only
@blp.arguments(WebhookQuery, location="query")
@blp.page(WebhookSchema)
def list_webhooks(filters: dict[str, Any]) -> PreparedSelect:
    """List the webhooks, oldest first, as an admin"""
    return PreparedSelect(Webhook.matching, filters)


@blp.post("/webhooks")
@blp.admin_only
@blp.arguments(WebhookCreate)
@checks_url
@blp.created(NewWebhookSchema, "get_webhook", shown_once="secret")
def create_webhook(data: dict[str, Any]) -> Webhook:
    """Make a webhook, as an admin; its secret is shown this once"""
    return Webhook.new(**data)


@blp.get("/webhooks/<id:webhook_id>")
@blp.admin_only
@blp.item(WebhookSchema)
def get_webhook(webhook_id: int) -> PreparedSelect:
    """Show a webhook, as an admin"""
    return PreparedSelect(Webhook.matching, {"webhook_id": webhook_id})


@blp.patch("/webhooks/<id:webhook_id>")
@blp.admin_only
@blp.arguments(WebhookPatch)
@checks_url
@blp.changed(Webhook, WebhookSchema)
def update_webhook(webhook: Webhook, data: dict[str, Any]) -> None:
    """Change a webhook, as an admin; active again, it goes on where it stopped"""
    webhook.change(**data)


@blp.delete("/webhooks/<id:webhook_id>")
@blp.admin_only
@blp.deleted(Webhook, WebhookSchema)
def delete_webhook(_webhook: Webhook) -> None:
    """Delete a webhook and its deliveries, as an admin"""


@blp.post("/webhooks/<id:webhook_id>/rotate")
@blp.admin_only
@blp.response(200, NewWebhookSchema)
def rotate_secret(webhook_id: int) -> Webhook:
    """Make a new secret, as an admin; the old one signs, too, for a day"""
    webhook = found(webhook_id, with_for_update={"key_share": True})
    webhook.rotate()
    db.session.commit()
    return webhook


@blp.post("/webhooks/<id:webhook_id>/test")
@blp.admin_only
@blp.response(200, WebhookTestSchema)
def test_webhook(webhook_id: int) -> dict[str, Any]:
    """Send a test at once, as an admin, and wait for the answer"""
    outcome = try_out(webhook_id)
    if outcome is None:
        raise http_error(404)
    return {"ok": outcome.ok, **outcome._asdict()}


@blp.post("/webhooks/<id:webhook_id>/replay")
@blp.admin_only
@blp.arguments(Replay)
@blp.response(200, ReplayedSchema)
@blp.alt_response(410, schema=ReplayGoneSchema, example=GONE)
def replay_changes(span: dict[str, Any], webhook_id: int) -> dict[str, int]:
    """Tell a webhook of some changes once more, as an admin"""
    webhook = found(webhook_id)
    db.session.commit()
    require_logged(span["after_seq"])
    count = replay(webhook, **span)
    if count is None:
        raise http_error(404)
    return {"deliveries": count}


@blp.get("/webhooks/<id:webhook_id>/deliveries")
@blp.admin_only
@blp.arguments(WebhookDeliveryQuery, location="query")
@blp.page(WebhookDeliverySchema, parent=EXISTS)
def list_deliveries(filters: dict[str, Any], webhook_id: int) -> PreparedSelect:
    """List what a webhook was told, newest first, as an admin"""
    return PreparedSelect(WebhookDelivery.matching, {**filters, "webhook_id": webhook_id})


@blp.post("/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/retry")
@blp.admin_only
@blp.response(200, WebhookDeliverySchema)
@blp.alt_response(409, "CONFLICT")
def retry_delivery(webhook_id: int, delivery_id: int) -> WebhookDelivery:
    """Tell it once more, as an admin"""
    delivery = WebhookDelivery.locked(webhook_id, delivery_id)
    if delivery is None:
        raise http_error(404)
    delivery.retry()
    db.session.commit()
    return delivery
