"""The app that serves requests: its resources and its commands."""

from flask import Flask

import config
from omnidesk import (
    assignments,
    channel_tests,
    cli,
    health,
    http,
    search,
    summary,
    timeline,
)
from omnidesk.auth import tokens
from omnidesk.auth import views as auth_views
from omnidesk.auth.models import SCOPES
from omnidesk.changes import views as changes_views
from omnidesk.changes import waiting
from omnidesk.channels import views as channels_views
from omnidesk.clients import identity_views as clients_views
from omnidesk.comments import views as comments_views
from omnidesk.conversations import message_views as conversations_views
from omnidesk.db import engines, session
from omnidesk.events import views as events_views
from omnidesk.hooks import views as hooks_views
from omnidesk.http import Api, App
from omnidesk.imports import views as imports_views
from omnidesk.inbound import views as inbound_views
from omnidesk.operations.backup.backups import newest_backup
from omnidesk.personal_data import views as personal_data_views
from omnidesk.tickets import views as tickets_views
from omnidesk.users import views as users_views
from omnidesk.webhooks import views as webhooks_views
from omnidesk.worker import status

# The table of contents: what has routes of its own, in the order of the OpenAPI document.
RESOURCES = (
    auth_views.blp,
    summary.blp,
    search.blp,
    events_views.blp,
    tickets_views.blp,
    comments_views.blp,
    clients_views.blp,
    timeline.blp,
    personal_data_views.blp,
    conversations_views.blp,
    inbound_views.blp,
    channels_views.blp,
    channel_tests.blp,
    hooks_views.blp,
    imports_views.blp,
    changes_views.blp,
    webhooks_views.blp,
    health.blp,
    users_views.blp,
    assignments.blp,
    auth_views.sessions_blp,
)


def create_app(settings: config.Production | None = None) -> Flask:
    """Return the app with these settings, or the environment's; raise InvalidSettings."""
    app = App("omnidesk", instance_path=str(config.INSTANCE), static_folder=None)
    app.config.from_object(settings or config.from_environment())
    http.cors.init_app(app)  # first: preflights are asked nothing, and all responses get headers
    engines.prepare(app.config)
    session.db.init_app(app)
    http.app.init_app(app)
    if app.config["METRICS_TOKEN"]:
        http.metrics.init_app(app, newest_backup, status.gauges)
    tokens.manager.init_app(app)
    waiting.init_app(app)
    api = Api(app, tokens.authenticate, SCOPES)
    for resource in RESOURCES:
        api.register_blueprint(resource)
    cli.init_app(app)
    return app
