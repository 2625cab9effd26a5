"""The program of docs/api/channels.md takes what channels and webhooks send."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from omnidesk.egress import Answer
from omnidesk.providers.outgoing import Outgoing, Sent
from omnidesk.providers.webhook.sending import outcome, request
from tests.conftest import Caller, make_channel
from tests.hooks import NAMES, SECRETS
from tests.postgres import free_port
from tests.servers import environ, process, wait_for
from tests.test_docs import read
from tests.webhooks import make_webhook

SECRET = SECRETS["CHANNEL_TEST_SIGNING_SECRET"]


@contextmanager
def program(secret: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the program with a secret; yield its address, and the file with what it prints."""
    (code,) = re.findall("```python\n(.*?)```", read("docs/api/channels.md"), re.DOTALL)
    port, printed = free_port(), folder / "printed"
    command = [sys.executable, "-c", code.replace("9000", str(port))]
    with process(command, printed, env=environ({"SIGNING_SECRET": secret})):
        wait_for(url := f"http://127.0.0.1:{port}/", printed)
        yield url, printed


def test_it_takes_what_a_channel_sends(admin: Caller, tmp_path: Path) -> None:
    with program(SECRET, tmp_path) as (url, printed):
        channel = make_channel("webhook", settings={"url": url}, secrets=NAMES["webhook"])
        sent = request(channel, Outgoing(5, "web-57", "text", "Under Settings."))
        response = requests.post(sent.url, sent.body, headers=sent.headers, timeout=10)
        unsigned = requests.post(sent.url, sent.body, timeout=10)

        assert admin.post("/api/channels/1/test").json["ok"] is True
        assert "Under Settings." in printed.read_text()
    found = outcome(Answer(response.status_code, {}, response.content))
    assert isinstance(found, Sent)
    assert found.external_message_id == response.json()["external_message_id"]
    assert unsigned.status_code == 401


def test_the_page_says_what_a_channel_sends(admin: Caller) -> None:
    channel = make_channel("webhook", secrets=NAMES["webhook"])
    (shown,) = re.findall(
        '```json\n({"type": "message".*?)```', read("docs/api/channels.md"), re.DOTALL
    )
    printed = json.loads(shown)

    sent = json.loads(request(channel, Outgoing(5, "web-57", "text", "Under Settings.")).body)

    assert sent | {"timestamp": ""} == printed | {"timestamp": ""}


@pytest.mark.parametrize("secret", [None, SECRET])
def test_it_takes_what_a_webhook_sends(admin: Caller, tmp_path: Path, secret: str | None) -> None:
    webhook = make_webhook()
    with program(secret or webhook.secret, tmp_path) as (url, _):
        admin.patch("/api/webhooks/1", json={"url": url})

        tested = admin.post("/api/webhooks/1/test").json

    assert tested["ok"] is (secret is None)
    assert tested["status_code"] == (401 if secret else 200)
