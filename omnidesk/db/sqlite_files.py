"""The files of a SQLite database: whether they are still those that this process has opened.

A connection goes on working after its file was deleted or replaced, and what it stores is lost.
Another file in its place must not be opened either: SQLite would apply the `-wal` of the old one.
"""

import fcntl
import os
import sqlite3
import struct
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from time import monotonic, sleep, time_ns
from urllib.parse import quote
from weakref import WeakSet

BESIDE = ("-wal", "-shm")  # what recent changes are in, and the index to it
MIN_FREE = 64 * 1024  # bytes on the disk that a write may need
FileId = tuple[int, int] | None  # the device and the inode; None for no file
# The bytes that each connection locks while it is open (https://sqlite.org/src/file/src/os.h).
SHARED_FIRST, SHARED_SIZE = 0x40000000 + 2, 510
LOCK = struct.Struct("hhlli")  # struct flock: type, whence, start, length, process
WAL_MODE = 2  # in the header, at offset 18
COARSE = 50_000_000  # nanoseconds; in less, a folder may be changed twice and look the same
MOMENTS = 10  # of 20 ms: for so long another process may be about to make or delete its files


class DatabaseFiles:
    """What this process knows of the files at a path; a forked worker inherits it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names_beside = [path + suffix for suffix in BESIDE]
        self.file, self.parent = Path(path), Path(path).parent
        self.database: FileId = None  # as it was first seen
        self.connections: WeakSet[CountedConnection] = WeakSet()  # this process's, while open
        self.beside: tuple[FileId, ...] | None = None  # as those connections have them
        self.opened: int | None = None  # a descriptor of the file
        # Its folder when all was as it should be: the inode, and when it was changed. Until then
        # (monotonic seconds), nothing else is looked at.
        self.folder: tuple[int, int] | None = None
        self.unchanged_until = 0.0
        self.counter = 0  # of changes, in the file's header
        self.inspected = (0, 0)  # the file's time of change and size when it was last found intact

    @property
    def uri(self) -> str:
        """Return the URI that opens the database and never creates it."""
        return f"file:{quote(self.path)}?mode=rw"

    def is_missing(self) -> bool:
        """Return whether there is no file in the folder, and this process has not seen one yet."""
        return self.database is None and self.parent.exists() and not Path(self.path).exists()

    def check(self) -> None:
        """Raise OperationalError unless the files are those of before, and intact."""
        try:
            found = Path(self.path).stat()
        except FileNotFoundError:
            raise sqlite3.OperationalError(f"there is no file {self.path}") from None
        except OSError as error:
            raise sqlite3.OperationalError(f"{self.path}: {error.strerror}") from None
        file = found.st_dev, found.st_ino
        self.database = self.database or file
        if file != self.database:
            raise sqlite3.OperationalError(
                f"{self.path} is another file than the one that was opened:"
                " put that back, or restart the server"
            )
        try:
            if self.are_others_beside():
                raise sqlite3.OperationalError(
                    f"{self.path}-wal or -shm was deleted or replaced: restart the server"
                )
            if (found.st_mtime_ns, found.st_size) != self.inspected:
                self.inspect(found)
        except OSError as error:
            raise sqlite3.OperationalError(f"{self.path}: {error.strerror}") from None

    def check_quickly(self) -> None:
        """Do what `check` does once a second, or when the folder was changed or the file cut."""
        try:
            found, size = self.parent.stat(), self.file.stat().st_size
        except OSError:
            return self.check()  # which raises it in its own words
        folder, now = (found.st_ino, found.st_mtime_ns), monotonic()
        is_whole = size >= self.inspected[1]  # SQLite makes it shorter only when it is asked to
        if folder == self.folder and now < self.unchanged_until and is_whole:
            return None
        self.folder = None
        self.check()
        # If it was changed just now, it may be again and look the same: the clock is coarse.
        self.folder = folder if time_ns() - found.st_mtime_ns > COARSE else None
        self.unchanged_until = now + 1
        return None

    def are_others_beside(self) -> bool:
        """Return whether open connections have other files beside the database than lie there now.

        A new connection would make what is missing, and two processes would overwrite each other's
        changes.
        """
        found = self.files_beside()
        if self.connections:
            return self.beside not in (None, found)
        self.beside = None
        for _ in range(MOMENTS):
            if None not in self.files_beside() or not self.is_open_elsewhere():
                return False
            sleep(0.02)
        return True

    def files_beside(self) -> tuple[FileId, ...]:
        """Return which files lie beside the database now."""
        return tuple(map(file_id, self.names_beside))

    def is_open_elsewhere(self) -> bool:
        """Return whether another process has connections to the database."""
        if os.pread(self.descriptor, 1, 18) != bytes([WAL_MODE]):
            return False
        asked = LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, SHARED_FIRST, SHARED_SIZE, 0)
        kind, *_ = LOCK.unpack(fcntl.fcntl(self.descriptor, fcntl.F_GETLK, asked))
        return bool(kind != fcntl.F_UNLCK)

    def add(self, connection: "CountedConnection") -> None:
        """Know of a connection that was opened."""
        self.connections.add(connection)
        connection.files = self
        found = self.files_beside()
        if self.beside is None and None not in found:
            self.beside = found

    def inspect(self, found: os.stat_result) -> None:
        """Raise an error of sqlite3 where the file is truncated or damaged, as far as one look can.

        That is a new connection's: others may not see a change that no connection made.
        """
        counter = self.change_counter()
        if counter < self.counter:
            raise sqlite3.DatabaseError(f"an older copy was written over {self.path}")
        shrunk = found.st_size < self.inspected[1]
        with closing(sqlite3.connect(self.uri, uri=True, timeout=0)) as connection:
            try:
                if shrunk and found.st_size < stored_bytes(connection):
                    raise sqlite3.DatabaseError(f"{self.path} is truncated")
                for (table,) in connection.execute(TABLES).fetchall():
                    connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchall()  # noqa: S608 - its own name
            except sqlite3.OperationalError as error:
                if primary_code(error) == sqlite3.SQLITE_BUSY:
                    return  # nobody can say now
                raise
        self.inspected, self.counter = (found.st_mtime_ns, found.st_size), counter

    def change_counter(self) -> int:
        """Return the counter in the file's header, which never decreases; 0 for an empty file.

        It is not what connections see, but what the file has without its `-wal`. A copy that SQLite
        has made begins to count anew. (https://sqlite.org/fileformat.html, section 1.3.7)
        """
        return int.from_bytes(os.pread(self.descriptor, 4, 24), "big")

    @property
    def descriptor(self) -> int:
        """Return a descriptor of the file, open until the process ends.

        Closing it would end SQLite's own locks on the file.
        """
        if self.opened is None:
            self.opened = os.open(self.path, os.O_RDONLY)
        return self.opened

    def check_writable(self) -> None:
        """Raise OperationalError where a write would fail: without trying, so nobody is waited for.

        The folder, too, must be writable, since SQLite creates files there.
        """
        self.mend_modes()
        beside = [name for name in self.names_beside if Path(name).exists()]
        for name in (self.path, str(self.parent), *beside):
            if not os.access(name, os.W_OK):
                raise sqlite3.OperationalError(f"{name} is not writable")
        space = os.statvfs(self.parent)
        if space.f_bavail * space.f_frsize < MIN_FREE:
            raise sqlite3.OperationalError(f"the disk of {self.parent} is full")

    def mend_modes(self) -> None:
        """Let files beside a database be written that were made while it was read-only."""
        if os.access(self.path, os.W_OK):
            for name in self.names_beside:
                with suppress(OSError):
                    if not os.access(name, os.W_OK):
                        Path(name).chmod(Path(self.path).stat().st_mode & 0o777)

    def create(self) -> None:
        """Make an empty database unless there is one, and let strangers read neither.

        SQLite gives the files beside it the same mode. Raises OSError where it cannot be made.
        """
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for file in map(Path, (self.path, *self.names_beside)):
            with suppress(FileNotFoundError, PermissionError):
                file.chmod(file.stat().st_mode & 0o660)


class CountedConnection(sqlite3.Connection):
    """A connection that its database's files know of while it is open."""

    files: DatabaseFiles | None = None
    busy_timeout = -1  # milliseconds; unknown at first

    def close(self) -> None:
        """Close it: when it was the last, SQLite deletes the files beside the database."""
        if self.files:
            self.files.connections.discard(self)
        with suppress(sqlite3.Error):
            self.rollback()  # or a cursor that is still referred to would hold the write lock
        super().close()


TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"


@cache
def files_at(path: str) -> DatabaseFiles:
    """Return the files of the database at an absolute path."""
    return DatabaseFiles(path)


def file_id(path: str) -> FileId:
    """Return which file there is at a path."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def stored_bytes(connection: sqlite3.Connection) -> int:
    """Return how large a database is, with what its `-wal` holds."""
    (pages,), (size,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
    )
    return int(pages * size)


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code of an error, 0 where it has none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
