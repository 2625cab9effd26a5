"""Write docs/benchmarks.md: tables and pictures of what was measured."""

import json
import math
import os
import platform
import re
import sqlite3
import statistics
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from benchmarks.growth import PROBES, Median
from benchmarks.ratios import NEW, ONE, REPEATED, TOKEN, TOKENS, VARIED, Rate

TEMPLATE = Path(__file__).with_name("report.md")
FASTAPI, DRF, FLOOR = "FastAPI", "Django REST framework", "floor"
OTHERS = (FASTAPI, DRF, FLOOR, "before")
VARIED_BAR = 0.9  # of the bar for the same request repeated
# The least ratios that the project accepts, by database.
BARS: dict[str, dict[str, dict[str, float]]] = {
    "SQLite": {
        REPEATED.name: {FASTAPI: 3.4, DRF: 6.0, FLOOR: 0.60},
        TOKEN.name: {FASTAPI: 3.6, DRF: 6.0},
        ONE.name: {FASTAPI: 1.85, DRF: 3.2, FLOOR: 0.55},
        NEW.name: {FASTAPI: 2.4, DRF: 2.1, FLOOR: 0.52},
    },
    "PostgreSQL": {
        REPEATED.name: {FASTAPI: 4.88, DRF: 8.29, FLOOR: 1.03},
        TOKEN.name: {FASTAPI: 5.04, DRF: 7.40},
        ONE.name: {FASTAPI: 2.45, DRF: 3.44, FLOOR: 0.63},
        NEW.name: {FASTAPI: 2.0, DRF: 2.0},
    },
}
for bars in BARS.values():
    for varied, repeated in ((VARIED, REPEATED), (TOKENS, TOKEN)):
        bars[varied.name] = {peer: VARIED_BAR * bar for peer, bar in bars[repeated.name].items()}
COMMITS_BAR = 3
PLAIN = PROBES[0].name  # the list with which others are compared


def write(results: Path, folder: Path) -> None:
    """Write the page and its pictures into a folder from the results there are, and print it."""
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    parts = {"machine": machine()}
    for name, result in found.items():
        part, _, kind = name.partition("-")
        if part in WRITERS:
            parts |= {f"{key}_{kind}": text for key, text in WRITERS[part](result, kind).items()}
        if part == "growth":
            medians = [Median(*row) for row in result["found"]["medians"]]
            draw(medians, kind, folder / "benchmarks" / f"growth-{kind.lower()}.svg")
    text = TEMPLATE.read_text()
    text = re.sub(r"{{(\w+)}}", lambda match: parts.get(match[1], "not measured"), text)
    (folder / "benchmarks.md").write_text(text)
    print(text)


def spread(values: list[float], digits: int = 2) -> str:
    """Return a median with its least and largest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"**{middle:.{digits}f}** ({low:.{digits}f} to {high:.{digits}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(result: Any, kind: str) -> dict[str, str]:
    """Return how much was measured, and the table of our rates and of their ratios."""
    by_round: dict[tuple[str, str], list[float]] = defaultdict(list)
    rates = [Rate(*row) for row in result["found"]]
    for rate in rates:
        by_round[rate.request, rate.contender].append(rate.rate)
    others = [name for name in OTHERS if any(rate.contender == name for rate in rates)]
    rows = []
    for request in dict.fromkeys(rate.request for rate in rates):
        ours = by_round[request, "OmniDesk"]
        cells = [request, f"{statistics.median(ours):.0f}"]
        for other in others:
            theirs = by_round.get((request, other))
            bar = BARS[kind].get(request, {}).get(other)
            cells.append(times(ours, theirs, bar) if theirs else "")
        rows.append(cells)
    head = ["request", "requests/s", *(f"times {other}" for other in others)]
    return {"ratios": table(head, rows), "plan": plan(result["plan"])}


def times(ours: list[float], theirs: list[float], bar: float | None) -> str:
    """Return the ratios of two contenders' rates, and the bar if there is one."""
    found = spread([a / b for a, b in zip(ours, theirs, strict=True)])
    return found if bar is None else f"{found}, bar {bar:.3g}"


def growth(result: Any, _kind: str) -> dict[str, str]:
    """Return the medians at the smallest and the largest size with their ratios, and the offset."""
    medians = [Median(*row) for row in result["found"]["medians"]]
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    shown: dict[tuple[str, int], int] = {}
    for median in medians:
        taken[median.probe, median.size].append(median.milliseconds)
        shown[median.probe, median.size] = median.rows
    sizes = sorted({size for _, size in taken})
    small, large = sizes[0], sizes[-1]
    rows = []
    for probe in PROBES:
        a, b = taken[probe.name, small], taken[probe.name, large]
        counts = {shown[probe.name, small], shown[probe.name, large]}
        rows.append(
            [
                probe.name,
                " and ".join(str(count) for count in sorted(counts)),
                f"{statistics.median(a):.2f}",
                f"{statistics.median(b):.2f}",
                spread([y / x for x, y in zip(a, b, strict=True)]),
                f"{statistics.median(b) / statistics.median(taken[PLAIN, large]):.2f}",
            ]
        )
    head = ["request", "rows", f"ms at {small:,}", f"ms at {large:,}", "ratio", f"times {PLAIN}"]
    return {"growth": table(head, rows), "offset": offset(result["found"]["offset"])}


