"""The floor: a database and a WSGI server with as little as possible between them.

A list is one statement in which the database writes the JSON. Nothing is validated; there are no
errors, no links and no tokens.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs

URL = os.environ["DATABASE_URL"]
COLUMNS = (
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
TIMES = ("created_at", "due_at", "resolved_at", "updated_at")
NAMES = ", ".join(COLUMNS)
FILTERS = ("status", "priority", "assigned_to", "client_id")

if URL.startswith("sqlite"):
    import sqlite3

    MARK, NOW = "?", "%Y-%m-%d %H:%M:%S.000000"

    def shown(name: str) -> str:
        """Return the SQL of a column as the API shows it."""
        if name == "tags":
            return f"json({name})"
        return (
            f"substr({name}, 1, 10) || 'T' || substr({name}, 12, 8) || 'Z'"
            if name in TIMES
            else name
        )

    PAIRS = ", ".join(f"'{name}', {shown(name)}" for name in COLUMNS)
    OBJECT = f"json_object({PAIRS})"
    ARRAY = f"json_group_array({OBJECT})"

    def connect() -> Any:
        """Return a connection as durable as OmniDesk's."""
        connection = sqlite3.connect(URL.removeprefix("sqlite:///"), isolation_level=None)
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("acting_user", 0, lambda: 1)  # the change log's triggers ask
        connection.create_function("logged_operation", 0, lambda: None)
        return connection

else:
    import psycopg

    MARK, NOW = "%s", "%Y-%m-%dT%H:%M:%SZ"

    def shown(name: str) -> str:
        """Return the SQL of a column as the API shows it."""
        if name == "tags":
            return f"{name}::json"
        if name not in TIMES:
            return name
        return f"""to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS {name}"""

    OBJECT = f"(SELECT row_to_json(t) FROM (SELECT {', '.join(map(shown, COLUMNS))}) AS t)::text"
    ARRAY = f"'[' || string_agg({OBJECT}, ',') || ']'"

    def connect() -> Any:
        """Return a connection."""
        return psycopg.connect(URL.replace("+psycopg", ""), autocommit=True)


ONE = f"SELECT {OBJECT} FROM ticket WHERE ticket_id = {MARK}"
ADD = (
    "INSERT INTO ticket"
    " (client_id, subject, description, priority, status, created_at, updated_at) "
    f"VALUES ({', '.join([MARK] * 7)}) RETURNING {OBJECT}"
)
LOCAL = threading.local()


@cache
def listing(names: tuple[str, ...]) -> str:
    """Return the statement of a list with these filters."""
    where = " AND ".join(f"{name} = {MARK}" for name in names)
    return (
        f"SELECT {ARRAY} FROM (SELECT {NAMES} FROM ticket {where and 'WHERE'} {where} "
        f"ORDER BY ticket_id DESC LIMIT {MARK} OFFSET {MARK}) AS page"
    )


def fetch(statement: str, *values: object) -> str | None:
    """Return the one value that a statement selects."""
    if not hasattr(LOCAL, "connection"):
        LOCAL.connection = connect()
    row = LOCAL.connection.execute(statement, values).fetchone()
    return row and row[0]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a WSGI request."""
    status, path = "200 OK", environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "POST":
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        now = datetime.now(UTC).strftime(NOW)
        values = body["client_id"], body["subject"], body["description"], body["priority"]
        status, text = "201 Created", fetch(ADD, *values, "abierto", now, now)
    elif path == "/api/tickets":
        query = parse_qs(environ["QUERY_STRING"])
        names = tuple(name for name in FILTERS if name in query)
        page = int(query["limit"][0]), int(query.get("offset", ["0"])[0])
        text = fetch(listing(names), *(query[name][0] for name in names), *page)
    else:
        text = fetch(ONE, int(path.rpartition("/")[2]))
    answer = (text or "null").encode()
    start_response(
        status, [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    )
    return [answer]
