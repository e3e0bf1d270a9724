"""Effects: what one transaction writes, and how it is gathered from the workspace after a fold."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from projections.attribution.corrections import credit_of
from projections.identity.register import Entries
from projections.identity.workspace import Consulted, Harvest
from projections.journey.journey import Journey, Stored
from projections.journey.row import JourneyRow, row_of
from store.changes import Change
from store.commit import DeadLetter, EventRow
from store.erasure import Removal
from store.proposals import Swept
from streams.engine.batch import BatchEvent, Packed
from streams.engine.cache import Cache
from streams.engine.feed_changes import changes_of, changes_of_gone
from streams.engine.slices import slices


def _nothing() -> Harvest:
    return Harvest([], [], [], Entries(), Consulted([], []))


@dataclass(slots=True)
class Effects:
    """What one batch does, beside moving offsets."""

    register_version: int  #: before this batch
    applied: list[BatchEvent] = field(default_factory=list)
    superseded: list[EventRow] = field(default_factory=list)
    duplicates: Counter[int] = field(default_factory=Counter)  #: by partition id
    dead_letters: list[DeadLetter] = field(default_factory=list)
    harvest: Harvest = field(default_factory=_nothing)
    rows: list[JourneyRow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    #: what is stored of the events: packing may take until the journeys have been folded
    packing: "asyncio.Task[Packed] | None" = None
    swept: Swept | None = None
    with_handoffs: list[JourneyRow] = field(default_factory=list)
    had_handoffs: list[bytes] = field(default_factory=list)
    removal: Removal | None = None


async def reap(cache: Cache, effects: Effects, *, tells_feed: bool) -> None:
    """Turn what the fold has touched into rows and changes, and evict the journeys that were not used for longest."""
    workspace = cache.workspace
    effects.harvest = harvest = workspace.harvest()
    for some in slices(harvest.touched):
        for journey in some:
            _reap_journey(cache, journey, effects, tells_feed=tells_feed)
        await asyncio.sleep(0)
    for gone in harvest.gone:
        if gone.stored is not None and gone.stored.handoffs != []:
            effects.had_handoffs.append(gone.journey_id)
        if tells_feed:
            effects.changes += changes_of_gone(gone)
    cache.trim(harvest.touched)
    effects.harvest = harvest._replace(touched=[])  # the cache may evict them while the batch is committed


def _reap_journey(cache: Cache, journey: Journey, effects: Effects, *, tells_feed: bool) -> None:
    rules = cache.workspace.rules
    row = row_of(journey, rules)
    effects.rows.append(row)
    credit = credit_of(journey, rules) if tells_feed else {}
    if tells_feed:
        effects.changes += changes_of(journey, row, credit, cache.workspace.journeys)
    before = [] if journey.stored is None else journey.stored.handoffs
    if row.handoffs != before:
        effects.with_handoffs.append(row)
        if before != []:
            effects.had_handoffs.append(journey.journey_id)
    journey.stored = Stored(row.stage, row.audiences, row.handoffs, credit)
    journey.inherited = None
