"""Poll the feed of an idle desk as the front ends of 200 agents do, and say what that costs."""

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

from benchmarks.desks import Desks, Plan
from benchmarks.servers import Caller, Server, log_in, ours

AGENTS, THREADS = 200, 8
PAUSE = 3.0  # seconds between two polls of an agent
FEED = "/api/changes?after=latest&entity=ticket,comment,message"
TICKS = os.sysconf("SC_CLK_TCK")  # of a processor, in a second


class Agent:
    """A front end: its connection, and the URL that it asks again and again."""

    def __init__(self, server: Server, token: str) -> None:
        self.connection = Caller(server, token).connection
        self.headers = {"Authorization": f"Bearer {token}"}
        link = self.ask(FEED).headers["Link"]
        (self.url,) = re.findall('<([^>]*)>; rel="next"', link)
        self.headers["If-None-Match"] = self.ask(self.url).headers["ETag"]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def ask(self, url: str) -> Any:
        """Return the answer to a request, which was read to its end."""
        self.connection.request("GET", url, headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer

    def poll(self) -> tuple[int, float]:
        """Return the status of the answer to a poll, and the seconds that it took."""
        start = perf_counter()
        return self.ask(self.url).status, perf_counter() - start


def measure(desks: Desks, plan: Plan) -> dict[str, Any]:
    """Return the polls a second, their statuses, the median in ms, and the share of a core."""
    with ours(desks[plan.sizes[1]], workers=2) as server, ExitStack() as stack:
        token = log_in(server)
        agents = [stack.enter_context(closing(Agent(server, token))) for _ in range(AGENTS)]
        before, start = cpu_seconds(server), monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            groups = [agents[number::THREADS] for number in range(THREADS)]
            polls = [*pool.map(lambda group: poll(group, start + plan.writing), groups)]
        seconds, used = monotonic() - start, cpu_seconds(server) - before
    found = [each for group in polls for each in group]
    return {
        "rate": len(found) / seconds,
        "core": used / seconds,
        "milliseconds": 1000 * median(taken for _, taken in found),
        "statuses": Counter(status for status, _ in found),
    }


def poll(agents: list[Agent], ends_at: float) -> list[tuple[int, float]]:
    """Let agents poll in turn, each once in a pause, until the time is over; return their polls."""
    found, due_at = [], monotonic()
    while True:
        for agent in agents:
            found.append(agent.poll())
            due_at += PAUSE / len(agents)
            sleep(max(0.0, min(due_at, ends_at) - monotonic()))
        if monotonic() >= ends_at:
            return found


def cpu_seconds(server: Server) -> float:
    """Return for how long the processes of a server have run on a processor."""
    return sum(ticks(pid) for pid in (server.process.pid, *server.pids())) / TICKS


def ticks(pid: int) -> int:
    """Return for how many ticks a process has run, in its own code and in the kernel's."""
    _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    return sum(int(number) for number in fields.split()[11:13])
