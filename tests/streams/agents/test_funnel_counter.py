"""The last hour's funnel: what it counts, what it forgets, and that a start reads it anew."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.embedded.process import free_port
from streams.agents.funnel_counter import HourlyFunnel, register
from streams.agents.settings import AgentSettings
from streams.kafka import KafkaSettings
from tests.streams.agents.support import agents, make_topics, produce_to, transition
from tests.support import until

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_it_forgets_what_is_older_than_the_window() -> None:
    times = [NOON]
    funnel = HourlyFunnel(lambda: times[-1])
    for minutes, stage in ((-70, "known"), (-50, "known"), (-10, "known"), (-10, "customer")):
        funnel.count(stage, NOON + timedelta(minutes=minutes))
    assert funnel.view() == {"from": "2026-11-25T11:10:00Z", "stages": {"known": 2, "customer": 1}}
    times.append(NOON + timedelta(minutes=20))
    assert funnel.view()["stages"] == {"known": 1, "customer": 1}
    times.append(NOON + timedelta(hours=2))
    assert funnel.view()["stages"] == {}
    assert funnel._minutes == {}, "memory is bounded by the window"


async def test_it_counts_live_and_each_start_reads_the_hour_anew(kafka_settings: KafkaSettings) -> None:
    await make_topics(kafka_settings, "transitions")
    now = datetime.now(UTC)

    def at(minutes: int, number: int, to: str | None) -> tuple[bytes, bytes]:
        when = (now - timedelta(minutes=minutes)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return transition(number, journey=number, at=when, stage_to=to)

    async def shown(port: int) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"http://127.0.0.1:{port}/funnel")).json()["stages"]
            except httpx.ConnectError:
                return None

    sent = [at(90, 1, "known"), at(5, 2, "known"), at(4, 3, "customer"), at(3, 4, None)]
    await produce_to(kafka_settings, "transitions", sent)
    for more, expected in (
        ([], {"known": 1, "customer": 1}),
        ([at(1, 5, "known"), at(1, 6, "known")], {"known": 3, "customer": 1}),
    ):
        port = free_port()

        async def counted(port: int = port, expected: dict[str, int] = expected) -> bool:
            return bool(await shown(port) == expected)

        async with agents(AgentSettings(kafka_settings), register, port=port):
            await produce_to(kafka_settings, "transitions", more)
            await until(counted)
