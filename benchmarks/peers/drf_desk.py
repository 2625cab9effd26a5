"""The desk's tickets in Django REST framework, as its guide teaches: serializers, generic views."""

import json
import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import django
import jwt
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import models
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.urls import path

DATABASE_URL = urlsplit(os.environ["DATABASE_URL"])
if DATABASE_URL.scheme == "sqlite":
    pragmas = "; ".join(
        f"PRAGMA {pragma}"
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "foreign_keys=ON",
        )
    )
    DATABASE = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE_URL.path.removeprefix("/"),
        "OPTIONS": {"init_command": pragmas, "transaction_mode": "IMMEDIATE"},
    }
else:
    DATABASE = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": DATABASE_URL.hostname,
        "PORT": DATABASE_URL.port,
        "USER": DATABASE_URL.username,
        "NAME": DATABASE_URL.path.removeprefix("/"),
    }
settings.configure(
    SECRET_KEY=os.environ["SECRET_KEY"],
    DATABASES={"default": DATABASE | {"CONN_MAX_AGE": None}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    # The applications and the middleware that `django-admin startproject`, the tutorial's first
    # step, puts there.
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "rest_framework",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    TIME_ZONE="UTC",
    USE_TZ=True,
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    },
)
django.setup()

from rest_framework import generics, serializers
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission


@receiver(connection_created)
def prepare(connection: Any, **_: Any) -> None:
    """Define the function that the triggers of the change log call on SQLite."""
    if connection.vendor == "sqlite":
        connection.connection.create_function("acting_user", 0, lambda: 1)
        connection.connection.create_function("logged_operation", 0, lambda: None)


PUBLIC = bool(os.environ["PUBLIC_READS"])
PRIORITIES, STATUSES = ("alta", "media", "baja"), ("abierto", "en_progreso", "cerrado")
LARGEST_ID = 2**31 - 1


class User(models.Model):
    """A member of staff."""

    user_id = models.AutoField(primary_key=True)
    username = models.CharField(max_length=64)
    role = models.CharField(max_length=16)
    active = models.BooleanField()
    is_authenticated = True

    class Meta:
        """The table."""

        app_label, db_table = "desk", "app_user"


class Client(models.Model):
    """A customer."""

    client_id = models.AutoField(primary_key=True)

    class Meta:
        """The table."""

        app_label, db_table = "desk", "client"


class Ticket(models.Model):
    """A ticket."""

    ticket_id = models.AutoField(primary_key=True)
    client = models.ForeignKey(Client, models.PROTECT)
    subject = models.CharField(max_length=200)
    description = models.TextField(null=True, max_length=10_000)
    priority = models.CharField(max_length=16, choices=[(p, p) for p in PRIORITIES])
    status = models.CharField(max_length=16, choices=[(s, s) for s in STATUSES])
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    assigned_to = models.IntegerField(null=True)
    tags = models.TextField(default="[]")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """The table."""

        app_label, db_table = "desk", "ticket"


class TicketQuery(serializers.Serializer):
    """The query parameters of the list."""

    status = serializers.ChoiceField(STATUSES, required=False)
    priority = serializers.ChoiceField(PRIORITIES, required=False)
    assigned_to = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    client_id = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)
    offset = serializers.IntegerField(default=0, min_value=0)


class WordsField(serializers.Field):
    """A list of words, kept as JSON in a text."""

    def to_representation(self, value: str) -> Any:
        """Return the list."""
        return json.loads(value)


class TicketSerializer(serializers.ModelSerializer):
    """A ticket."""

    client_id = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    priority = serializers.ChoiceField(PRIORITIES, default="media")
    status = serializers.ChoiceField(STATUSES, default="abierto")
    tags = WordsField(read_only=True)

    class Meta:
        """The fields."""

        model = Ticket
        fields = (
            "ticket_id",
            "client_id",
            "subject",
            "description",
            "priority",
            "status",
            "created_at",
            "due_at",
            "resolved_at",
            "assigned_to",
            "tags",
            "updated_at",
        )
        read_only_fields = ("ticket_id", "created_at", "resolved_at")


class TokenAuthentication(BaseAuthentication):
    """Authentication by a bearer token."""

    def authenticate(self, request: Any) -> tuple[User, Any] | None:
        """Return the user that a token names, and its claims; raise 401."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            payload = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
            return User.objects.get(pk=int(payload["sub"]), active=True), payload
        except (jwt.InvalidTokenError, User.DoesNotExist):
            raise AuthenticationFailed from None

    def authenticate_header(self, request: Any) -> str:
        """Return the challenge of a 401."""
        return "Bearer"


class Staff(BasePermission):
    """Permission for staff, and for anybody to read what is public."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Return whether the request is allowed."""
        return request.user.is_authenticated or (PUBLIC and request.method == "GET")


class TicketList(generics.ListCreateAPIView):
    """All tickets."""

    serializer_class = TicketSerializer
    authentication_classes = [TokenAuthentication]
    permission_classes = [Staff]

    def get_queryset(self) -> Any:
        """Return the tickets of the query, newest first."""
        query = TicketQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        filters = dict(query.validated_data)
        limit, offset = filters.pop("limit"), filters.pop("offset")
        tickets = Ticket.objects.filter(**filters).order_by("-ticket_id")
        return tickets[offset : offset + limit]

    def perform_create(self, serializer: Any) -> None:
        """Create a ticket."""
        serializer.save(created_at=datetime.now(UTC).replace(microsecond=0))


class TicketDetail(generics.RetrieveAPIView):
    """One ticket."""

    queryset = Ticket.objects.all()
    serializer_class = TicketSerializer
    authentication_classes = [TokenAuthentication]
    permission_classes = [Staff]


urlpatterns = [
    path("api/tickets", TicketList.as_view()),
    path("api/tickets/<int:pk>", TicketDetail.as_view()),
]
app = WSGIHandler()
