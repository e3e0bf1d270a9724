"""Alerts: when a journey reaches a stage, a webhook is called."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import faust
import httpx
import orjson

from schemas.ids import event_id
from streams.agents.settings import InvalidWebhook
from streams.agents.tandem import Tandem
from streams.agents.webhook import Patience, deliver

_NEEDED = {"at", "journey_id", "seq", "stage_to"}  #: fields of a change; together they are the alert's identity


def register(app: faust.App, tandem: Tandem, patience: Patience = Patience()) -> None:  # noqa: B008 (frozen)
    """Alerts from the transitions to the webhook, in order per journey. Raises InvalidWebhook."""
    webhook, stages = tandem.settings.webhook, frozenset(tandem.settings.alert_stages)
    if webhook is None:
        raise InvalidWebhook("alerts need a receiver: set TANDEM_WEBHOOK_URL and TANDEM_WEBHOOK_SECRET")

    @app.agent(tandem.topic(f"{tandem.prefix}.transitions", new_only=True), name="alerts")
    async def alerts(changes: Any) -> None:
        async with httpx.AsyncClient(timeout=patience.timeout) as client:
            async for event in changes.events():
                change = event.value
                if not isinstance(change, dict) or not change.keys() >= _NEEDED:
                    await tandem.dead_letter(event, "not_a_change", "the value is no change of the feed")
                    continue
                if change["stage_to"] not in stages:
                    continue
                alert = str(alert_id(change))
                body = orjson.dumps({"alert_id": alert, **change})
                await deliver(
                    client, webhook, alert, body, patience=patience, jitter=random.random, now=lambda: datetime.now(UTC)
                )


def alert_id(change: dict[str, Any]) -> UUID:
    """The alert's id: the same however often the change is read."""
    return event_id("alerts", "\n".join(str(change[name]) for name in sorted(_NEEDED)))
