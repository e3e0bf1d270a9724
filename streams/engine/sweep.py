"""Sweep: stored journeys follow a change of terms, some at a time."""

from store.proposals import Swept, next_to_sweep, told_by_time
from streams.engine.cache import Cache
from streams.engine.effects import Effects, reap
from streams.engine.feed_changes import changes_of_sweep


def is_sweeping(cache: Cache) -> bool:
    """Whether stored journeys must be derived again, because other terms were agreed."""
    return cache.workspace.register.swept_until is not None


async def sweep(cache: Cache, limit: int) -> Effects:
    """Derive the next stored journeys again, `limit` at most. The feed is told only of what that changes."""
    workspace, effects = cache.workspace, Effects(cache.register_version)
    before = workspace.register.swept_until
    assert before is not None, "a sweep is under way"
    ids = await next_to_sweep(cache.connection, before, limit)
    await cache.load_keys(ids)
    for journey_id in ids:
        journey = workspace.journeys.get(journey_id)
        if journey is not None:
            journey.unsettle()
            workspace.touch(journey)
    told = await told_by_time(cache.connection, ids)
    await reap(cache, effects, tells_feed=True)
    effects.changes = changes_of_sweep(effects.changes, told)
    until = ids[-1] if len(ids) == limit else None
    effects.swept, workspace.register.swept_until = Swept(before, until), until
    return effects
