"""The outbound audience: nobody without consent, and nobody after it is withdrawn."""

import orjson
import pytest

from streams.agents.outbound import member, register
from streams.agents.settings import AgentSettings
from streams.kafka import KafkaSettings
from tests.streams.agents.support import agents, all_of, make_topics, produce_to, view
from tests.support import until


async def test_consent_lets_in_and_its_end_lets_out(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "journeys")
    told = [
        (1, view(1, consent={"email": True})),
        (2, view(2)),
        (3, view(3, consent={"email": True})),
        (4, view(4, consent={"email": True, "ads": True})),
        (1, view(1, consent={"email": True}, stage="engaged", version=4)),
        (3, view(3, consent={"email": False}, version=4)),
        (4, None),  # merged into another one, or erased
    ]
    records = [(str(number).encode(), None if value is None else orjson.dumps(value)) for number, value in told]
    await produce_to(kafka_settings, "journeys", records)

    async def all_told() -> bool:
        return len(await all_of(kafka_settings, "outbound.audience")) == len(told)

    async with agents(AgentSettings(kafka_settings), register):
        await until(all_told)
    last = {record.key: record.value for record in await all_of(kafka_settings, "outbound.audience")}
    assert {key: value is not None for key, value in last.items()} == {
        b"1": True,
        b"2": False,
        b"3": False,
        b"4": False,
    }
    assert orjson.loads(last[b"1"]) == {
        "journey_id": view(1)["journey_id"],
        "stage": "engaged",
        "campaign": "spring",
        "channels": {"email": [{"type": "email", "value": "p1@example.com"}]},
    }


@pytest.mark.parametrize("consent", [{}, {"email": False}, {"post": True}, {"phone": True}])
def test_nobody_is_in_it_without_a_purpose_that_reaches_them(consent: dict[str, bool]) -> None:
    assert member(view(1, consent=consent)) is None


def test_a_purpose_lets_out_its_own_types_alone() -> None:
    found = member(view(1, consent={"email": True, "ads": True, "phone": True}))
    assert found is not None
    assert {purpose: [known["type"] for known in reach] for purpose, reach in found["channels"].items()} == {
        "email": ["email"],
        "ads": ["email", "anonymous_id"],
    }
