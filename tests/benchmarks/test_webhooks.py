"""A little of the benchmark of webhooks runs on both databases."""

import re
import subprocess
import sys

from tests.servers import ROOT


def test_a_little_of_the_benchmark_of_webhooks_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.webhooks", "--smoke"]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )

    assert done.returncode == 0, done.stderr
    counts = re.findall("of ([0-9]+) changes, each for ([0-9]+), ([0-9]+) were", done.stdout)
    assert len(counts) == 4
    assert all(int(made) * int(each) == int(told) for made, each, told in counts)
