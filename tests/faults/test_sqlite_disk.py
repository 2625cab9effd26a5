"""The disk of a SQLite database is full, and its writers are killed."""

import os
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.faults.conftest import Desk, eventually

ROUNDS = 6


def workers(desk: Desk) -> list[int]:
    """Return the workers: the processes that have the database open, as their parent has."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            opened = {str(number.readlink()) for number in (process / "fd").iterdir()}
            if str(desk.database) in opened:
                state = (process / "stat").read_text().rpartition(")")[2].split()
                parents[int(process.name)] = int(state[1])
    return [
        number for number, parent in parents.items() if parent in parents.keys() - {os.getpid()}
    ]


@contextmanager
def largest_file(desk: Desk, size: int) -> Iterator[None]:
    """Let the workers write no file beyond a size."""
    for process in workers(desk):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    for process in workers(desk):
        whole = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(process, resource.RLIMIT_FSIZE, whole)


def test_writes_that_the_system_refuses_are_503_until_it_does_not(desk: Desk) -> None:
    assert len(workers(desk)) == 2

    with largest_file(desk, 8192):
        writes = {desk.write() for _ in range(8)}
        reads = {desk.read() for _ in range(8)}

    assert writes == {503}
    assert reads == {200}
    eventually(desk.write, 201)
    eventually(desk.ready, 200)
    assert desk.lost() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of eight megabytes."""
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mounted, check=False).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(ballast: Path) -> None:
    """Write a file until its disk is full."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_told_until_there_is_room(small_disk: Path) -> None:
    desk = Desk(small_disk)
    ballast = small_disk / "ballast"
    with desk.serve() as desk.address:
        eventually(desk.write, 201)
        fill(ballast)
        statuses = [desk.write() for _ in range(8)]
        reads = {desk.read() for _ in range(8)}
        ready = desk.ready()
        ballast.unlink()

        assert 503 in statuses
        assert set(statuses) <= {201, 503}
        assert reads == {200}
        assert ready == 503
        eventually(desk.ready, 200)
        eventually(desk.write, 201)
        assert desk.lost() == []


@contextmanager
def failing_fsync(desk: Desk) -> Iterator[None]:
    """Let what the workers write never reach the disk, as the system then says."""
    traced = [part for process in workers(desk) for part in ("-p", str(process))]
    fault = ("-e", "inject=fsync,fdatasync:error=EIO", "-e", "trace=fsync,fdatasync")
    command = ["strace", "-f", *fault, "-o", "/dev/null", *traced]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        if not tracer.stderr or b"attached" not in tracer.stderr.readline():
            pytest.skip("no process may be traced here")
        yield
        tracer.terminate()


def test_what_did_not_reach_the_disk_is_not_acknowledged(desk: Desk) -> None:
    with failing_fsync(desk):
        writes = {desk.write() for _ in range(8)}
        reads = {desk.read() for _ in range(8)}

    assert writes == {503}
    assert reads == {200}
    eventually(desk.write, 201)
    eventually(desk.ready, 200)
    assert desk.lost() == []


def test_what_was_acknowledged_survives_the_death_of_its_worker(desk: Desk) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            try:
                assert desk.write() in (201, 503)
            except requests.RequestException:
                time.sleep(0.1)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(0.5)
            for process in workers(desk):
                with suppress(ProcessLookupError):  # gone meanwhile
                    os.kill(process, signal.SIGKILL)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    eventually(desk.write, 201)
    assert len(desk.stored) > 20
    assert desk.lost() == []
    with closing(sqlite3.connect(desk.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
