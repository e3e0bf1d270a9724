"""The settings of agents: Kafka, the webhook, the CRM mapping."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from schemas.errors import TandemError
from streams.kafka import KafkaSettings
from streams.loopback import is_loopback

_SHORTEST_SECRET = 16  #: characters


class InvalidWebhook(TandemError):
    """The webhook's settings cannot be used. Correct TANDEM_WEBHOOK_URL or TANDEM_WEBHOOK_SECRET."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Address and signing secret. `secret` never shows in a repr."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The settings of all agents."""

    kafka: KafkaSettings
    webhook: Webhook | None = None  #: where alerts go
    alert_stages: tuple[str, ...] = ("opportunity", "at-risk")
    crm_mapping: Path | None = None  #: None: the bundled mapping


def webhook_of(url: str, secret: str | None) -> Webhook:
    """A webhook from its settings. Raises InvalidWebhook."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise InvalidWebhook("TANDEM_WEBHOOK_URL is not an address: write https://host/path")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InvalidWebhook(f"TANDEM_WEBHOOK_URL sends alerts to {parts.hostname} unencrypted: use https")
    if not secret:
        raise InvalidWebhook(
            "TANDEM_WEBHOOK_SECRET is missing: alerts are signed with it; any long random text will do"
        )
    if len(secret) < _SHORTEST_SECRET:
        raise InvalidWebhook(
            f"TANDEM_WEBHOOK_SECRET has {len(secret)} characters, and could be guessed: "
            f"take {_SHORTEST_SECRET} or more, at random"
        )
    return Webhook(url, secret)
