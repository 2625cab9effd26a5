"""The tests: each is one behaviour, on SQLite and on PostgreSQL."""
