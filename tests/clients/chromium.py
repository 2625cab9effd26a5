"""Headless Chromium, pages of several origins, and what a page can do with the API."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from tests.postgres import free_port

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 60_000  # milliseconds; for machines that are busy
# A front end as small as can be. `call` gives all that a page may read of a response.
FRONT_END = """<!doctype html><title>Front end</title><link rel="icon" href="data:,"><script>
async function call(url, {method, headers, body, size} = {}) {
  body = size ? " ".repeat(size) : body;
  let answer;
  try {
    answer = await fetch(url, {method, headers, body});
  } catch (error) {
    return {status: 0, headers: {}, body: String(error)};
  }
  const text = await answer.text();
  return {
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: text ? JSON.parse(text) : null,
  };
}
</script>"""
PLACES = ("http://localhost:3000", "http://localhost", "http://127.0.0.1", "file")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(ARGUMENTS), timeout=PATIENCE
        )
        yield browser
        browser.close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Leave it out."""


@contextmanager
def address_of(front_end: Path, place: str) -> Iterator[str]:
    """Serve a page on a port of a host, a free one unless it is given; yield its address."""
    if place == "file":
        yield front_end.as_uri()
        return
    host, _, port = place.removeprefix("http://").partition(":")
    handler = partial(QuietHandler, directory=str(front_end.parent))
    server = ThreadingHTTPServer(("127.0.0.1", int(port or free_port())), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/{front_end.name}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_free(port: int) -> bool:
    """Return whether nobody listens on a port of this machine."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


class Answer(NamedTuple):
    """What a page can read of a response; the status is 0 where the browser shows it nothing."""

    status: int
    headers: dict[str, str]
    body: Any


class FrontEnd:
    """A page that calls a server, as somebody who has logged in or not."""

    def __init__(self, page: Page, server: str) -> None:
        self.page, self.server, self.token = page, server, ""

    def log_in(self, username: str, password: str) -> Answer:
        """Log in and keep the token."""
        answer = self.send("POST", "/api/login", {"username": username, "password": password})
        self.token = answer.body["access_token"]
        return answer

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request with a JSON body, or none, and the token."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        options: dict[str, Any] = {"method": method, "headers": sent}
        if body is not None:
            options["body"] = body
            sent.setdefault("Content-Type", "application/json")
        return self.call(path, options)

    def call(self, path: str, options: dict[str, Any]) -> Answer:
        """Call `fetch` in the page, with the token."""
        if self.token:
            options["headers"] = {"Authorization": f"Bearer {self.token}"} | options["headers"]
        script = """([url, options]) => {
          if (options.body !== undefined) options.body = JSON.stringify(options.body);
          return call(url, options);
        }"""
        found = self.page.evaluate(script, [self.server + path, options])
        return Answer(found["status"], found["headers"], found["body"])
