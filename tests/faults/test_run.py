"""What `make run` runs: the server and the worker, which end together."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import KEY
from tests.faults.test_processes import children
from tests.postgres import free_port
from tests.servers import ROOT, environ, flask, wait_for


class Run:
    """A running `deploy/run`, in a process group of its own, as a terminal has it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        url = f"http://127.0.0.1:{(port := free_port())}/healthz"
        settings = {
            "DATABASE_URL": f"sqlite:///{folder}/desk.db",
            "SECRET_KEY": KEY,
            "OMNIDESK_ENV": "development",
            "PORT": str(port),
        }
        assert flask(settings, "init-db").returncode == 0
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                # Whoever runs the tests in the background may let them ignore Ctrl-C.
                ["env", "--default-signal=INT", ROOT / "deploy/run"],
                env=environ(settings),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_for(url, self.log)
        self.wait_for("The worker has started.")
        self.server, self.worker = children(self.process)

    def wait_for(self, text: str) -> None:
        """Return when the log has a text."""
        give_up_at = time.monotonic() + 20
        while text not in self.log.read_text():
            assert time.monotonic() < give_up_at, self.log.read_text()
            time.sleep(0.05)

    def survivors(self) -> list[int]:
        """Return the processes that are left of its session."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                if os.getsid(int(folder.name)) == self.process.pid:
                    found.append(int(folder.name))
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A server and a worker."""
    running = Run(tmp_path)
    yield running
    with suppress(ProcessLookupError):
        os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()


def test_ctrl_c_ends_both(run: Run) -> None:
    os.killpg(run.process.pid, signal.SIGINT)

    assert run.process.wait(30) == 0
    assert run.survivors() == []
    assert "Traceback" not in run.log.read_text()
    assert "so all was ended" not in run.log.read_text()


def test_sigterm_ends_both(run: Run) -> None:
    run.process.terminate()

    assert run.process.wait(30) == 0
    assert run.survivors() == []


@pytest.mark.parametrize("name", ["server", "worker"])
def test_when_one_fails_the_other_ends_too(run: Run, name: str) -> None:
    os.kill(getattr(run, name), signal.SIGKILL)

    assert run.process.wait(30) == 1
    assert f"The {name} has ended with status 137, so all was ended." in run.log.read_text()
    deadline = time.monotonic() + 10  # gunicorn's workers look for their master once a second
    while run.survivors() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert run.survivors() == []
