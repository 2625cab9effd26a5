"""What Alembic runs: each migration in the transaction that the caller has begun."""

from alembic import context

from omnidesk.db import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
