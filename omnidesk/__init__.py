"""OmniDesk: a help desk backend."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    import config


def create_app(settings: "config.Production | None" = None) -> "Flask":
    """Return the app with these settings, or the environment's; raise InvalidSettings."""
    # Not imported with the package: the worker imports other modules of it, and needs no app.
    from omnidesk import application

    return application.create_app(settings)
