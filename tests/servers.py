"""Start real servers on loopback, call them concurrently, and send them raw bytes."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from tests.postgres import free_port

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def environ(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a process: these settings, and none of the tests' own."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **settings}


def flask(settings: dict[str, str], *command: str, **kwargs: Any) -> Any:
    """Run a flask command to its end."""
    return subprocess.run(
        [BIN / "flask", "--app", "wsgi", *command],
        env=environ(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **kwargs,
    )


# At SIGINT gunicorn's worker can wait for a lock that it holds itself (its pool of threads, when a
# request arrives at the same moment); it is killed after a second.
STOP = ("--graceful-timeout", "1")


@contextmanager
def process(command: list[Any], log: Path, **kwargs: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, its output in a file; end it by SIGINT, at which it waits for nobody.

    At SIGTERM, gunicorn waits two seconds for connections that were kept alive.
    """
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, **kwargs)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(40)


@contextmanager
def gunicorn(
    settings: dict[str, str], folder: Path, workers: int = 2, prefix: Sequence[str] = ()
) -> Iterator[str]:
    """Serve the app with real workers, as a command's that runs others; yield its address."""
    port, log = free_port(), folder / "gunicorn.log"
    env = environ({**settings, "PORT": str(port), "WEB_CONCURRENCY": str(workers)})
    with process([*prefix, BIN / "gunicorn", *STOP, "wsgi:app"], log, env=env, cwd=ROOT):
        wait_for(f"http://127.0.0.1:{port}/healthz", log)
        yield f"http://127.0.0.1:{port}"


# As many connections as in Debian's nginx.conf: where they are too few for its clients and what it
# asks the server, nginx closes idle ones, which a client may be about to use.
NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


def start_nginx(site: str, folder: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start nginx with a site, its files in a new folder, `error.log` among them."""
    folder.mkdir()
    for path in (folder, folder.parent):
        path.chmod(0o755)  # nginx's workers have a user of their own
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, site=site))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = [program, "-p", folder, "-c", settings, "-e", folder / "error.log"]
    return process(command, folder / "nginx.log")


def plain_site(port: int, upstream: int | None) -> str:
    """Return the first server of deploy/nginx.conf on a port of loopback, without TLS."""
    upstream_and_tls, _, _ = (ROOT / "deploy/nginx.conf").read_text().rpartition("\nserver {")
    site = re.sub(r"\n *(listen \[::\]|ssl_).*", "", upstream_and_tls)
    for shipped, ours in (
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 443 ssl http2", f"listen 127.0.0.1:{port}"),
    ):
        if shipped not in site:
            raise LookupError(f"deploy/nginx.conf has no {shipped}")
        site = site.replace(shipped, ours)
    return site


def wait_for(url: str, log: Path, **kwargs: Any) -> None:
    """Return when a server answers."""
    for _ in range(1200):
        try:
            requests.get(url, timeout=5, **kwargs)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(log.read_text())


def run_concurrently(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Call a function that many times concurrently; return the results as they came."""
    start, results = threading.Barrier(count), []

    def run(number: int) -> None:
        start.wait()
        results.append(act(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class RawConnection:
    """A connection on which bytes are sent as they are."""

    def __init__(self, address: str, certificate: Path | None = None) -> None:
        place = urlsplit(address)
        host, port = str(place.hostname), int(place.port or 80)
        self.socket = socket.create_connection((host, port), timeout=10)
        if place.scheme == "https":
            context = ssl.create_default_context(cafile=certificate)
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, text: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(text)

    def receive(self, end: bytes | None = None) -> bytes:
        """Return all that was received, once it holds `end` or the other side is done."""
        while (end is None or end not in self.received) and (piece := self.socket.recv(65536)):
            self.received += piece
        return self.received
