"""The benchmarks run: a little of everything, no time of which is looked at."""

import re
import subprocess
from pathlib import Path

from tests.servers import ROOT, environ


def test_a_little_of_every_benchmark_is_written_down(tmp_path: Path) -> None:
    python = ROOT / ".venv" / "peers" / "bin" / "python"

    done = subprocess.run(
        [python, "-m", "benchmarks", "--smoke", "--out", tmp_path],
        cwd=ROOT,
        env=environ({"MPLCONFIGDIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    page = (tmp_path / "benchmarks.md").read_text()
    assert "{{" not in page
    assert page.count("| new ticket |") == 2
    assert " 0 lost" in page
    assert re.search("[|] [0-9,]+ times 201; ", page), "every answer to a writer was 201"
    for picture in re.findall(r"\]\((.*\.svg)\)", page):
        assert (tmp_path / picture).read_text().startswith("<?xml")
