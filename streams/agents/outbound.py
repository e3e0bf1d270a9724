"""The outbound audience: whom a mail or ads tool may contact, and how. Without consent nobody is in it."""

from typing import Any

import faust
import orjson

from streams.agents.tandem import Tandem

#: Purpose, as events name it in `consent` -> types of identifiers that it lets out.
CHANNELS = {"email": ("email",), "phone": ("phone",), "ads": ("anonymous_id", "email", "phone")}


def register(app: faust.App, tandem: Tandem) -> None:
    """Journeys into `<prefix>.outbound.audience`, keyed by journey id; a tombstone for whom nothing may reach."""
    topic = f"{tandem.prefix}.outbound.audience"
    tandem.topics[topic] = {"cleanup.policy": "compact"}

    @app.agent(tandem.journeys, name="outbound")
    async def outbound(journeys: Any) -> None:
        async for event in journeys.events():
            entry = None if event.value is None else member(event.value)
            await tandem.send(topic, key=event.key, value=None if entry is None else orjson.dumps(entry))


def member(journey: dict[str, Any]) -> dict[str, Any] | None:
    """The journey as the audience shows it; None where no purpose that was consented to reaches anybody."""
    channels = {}
    for purpose, types in CHANNELS.items():
        # only an explicit true counts as consent
        if journey["consent"].get(purpose) is True:
            channels[purpose] = [known for known in journey["identifiers"] if known["type"] in types]
    channels = {purpose: identifiers for purpose, identifiers in channels.items() if identifiers}
    if not channels:
        return None
    return {
        "journey_id": journey["journey_id"],
        "stage": journey["stage"],
        "campaign": journey["campaign"],
        "channels": channels,
    }
