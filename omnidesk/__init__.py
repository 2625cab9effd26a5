"""OmniDesk: a help desk backend."""

from flask import Flask
from flask_cors import CORS

import config
from omnidesk import changes, cli, health, summary
from omnidesk.api import Api, App
from omnidesk.auth import tokens
from omnidesk.auth import views as auth_views
from omnidesk.auth.models import SCOPES
from omnidesk.clients import views as clients_views
from omnidesk.comments import views as comments_views
from omnidesk.conversations import views as conversations_views
from omnidesk.db import db
from omnidesk.events import views as events_views
from omnidesk.tickets import views as tickets_views
from omnidesk.users import views as users_views

__version__ = "0.1.0"

# The table of contents: each part's own routes.
RESOURCES = (
    auth_views,
    summary,
    events_views,
    tickets_views,
    comments_views,
    users_views,
    clients_views,
    conversations_views,
    changes,
    health,
)


def create_app(settings: config.Production | None = None) -> Flask:
    """Give the app with these settings, or with the environment's; raises BadSettings."""
    app = App(__name__, instance_path=str(config.INSTANCE), static_folder=None)
    app.config.from_object(settings or config.from_environment())
    db.init_app(app)
    tokens.jwt.init_app(app)
    api = Api(app, __version__, tokens.bearer, SCOPES)
    for resource in RESOURCES:
        api.register_blueprint(resource.blp)
    cli.register(app)
    if origins := app.config["CORS_ORIGINS"]:
        CORS(
            app,
            origins=origins,
            methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-Match",
                "If-None-Match",
                "Prefer",
                "X-Request-ID",
            ],
            expose_headers=[
                "ETag",
                "Idempotent-Replayed",
                "Link",
                "Location",
                "Preference-Applied",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-ID",
                "X-Total-Count",
            ],
            always_send=False,
        )
    return app
