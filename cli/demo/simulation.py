"""A seeded simulation of two departments' systems: a web site, a mailer and ads; a CRM.

Pure: the same seed gives the same facts. People change devices, events come late, and some come twice. Sales people
work in office hours, and not all of them call in time; customers fall silent, complain or leave, and some come back.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from projections.journey.handoffs import handoff_id
from projections.text import id_text
from tandem import event_id

_CHANNELS = {"organic_search": 30, "paid_search": 22, "social": 18, "email": 12, "referral": 10, "direct": 8}
_COST = {"paid_search": 180, "social": 90}  #: minor units of EUR a click
_CAMPAIGNS = ("spring", "launch", "webinar")
_OWNERS = ("rosa", "sam", "tariq", "uma")
Data = dict[str, Any]

_LATE, _TWICE = 0.06, 0.03  #: shares of the events
_TARDY = 0.25  #: share of leads that sales calls too late
_OPENS, _CLOSES = 9, 17  #: o'clock UTC, Monday to Friday, as the default playbook has it


class Fact(NamedTuple):
    """One event of the simulation, in the order in which its system publishes it."""

    department: str
    source: str
    type: str
    version: int | None
    own_id: str  #: the event's id at its source
    occurred_at: datetime
    identities: dict[str, str]
    data: dict[str, Any]
    consent: dict[str, bool] | None = None


def simulate(seed: int, people: int, start: datetime, until: datetime) -> list[Fact]:
    """The facts of so many people from `start` to `until`, as published: late ones behind their time, some twice.

    People turn up all the time, so that at the end some are in the middle of their journey.
    """
    random = Random(seed)  # noqa: S311 (a simulation, not a secret)
    published: list[tuple[datetime, int, Fact]] = []
    for number in range(people):
        for fact in _Person(random, number, start, until).live():
            if fact.occurred_at > until:
                break
            delay = timedelta(hours=random.uniform(2, 72)) if random.random() < _LATE else timedelta()
            published.append((fact.occurred_at + delay, len(published), fact))
            if random.random() < _TWICE:
                again = fact.occurred_at + delay + timedelta(minutes=random.uniform(0, 90))
                published.append((again, len(published), fact))
    return [fact for _, _, fact in sorted(published, key=lambda found: found[:2])]


class _Person:
    """One person's journey, as the systems saw it."""

    def __init__(self, random: Random, number: int, start: datetime, until: datetime) -> None:
        self._random = random
        self._name = f"person{number:05}"
        self._account = f"company{number // 3}.example"
        self._now = start + (until - start) * random.uniform(0, 0.97)
        self._channel = random.choices(list(_CHANNELS), list(_CHANNELS.values()))[0]
        self._campaign = random.choice(_CAMPAIGNS)
        self._device = f"{self._name}-phone"
        self._count = 0

    def live(self) -> Iterator[Fact]:
        """The facts in the order in which they happen."""
        yield from self._browse()
        if self._random.random() < 0.55:
            yield from self._become_known()
            if self._random.random() < 0.6:
                yield from self._meet_sales()

    def _browse(self) -> Iterator[Fact]:
        cost = _COST.get(self._channel)
        price: Data = {"cost": {"amount": cost, "currency": "EUR"}} if cost else {}
        yield self._marketing("ads", "campaign_touched", self._touch() | price)
        for _ in range(self._random.randrange(1, 8)):
            self._wait(minutes=4)
            yield self._marketing("web", "page_viewed", self._touch() | {"url": self._page()})

    def _become_known(self) -> Iterator[Fact]:
        self._wait(hours=30)
        if self._random.random() < 0.5:
            self._device = f"{self._name}-laptop"  # another device: nothing ties it to the first one yet
            yield self._marketing("web", "page_viewed", {"url": self._page(), "channel": "direct"})
        form: Data = {"form": "newsletter", "traits": {"name": self._name}}
        consent = {"email": self._random.random() < 0.8}
        yield self._fact(
            "marketing", "web", "form_submitted", self._on_device() | {"email": self._email()}, self._touch() | form
        )._replace(consent=consent)
        for _ in range(self._random.randrange(1, 5)):
            self._wait(hours=40)
            yield self._mail("email_sent")
            if self._random.random() < 0.6:
                self._wait(hours=5)
                yield self._mail("email_opened")
                if self._random.random() < 0.5:
                    yield self._mail("email_clicked")
        if self._random.random() < 0.5:
            # They log in on the phone they first came with: now both devices are theirs.
            self._device = f"{self._name}-phone"
            known = {"user_id": self._name, **self._on_device(), "email": self._email()}
            yield self._fact("marketing", "web", "identified", known, {})

    def _meet_sales(self) -> Iterator[Fact]:
        """Marketing hands a lead over; sales calls in time or not, takes it, gives it back, or sends it away."""
        self._wait(hours=20)
        qualified = self._fact("marketing", "crm-marketing", "lead_qualified", self._lead(), self._touch())
        yield qualified
        owner = self._random.choice(_OWNERS)
        self._office_hours(
            self._random.uniform(5, 30) if self._random.random() < _TARDY else self._random.uniform(0, 3)
        )
        yield self._sale("call_logged", {"owner": owner})
        self._office_hours(self._random.uniform(0.1, 6))
        fate = self._random.random()
        if fate < 0.18:
            yield self._sale(
                "lead_rejected", {"owner": owner, "reason": self._random.choice(("no budget", "a student"))}
            )
            yield from self._nurture_again(owner)
        elif fate < 0.3:
            # somebody decides by hand, and names the hand-off
            yield self._decided(qualified, owner)
            yield from self._sell(owner)
        else:
            yield self._sale("lead_accepted", {"owner": owner})
            if self._random.random() < 0.15:
                self._wait(hours=90)
                yield self._sale("lead_recycled", {"owner": owner, "reason": "next year"})
                yield from self._nurture_again(owner)
            else:
                yield from self._sell(owner)

    def _nurture_again(self, owner: str) -> Iterator[Fact]:
        """Marketing takes a lead back, and some of them are offered a second time."""
        if self._random.random() < 0.25:
            return
        self._office_hours(self._random.uniform(1, 30))
        data: Data = {"channel": "email", "campaign": "again", "form": "preferences"}
        yield self._fact("marketing", "mailer", "lead_captured", {"email": self._email()}, data)
        self._wait(hours=24 * 8)
        yield self._mail("email_sent")
        self._wait(hours=9)
        yield self._mail("email_clicked")
        if self._random.random() < 0.6:
            self._wait(hours=24 * 3)
            yield self._fact("marketing", "crm-marketing", "lead_qualified", self._lead(), self._touch())
            self._office_hours(self._random.uniform(0, 6))
            yield self._sale("lead_accepted", {"owner": owner})
            yield from self._sell(owner)

    def _sell(self, owner: str) -> Iterator[Fact]:
        for step in ("meeting_booked", "meeting_held", "opportunity_opened"):
            self._office_hours(self._random.uniform(1, 20))
            yield self._sale(step, {"owner": owner})
        self._wait(hours=90)
        if self._random.random() < 0.4:
            reason = self._random.choice(("price", "timing"))
            yield self._sale("opportunity_lost", {"owner": owner, "reason": reason})
            return
        amount = self._random.randrange(5_000, 400_000)
        if self._random.random() < 0.3:  # an old CRM module still speaks version 1
            yield self._won(1, owner, f"{amount // 100}.{amount % 100:02}")
        else:
            yield self._won(2, owner, amount)
        yield from self._stay(owner)

    def _stay(self, owner: str) -> Iterator[Fact]:
        """A customer uses what was bought; some use less and less, complain, or leave; marketing wins some back."""
        seats = self._random.randrange(20, 500)
        falls = self._random.random() < 0.2
        for _ in range(self._random.randrange(2, 5)):
            self._wait(hours=24 * 10)
            yield self._sale("usage_reported", {"quantity": seats, "unit": "seats"})
            seats = seats * 2 // 5 if falls else seats + self._random.randrange(0, 20)
        unhappy = self._random.random()
        if unhappy < 0.25:
            yield self._sale("satisfaction_answered", {"score": self._random.randrange(0, 5)})
        elif unhappy < 0.33:
            yield self._sale("contract_cancelled", {"owner": owner, "reason": "too dear"})
        if falls or unhappy < 0.33:
            yield from self._win_back(owner)

    def _win_back(self, owner: str) -> Iterator[Fact]:
        self._office_hours(self._random.uniform(1, 20))
        data: Data = {"channel": "email", "campaign": "come-back", "subject": "We miss you"}
        yield self._fact("marketing", "mailer", "lead_captured", {"email": self._email()}, data | {"form": "come-back"})
        if self._random.random() < 0.5:
            self._wait(hours=24 * 5)
            yield self._sale("contract_renewed", {"owner": owner})

    def _decided(self, qualified: Fact, owner: str) -> Fact:
        """A sales person accepts the hand-off that marketing's event made."""
        handoff = id_text(handoff_id("qualified-lead", qualified.source, id_of(qualified).bytes))
        data: Data = {"handoff": handoff, "by": owner, "department": "sales"}
        return self._fact("joint", "crm-inbox", "handoff_accepted", {"email": self._email()}, data)

    def _won(self, version: int, owner: str, amount: int | str) -> Fact:
        data: Data = {"owner": owner, "opportunity": f"opp-{self._name}", "amount": amount, "currency": "EUR"}
        return self._fact("sales", "crm", "opportunity_won", self._contact(), data, version)

    def _sale(self, type_: str, data: Data) -> Fact:
        return self._fact("sales", "crm", type_, self._contact(), data)

    def _mail(self, type_: str) -> Fact:
        data: Data = {"channel": "email", "campaign": "nurture", "subject": "News"}
        return self._fact("marketing", "mailer", type_, {"email": self._email()}, data)

    def _marketing(self, source: str, type_: str, data: Data) -> Fact:
        return self._fact("marketing", source, type_, self._on_device(), data)

    def _fact(
        self,
        department: str,
        source: str,
        type_: str,
        identities: dict[str, str],
        data: Data,
        version: int | None = None,
    ) -> Fact:
        self._count += 1
        return Fact(department, source, type_, version, f"{self._name}-{self._count}", self._now, identities, data)

    def _touch(self) -> Data:
        return {"channel": self._channel, "campaign": self._campaign}

    def _on_device(self) -> dict[str, str]:
        return {"anonymous_id": self._device}

    def _lead(self) -> dict[str, str]:
        return {"crm_lead": f"lead-{self._name}", "email": self._email()}

    def _contact(self) -> dict[str, str]:
        return {"crm_contact": f"contact-{self._name}", **self._lead(), "account": self._account}

    def _email(self) -> str:
        return f"{self._name}@{self._account}"

    def _page(self) -> str:
        return f"https://shop.example/{self._random.choice(('home', 'prices', 'features', 'blog'))}"

    def _office_hours(self, hours: float) -> None:
        """Let so many open hours pass, from the next opening on if the office is closed."""
        left = timedelta(hours=hours)
        while True:
            opens = self._now.replace(hour=_OPENS, minute=0, second=0, microsecond=0)
            closes = opens.replace(hour=_CLOSES)
            if self._now.weekday() < 5 and self._now < closes:
                self._now = max(self._now, opens)
                if self._now + left <= closes:
                    self._now += left
                    return
                left -= closes - self._now
            self._now = opens + timedelta(days=1)

    def _wait(self, *, minutes: float = 0, hours: float = 0) -> None:
        longest = timedelta(minutes=minutes, hours=hours)
        self._now += longest * self._random.uniform(0.2, 1.0)


def id_of(fact: Fact) -> Any:
    """The event id of a fact: the same each time it is published."""
    return event_id(fact.source, fact.own_id)
