"""What an operator does to a database: `omnidesk.cli` has the commands."""
