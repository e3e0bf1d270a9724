"""Refolding: people are folded again from the archive, after something changed what their events come to.

Four causes lead here: another body of an event has won, an identifier was released, a person was erased, a projection
catches up. Each says who is concerned, takes them out of the workspace and changes the register; then `_fold_again`
folds what the archive holds of them, without some events and with others.
"""

from collections.abc import Callable, Iterable, Mapping

from projections.fold import apply, detach_all, erase, release, subject_of
from projections.identifiers import key_at
from projections.identity.erasure import ERASURE, Erasure, erasure_of
from projections.identity.register import ABOUT_IDENTITY, RELEASE
from projections.journey.journey import Journey
from projections.playbook.rules import Rules
from projections.subjects import Subject, subject_at
from schemas.event import Event
from store.erasure import Removal, head
from streams.engine.archived_events import ArchivedEvent, EventArchive
from streams.engine.cache import Cache
from streams.engine.conflicts import precedes
from streams.engine.erasures import is_erased
from streams.engine.intake import Candidate, EventKey
from streams.engine.joint_facts import retract_joint, take_joint
from streams.engine.removal import removal_of, stored_keys

Releases = Mapping[bytes, list[int]]  #: identifier -> times at which it was released


def _all_count(_: ArchivedEvent) -> bool:
    return True


