"""The counts that triggers keep: compared with the rows that there are, and counted anew."""

from itertools import chain

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
EMPTY = "DELETE FROM counter"
FILL = "INSERT INTO counter (name, slot, count) SELECT name, 0, count FROM ({counted}) AS now"

# How many messages the client of each conversation has written, and how many of them are unread.
WRITTEN = """
    SELECT conversation.conversation_id AS conversation_id, count(message_id) AS written,
        count(CASE WHEN message_id > coalesce(read_up_to, 0) THEN 1 END) AS unread
    FROM conversation LEFT JOIN message
        ON message.conversation_id = conversation.conversation_id AND sender = 'client'
    GROUP BY conversation.conversation_id
"""
DIFFERENT_IN_CONVERSATIONS = f"""
    WITH now AS ({WRITTEN}), up_to AS (
        SELECT conversation_id, message_id, sum(CASE sender WHEN 'client' THEN 1 ELSE 0 END)
            OVER (PARTITION BY conversation_id ORDER BY message_id) AS written
        FROM message WHERE conversation_id IN (SELECT conversation_id FROM running_total)
    )
    SELECT 'unread (conversation ' || conversation_id || ')' AS name, unread_count, unread
    FROM conversation JOIN now USING (conversation_id) WHERE unread_count <> unread
    UNION ALL SELECT 'client messages (conversation ' || conversation_id || ')',
        client_message_count, written
    FROM conversation JOIN now USING (conversation_id) WHERE client_message_count <> written
    UNION ALL SELECT 'client messages up to message ' || message_id,
        client_message_count, coalesce(written, 0)
    FROM running_total LEFT JOIN up_to USING (conversation_id, message_id)
    WHERE client_message_count <> coalesce(written, 0)
"""  # noqa: S608 - our own names
EMPTY_TOTALS = "DELETE FROM running_total"
COUNT_CONVERSATIONS = f"""
    UPDATE conversation
    SET client_message_count = written, unread_count = unread,
        version = version + CASE WHEN unread_count <> unread THEN 1 ELSE 0 END
    FROM ({WRITTEN}) AS now WHERE now.conversation_id = conversation.conversation_id
    AND (client_message_count <> written OR unread_count <> unread)
"""  # noqa: S608 - our own names
# A trigger may have added one of them already, when the count was set.
FILL_TOTALS = """
    INSERT INTO running_total (conversation_id, message_id, client_message_count)
    SELECT conversation_id, message_id, number FROM (
        SELECT conversation_id, message_id,
            row_number() OVER (PARTITION BY conversation_id ORDER BY message_id) AS number
        FROM message WHERE sender = 'client'
    ) AS numbered WHERE number % 128 = 0 ON CONFLICT DO NOTHING
"""
LOCK = """
    LOCK TABLE app_user, ticket, calendar_event, conversation, message, running_total, counter
    IN EXCLUSIVE MODE
"""


def sql(statement: str) -> str:
    """Return a statement for this database."""
    day = DAY[db.engine.name]
    days = {"due_day": day.format(time="due_at"), "day": day.format(time="start_time")}
    return statement.format(counted=COUNTED.format(**days))


def different(connection: Connection) -> list[tuple[str, int, int]]:
    """Return the names whose count is not that of the rows, with what is kept and counted."""
    statements = text(sql(DIFFERENT)), text(DIFFERENT_IN_CONVERSATIONS)
    found = chain.from_iterable(map(connection.execute, statements))
    return [(name, int(kept), int(counted)) for name, kept, counted in found]


def recount() -> list[tuple[str, int, int]]:
    """Count all rows anew, while nobody writes; return which counts were wrong, as `different`."""
    with db.engine.begin() as connection:
        disable_timeouts(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text(LOCK))
        wrong = different(connection)
        if wrong:
            for statement in (EMPTY_TOTALS, COUNT_CONVERSATIONS, FILL_TOTALS, EMPTY, sql(FILL)):
                connection.execute(text(statement))
    return wrong
