"""Files that are written whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click


class PartialFile(NamedTuple):
    """A file that is being written: its path, and a descriptor that keeps others from it."""

    path: Path
    descriptor: int


@contextmanager
def partial_file(path: Path) -> Iterator[PartialFile]:
    """Yield an empty file that only this process writes, with mode 600; delete it in the end.

    What a process left that was killed is written over. Raises ClickException while another one is
    writing it, and OSError.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        lock(path, descriptor)
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        try:
            yield PartialFile(path, descriptor)
        finally:
            if is_at(path, descriptor):
                path.unlink()
    finally:
        os.close(descriptor)


def lock(path: Path, descriptor: int) -> None:
    """Keep a file from others until this process and its children have closed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException(f"Another process is writing {path}.") from None
    if not is_at(path, descriptor):
        raise click.ClickException(f"Another process has just written {path}.")


def is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def put_in_place(partial: PartialFile, path: Path) -> None:
    """Rename a file that is complete to its name, in the place of what has it, durably."""
    os.fsync(partial.descriptor)
    partial.path.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Store on the disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