class Refolding:
    """Folds people of a cache again, from the archive."""

    def __init__(self, cache: Cache, rules: Rules, departments: Mapping[int, str]) -> None:
        """`departments`: partition id -> the department that writes there."""
        self._cache = cache
        self._workspace = cache.workspace
        self._rules = rules
        self.archive = EventArchive(cache.connection, departments, rules)

    async def supersede(self, old: Event, winner: Candidate) -> None:
        """Fold everyone again whom the old or the new body names, with the new body in the old one's place."""
        workspace = self._workspace
        workspace.judge()
        releases = dict(workspace.register.releases)
        subjects = [subject_of(old, self._rules), winner.subject]
        keys = {
            key
            for subject, event in zip(subjects, (old, winner.event), strict=True)
            if subject is not None
            for key in _keys_of(event, subject, releases)
        }
        await self._cache.load(subjects)
        await self._cache.load_tied(keys)
        journeys = self._everybody_tied_to(keys)
        members = detach_all(workspace, journeys)
        stored = await self.archive.naming(journeys.values())
        retract_joint(workspace, old, self._rules)
        if winner.event.type != ERASURE:  # the caller has taken it
            take_joint(workspace, [winner.event], self._rules)
        erased = workspace.register.erased  # perhaps in this batch: then the archive still has the person's events

        def counts(one: ArchivedEvent) -> bool:
            return one.key != winner.key and not is_erased(erased, one.event, self._rules)

        self._fold_again(stored, members, releases, counts=counts, more=[winner.event])

    async def release(self, candidate: Candidate) -> None:
        """Take a release, and fold those again whom it concerns, if an event after it came before it."""
        assert candidate.subject is not None, "a release names somebody"
        workspace, at = self._workspace, candidate.event.occurred_at
        releases = dict(workspace.register.releases)
        workspace.judge()
        await self._cache.load([candidate.subject])
        keys = {key_at(person.key, at, releases) for person in candidate.subject.persons}
        if any(self._named_since(key, at) for key in keys):
            await self._cache.load_tied(keys)
        before = dict(workspace.journeys)
        members = release(workspace, candidate.event, candidate.subject)
        if members:
            journeys = _with_any_of(members, before)
            self._fold_again(await self.archive.naming(journeys), members, releases)

    async def erase(self, erasure: Erasure) -> Removal:
        """Fold everybody again who is tied to an erased person. Returns what is taken out of the database."""
        workspace, register, connection = self._workspace, self._workspace.register, self._cache.connection
        person, feed_head = register.erased.only(erasure), await head(connection)
        keys, shared = await stored_keys(connection, person, register.releases)
        listed = await self.archive.keys_named_by(erasure.events, register.releases)
        await self._cache.load_tied({*keys, *shared, *listed})
        before = dict(workspace.journeys)
        members = erase(workspace, erasure, listed)
        journeys = _with_any_of(members, before)
        stored = await self.archive.naming(journeys, nobodys=True)
        gone = [one for one in stored if is_erased(register.erased, one.event, self._rules)]
        gone_ids = {one.record_id for one in gone}
        self._fold_again(stored, members, register.releases, counts=lambda one: one.record_id not in gone_ids)
        return await removal_of(
            connection,
            events=gone,
            people=journeys,
            keys=keys,
            erased=register.erased,
            rules=self._rules,
            feed_head=feed_head,
            names_person=lambda others: bool(person.among(others, register.releases)[0]),
        )

    async def refold(self, events: list[Event], losers: list[Event], until_batch: int) -> None:
        """Fold everybody again whom archived events name, by all that was archived up to a batch.

        Takes the joint facts among the events. `losers`: bodies whose id these events have taken; they may have been
        folded. `reap` gathers the result.
        """
        workspace, register = self._workspace, self._workspace.register
        workspace.judge()
        releases = dict(register.releases)
        subjects = [
            (event, subject) for event in [*events, *losers] if (subject := subject_of(event, self._rules)) is not None
        ]
        named = {key for event, subject in subjects for key in _keys_of(event, subject, releases)}
        keys = set(named)
        for erasure in [erasure_of(event) for event in events if event.type == ERASURE]:
            for some in await stored_keys(self._cache.connection, register.erased.only(erasure), releases):
                keys |= set(some)
            keys |= await self.archive.keys_named_by(erasure.events, register.releases)
        await self._cache.load_tied(keys)
        journeys = self._everybody_tied_to(keys)
        members = detach_all(workspace, journeys) | named
        events = [event for event in events if event not in losers]
        winners = {(event.id, event.source) for event in events}
        for loser in losers:
            if (loser.id, loser.source) in winners:  # else it came after what it has lost to, and was never taken
                retract_joint(workspace, loser, self._rules)
        take_joint(workspace, events, self._rules)
        bases = {person.key for _, subject in subjects for person in subject.persons}
        stored = await self.archive.naming(journeys.values(), more=bases, until_batch=until_batch)
        self._fold_again(stored, members, releases)

    def _named_since(self, key: bytes, at: int) -> bool:
        journey = self._workspace.journey_of(key)
        return journey is not None and journey.identifiers[key].last >= at

    def _everybody_tied_to(self, keys: set[bytes]) -> dict[bytes, Journey]:
        home = self._workspace.home
        journeys: dict[bytes, Journey] = {}
        for journey_id in {home[key]: None for key in sorted(keys & home.keys())}:
            journeys |= self._workspace.everybody_tied_to(journey_id)
        return journeys

    def _fold_again(
        self,
        stored: Iterable[ArchivedEvent],
        members: set[bytes],
        releases: Releases,
        *,
        counts: Callable[[ArchivedEvent], bool] = _all_count,
        more: Iterable[Event] = (),
    ) -> None:
        """Fold the archived events that name one of `members` and count, and `more` events, in law 2's order.

        `releases`: those by which members are named. Of two bodies of one event, the one that wins is looked at.
        """
        winners: dict[EventKey, ArchivedEvent] = {}
        for one in stored:
            if one.subject is None:
                continue
            if subject_at(one.subject, one.event.occurred_at, releases).persons[0].key not in members:
                continue
            known = winners.get(one.key)
            if known is None or precedes(one.archived.value, known.archived.value):
                winners[one.key] = one
        events = [*(one.event for one in winners.values() if counts(one)), *more]
        for event in sorted(events, key=lambda event: (event.occurred_at, event.id, event.source)):
            subject = subject_of(event, self._rules)
            if subject is not None and event.type not in ABOUT_IDENTITY:
                apply(self._workspace, event, subject)


def _with_any_of(members: set[bytes], journeys: Mapping[bytes, Journey]) -> list[Journey]:
    return [journey for journey in journeys.values() if not members.isdisjoint(journey.identifiers)]


def _keys_of(event: Event, subject: Subject, releases: dict[bytes, list[int]]) -> set[bytes]:
    """The identifiers that an event names, as they are at its time; for a release, as they were before it, too."""
    times = (event.occurred_at - 1, event.occurred_at) if event.type == RELEASE else (event.occurred_at,)
    return {key_at(person.key, at, releases) for person in subject.persons for at in times}
