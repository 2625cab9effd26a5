"""How a provider sends updates to a hook, again and again until they are stored."""

import threading
import time
from abc import abstractmethod

import requests

# Pauses before an update is sent again. The providers' own begin with seconds.
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, *[1.0] * 20)


class Sender:
    """Sends signed updates to the hook of a channel."""

    hook = ""  # its address, such as http://127.0.0.1:8000/api/hooks/telegram/1

    def __init__(self) -> None:
        self.undelivered: list[bytes] = []  # those that the hook did not store

    @abstractmethod
    def signed(self, body: bytes) -> dict[str, str]:
        """Return the headers that prove where a body comes from."""

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        """Send a body once, with other headers than its signature where they are given."""
        signature = self.signed(body) if headers is None else headers
        headers = {"Content-Type": "application/json"} | signature
        return requests.post(self.hook, body, headers=headers, timeout=20, allow_redirects=False)

    def insist(self, body: bytes) -> int:
        """Send a body until the hook has stored it; return how often, or 0 if it never did."""
        for attempt, pause in enumerate(PAUSES, 1):
            if self.is_stored(body):
                return attempt
            time.sleep(pause)
        self.undelivered.append(body)
        return 0

    def is_stored(self, body: bytes) -> bool:
        """Send a body once; return whether the hook has stored it."""
        try:
            return self.post(body).ok
        except requests.RequestException:
            return False

    def insist_later(self, body: bytes, delay: float) -> None:
        """Send a body after some seconds, until the hook has stored it."""
        timer = threading.Timer(delay, self.insist, [body])
        timer.daemon = True
        timer.start()
