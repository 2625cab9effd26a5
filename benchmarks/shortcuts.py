"""Compare two checkouts of the application behind nginx: is a shortcut worth its price?"""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.desks import OPEN, Desks, Plan
from benchmarks.load import write_fixed, write_varied
from benchmarks.ratios import NEW, ONE, REPEATED, VARIED, alternate, quotients, write_tokens
from benchmarks.servers import Server, both, together
from tests.postgres import free_port
from tests.servers import plain_site, start_nginx, wait_for


def measure(desks: Desks, plan: Plan) -> dict[str, list[float]]:
    """Return this checkout's rates over those of the other, by request, and print them."""
    if not desks.before:
        raise ValueError("there is no other checkout to compare with")
    size, found = plan.sizes[1], {}
    with ExitStack() as stack:
        files = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_fixed(files)
        write_varied(desks[size], size, files)
        servers = stack.enter_context(together(both(desks, size, OPEN)))
        write_tokens(servers, files, 1)
        proxies = {
            name: stack.enter_context(nginx(files / f"nginx-{name}", server))
            for name, server in servers.items()
        }
        for server in servers.values():
            server.keep_to({plan.cores[0]})
        for request in (REPEATED, VARIED, ONE, NEW):
            rates = list(alternate(proxies, request, files, plan))
            times = found[request.name] = quotients(rates, "OmniDesk", "before")
            print(
                f"through nginx, {request.name}: {statistics.median(times):.3f} "
                f"({min(times):.3f} to {max(times):.3f}) times before",
                flush=True,
            )
    return found


@contextmanager
def nginx(folder: Path, upstream: Server) -> Iterator[Server]:
    """Start nginx in front of a server, with the site that is shipped, but without TLS."""
    port, log = free_port(), folder / "error.log"
    with start_nginx(plain_site(port, upstream.port), folder) as started:
        wait_for(f"http://127.0.0.1:{port}/healthz", log)
        yield Server(port, started, log)
