"""An integration in small: what openapi-python-client makes of the document is used as it is meant.

Called with the server's address; it ends with 0 when all answers were as expected.
"""

import sys

from desk.api.auth import login
from desk.api.changes import list_ticket_history
from desk.api.conversations import create_message
from desk.api.sessions import logout
from desk.api.tickets import create_ticket, list_tickets, update_ticket, update_tickets
from desk.api.users import get_me
from desk.client import AuthenticatedClient, Client
from desk.models import (
    Access,
    Change,
    Error,
    FieldErrors,
    MessageCreate,
    Priority,
    Sender,
    Status,
    Ticket,
    TicketCreate,
    TicketPatch,
    TicketPreconditionFailed,
    TicketsPatch,
)
from desk.models import Login as Credentials

address = sys.argv[1]
anybody = Client(base_url=address)

# Reads that need no token, and the pages of a list to its end.
found: list[int] = []
url: str | None = "/api/tickets?limit=2"
while url:
    page = anybody.get_httpx_client().get(url)
    found += [Ticket.from_dict(row).ticket_id for row in page.json()]
    url = page.links.get("next", {}).get("url")
assert found == [102, 101, 100, 99, 98, 7], found

# Log in.
refused = login.sync(client=anybody, body=Credentials("user1", "no"))
assert isinstance(refused, Error), refused
assert refused.detail == "Unauthorized"
access = login.sync(client=anybody, body=Credentials("user1", "secret"))
assert isinstance(access, Access), access
api = AuthenticatedClient(base_url=address, token=access.access_token)
me = get_me.sync(client=api)
assert getattr(me, "username", None) == "user1", me
high = list_tickets.sync(client=api, priority=Priority.ALTA)
assert isinstance(high, list)
assert {ticket.priority for ticket in high} == {Priority.ALTA}

# Create, and read the errors of a field.
created = create_ticket.sync_detailed(client=api, body=TicketCreate(55, "Cannot print"))
ticket = created.parsed
assert isinstance(ticket, Ticket), created
assert (ticket.status, ticket.priority, ticket.tags) == (Status.ABIERTO, Priority.MEDIA, [])
unknown = create_ticket.sync(client=api, body=TicketCreate(424242, "Cannot print"))
assert isinstance(unknown, Error), unknown
assert isinstance(unknown.errors, FieldErrors)
assert isinstance(unknown.errors["client_id"], list)
patch = TicketsPatch([ticket.ticket_id, 424242], TicketPatch(status=Status.CERRADO))
many = update_tickets.sync(client=api, body=patch)
assert isinstance(many, Error), many
assert isinstance(many.errors, FieldErrors)
nested = many.errors["ticket_ids"]
assert isinstance(nested, FieldErrors), nested
assert isinstance(nested["1"], list)

# Change what nobody else has changed, then what somebody has.
etag = created.headers["ETag"]
close, raise_priority = TicketPatch(status=Status.CERRADO), TicketPatch(priority=Priority.ALTA)
closed = update_ticket.sync(ticket.ticket_id, client=api, body=close, if_match=etag)
assert isinstance(closed, Ticket), closed
assert closed.status is Status.CERRADO
late = update_ticket.sync(ticket.ticket_id, client=api, body=raise_priority, if_match=etag)
assert isinstance(late, TicketPreconditionFailed), late
assert isinstance(late.current, Ticket)
assert late.current.status is Status.CERRADO

# What changed.
history = list_ticket_history.sync(ticket.ticket_id, client=api)
assert isinstance(history, list), history
last = history[0]
assert isinstance(last, Change)
assert last.before is not None
assert last.after is not None
assert (last.before["status"], last.after["status"]) == ("abierto", "cerrado")

# A message of one's own; then end the session.
said = create_message.sync(1, client=api, body=MessageCreate("Hello", sender=Sender.USER))
assert getattr(said, "content", None) == "Hello", said
assert logout.sync_detailed(client=api).status_code == 204
assert get_me.sync_detailed(client=api).status_code == 401
