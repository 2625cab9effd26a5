"""The files of a SQLite database are deleted, replaced, damaged or closed to the server."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PASSWORD
from tests.faults.conftest import Desk, eventually
from tests.servers import flask


@contextmanager
def moved(*paths: Path) -> Iterator[None]:
    """Move files away, and put them back."""
    for path in paths:
        path.rename(f"{path}.away")
    yield
    for path in paths:
        Path(f"{path}.away").replace(path)


@contextmanager
def replaced(database: Path) -> Iterator[None]:
    """Put another file with the same content in a database's place, and the old one back."""
    backup(database, Path(f"{database}.backup"))
    Path(f"{database}.away").hardlink_to(database)
    Path(f"{database}.backup").replace(database)
    yield
    Path(f"{database}.away").replace(database)


def backup(database: Path, to: Path) -> None:
    """Make a backup as the documentation says."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def beside(database: Path) -> list[Path]:
    """Return the files that SQLite has made beside a database."""
    return [Path(f"{database}{suffix}") for suffix in ("-wal", "-shm")]


FAULTS: dict[str, Any] = {
    "file deleted": moved,
    "all files deleted": lambda database: moved(database, *beside(database)),
    "folder deleted": lambda database: moved(database.parent),
    "log deleted": lambda database: moved(beside(database)[0]),
    "index deleted": lambda database: moved(beside(database)[1]),
    "file replaced": replaced,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_nothing_is_stored_in_files_that_are_not_there(desk: Desk, fault: Any) -> None:
    with fault(desk.database):
        writes = [desk.write() for _ in range(8)]
        eventually(desk.ready, 503)
        reads = {desk.read() for _ in range(8)}

    assert writes == [503] * 8
    assert reads <= {200, 503}
    eventually(desk.ready, 200)
    eventually(desk.read, 200)
    eventually(desk.write, 201)
    assert desk.lost() == []


@pytest.mark.parametrize("fault", ["log deleted", "index deleted"])
def test_no_other_process_makes_the_files_that_a_server_misses(desk: Desk, fault: str) -> None:
    with FAULTS[fault](desk.database):
        command = flask(desk.settings, "create-user", "new", "--password", PASSWORD)

        assert not all(path.exists() for path in beside(desk.database))

    assert command.returncode == 1
    assert command.stderr.count("\n") == 1
    assert "-wal or -shm was deleted or replaced" in command.stderr
    eventually(desk.write, 201)
    assert desk.lost() == []


def test_a_server_does_not_make_the_database_that_it_misses(desk: Desk) -> None:
    desk.database.unlink()
    assert desk.write() == 503

    restart = flask(desk.settings, "init-db", "--no-create")
    command = flask(desk.settings, "prune")

    assert (restart.returncode, command.returncode) == (1, 1)
    assert f"there is no file {desk.database}" in restart.stderr
    assert len(restart.stderr.splitlines()) == 1
    assert not desk.database.exists()
    assert f"there is no file {desk.database}" in desk.log()


def truncate(database: Path) -> None:
    """Cut a database in half."""
    os.truncate(database, database.stat().st_size // 2 // 4096 * 4096)


def fill_with_garbage(database: Path) -> None:
    """Overwrite a database in place."""
    with database.open("r+b") as file:
        file.write(os.urandom(database.stat().st_size))


def copy_over(database: Path) -> None:
    """Overwrite a database in place with a backup, as `cp` does."""
    backup(database, Path(f"{database}.backup"))
    shutil.copyfile(f"{database}.backup", database)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": truncate,
    "emptied": lambda database: os.truncate(database, 0),
    "garbage": fill_with_garbage,
    "backup copied over it": copy_over,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_noticed(desk: Desk, damage: Callable[[Path], None]) -> None:
    damage(desk.database)

    writes = {desk.write() for _ in range(8)}
    reads = {desk.read() for _ in range(8)}

    assert writes == {503}
    assert reads <= {200, 503}
    eventually(desk.ready, 503)
    eventually(desk.read, 503)
    assert "Traceback" not in desk.log()


@pytest.mark.parametrize("closed", ["file", "file that is read", "folder"])
def test_a_read_only_database_is_written_again_once_it_is_mended(
    stopped_desk: Desk, closed: str
) -> None:
    desk = stopped_desk
    with desk.serve() as desk.address:
        path = desk.database.parent if closed == "folder" else desk.database
        if closed == "file that is read":
            eventually(desk.read, 200)
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        ready = desk.ready()
        writes = {desk.write() for _ in range(8)}
        reads = {desk.read() for _ in range(8)}
        path.chmod(mode)

        assert ready == 503
        if closed == "folder":  # SQLite needs it to make files, which are there while it is open
            assert writes <= {201, 503}
        else:
            assert writes == {503}
        assert reads <= {200, 503}
        eventually(desk.ready, 200)
        eventually(desk.read, 200)
        eventually(desk.write, 201)
        assert desk.lost() == []
