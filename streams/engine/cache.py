"""The cache: journeys are loaded from the database when they are needed, and evicted when they are many."""

from collections.abc import Iterable

import asyncpg

from projections.attribution.corrections import credit_of
from projections.identifiers import key_at
from projections.identity.register import Register
from projections.identity.workspace import Workspace
from projections.journey.journey import Journey
from projections.journey.links import QUARANTINED
from projections.journey.row import handoffs_of
from projections.playbook.rules import Rules
from projections.subjects import Subject
from store.commit import Stale
from store.loading import load_journeys, victims_of

#: Kept in memory between batches: journeys at most, and moments of them at most (see Journey.weight).
CACHED_JOURNEYS, CACHED_MOMENTS = 25_000, 500_000


class Cache:
    """A workspace over a database. Journeys that were changed stay until the batch after theirs was folded."""

    def __init__(self, connection: asyncpg.Connection, rules: Rules, register: Register | None) -> None:
        self.connection = connection
        self.rules = rules  #: those that the projection began with
        self.workspace = Workspace(rules, register)
        #: ids of the journeys that the batch before touched: it may not be committed yet
        self._committing = set[bytes]()
        self.weight = 0  #: of the journeys together, or more: of those that became one, it counts all

    @property
    def register_version(self) -> int:
        """The version of the register, without what the workspace has added to it."""
        return self.workspace.register.version

    async def load(self, subjects: Iterable[Subject | None]) -> None:
        """Load the journeys that these subjects' events touch, where they are missing."""
        register = self.workspace.register
        keys = {person.key for subject in subjects if subject for person in subject.persons}
        if register.releases:
            keys |= {key_at(key, at, register.releases) for key in keys for at in register.releases.get(key, ())}
        if register.partners:
            keys |= {other for key in keys for other in register.partners.get(key, ())}
        await self.load_keys(keys)

    async def load_keys(self, keys: Iterable[bytes]) -> None:
        """Load the journeys of these identifiers, or of these ids. Raises Stale."""
        workspace = self.workspace
        wanted = sorted([key for key in keys if not workspace.knows(key)])
        if not wanted:
            return
        for journey in await load_journeys(self.connection, wanted):
            known = workspace.journeys.get(journey.journey_id)
            if known is None:
                if any(key in workspace.home for key in journey.identifiers):
                    raise Stale("another worker has changed who is who since journeys were read: fold again")
                self._complete(journey)
                workspace.put(journey)
                self._weigh(journey)
            elif known.rev < journey.rev:
                raise Stale("another worker has changed a journey since it was read: fold again")

    def _complete(self, journey: Journey) -> None:
        """Derive what else is stored for a journey, from its state by the terms that it was stored under."""
        rules, stored = self.workspace.rules, journey.stored
        assert stored is not None, "it was loaded with what its row says"
        assert journey.life is not None, "it was derived before it was stored"
        if journey.life.value:
            stored = stored._replace(credit=credit_of(journey, rules))
        if self.workspace.register.swept_until is not None:
            journey.unsettle()  # until the sweep has ended, it may be former terms
        elif stored.handoffs is None:
            stored = stored._replace(handoffs=handoffs_of(journey, rules))
        journey.stored = stored

    async def load_tied(self, keys: set[bytes]) -> None:
        """Load everybody whom any link ties to these identifiers, those in quarantine and their victims too."""
        workspace, seen = self.workspace, set[bytes]()
        while keys:
            seen |= keys
            await self.load_keys(keys)
            journeys = [workspace.everybody_here(key) for key in keys if key in workspace.home]
            tied = {key for component in journeys for journey in component for key in _ends(journey)}
            quarantined = tied & workspace.register.quarantined
            keys = (tied | set(await victims_of(self.connection, sorted(quarantined)))) - seen

    def _weigh(self, journey: Journey) -> None:
        weight = journey.weight
        self.weight += weight - journey.weighed
        journey.weighed = weight

    def trim(self, just_touched: list[Journey]) -> None:
        """Evict the least recently used journeys; those that are not committed yet stay."""
        journeys = self.workspace.journeys
        for journey in just_touched:
            journeys[journey.journey_id] = journeys.pop(journey.journey_id)
            self._weigh(journey)
        touched = {journey.journey_id for journey in just_touched}
        busy, self._committing = self._committing | touched, touched
        for journey_id in self._excess():
            tied = self.workspace.component(journey_id) if journey_id in journeys else {}
            if busy.isdisjoint(tied):
                for tied_id, journey in tied.items():
                    self.weight -= journey.weighed
                    self.workspace.evict(tied_id)

    def _excess(self) -> list[bytes]:
        """The least recently used journeys beyond the limits of number and memory."""
        journeys, much = self.workspace.journeys, 0
        many = len(journeys) - CACHED_JOURNEYS
        if self.weight > CACHED_MOMENTS:
            self.weight = sum([journey.weighed for journey in journeys.values()])
            much = self.weight - CACHED_MOMENTS * 7 // 8  # with some room: otherwise every batch would sum it up
        excess = list[bytes]()
        for journey_id, journey in journeys.items():
            if many <= 0 and much <= 0:
                break
            excess.append(journey_id)
            many -= 1
            much -= journey.weighed
        return excess


def _ends(journey: Journey) -> set[bytes]:
    """Identifiers at both ends of a journey's links in quarantine, and its own."""
    ends = {end for link in journey.refused if link.refused == QUARANTINED for end in (link.a, link.b)}
    return ends | journey.identifiers.keys()
