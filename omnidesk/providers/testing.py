"""Whether a channel can work: its secrets are there, and its provider accepts them.

Of what a provider says, nothing is told that holds a secret.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import time_ns

from omnidesk.channels.models import Channel
from omnidesk.channels.setups import SETUPS
from omnidesk.egress import Answer, NoAnswer, NotConnected, Rules, connect
from omnidesk.providers.outgoing import MAX_REASON, NotConfigured, Request, object_in, said
from omnidesk.providers.webhook.sending import signed_request

# Together less than 15 s, also with the time that a lookup takes.
CONNECT_SECONDS, ANSWER_SECONDS = 6.0, 8.0


@dataclass(frozen=True)
class Check:
    """Something that was checked, and what is wrong with it; None for nothing."""

    name: str
    error: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.error is None


def check_channel(channel: Channel, rules: Rules) -> list[Check]:
    """Return what was checked of a channel."""
    secrets = [*check_secrets(channel)]
    if channel.type not in REQUESTS:
        return secrets
    if any(not check.ok for check in secrets):
        return [*secrets, Check("provider", "Not asked without the secrets.")]
    return [*secrets, Check("provider", ask(channel, rules))]


def check_secrets(channel: Channel) -> Iterator[Check]:
    """Yield for each secret of the channel's type whether the environment has it."""
    variables = json.loads(channel.secrets)
    for name in SETUPS[channel.type].secrets:
        if name not in variables:
            yield Check(name, "No environment variable is named for it.")
        elif channel.secret(name) is None:
            yield Check(name, f"The environment variable {variables[name]} is not set.")
        else:
            yield Check(name, None)


def ask(channel: Channel, rules: Rules) -> str | None:
    """Ask the provider about the channel; return what is wrong, None for nothing."""
    method, make = REQUESTS[channel.type]
    try:
        request = make(channel)
        with connect(request.url, rules, CONNECT_SECONDS) as connection:
            answer = connection.request(
                request.headers, request.body, method=method, timeout=ANSWER_SECONDS
            )
    except (NotConfigured, NotConnected, NoAnswer) as error:
        return channel.without_secrets(str(error))
    return None if 200 <= answer.status < 300 else refusal(channel, answer)


def refusal(channel: Channel, answer: Answer) -> str:
    """Return why the provider refuses, in its own words if it has any."""
    found = object_in(answer)
    error = found.get("error")
    told = error.get("message") if isinstance(error, dict) else found.get("description")
    status = f"It answered with status {answer.status}"
    reason = channel.without_secrets(f"{status}: {said(told)}" if told else f"{status}.")
    return reason[:MAX_REASON]


def telegram_request(channel: Channel) -> Request:
    """Return the request that asks who the bot is."""
    return Request(f"{channel.setting('api_base')}/bot{channel.secret('bot_token')}/getMe", {}, b"")


def whatsapp_request(channel: Channel) -> Request:
    """Return the request that asks about the phone number."""
    version, number = channel.setting("api_version"), channel.setting("phone_number_id")
    authorization = {"Authorization": f"Bearer {channel.secret('access_token')}"}
    return Request(f"{channel.setting('api_base')}/{version}/{number}", authorization, b"")


def webhook_request(channel: Channel) -> Request:
    """Return a signed request of the type `test`; raise NotConfigured for a secret that is none."""
    return signed_request(channel, f"test_{time_ns()}", "test", {})


REQUESTS: dict[str, tuple[str, Callable[[Channel], Request]]] = {
    "telegram": ("GET", telegram_request),
    "whatsapp": ("GET", whatsapp_request),
    "webhook": ("POST", webhook_request),
}
