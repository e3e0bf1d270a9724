"""`tandem attribution`, its endpoint and the SDK's call, over real Kafka and PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from api.app import create_app
from deploy.embedded.process import free_port
from streams.kafka import KafkaSettings
from tandem import ApiError, AsyncClient, Client
from tandem.terms import AttributionModel
from tests.commands import Done, command
from tests.support import body, produce, project, served


def _touch(number: int, who: str, channel: str, campaign: str | None = None, cost: int | None = None) -> bytes:
    data: dict[str, Any] = {"channel": channel, "campaign": campaign}
    price = {} if cost is None else {"cost": {"amount": cost, "currency": "EUR"}}
    return body(number, "lead_captured", who={"user_id": who}, data=data | price)


def _won(number: int, who: str, amount: int, currency: str = "EUR") -> bytes:
    data = {"amount": amount, "currency": currency}
    return body(number, "opportunity_won", version=2, source="crm", who={"user_id": who}, data=data)


#: Ana was touched twice and booked twice, Bob only booked, nobody else did.
_EVENTS: list[tuple[str, int, bytes | None]] = [
    ("marketing", 0, _touch(1, "ana", "fair", "spring", 500)),
    ("marketing", 1, _touch(2, "ana", "mail")),
    ("sales", 0, _won(3, "ana", 1001)),
    ("sales", 1, _won(4, "ana", 300, "BRL")),
    ("sales", 2, _won(5, "bob", 70)),
    *[("marketing", n % 3, _touch(n, f"other{n}", "mail")) for n in range(10, 1210)],
]


async def tandem(address: str, *arguments: str) -> Done:
    return await command({"TANDEM_API": address, "COLUMNS": "200"}, "attribution", *arguments)


@pytest.fixture
async def address(kafka_settings: KafkaSettings, database_url: str) -> AsyncIterator[str]:
    """An API over these journeys."""
    await produce(kafka_settings, _EVENTS)
    await project(kafka_settings, database_url, len(_EVENTS))
    port = free_port()
    async with served(create_app(database_url=database_url, kafka=None), port):
        yield f"http://127.0.0.1:{port}"


async def test_credit_over_http_in_the_sdk_and_in_the_terminal(address: str) -> None:
    async with AsyncClient(address) as client:
        found = await client.attribution()
        last = await client.attribution("last", "campaign")
        several = await asyncio.gather(*(client.attribution() for _ in range(4)))
    expected = {
        "model": "linear",
        "by": "channel",
        "groups": [
            {
                "channel": "fair",
                "credit": {"BRL": 150, "EUR": 501},
                "share": {"BRL": 0.5, "EUR": 0.4678},
                "bookings": 2,
                "touchpoints": {"count": 1, "cost": {"EUR": 500}},
            },
            {
                "channel": "mail",
                "credit": {"BRL": 150, "EUR": 500},
                "share": {"BRL": 0.5, "EUR": 0.4669},
                "bookings": 2,
                "touchpoints": {"count": 1201, "cost": {}},
            },
        ],
        "unattributed": {"credit": {"BRL": 0, "EUR": 70}, "share": {"BRL": 0.0, "EUR": 0.0654}, "bookings": 1},
        "total": {
            "credit": {"BRL": 300, "EUR": 1071},
            "share": {"BRL": 1.0, "EUR": 1.0},
            "bookings": 3,
            "touchpoints": {"count": 1202, "cost": {"EUR": 500}},
        },
    }
    assert msgspec.json.decode(msgspec.json.encode(found)) == expected
    assert {group.campaign: group.credit["EUR"] for group in last.groups} == {"spring": 0, None: 1001}
    assert all(one == found for one in several)
    with Client(address) as plain:
        assert await asyncio.to_thread(plain.attribution, "linear") == found
    assert json.loads((await tandem(address, "--json")).out) == expected
    table = (await tandem(address, "--by", "channel", "--model", "linear")).out.splitlines()
    rows = [line.split() for line in table]
    assert ["fair", "1.50", "BRL", "50.0%", "2", "1", "-", "-"] in rows
    assert ["5.01", "EUR", "46.8%", "5.00", "EUR", "1.0"] in rows
    assert ["unattributed", "0.00", "BRL", "0.0%", "1", "-", "-"] in rows


@pytest.mark.parametrize("model", ["first", "u-shaped", "w-shaped", "time-decay", "markov", "shapley"])
async def test_all_models_are_answered(address: str, model: AttributionModel) -> None:
    async with AsyncClient(address) as client:
        found = await client.attribution(model, "campaign")
        assert found.model == model
        assert found.total.credit == {"BRL": 300, "EUR": 1071}
        wrongs: tuple[dict[str, Any], ...] = ({"model": "best"}, {"by": "weather"})
        for wrong in wrongs:
            with pytest.raises(ApiError, match="Input should be") as error:
                await client.attribution(**wrong)
            assert error.value.status == 422


async def test_a_model_that_is_none_is_one_line(address: str) -> None:
    done = await tandem(address, "--model", "best")
    assert (done.code, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert line.startswith("tandem: query.model: Input should be 'first', 'last'")
