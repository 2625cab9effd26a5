"""What a database has: what a copy of it is compared by."""

from typing import Any, NamedTuple

import click


class Contents(NamedTuple):
    """The schema of a database, how many rows each table has, and the seq of the newest change."""

    schema: list[Any]
    counts: dict[str, int]
    newest_change: int | None

    @property
    def rows(self) -> int:
        """Return how many rows all tables have."""
        return sum(self.counts.values())

    def require(self, found: "Contents") -> None:
        """Raise ClickException where a copy has something else."""
        if found.schema != self.schema:
            names = {str(item) for item in {*map(tuple, found.schema)} ^ {*map(tuple, self.schema)}}
            raise click.ClickException(f"The copy has another schema: {min(names):.200}")
        for table, count in self.counts.items():
            if found.counts.get(table) != count:
                raise click.ClickException(
                    f"The copy has {found.counts.get(table)} rows of {table}, not {count}."
                )
        if found.newest_change != self.newest_change:
            raise click.ClickException(
                f"The newest change of the copy is {found.newest_change}, not {self.newest_change}."
            )
