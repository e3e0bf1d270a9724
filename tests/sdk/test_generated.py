"""What is generated is up to date; the two clients are one; the words that type checkers know are the API's."""

import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from api.app import create_app
from projections.identifiers import RANK
from tandem import (
    AsyncClient,
    AsyncProducer,
    AsyncSubscription,
    Client,
    Producer,
    Subscription,
    __version__,
    identifiers,
    terms,
)

SDK = Path(__file__).parents[2] / "sdk"


def test_the_answers_are_in_step_with_their_contracts(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SDK / "generate_answers.py", tmp_path / "answers.py"], check=True)
    made = (tmp_path / "answers.py").read_text("utf-8")
    assert made == (SDK / "tandem" / "answers.py").read_text("utf-8"), "run `python sdk/generate_answers.py`"


def test_the_plain_client_is_in_step_with_the_one_for_asyncio(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SDK / "unasync.py", tmp_path], check=True)
    for name in ("client.py", "subscription.py"):
        made = (tmp_path / name).read_text("utf-8")
        assert made == (SDK / "tandem" / "_sync" / name).read_text("utf-8"), "run `python sdk/unasync.py`"
        assert not re.search(r"async|await|Async", made.split("\n", 1)[1]), f"{name} is not plain"


def signatures(kind: type) -> dict[str, str]:
    """The public methods of a class, and how they are called."""
    found = {name: one for name, one in inspect.getmembers(kind, callable) if not name.startswith("_")}
    return {name: _signature(method) for name, method in {"()": vars(kind)["__init__"], **found}.items()}


def _signature(method: Callable[..., Any]) -> str:
    text = re.sub(r"\basyncio\.Future|\bconcurrent\.futures\.Future", "Future", str(inspect.signature(method)))
    return re.sub(r"AsyncGenerator\[(.*), None\]", r"Generator[\1, None, None]", text).replace("Async", "")


def test_both_subscriptions_are_used_alike() -> None:
    assert signatures(Subscription) == signatures(AsyncSubscription)


def test_both_clients_are_used_alike() -> None:
    plain, other = signatures(Client), signatures(AsyncClient)
    assert plain == {name: text.replace("_async", "_sync") for name, text in other.items()}
    assert {"dead_letters", "dead_letter", "subscribe"} <= plain.keys()


def test_both_producers_are_used_alike() -> None:
    plain, other = signatures(Producer), signatures(AsyncProducer)
    assert plain["()"] == other["()"]
    assert plain["emit"].replace(", timeout: float | None = None", "") == other["emit"]
    assert plain.keys() == other.keys() - {"start"}  # the plain one connects when it is made


@pytest.mark.parametrize("kind", [AsyncClient, AsyncProducer, AsyncSubscription, Client, Producer, Subscription])
def test_nothing_takes_whatever_is_given(kind: type) -> None:
    for name, text in signatures(kind).items():
        assert not re.search(r"\*\*\w+: (typing\.)?Any", text), f"{kind.__name__}.{name}"


def test_the_words_are_the_api_s() -> None:
    """As the API's own description (OpenAPI) has them."""
    described = create_app(database_url="", kafka=None).openapi()

    def asked(path: str, name: str) -> set[str]:
        [found] = [one for one in described["paths"][path]["get"]["parameters"] if one["name"] == name]
        return set(_values(found["schema"]))

    def told(path: str, name: str) -> set[str]:
        body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        fields = described["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
        return set(_values(fields[name]))

    assert set(get_args(terms.Department)) == asked("/v1/changes", "department")
    assert set(get_args(terms.ChangeKind)) == asked("/v1/changes", "kind")
    assert set(get_args(terms.GroupBy)) == asked("/v1/funnel", "by") == asked("/v1/attribution", "by")
    assert set(get_args(terms.AttributionModel)) == asked("/v1/attribution", "model")
    assert set(get_args(terms.Axis)) == asked("/v1/diff/{identifier}", "axis")
    assert set(get_args(terms.Ruling)) == told("/v1/identity/rulings", "ruling")
    assert set(get_args(terms.HandoffDecision)) == told("/v1/handoffs/{handoff}/decisions", "decision")
    assert set(get_args(terms.PlaybookDecision)) == told("/v1/playbook/proposals/{proposal}/decisions", "decision")
    assert tuple(RANK) == identifiers.IDENTITY_TYPES
    assert get_args(identifiers.KnownType) == (*RANK, "journey")


def _values(schema: dict[str, Any]) -> list[str]:
    return [value for one in (schema, *schema.get("anyOf", ())) for value in one.get("enum", ())]


def test_the_version_is_the_package_s() -> None:
    package = tomllib.loads((SDK / "pyproject.toml").read_text("utf-8"))
    assert package["project"]["version"] == __version__
    assert (SDK / "tandem" / "py.typed").exists()
