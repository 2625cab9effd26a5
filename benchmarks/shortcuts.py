"""Compare two checkouts of the application behind nginx: is a shortcut worth its price?"""

import re
import shutil
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
from tests.servers import ROOT, process, wait_for

FRAME = """\
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
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
    folder.mkdir()
    for parent in (folder, folder.parent):
        parent.chmod(0o755)  # nginx's workers have a user of their own
    port, log, settings = free_port(), folder / "log", folder / "nginx.conf"
    settings.write_text(FRAME.format(folder=folder, site=plain_site(port, upstream.port)))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with process([program, "-p", folder, "-c", settings, "-e", log], folder / "output") as started:
        wait_for(f"http://127.0.0.1:{port}/healthz", log)
        yield Server(port, started, log)


def plain_site(port: int, upstream: int) -> str:
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
