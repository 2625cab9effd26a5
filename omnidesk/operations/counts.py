"""The counts that triggers keep: compared with the rows that there are, and counted anew."""

from sqlalchemy import Connection, text

from omnidesk.db import db
from omnidesk.db.postgresql import disable_timeouts

DAY = {
    "sqlite": "substr({time}, 1, 10)",
    "postgresql": "to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}
COUNTED = """
    SELECT 'users' AS name, count(*) AS count FROM app_user
    UNION ALL SELECT status, count(*) FROM ticket GROUP BY status
    UNION ALL SELECT 'unassigned', count(*) FROM ticket
        WHERE status <> 'cerrado' AND assigned_to IS NULL
    UNION ALL SELECT 'due ' || {due_day}, count(*) FROM ticket
        WHERE status <> 'cerrado' AND due_at IS NOT NULL GROUP BY 1
    UNION ALL SELECT {day}, count(*) FROM calendar_event GROUP BY 1
    UNION ALL SELECT 'unread', coalesce(sum(unread_count), 0) FROM conversation
    UNION ALL SELECT 'waiting', count(*) FROM conversation
        WHERE active AND waiting_since IS NOT NULL
    UNION ALL SELECT 'nobody', count(*) FROM conversation WHERE active AND assigned_to IS NULL
"""
# One statement, which sees what was committed at one moment.
DIFFERENT = """
    SELECT name, sum(kept), sum(counted) FROM (
        SELECT name, count AS kept, 0 AS counted FROM counter
        UNION ALL SELECT name, 0, count FROM ({counted}) AS now
    ) AS both_counts GROUP BY name HAVING sum(kept) <> sum(counted) ORDER BY name
"""
LOCK = "LOCK TABLE app_user, ticket, calendar_event, conversation, counter IN EXCLUSIVE MODE"
EMPTY = "DELETE FROM counter"
FILL = "INSERT INTO counter (name, slot, count) SELECT name, 0, count FROM ({counted}) AS now"


def sql(statement: str) -> str:
    """Return a statement for this database."""
    day = DAY[db.engine.name]
    days = {"due_day": day.format(time="due_at"), "day": day.format(time="start_time")}
    return statement.format(counted=COUNTED.format(**days))


def different(connection: Connection) -> list[tuple[str, int, int]]:
    """Return the names whose count is not that of the rows, with what is kept and counted."""
    found = connection.execute(text(sql(DIFFERENT)))
    return [(name, int(kept), int(counted)) for name, kept, counted in found]


def recount() -> list[tuple[str, int, int]]:
    """Count all rows anew, while nobody writes; return which counts were wrong, as `different`."""
    with db.engine.begin() as connection:
        disable_timeouts(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text(LOCK))
        wrong = different(connection)
        if wrong:
            connection.execute(text(EMPTY))
            connection.execute(text(sql(FILL)))
    return wrong
