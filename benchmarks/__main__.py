"""Run benchmarks, and write docs/benchmarks.md with its pictures from what they found."""

import argparse
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import commits, endurance, feed, growth, ratios, report, shortcuts, sizes
from benchmarks.desks import Desks, Plan, databases
from tests.servers import ROOT

KINDS = ("SQLite", "PostgreSQL")
WHOLE = Plan((1_000, 10_000, 100_000, 1_000_000), 7, 1, 1, 40, 200_000, 60, 200)
SMOKE = Plan((1_000, 2_000), 1, 0.05, 0, 1, 100, 0.2, 2)


class Part(NamedTuple):
    """A function that measures, and the kinds of databases on which it does."""

    measure: Callable[[Desks, Plan], Any]
    kinds: tuple[str, ...] = KINDS


PARTS = {
    "growth": Part(growth.run),
    "sizes": Part(sizes.measure),
    "endurance": Part(endurance.run, ("SQLite",)),
    "writers": Part(endurance.writers, ("SQLite",)),
    "feed": Part(feed.measure),
    "costs": Part(ratios.costs),
    "ratios": Part(ratios.measure),
    "commits": Part(commits.measure, ("PostgreSQL",)),
    "shortcuts": Part(shortcuts.measure, ("SQLite",)),
}


def main() -> None:
    """Measure the chosen parts, and write the page from all results there are."""
    chosen = arguments()
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        results = chosen.results or Path(temporary)
        results.mkdir(parents=True, exist_ok=True)
        # How fast anything is does not matter in a smoke run, so both kinds run at once.
        pool = stack.enter_context(ThreadPoolExecutor(len(KINDS) if chosen.smoke else 1))
        list(pool.map(partial(measure, chosen, results), KINDS))
        if chosen.only != ["shortcuts"]:
            report.write(results, chosen.out or Path(temporary))


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a little of everything")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        help=f"some of {','.join(PARTS)}, or report to measure nothing",
    )
    parser.add_argument("--rounds", type=int, help="rounds that count")
    parser.add_argument("--before", type=Path, help="another checkout, with its .venv, to compare")
    parser.add_argument("--results", type=Path, help="where to keep what was found")
    parser.add_argument("--out", type=Path, help="where to write the page; docs/ of a whole run")
    chosen = parser.parse_args()
    if unknown := set(chosen.only or ()) - {*PARTS, "report"}:
        parser.error(f"--only knows no {', '.join(unknown)}")
    if "shortcuts" in (chosen.only or ()) and not chosen.before:
        parser.error("shortcuts compares with another checkout: name it with --before")
    if not (chosen.smoke or chosen.only):  # a part alone is printed, and leaves the page as it is
        chosen.out = chosen.out or ROOT / "docs"
    chosen.only = chosen.only or [name for name in PARTS if chosen.before or name != "shortcuts"]
    chosen.before = chosen.before and chosen.before.resolve()
    chosen.plan = SMOKE if chosen.smoke else WHOLE
    if chosen.rounds:
        chosen.plan = chosen.plan._replace(rounds=chosen.rounds)
    return chosen


def measure(chosen: argparse.Namespace, results: Path, kind: str) -> None:
    """Measure the chosen parts on one kind of database, and keep what each finds as JSON."""
    parts = {name: PARTS[name] for name in PARTS if name in chosen.only}
    parts = {name: part for name, part in parts.items() if kind in part.kinds}
    if not parts:
        return
    with tempfile.TemporaryDirectory() as folder, databases(kind, Path(folder)) as create:
        before, plan = chosen.before, chosen.plan
        if chosen.smoke and kind == "PostgreSQL":
            # It shares the machine with the other kind, on which another checkout is compared:
            # the same functions do that on both, and it takes as long as a part.
            before, plan = None, plan._replace(cores=plan.cores[::-1])
        desks = Desks(create, before)
        for name, part in parts.items():
            print(f"{kind}: {name}", flush=True)
            found = {"plan": plan._asdict(), "found": part.measure(desks, plan)}
            (results / f"{name}-{kind}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
