"""docs/benchmarks.md: what was found, as tables and pictures."""

import math
import os
import platform
import sqlite3
import statistics
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from benchmarks.growth import PROBES
from benchmarks.ratios import REQUESTS
from benchmarks.servers import Plan

TEMPLATE = Path(__file__).with_name("report.md")
PEERS = ("FastAPI", "Django REST framework", "floor")
# What the project promises itself: the least of each ratio.
BARS = {
    REQUESTS[0].name: {"FastAPI": 3.0, "Django REST framework": 4.5, "floor": 0.5},
    REQUESTS[1].name: {"FastAPI": 2.2, "Django REST framework": 3.3},
    REQUESTS[2].name: {"FastAPI": 1.8, "Django REST framework": 3.5, "floor": 0.6},
    REQUESTS[3].name: {"FastAPI": 1.5, "Django REST framework": 2.0, "floor": 0.5},
}


def write(found: dict[str, Any], folder: Path) -> None:
    """Write the document and its pictures into a folder, and print the tables."""
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    parts = {"machine": machine(), "plan": plan(found["plan"])}
    for kind in ("SQLite", "PostgreSQL"):
        parts[f"ratios_{kind}"] = ratios(found[kind]["ratios"])
        parts[f"growth_{kind}"] = growth(found[kind]["growth"])
        parts[f"offset_{kind}"] = offset(found[kind]["offset"])
        parts[f"log_{kind}"] = spread(found[kind]["log"])
        parts[f"counting_{kind}"] = spread(found[kind]["counting"])
        draw(found[kind]["growth"], kind, folder / "benchmarks" / f"growth-{kind.lower()}.svg")
    parts |= endurance(found["SQLite"])
    text = TEMPLATE.read_text()
    for name, part in parts.items():
        text = text.replace(f"{{{{{name}}}}}", part)
    (folder / "benchmarks.md").write_text(text)
    print(text)


def spread(values: list[float], digits: int = 2) -> str:
    """Give a median with its least and largest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"**{middle:.{digits}f}** ({low:.{digits}f} to {high:.{digits}f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Give a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(rates: list[Any]) -> str:
    """Give our requests per second, and by how much they are more than the others'."""
    by_round: dict[tuple[str, str], list[float]] = defaultdict(list)
    for rate in rates:
        by_round[rate.request, rate.contender].append(rate.rate)
    rows = []
    for request in dict.fromkeys(rate.request for rate in rates):
        ours = by_round[request, "OmniDesk"]
        cells = [request, f"{statistics.median(ours):.0f}"]
        for peer in PEERS:
            theirs = by_round.get((request, peer))
            if theirs is None:
                cells.append("")
                continue
            times = [a / b for a, b in zip(ours, theirs, strict=True)]
            bar = BARS.get(request, {}).get(peer)
            cells.append(spread(times) + ("" if bar is None else f", bar {bar}"))
        rows.append(cells)
    return table(["request", "requests/s", *(f"times {peer}" for peer in PEERS)], rows)


def growth(medians: list[Any]) -> str:
    """Give the medians at the smallest and the largest size, and their ratio."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    shown: dict[tuple[str, int], int] = {}
    for median in medians:
        times[median.probe, median.size].append(median.milliseconds)
        shown[median.probe, median.size] = median.rows
    sizes = sorted({size for _, size in times})
    small, large = sizes[0], sizes[-1]
    rows = []
    for probe in PROBES:
        a, b = times[probe.name, small], times[probe.name, large]
        counts = {shown[probe.name, small], shown[probe.name, large]}
        rows.append(
            [
                probe.name,
                " and ".join(str(count) for count in sorted(counts)),
                f"{statistics.median(a):.2f}",
                f"{statistics.median(b):.2f}",
                spread([y / x for x, y in zip(a, b, strict=True)]),
            ]
        )
    head = ["request", "rows", f"ms at {small:,}", f"ms at {large:,}", "ratio"]
    return table(head, rows)


def offset(found: list[Any]) -> str:
    """Give how an offset compares with walking an index."""
    ours, index = zip(*found, strict=True)
    times = [a / b for a, b in found]
    return (
        f"{statistics.median(ours):.1f} ms, walking the index {statistics.median(index):.1f} ms: "
        f"{spread(times)} times"
    )


def endurance(found: dict[str, Any]) -> dict[str, str]:
    """Give what a desk needs and stands."""
    foot, memory, wrote = found["footprint"], found["memory"], found["writers"]
    statuses = ", ".join(f"{count:,} times {status}" for status, count in wrote["statuses"].items())
    return {
        "starts": spread(foot["starts"]),
        "pss": f"{' + '.join(f'{part:.0f}' for part in foot['workers'])} = "
        f"**{sum(foot['workers']):.0f} MB**, and {foot['master']:.0f} MB of the process above them",
        "memory": f"{memory[0]:.1f} MB at first, {memory[-1]:.1f} MB at the end, "
        f"{max(memory) / min(memory) - 1:.1%} between the least and the most",
        "writers": f"{statuses}; {wrote['lost']} lost; {wrote['rate']:.0f} rows a second; "
        f"the slowest took {wrote['slowest']:.2f} s",
    }


def draw(medians: list[Any], kind: str, path: Path) -> None:
    """Draw how long each request takes against the size of the desk."""
    times: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for median in medians:
        times[median.probe][median.size].append(median.milliseconds)
    plt.rcParams.update({"svg.hashsalt": "omnidesk", "svg.fonttype": "none", "font.size": 8})
    rows = math.ceil(len(PROBES) / 6)
    figure, panels = plt.subplots(rows, 6, figsize=(12, 1.7 * rows), sharex=True)
    for panel in panels.flat[len(PROBES) :]:
        panel.axis("off")
    for panel, probe in zip(panels.flat, PROBES, strict=False):
        sizes = sorted(times[probe.name])
        middles = [statistics.median(times[probe.name][size]) for size in sizes]
        lows = [min(times[probe.name][size]) for size in sizes]
        highs = [max(times[probe.name][size]) for size in sizes]
        panel.fill_between(sizes, lows, highs, color="#2a6f97", alpha=0.2, linewidth=0)
        panel.plot(sizes, middles, color="#2a6f97", marker="o", markersize=3)
        panel.set(xscale="log", ylim=(0, 2 * max(middles)))
        panel.set_title(probe.name, fontsize=7)
        panel.tick_params(labelbottom=True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{kind}: milliseconds for an answer, by the number of tickets")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def machine() -> str:
    """Tell what it was measured on."""
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


def plan(chosen: Plan) -> str:
    """Tell how much was measured."""
    return (
        f"{chosen.sizes[-1]:,} tickets, {chosen.rounds} rounds of {chosen.seconds} s "
        f"for each contender in turn, after {chosen.warm} not counted"
    )
