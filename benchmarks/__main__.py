"""Runs every benchmark, and writes docs/benchmarks.md with its pictures."""

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import endurance, growth, ratios, report
from benchmarks.growth import connect
from benchmarks.servers import Plan, database, seeded
from tests.servers import ROOT

KINDS = ("SQLite", "PostgreSQL")


WHOLE = Plan((1_000, 10_000, 100_000, 1_000_000), 5, 2, 1, True, 200_000, 60)
SMOKE = Plan((1_000, 2_000), 1, 1, 0, False, 1_000, 0.5)


def main() -> None:
    """Measure, and write down what was found."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a little of everything")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where to write")
    chosen = parser.parse_args()
    plan = SMOKE if chosen.smoke else WHOLE
    found: dict[str, Any] = {"plan": plan}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as create:
            found[kind] = measure(plan, create, endure=kind == "SQLite")
    report.write(found, chosen.out)


def measure(plan: Plan, create: Any, *, endure: bool) -> dict[str, Any]:
    """Give all that is found on one kind of database."""
    databases = {}
    for size in plan.sizes:
        say(f"seeding {size} tickets")
        databases[size] = seeded(create(f"desk_{size}"), size)
        lengthen(databases[size], size // 10)
    found: dict[str, Any] = {}
    say("growth")
    found["growth"] = list(growth.measure(databases, plan))
    found["offset"] = growth.offset(databases[plan.sizes[-1]], plan.sizes[-1] // 2, plan.rounds)
    if endure:
        desk = databases[plan.sizes[1]]
        say("footprint")
        found["footprint"] = endurance.footprint(desk, plan.rounds)
        found["memory"] = endurance.growth_of_memory(desk, plan.requests)
        say("writers")
        found["writers"] = endurance.writers(desk, plan.writing)
    say("the change log")
    bare = seeded(create("bare"), plan.sizes[0])
    forget_log(bare)
    found["log"] = ratios.cost_of_the_log(databases[plan.sizes[0]], bare, plan)
    say("counting")
    found["counting"] = ratios.cost_of_counting(databases[plan.sizes[-1]], plan)
    say("ratios")
    found["ratios"] = list(ratios.measure(databases[plan.sizes[-1]], plan))
    return found


def lengthen(database_url: str, messages: int) -> None:
    """Give the first conversation that many messages, and the planner its statistics."""
    with closing(connect(database_url)) as connection:
        connection.execute(f"UPDATE message SET conversation_id = 1 WHERE message_id <= {messages}")
        connection.commit()
        if not database_url.startswith("sqlite"):
            connection.autocommit = True
            connection.execute("VACUUM ANALYZE")  # as autovacuum will have done on a desk in use


def forget_log(database_url: str) -> None:
    """Let changes of tickets go unlogged."""
    on_sqlite = database_url.startswith("sqlite")
    names = ("_insert", "_update", "_delete") if on_sqlite else (" ON ticket",)
    with closing(connect(database_url)) as connection:
        for name in names:
            connection.execute(f"DROP TRIGGER change_ticket{name}")
        connection.commit()


def say(what: str) -> None:
    """Tell what comes next."""
    print(what, flush=True)


if __name__ == "__main__":
    main()
