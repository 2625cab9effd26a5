"""A Postman collection that is made from the OpenAPI document runs from its first to its last."""

import json
import re
from pathlib import Path
from typing import Any

from tests.clients.conftest import Desk, succeed
from tests.test_openapi import operations

OPTIONS = (
    "folderStrategy=Tags,parametersResolution=Example,requestParametersResolution=Example,"
    "enableOptionalParameters=false"
)
# The client of the example has tickets, the session is another user's, the message is not sent from
# here; what is deleted first is gone; a new password ends all sessions.
REFUSED = {
    "DELETE /api/clients/{client_id}": 409,
    "DELETE /api/me/sessions/{session_id}": 404,
    "GET /api/channels/{channel_id}/unsupported": 404,
    "GET /api/hooks/{channel_type}/{channel_id}": 404,
    "GET /api/webhooks/{webhook_id}/deliveries": 404,
    "POST /api/channels/{channel_id}/test": 404,
    "POST /api/conversations/{conversation_id}/messages/{message_id}/retry": 409,
    "POST /api/hooks/{channel_type}/{channel_id}": 404,
    "POST /api/logout": 401,
    "POST /api/webhooks/{webhook_id}/deliveries/{delivery_id}/retry": 404,
    "POST /api/webhooks/{webhook_id}/replay": 404,
    "POST /api/webhooks/{webhook_id}/rotate": 404,
    "POST /api/webhooks/{webhook_id}/test": 404,
}
# Whether the hosts in their examples have an address depends on the machine.
LOOKED_UP = {
    f"{method} /api/{path}"
    for method, path in (
        ("POST", "channels"),
        ("PATCH", "channels/{channel_id}"),
        ("POST", "webhooks"),
        ("PATCH", "webhooks/{webhook_id}"),
    )
}


def answers(report: Any) -> dict[str, int]:
    """Return the status that each request was answered with, by its method and path."""
    found = {}
    for each in report["run"]["executions"]:
        sent = each["item"]["request"]
        path = re.sub(":([a-z_]+)", r"{\1}", "/".join(sent["url"]["path"]))
        found[f"{sent['method']} /{path}"] = each["response"]["code"]
    return found


def test_newman_is_answered_as_documented(desk: Desk, tmp_path: Path) -> None:
    collection, report = tmp_path / "collection.json", tmp_path / "report.json"
    make = ("openapi2postmanv2", "-s", desk.document, "-o", collection, "-O", OPTIONS)
    succeed(*make, cwd=tmp_path)
    where = json.loads(collection.read_text())["variable"][0]
    assert (where["key"], where["value"]) == ("baseUrl", "http://127.0.0.1:8000")
    given = (f"baseUrl={desk.address}", f"bearerToken={desk.token('admin')}")
    variables = [part for each in given for part in ("--env-var", each)]
    export = ("--reporters", "json", "--reporter-json-export", report)

    succeed("newman", "run", collection, *variables, *export, cwd=tmp_path)

    documented = operations(json.loads(desk.document.read_text()))
    answered = answers(json.loads(report.read_text()))
    assert answered.keys() == documented.keys()
    for name, status in answered.items():
        assert str(status) in documented[name]["responses"], name
    certain = {name: answered[name] for name in answered.keys() - LOOKED_UP}
    assert {name: status for name, status in certain.items() if status >= 400} == REFUSED
    assert list(answered)[-1] == "POST /api/logout"
