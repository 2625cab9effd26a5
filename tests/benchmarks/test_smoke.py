"""A little of every benchmark runs on both databases; how fast anything was does not matter."""

import json
import re
import subprocess
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
