"""A receiver of webhooks in a process of its own, which answers at once: `PORT` is its argument.

A GET is answered with how many have arrived, and how many seconds after their change.
"""

import asyncio
import json
import re
import statistics
import sys
from time import time

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
delays: list[float] = []


async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request; note how long ago the time is that its client has for a name."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = LENGTH.search(head)
    body = await reader.readexactly(int(found[1])) if found else b""
    answer = b""
    if body:
        delays.append(time() - float(json.loads(body)["data"]["after"]["full_name"]))
    else:
        answer = json.dumps(told()).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
    await writer.drain()
    writer.close()


def told() -> dict[str, float]:
    """Return what has arrived so far."""
    middle, most = (statistics.median(delays), max(delays)) if delays else (0.0, 0.0)
    return {"count": len(delays), "median": middle, "most": most}


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(receive, "127.0.0.1", int(sys.argv[1]), backlog=1000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
