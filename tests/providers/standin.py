"""The base of the stand-ins: their habits, and the record of what they accepted."""

import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import Any, Self

from tests.providers.habits import SERVE, Habit, Reply
from tests.providers.serving import CONTROL, Request, Server


@dataclass(frozen=True)
class Accepted:
    """A message that the stand-in took."""

    recipient: str
    text: str
    message_id: str  # the provider's
    body: dict[str, Any]


class StandIn:
    """A provider on loopback: it has `url`, habits, and a record of what it accepted.

    Subclasses say in `answer` what they do with a request, in `recipient` whom it is for.
    """

    def __init__(self, port: int = 0) -> None:
        self.lock, self.closing = threading.Condition(), threading.Event()
        self.requests: list[Request] = []  # all that arrived whole, in order
        self.accepted: list[Accepted] = []  # in order
        self.habits: dict[str | None, Habit] = {}
        self.next_habits: dict[str | None, deque[Habit]] = defaultdict(deque)
        self.port = port
        self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.refuse()

    @property
    def url(self) -> str:
        """The address, such as for `settings.api_base`."""
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self.server = Server(self.port, self)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections until `listen` is called."""
        self.server.close()

    def once(self, *habits: Habit, to: str | None = None) -> None:
        """Meet the next requests with these habits, one each; `to` is a recipient."""
        with self.lock:
            self.next_habits[to].extend(habits)

    def always(self, habit: Habit, to: str | None = None) -> None:
        """Meet all requests with a habit, SERVE for none; `to` is a recipient."""
        with self.lock:
            self.habits[to] = habit

    def take(self, recipient: str | None = None) -> Habit:
        """Return the habit for a request, which is then no longer due if it was set once."""
        with self.lock:
            if queue := self.next_habits.get(recipient):
                return queue.popleft()
            return self.habits.get(recipient, SERVE)

    def handle(self, request: Request, habit: Habit) -> tuple[Reply, Habit]:
        """Record a request; return its answer, and the habit to send it with."""
        with self.lock:
            self.requests.append(request)
            self.lock.notify_all()
        if habit == SERVE:
            habit = self.take(self.recipient(request) or "")
        if habit.cut == "before the body":  # set for a recipient, who is known from the body only
            return Reply(200), Habit(cut="before the answer")
        return habit.reply or self.answer(request), habit

    def control(self, request: Request) -> Reply:
        """Answer what a program's user asks of the stand-in itself."""
        if request.path == f"{CONTROL}messages":
            return Reply(200, [vars(message) for message in list(self.accepted)])
        if request.path == f"{CONTROL}say" and request.method == "POST":
            status = self.say(**request.object())
            return Reply(200, {"status": status})
        return Reply(404, {"error": "not found"})

    def accept(self, message: Accepted) -> None:
        """Record a message."""
        with self.lock:
            self.accepted.append(message)
            self.lock.notify_all()

    def wait_for(self, count: int, timeout: float = 20) -> list[Accepted]:
        """Return the accepted messages once they are so many; raise TimeoutError."""
        with self.lock:
            if not self.lock.wait_for(lambda: len(self.accepted) >= count, timeout):
                raise TimeoutError(f"{len(self.accepted)} of {count} messages were accepted")
            return list(self.accepted)

    def wait_for_requests(self, count: int, timeout: float = 20) -> list[Request]:
        """Return the requests once they are so many, accepted or not; raise TimeoutError."""
        with self.lock:
            if not self.lock.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests arrived")
            return list(self.requests)

    @property
    def sent(self) -> list[tuple[str, str]]:
        """The recipient and the text of each accepted message, in order."""
        with self.lock:
            return [(message.recipient, message.text) for message in self.accepted]

    def texts(self, recipient: str) -> list[str]:
        """Return the texts that a recipient got, in order."""
        return [text for other, text in self.sent if other == recipient]

    @property
    def doubled(self) -> dict[tuple[str, str], int]:
        """How often each message was accepted that was accepted more than once."""
        return {message: count for message, count in Counter(self.sent).items() if count > 1}

    def recipient(self, request: Request) -> str | None:
        """Return whom the message in a request is for."""
        raise NotImplementedError

    def answer(self, request: Request) -> Reply:
        """Return the answer to a request, whose message is accepted if it is right."""
        raise NotImplementedError

    def say(self, **_: Any) -> int:
        """Send what a client writes to the hook; return the status of its answer."""
        raise NotImplementedError
