"""A little of every benchmark runs on both databases; how fast anything was does not matter."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT, environ

PEERS = ROOT / ".venv" / "peers"
ROWS = (
    "list of 50, open",
    "list of 50, open, varied",
    "one ticket, open, varied",
    "new ticket",
    "list of 50, token",
    "list of 50, token, varied URLs and tokens",
)


def test_a_little_of_every_benchmark_is_written_down(tmp_path: Path) -> None:
    results = tmp_path / "results"

    # Compared with itself, so that the comparison with an earlier version runs, too.
    command: list[str | Path] = [
        "-m",
        "benchmarks",
        "--smoke",
        "--before",
        ROOT,
        "--results",
        results,
    ]
    done = subprocess.run(
        [PEERS / "bin" / "python", *command, "--out", tmp_path],
        cwd=ROOT,
        # matplotlib keeps its list of fonts there: to make it takes seconds.
        env=environ({"MPLCONFIGDIR": str(PEERS / "matplotlib")}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    page = (tmp_path / "benchmarks.md").read_text()
    assert "{{" not in page
    assert "| not measured |" not in page
    assert page.count("| times before |") == 1, "a smoke run compares on SQLite only"
    for row in ROWS:
        assert page.count(f"| {row} |") == 2
    assert " 0 lost" in page
    assert re.search("[|] [0-9,]+ times 201; ", page), "every answer to a writer was 201"
    for picture in re.findall(r"\]\((.*\.svg)\)", page):
        assert (tmp_path / picture).read_text().startswith("<?xml")
    shortcuts = json.loads((results / "shortcuts-SQLite.json").read_text())["found"]
    assert {"list of 50, open", "one ticket, open, varied"} <= shortcuts.keys()


def test_a_little_of_the_workers_benchmark_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", "--smoke"],
        cwd=ROOT,
        env=environ({}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for what in ("messages a second", "from POST to the receiver", "for a claim with 200 waiting"):
        assert done.stdout.count(what) == 2