def sizes(result: Any, _kind: str) -> dict[str, str]:
    """Return a table of the bytes that each index takes for a row."""
    found = sorted(result["found"].items(), key=lambda each: each[1], reverse=True)
    rows = [[f"`{name}`", f"{size:.1f}"] for name, size in found]
    return {"sizes": table(["index", "bytes for a row"], rows)}


def offset(found: list[Any]) -> str:
    """Return how a list behind an offset compares with walking an index."""
    ours, index = zip(*found, strict=True)
    return (
        f"{statistics.median(ours):.1f} ms, walking the index {statistics.median(index):.1f} ms: "
        f"{times(list(ours), list(index), None)} times"
    )


def endurance(result: Any, _kind: str) -> dict[str, str]:
    """Return the memory of workers and the time to start."""
    foot, memory = result["found"]["footprint"], result["found"]["memory"]
    return {
        "starts": spread(foot["starts"]),
        "pss": f"{' + '.join(f'{part:.0f}' for part in foot['workers'])} = "
        f"**{sum(foot['workers']):.0f} MB**, and {foot['master']:.0f} MB of their parent process",
        "memory": f"{memory[0]:.1f} MB at first, {memory[-1]:.1f} MB at the end, "
        f"{max(memory) / min(memory) - 1:.1%} between the least and the most",
    }


def writers(result: Any, _kind: str) -> dict[str, str]:
    """Return what many writers at once were answered."""
    wrote = result["found"]
    statuses = ", ".join(f"{count:,} times {status}" for status, count in wrote["statuses"].items())
    return {
        "writers": f"{statuses}; {wrote['lost']} lost; {wrote['rate']:.0f} rows a second; "
        f"the slowest took {wrote['slowest']:.2f} s",
    }


def costs(result: Any, _kind: str) -> dict[str, str]:
    """Return what the change log and the rate limit cost."""
    return {name: spread(found) for name, found in result["found"].items()}


def feed(result: Any, _kind: str) -> dict[str, str]:
    """Return what front ends that poll the feed cost."""
    polls = result["found"]
    statuses = ", ".join(f"{count:,} times {status}" for status, count in polls["statuses"].items())
    return {
        "feed": f"{polls['rate']:.0f} polls a second, {statuses}, answered in "
        f"{polls['milliseconds']:.1f} ms (median), for {polls['core']:.0%} of a core"
    }


def commits(result: Any, _kind: str) -> dict[str, str]:
    """Return the commits a second at two revisions of the schema, and their ratio."""
    old, new = (list(rates) for rates in zip(*result["found"], strict=True))
    return {
        "commits": f"{statistics.median(new):.0f} and {statistics.median(old):.0f} a second: "
        f"{times(new, old, COMMITS_BAR)}"
    }


WRITERS = {
    "ratios": ratios,
    "growth": growth,
    "sizes": sizes,
    "endurance": endurance,
    "writers": writers,
    "feed": feed,
    "costs": costs,
    "commits": commits,
}


def draw(medians: list[Any], kind: str, path: Path) -> None:
    """Draw how long each request takes against the size of the desk."""
    taken: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for median in medians:
        taken[median.probe][median.size].append(median.milliseconds)
    plt.rcParams.update({"svg.hashsalt": "omnidesk", "svg.fonttype": "none", "font.size": 8})
    rows = math.ceil(len(PROBES) / 6)
    figure, panels = plt.subplots(rows, 6, figsize=(12, 1.7 * rows))
    for panel in panels.flat[len(PROBES) :]:
        panel.axis("off")
    for panel, probe in zip(panels.flat, PROBES, strict=False):
        sizes = sorted(taken[probe.name])
        middles = [statistics.median(taken[probe.name][size]) for size in sizes]
        lows = [min(taken[probe.name][size]) for size in sizes]
        highs = [max(taken[probe.name][size]) for size in sizes]
        panel.fill_between(sizes, lows, highs, color="#2a6f97", alpha=0.2, linewidth=0)
        panel.plot(sizes, middles, color="#2a6f97", marker="o", markersize=3)
        panel.set(xscale="log", ylim=(0, 2 * max(middles)), xticks=sizes)
        panel.minorticks_off()
        panel.set_title(probe.name, fontsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{kind}: milliseconds for an answer, by the number of tickets")
    # tight_layout would draw everything once more.
    figure.subplots_adjust(0.04, 0.03, 0.99, 0.94, wspace=0.25, hspace=0.45)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def machine() -> str:
    """Return the name of the machine and the versions of what ran on it."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    packages = ("fastapi", "uvicorn", "django", "djangorestframework", "gunicorn", "sqlalchemy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{os.cpu_count()} cores ({model[0]}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; {versions}"
    )


def plan(chosen: dict[str, Any]) -> str:
    """Return how much was measured in the comparison."""
    return (
        f"{chosen['sizes'][-1]:,} tickets, {chosen['rounds']} rounds of {chosen['seconds']} s "
        f"for each contender in turn, after {chosen['warm']} that did not count"
    )
