"""Folding people again: from the archive, after something changed what their events come to."""

from collections.abc import Iterable

from projections.fold import apply, detach_all, erase, release, rule, subject_of
from projections.identifiers import key_at, later_key
from projections.identity.erasure import ERASURE, Erasure, erasure_of
from projections.identity.register import ABOUT_IDENTITY, RELEASE, RULINGS
from projections.journey.journey import Journey
from projections.playbook.events import ABOUT_PLAYBOOK, playbook_event_of
from projections.playbook.rules import Rules
from projections.subjects import Subject, subject_at
from schemas.decode import decode
from schemas.event import Event
from store.archive import read_block
from store.erasure import Erasing, UnknownSecret, head, read_secret
from store.loading import known_events, source_ids_of
from streams.engine.cache import Cache
from streams.engine.erasing import ArchivedEvent, is_erased, stored_keys, stored_naming, what_to_erase
from streams.engine.intake import Candidate, EventKey, precedes


class Refolding:
    """Takes people out of the cache, and folds what the archive holds of them again."""

    def __init__(self, cache: Cache, rules: Rules, owners: dict[int, str]) -> None:
        """`owners`: partition id -> the department that writes there."""
        self._cache = cache
        self._connection, self._workspace = cache.connection, cache.workspace
        self._rules = rules
        self._owners = owners

    async def supersede(self, old: Event, winner: Candidate) -> None:
        """Fold everyone whom the old or the new body names again from the archive, with the new body in its place."""
        workspace = self._workspace
        workspace.judge()
        subjects = [subject_of(old, self._rules), winner.subject]
        releases = dict(workspace.register.releases)
        keys = {
            key
            for subject, event in zip(subjects, (old, winner.event), strict=True)
            if subject is not None
            for key in _keys_of(event, subject, releases)
        }
        await self._cache.load(subjects)
        await self._cache.load_tied(keys)
        journeys: dict[bytes, Journey] = {}
        for home in {workspace.home[key] for key in keys if key in workspace.home}:
            journeys |= workspace.everybody_tied_to(home)
        members = detach_all(workspace, journeys)
        stored = await self._stored(journeys.values())
        erased = workspace.register.erased  # in this batch, perhaps: then the archive still has it
        events = [
            one.event
            for one in self._counting(stored, members, releases)
            if one.key != winner.key and not is_erased(erased, one.event, self._rules)
        ]
        self._take_back(old)
        if winner.event.type != ERASURE:  # whoever calls has taken it
            self._take_joint([winner.event])
        self._apply_again([*events, winner.event])

    async def release(self, candidate: Candidate) -> None:
        """Take a release, and fold those again whom it concerns, if an event after it came before it."""
        assert candidate.subject is not None, "a release names somebody"
        workspace = self._workspace
        releases = dict(workspace.register.releases)
        workspace.judge()
        await self._cache.load([candidate.subject])
        keys = {key_at(person.key, candidate.event.occurred_at, releases) for person in candidate.subject.persons}
        if any(self._named_since(key, candidate.event.occurred_at) for key in keys):
            await self._cache.load_tied(keys)
        before = dict(workspace.journeys)
        members = release(workspace, candidate.event, candidate.subject)
        if members:
            journeys = [one for one in before.values() if not members.isdisjoint(one.identifiers)]
            stored = await self._stored(journeys)
            self._apply_again([one.event for one in self._counting(stored, members, releases)])

    def _named_since(self, key: bytes, at: int) -> bool:
        journey = self._workspace.journey_of(key)
        return journey is not None and journey.identifiers[key].last >= at

    def _apply_again(self, events: list[Event]) -> None:
        for event in sorted(events, key=lambda event: (event.occurred_at, event.id, event.source)):
            subject = subject_of(event, self._rules)
            if subject is not None and event.type not in ABOUT_IDENTITY:
                apply(self._workspace, event, subject)

    async def erase(self, erasure: Erasure) -> Erasing:
        """Fold everybody again who is tied to an erased person, and note what is taken out of the database."""
        workspace, register = self._workspace, self._workspace.register
        one, seen = register.erased.only(erasure), await head(self._connection)
        keys, shared = await stored_keys(self._connection, one, register.releases)
        listed = await self._named_in(erasure.events)
        await self._cache.load_tied({*keys, *shared, *listed})
        before = dict(workspace.journeys)
        members = erase(workspace, erasure, listed)
        journeys = [journey for journey in before.values() if not members.isdisjoint(journey.identifiers)]
        stored = await stored_naming(self._connection, journeys, self._owners, self._rules, nobodys=True)
        erased = register.erased
        gone = [one for one in stored if is_erased(erased, one.event, self._rules)]
        places = {one.place for one in gone}
        left = [one for one in self._counting(stored, members) if one.place not in places]
        self._apply_again([one.event for one in left])
        return await what_to_erase(
            self._connection,
            gone,
            journeys,
            keys,
            erased,
            self._rules,
            seen,
            lambda others: bool(one.among(others, register.releases)[0]),
        )

    async def _named_in(self, events: Iterable[EventKey]) -> set[bytes]:
        """The identifiers that archived events name."""
        wanted = set(events)
        names = await source_ids_of(self._connection, sorted({source for _, source in wanted}))
        pairs = sorted((id_, names[source]) for id_, source in wanted if source in names)
        known = await known_events(self._connection, [id_ for id_, _ in pairs], [source for _, source in pairs])
        found = set[bytes]()
        for bucket, batch_id in sorted({(one.bucket, one.batch_id) for one in known}):
            for archived in await read_block(self._connection, bucket, batch_id):
                event = decode(archived.value, self._owners[archived.partition_id])
                subject = subject_of(event, self._rules) if (event.id, event.source) in wanted else None
                if subject is not None:
                    own = subject_at(subject, event.occurred_at, self._workspace.register.releases)
                    found |= {person.key for person in own.persons}
        return found

    async def can_tell(self, erasure: Erasure) -> bool:
        """Whether the erasure's hashes are under this database's secret. Raises UnknownSecret where it has none."""
        erased = self._workspace.register.erased
        if not erased.secret_name:  # it may have been made after this worker had started
            secret = await read_secret(self._connection)
            if secret is None:
                raise UnknownSecret(
                    f"an erasure was made with the secret {erasure.secret}, and this database has none: restore the "
                    "table `secrets` from a backup. Until then nothing is applied: nobody could say whom it is about"
                )
            erased.set_secret(secret)
        return erased.secret_name == erasure.secret

    async def refold(self, events: list[Event], losers: list[Event], until_batch: int) -> None:
        """Fold everybody again whom archived events name, by all that was archived up to a batch.

        Rulings, releases, erasures and what was said of playbooks are taken among them. `losers`: bodies whose id these
        events have taken; they may have been folded. `reap` takes what it comes to.
        """
        workspace, register = self._workspace, self._workspace.register
        workspace.judge()
        releases = dict(register.releases)
        subjects = [
            (event, subject) for event in [*events, *losers] if (subject := subject_of(event, self._rules)) is not None
        ]
        keys = {key for event, subject in subjects for key in _keys_of(event, subject, releases)}
        named = set(keys)
        for erasure in [erasure_of(event) for event in events if event.type == ERASURE]:
            for found in await stored_keys(self._connection, register.erased.only(erasure), releases):
                keys |= set(found)
            keys |= await self._named_in(erasure.events)
        await self._cache.load_tied(keys)
        everybody: dict[bytes, Journey] = {}
        for key in sorted(keys & workspace.home.keys()):
            everybody |= workspace.everybody_tied_to(workspace.home[key])
        members = detach_all(workspace, everybody) | named
        events = [event for event in events if event not in losers]
        winners = {(event.id, event.source) for event in events}
        for loser in losers:
            if (loser.id, loser.source) in winners:  # else it came after what it has lost to, and was never taken
                self._take_back(loser)
        self._take_joint(events)
        bases = {person.key for _, subject in subjects for person in subject.persons}
        stored = await stored_naming(
            self._connection, everybody.values(), self._owners, self._rules, more=bases, until_batch=until_batch
        )
        self._apply_again([one.event for one in self._counting(stored, members, releases)])

    def _take_back(self, event: Event) -> None:
        """Let what an event said count no more, if it holds whatever journey it is about. An erasure stays."""
        workspace, register = self._workspace, self._workspace.register
        order = (event.occurred_at, event.id, event.source)
        if event.type in ABOUT_PLAYBOOK:
            workspace.retract(order)
        elif event.type in RULINGS:
            gone = [ruling for ruling in register.rulings if ruling.order == order]
            register.retract_rulings(gone)
            for key in [key for ruling in gone for key in ruling.keys]:
                workspace.mark_dirty(key_at(key, event.occurred_at, register.releases), afresh=True)
        elif event.type == RELEASE and (subject := subject_of(event, self._rules)) is not None:
            for person in subject.persons:
                register.retract_release(person.key, event.occurred_at)
                workspace.mark_dirty(person.key, afresh=True)

    def _take_joint(self, events: list[Event]) -> None:
        """Take what holds whatever journey it is about; whom it concerns is folded again by the caller."""
        workspace, register = self._workspace, self._workspace.register
        for event in events:
            subject, order = subject_of(event, self._rules), (event.occurred_at, event.id, event.source)
            if event.type in ABOUT_PLAYBOOK:
                workspace.record(playbook_event_of(event))
            elif event.type == ERASURE and not (erasure := erasure_of(event)).nobody:
                register.erase(erasure)
            elif subject is not None and event.type in RULINGS:
                rule(workspace, event.type, subject, order)
            elif subject is not None and event.type == RELEASE:
                for person in subject.persons:
                    if register.release(person.key, event.occurred_at):
                        for key in {person.key, later_key(person.key, event.occurred_at)}:
                            workspace.mark_dirty(key, afresh=True)

    async def _stored(self, journeys: Iterable[Journey]) -> list[ArchivedEvent]:
        return await stored_naming(self._connection, journeys, self._owners, self._rules)

    def _counting(
        self, stored: list[ArchivedEvent], members: set[bytes], releases: dict[bytes, list[int]] | None = None
    ) -> list[ArchivedEvent]:
        """Events that name one of `members`, each as the rule for conflicts has it.

        `releases`: those by which members are named, where they are not those of now.
        """
        if releases is None:
            releases = self._workspace.register.releases
        found: dict[EventKey, ArchivedEvent] = {}
        for one in stored:
            if one.subject is None:
                continue
            if subject_at(one.subject, one.event.occurred_at, releases).persons[0].key not in members:
                continue
            known = found.get(one.key)
            if known is None or precedes(one.archived.value, known.archived.value):
                found[one.key] = one
        return list(found.values())


def _keys_of(event: Event, subject: Subject, releases: dict[bytes, list[int]]) -> set[bytes]:
    """The identifiers that an event names, as they are at its time; for a release, as they were before it, too."""
    times = (event.occurred_at - 1, event.occurred_at) if event.type == RELEASE else (event.occurred_at,)
    return {key_at(person.key, at, releases) for person in subject.persons for at in times}
