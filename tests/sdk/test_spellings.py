"""Old spellings work for one release, and warn; what is given wrongly is refused before anything is sent."""

import asyncio
from typing import Any

import pytest

from tandem import AsyncProducer, CustomType, Identifier, InvalidEvent, Producer, TandemError, events
from tandem.identifiers import identifiers_of, path_of, text_of
from tandem.transport import Receipt

API = "http://127.0.0.1:1"


class Kept:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, event: Any) -> Any:
        self.sent.append(event.value)
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        answer.set_result(Receipt(event.id, "t", 0, 0))
        return answer


@pytest.mark.parametrize("kind", [AsyncProducer, Producer])
def test_owner_is_the_old_name_of_department(kind: Any) -> None:
    with pytest.warns(DeprecationWarning, match="write department="):
        producer = kind(owner="sales", source="crm", http=API)
    if kind is Producer:
        producer.close()
    with pytest.raises(TypeError, match="give department= only"):
        kind(owner="sales", department="sales", source="crm", http=API)
    with pytest.raises(TypeError, match="department"):
        kind(source="crm", http=API)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"department": "marketng", "http": API}, "unknown department 'marketng': use one of marketing, sales, joint"),
        ({"department": "sales"}, "name either kafka="),
        ({"department": "sales", "http": API, "kafka": "127.0.0.1:1"}, "name either kafka="),
        ({"department": "sales", "http": API, "sasl_mechanism": "PLAIN"}, "sasl_mechanism= is for Kafka"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(TandemError, match=says):
        Producer(source="crm", **options)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown option max_event="):
        Producer(department="sales", source="crm", http=API, max_event=5)  # type: ignore[call-arg]


def test_old_forms_of_identifiers_are_taken_and_warn() -> None:
    ada, lead = Identifier("email", "ada@example.com"), Identifier("crm_lead", 7)
    old: dict[str, Any] = {"email": "ada@example.com", "crm_lead": 7}
    forms: tuple[Any, ...] = (old, list(old.items()))
    for form in forms:
        with pytest.warns(DeprecationWarning, match="write Identifier") as warned:
            assert identifiers_of(form) == [ada, lead]
        assert warned[0].filename == __file__, "the warning names the line to change"
    assert identifiers_of(iter([ada, lead])) == [ada, lead]
    text: Any = "email:ada@example.com"
    with pytest.warns(DeprecationWarning, match="write Identifier"):
        assert text_of(text) == text_of(ada)
    assert path_of(Identifier("account", "a/b c")) == "account:a%2Fb%20c"
    assert Identifier.parse("phone:+49:1") == Identifier("phone", "+49:1")
    with pytest.raises(ValueError, match="write type:value"):
        Identifier.parse("ada")


async def test_a_type_of_ones_own_is_said_on_purpose() -> None:
    kept = Kept()
    async with AsyncProducer(department="marketing", source="web", http=API, transport=kept) as producer:
        unknown: Any
        for unknown in ("loyalty_card", "journey"):
            with pytest.raises(InvalidEvent, match=f"unknown identity type '{unknown}'"):
                await producer.emit(events.LeadCaptured(), identities=[Identifier(unknown, "99")])
        await producer.emit(events.LeadCaptured(), identities=[Identifier(CustomType("loyalty_card"), "99")])
    assert b'"identities":[{"type":"loyalty_card","value":"99"}]' in kept.sent[0]
