"""A stand-in for WhatsApp's Cloud API.

Sending is documented on Meta's page "Messages API" and in its OpenAPI document of version 23,
`recipient` on "Business-scoped user IDs", groups on "Group messaging", the limits on "Throughput"
and "Pair rate limits", the signature and the challenge on "Create a webhook endpoint", statuses on
"status messages webhook reference". Statuses may come late, twice, in any order, several in a body,
or before the answer to the request. Meta sends a body again for up to seven days until it gets 200.

Run `python -m tests.providers.whatsapp --help` to use it as a program.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import requests

from tests.providers import whatsapp_updates as updates
from tests.providers.habits import Reply
from tests.providers.limits import Limit, Limiter
from tests.providers.program import run
from tests.providers.sending import Sender
from tests.providers.serving import Request
from tests.providers.standin import Accepted, StandIn
from tests.providers.whatsapp_checks import fault
from tests.providers.whatsapp_errors import in_status, refusal
from tests.providers.whatsapp_updates import SHEENA, Part, User

PATH = re.compile(r"/v\d+\.\d+/(?P<number>\d+)(?P<messages>/messages)?")
# To one user: 45 at once, and one in six seconds in the long run. In all: 80 a second.
LIMITS = {"pair": Limit(45, 6.0), "number": Limit(80, 1 / 80)}


class WhatsApp(StandIn, Sender):
    """Takes messages, and reports what became of them."""

    access_token = "EAAGstandin"
    app_secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    verify_token = "vibecoding"
    business = updates.BUSINESS
    limits: Mapping[str, Limit] = LIMITS
    # The statuses that follow each message by themselves, such as ("read", "sent", "sent").
    reports: tuple[str, ...] = ()
    report_delay = 0.0  # seconds

    def __init__(self, port: int = 0) -> None:
        Sender.__init__(self)
        self.limiter = Limiter()
        self.failures: dict[str, int] = {}  # recipients, and the error that their messages meet
        self.user_ids: dict[str, str] = {}  # phone numbers, and the users' business-scoped ids
        super().__init__(port)

    def recipient(self, request: Request) -> str | None:
        """Return the phone number, or else the business-scoped id, as it was sent."""
        body = request.object()
        found = body.get("to") or body.get("recipient")
        return found if isinstance(found, str) else None

    def answer(self, request: Request) -> Reply:
        """Return the answer of the Graph API."""
        if not (path := PATH.fullmatch(request.path)):
            return Reply(404, {"error": {"message": "Unknown path components", "code": 2500}})
        if request.headers["Authorization"] != f"Bearer {self.access_token}":
            return refusal(190)
        if path["number"] != self.business["phone_number_id"]:
            return refusal(100, "Object does not exist", error_subcode=33)
        if request.method == "GET":
            return Reply(200, self.about_number())
        return self.send(request.object()) if path["messages"] else refusal(100)

    def about_number(self) -> Part:
        """Return what is known of the business's number."""
        number = self.business["phone_number_id"]
        shown = {"display_phone_number": "+1 555-078-3881", "verified_name": "Jasper's Market"}
        return {"id": number, "quality_rating": "GREEN"} | shown

    def send(self, body: Part) -> Reply:
        """Accept a message unless it is wrong or too early."""
        if body.get("status") == "read" and "message_id" in body:
            return Reply(200, {"success": True})
        if found := fault(body):
            return refusal(*found)
        to = body.get("to") or body["recipient"]
        for name, key, code in (("pair", to, 131056), ("number", None, 130429)):
            if name in self.limits and self.limiter.wait({key: self.limits[name]}):
                return refusal(code)
        return self.accepted_as(to, body)

    def accepted_as(self, to: str, body: Part) -> Reply:
        """Record a message and return its id; its statuses follow."""
        taken = Accepted(to, text_of(body), updates.wamid(to), body)
        self.accept(taken)
        self.report_later(taken)
        known = {"wa_id": re.sub(r"\D", "", to)} if body.get("to") else {"user_id": to}
        ids = {"contacts": [{"input": to} | known], "messages": [{"id": taken.message_id}]}
        return Reply(200, {"messaging_product": "whatsapp"} | ids)

    def report_later(self, taken: Accepted) -> None:
        """Send the statuses that follow a message by themselves, each in a body of its own."""
        reports = ("failed",) if taken.recipient in self.failures else self.reports
        for number, state in enumerate(reports if self.hook else ()):
            body = updates.notification(self.statuses(taken, state))
            self.insist_later(body, self.report_delay + number * 0.02)

    def statuses(self, taken: Accepted, *states: str, code: int = 131026) -> Part:
        """Return the value of a change with statuses of a message; `code` is why it failed."""
        code = self.failures.get(taken.recipient, code)
        statuses = {"statuses": [self.status(taken, state, code) for state in states]}
        return statuses if "failed" in states else self.contacts(taken) | statuses

    def contacts(self, taken: Accepted) -> Part:
        """Return the recipient of a message, whose number is told only if it was sent there."""
        by_number = taken.recipient if taken.body.get("to") else None
        user_id = self.user_ids.get(taken.recipient) if by_number else taken.recipient
        number = re.sub(r"\D", "", by_number) if by_number else None
        return {"contacts": [User(number, user_id).contact()]}

    def status(self, taken: Accepted, state: str, code: int) -> Part:
        """Return one status."""
        by_number = bool(taken.body.get("to"))
        found: Part = {"id": taken.message_id, "status": state, "timestamp": updates.now()}
        if by_number:
            found["recipient_id"] = re.sub(r"\D", "", taken.recipient)
        if user_id := self.user_ids.get(taken.recipient) if by_number else taken.recipient:
            found["recipient_user_id"] = user_id
        if data := taken.body.get("biz_opaque_callback_data"):
            found["biz_opaque_callback_data"] = data
        if state == "failed":
            return found | {"errors": [in_status(code)]}
        pricing = {"billable": False, "pricing_model": "PMP", "category": "service"}
        return found | {"pricing": pricing | {"type": "free_customer_service"}}

    def signed(self, body: bytes) -> dict[str, str]:
        """Return the signature over the raw body."""
        digest = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Hub-Signature-256": f"sha256={digest}"}

    def notify(self, *values: Part, field: str = "messages") -> requests.Response:
        """Send an update once, with a change for each value."""
        return self.post(updates.notification(*values, field=field, business=self.business))

    def report(self, taken: Accepted, *states: str, code: int = 131026) -> requests.Response:
        """Send statuses of a message once, in one body, in this order."""
        return self.notify(self.statuses(taken, *states, code=code))

    def write(self, *messages: Part, user: User = SHEENA) -> requests.Response:
        """Send messages by a user once, in one body."""
        return self.notify(updates.written_by(user, *messages))

    def say(self, text: str = "Hello", wa_id: str = "16505551234", **_: Any) -> int:
        """Send a text by a user; return the status of the answer."""
        user = User(wa_id)
        return self.write(updates.text(user, text), user=user).status_code

    def challenge(self, token: str | None = None) -> requests.Response:
        """Ask the hook, as Meta does when it is entered, to send back a number."""
        token = self.verify_token if token is None else token
        query = {"mode": "subscribe", "challenge": "1158201444", "verify_token": token}
        names = {f"hub.{name}": value for name, value in query.items()}
        return requests.get(self.hook, names, timeout=20)


def text_of(body: Part) -> str:
    """Return the text of a message, else its caption or its link, else its content as it is."""
    kind = body.get("type", "text")
    content = body[kind] if isinstance(body[kind], dict) else {}
    texts = [content.get(name) for name in ("body", "caption", "link", "name", "emoji")]
    return next((text for text in texts if isinstance(text, str)), str(body[kind]))


def send(
    whatsapp: WhatsApp, text: str = "Hello", timeout: float = 5, **fields: Any
) -> requests.Response:
    """Send a text, or what the fields say, to a user of WhatsApp."""
    message = {"messaging_product": "whatsapp", "to": "16505551234", "type": "text"}
    return requests.post(
        f"{whatsapp.url}/v23.0/106540352242922/messages",
        json={**message, "text": {"body": text}, **fields},
        headers={"Authorization": f"Bearer {whatsapp.access_token}"},
        timeout=timeout,
    )


if __name__ == "__main__":
    run(WhatsApp, reports=("sent", "delivered", "read"))
