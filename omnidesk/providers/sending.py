"""The sending side of each provider, by the type of a channel."""

from collections.abc import Callable
from dataclasses import dataclass

from omnidesk.channels.models import Channel
from omnidesk.egress import Answer
from omnidesk.providers.outgoing import Outcome, Outgoing, Pace, Request
from omnidesk.providers.telegram import sending as telegram
from omnidesk.providers.webhook import sending as webhook
from omnidesk.providers.whatsapp import sending as whatsapp


@dataclass(frozen=True)
class Provider:
    """How a provider is asked to send a message, what its answers mean, and how fast it may be."""

    request: Callable[[Channel, Outgoing], Request]  # raises CannotSend and NotConfigured
    outcome: Callable[[Answer], Outcome]
    channel_pace: Pace | None
    chat_pace: Callable[[str], Pace | None]  # by the id of a chat


PROVIDERS = {
    "whatsapp": Provider(
        whatsapp.request, whatsapp.outcome, whatsapp.CHANNEL_PACE, lambda _: whatsapp.CHAT_PACE
    ),
    "telegram": Provider(
        telegram.request, telegram.outcome, telegram.CHANNEL_PACE, telegram.chat_pace
    ),
    "webhook": Provider(webhook.request, webhook.outcome, None, lambda _: None),
}
