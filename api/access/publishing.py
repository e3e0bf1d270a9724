"""Which events a caller may publish, beyond whose topic they go to."""

from collections.abc import Callable

from api.access.caller import Caller
from api.access.policy import departments_of
from schemas.event import Event
from schemas.rejection import Rejection

Admit = Callable[[Event], None]  #: raises Rejection for an event that the caller may not publish

_RULINGS = frozenset({"identity_joined", "identity_split", "identifier_released"})
_BY_TOKEN = frozenset(
    {
        *("playbook_proposed", "playbook_approved", "playbook_rejected", "playbook_commented"),
        *("handoff_offered", "handoff_accepted", "handoff_rejected", "handoff_withdrawn"),
    }
)


def admission_of(caller: Caller | None) -> Admit:
    """What a caller may publish; everything while access is off."""
    if caller is None:
        return lambda _: None
    key = caller.key
    departments = departments_of(caller.roles)
    return lambda event: _by_person(event, caller.name, departments) if key is None else _by_key(event, key.sources)


def _by_key(event: Event, sources: frozenset[str]) -> None:
    """A key may be for certain sources only."""
    if sources and event.source not in sources:
        raise Rejection("source_not_allowed", "source", f"the key may speak for {', '.join(sorted(sources))}")


def _by_person(event: Event, subject: str, departments: frozenset[str]) -> None:
    """Whoever has a token decides in their own name, and decides nothing else by the way.

    Rulings have an endpoint of their own, which knows windows and asks to confirm. So nothing here may say who is who,
    which an event with two identifiers does, nor what somebody consents to.
    """
    if event.type in _RULINGS:
        raise Rejection("not_allowed", "type", "rulings are published with POST /v1/identity/rulings")
    if event.type not in _BY_TOKEN:
        raise Rejection("not_allowed", "type", f"with a token one publishes {', '.join(sorted(_BY_TOKEN))}")
    if event.consent:
        raise Rejection("not_allowed", "consent", "consent is said by the department's systems, with their API keys")
    if len(event.identities) > 1:
        raise Rejection("not_allowed", "identities", "name one identifier: several would say that they are one person")
    if getattr(event.data, "by", None) != subject:
        raise Rejection("not_allowed", "data.by", "it must be the subject of your token")
    speaks_for = getattr(event.data, "department", None)
    if speaks_for is not None and speaks_for not in departments:
        raise Rejection(
            "not_allowed", "data.department", f"your token lets you plan for {', '.join(sorted(departments))}"
        )
