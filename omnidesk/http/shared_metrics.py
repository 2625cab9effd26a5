"""Counts that the workers of a server share, in files of prometheus-client's.

Each worker has a place, and a file there for each kind of metric. It takes the place of one that
has ended and goes on with its counts: so there are never more files than workers.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any


class Shared:
    """Where the files are, and the place of this process; None where no workers are started."""

    folder: Path | None = None
    place: int | None = None


def share(parent: str | None) -> None:
    """Let the workers that this process will start share their counts, in a folder of their own."""
    from prometheus_client import values

    if Shared.folder is None:
        Shared.folder = Path(mkdtemp(prefix="omnidesk-metrics-", dir=parent))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Shared.folder)
        values.ValueClass = values.MultiProcessValue(present_place)  # type: ignore[no-untyped-call]


def present_place() -> Any:
    """Return the place of this process, for the names of its files."""
    return Shared.place


def take_place(taken: Iterable[int]) -> int:
    """Return the first place that no living worker has; the next worker inherits it."""
    others = set(taken)
    place = next(number for number in range(len(others) + 1) if number not in others)
    Shared.place = place
    return place


def leave_place(place: int) -> None:
    """Forget what was true only while the worker in this place lived."""
    if Shared.folder is None:
        return
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(place, str(Shared.folder))  # type: ignore[no-untyped-call]


def remove_files() -> None:
    """Remove the files when the server ends."""
    if Shared.folder is not None:
        shutil.rmtree(Shared.folder, ignore_errors=True)
