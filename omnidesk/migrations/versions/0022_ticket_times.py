"""What tickets are found by when they were created, changed and resolved, and are due."""

import sqlalchemy as sa
from alembic import op

revision = "0022_ticket_times"
down_revision = "0021_search"

FIRST = ("first_created", "first_updated", "first_resolved", "first_due")
HOUR_AFTER = {
    "sqlite": "strftime('%Y-%m-%d %H:00:00.000000', {time}, '+1 hour')",
    "postgresql": "date_trunc('hour', {time}) + interval '1 hour'",
}
# Looked at first, or writers would wait for each other to change a span that needs no change.
IS_KNOWN = """
    EXISTS (
        SELECT 1 FROM ticket_span
        WHERE span = {row}.ticket_id / 512 AND first_created <= {row}.created_at
        AND created_before > {row}.created_at AND first_updated <= {row}.updated_at
        AND ({row}.resolved_at IS NULL OR coalesce(first_resolved <= {row}.resolved_at, FALSE))
        AND ({row}.due_at IS NULL OR coalesce(first_due <= {row}.due_at, FALSE))
    )
"""
INSERT = f"INSERT INTO ticket_span (span, created_before, {', '.join(FIRST)})"
EARLIER = """
    {name} = CASE WHEN ticket_span.{name} <= EXCLUDED.{name} OR EXCLUDED.{name} IS NULL
    THEN ticket_span.{name} ELSE EXCLUDED.{name} END
"""
MERGE = f"""
    ON CONFLICT (span) DO UPDATE SET {", ".join(EARLIER.format(name=name) for name in FIRST)},
    created_before = CASE WHEN ticket_span.created_before >= EXCLUDED.created_before
    THEN ticket_span.created_before ELSE EXCLUDED.created_before END
"""
# Ordered, so that two writers lock the spans in the same order.
SPANS = """
    SELECT ticket_id / 512, {hour_after_last},
        min(created_at), min(updated_at), min(resolved_at), min(due_at)
    FROM {rows} GROUP BY 1 ORDER BY 1
"""
ON_SQLITE = """
CREATE TRIGGER span_ticket_{name} AFTER {event} ON ticket WHEN NOT {is_known} BEGIN
    {insert}
    VALUES (
        NEW.ticket_id / 512, {hour_after},
        NEW.created_at, NEW.updated_at, NEW.resolved_at, NEW.due_at
    )
    {merge};
END
"""
FUNCTION = """
CREATE FUNCTION span_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {insert} {spans} {merge};
    RETURN NULL;
END $$
"""
ON_POSTGRESQL = """
CREATE TRIGGER span_ticket_{event} AFTER {event} ON ticket REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION span_ticket()
"""


def upgrade() -> None:
    """Make the indexes and the table, keep it by triggers, and fill it."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    resolved = sa.text("resolved_at IS NOT NULL")
    op.create_index(
        op.f("ix_ticket_resolved_at"),
        "ticket",
        ["resolved_at"],
        sqlite_where=resolved,
        postgresql_where=resolved,
    )
    op.create_table(
        "ticket_span",
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_before", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=name in FIRST[2:])
            for name in FIRST
        ),
        sa.PrimaryKeyConstraint("span", name=op.f("pk_ticket_span")),
    )
    hour_after = HOUR_AFTER["sqlite" if sqlite else "postgresql"]
    if sqlite:
        watch_on_sqlite(hour_after.format(time="NEW.created_at"))
    else:
        watch_on_postgresql(hour_after.format(time="max(created_at)"))
    last = hour_after.format(time="max(created_at)")
    op.execute(f"{INSERT} {SPANS.format(hour_after_last=last, rows='ticket')}")


def watch_on_sqlite(hour_after: str) -> None:
    """Keep the spans with each row."""
    for name, event in (
        ("insert", "INSERT"),
        ("update", "UPDATE OF updated_at, resolved_at, due_at"),
    ):
        trigger = ON_SQLITE.format(
            name=name,
            event=event,
            is_known=IS_KNOWN.format(row="NEW"),
            insert=INSERT,
            hour_after=hour_after,
            merge=MERGE,
        )
        op.execute(trigger)


def watch_on_postgresql(hour_after_last: str) -> None:
    """Keep the spans with each statement, however many rows it has."""
    rows = f"new_rows AS row WHERE NOT {IS_KNOWN.format(row='row')}"
    spans = SPANS.format(hour_after_last=hour_after_last, rows=rows)
    op.execute(FUNCTION.format(insert=INSERT, spans=spans, merge=MERGE))
    for event in ("INSERT", "UPDATE"):
        op.execute(ON_POSTGRESQL.format(event=event))
