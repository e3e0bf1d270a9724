"""The lifecycle: stages, score and value, stepped through moments in law 2's order."""

from functools import cached_property

import msgspec

from projections.journey.handoffs import Handoff, Ignored, enter, expire, next_expiry, take
from projections.journey.moments import Moment
from projections.milestones import MILESTONES
from projections.playbook.model import Rules
from projections.playbook.terms import SilenceRule, Terms

_NEVER = 2**62  #: after all times


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One stage entered. `id` and `source` name the event behind it; both are None where silence was the cause."""

    stage: int
    at: int
    id: bytes | None
    source: str | None


class Lifecycle(msgspec.Struct, array_like=True, dict=True):
    """What stepping through a journey's moments has come to. Times are microseconds since 1970 UTC."""

    stage: int
    history: list[Entry]
    #: per stage: when its criterion was first met, also if the journey was further already
    reached: list[int | None]
    score: int = 0
    #: booked value in minor units by currency
    value: dict[str, int] = {}
    #: last event of each type whose silence means something
    heard: dict[str, int] = {}
    #: channel and campaign of the first touchpoint
    touched: bool = False
    channel: str | None = None
    campaign: str | None = None
    #: in the order in which they were offered
    handoffs: list[Handoff] = []
    #: decisions about hand-offs that do not count, in order of time
    ignored: list[Ignored] = []
    #: quantity of the last usage that was reported
    usage: int | None = None

    @cached_property
    def open_handoffs(self) -> dict[str, int]:
        """The place of each kind's open hand-off: there is one at most. Not stored; whoever changes one keeps it."""
        return {one.kind: n for n, one in enumerate(self.handoffs) if one.open}


def copy_of(life: Lifecycle, stages: int = 0) -> Lifecycle:
    """A copy that may be changed, with room for so many stages."""
    reached = life.reached + [None] * (stages - len(life.reached))
    return msgspec.structs.replace(
        life, history=list(life.history), reached=reached, handoffs=list(life.handoffs), ignored=list(life.ignored)
    )


def begin(rules: Rules, at: int, id_: bytes, source: str) -> Lifecycle:
    """The lifecycle of a journey whose first event is (at, id, source): in the playbook's first stage."""
    reached: list[int | None] = [None] * len(rules.names)
    reached[0] = at
    return Lifecycle(0, [Entry(0, at, id_, source)], reached, value={}, heard={}, handoffs=[], ignored=[])


def step(life: Lifecycle, moment: Moment, rules: Rules, terms: Terms, scores: bool) -> None:
    """Take the next moment in order; `scores` says whether it does. The journey may pass several stages at once.

    `terms`: those of the rules that hold at the moment.
    """
    if life.heard or life.handoffs:
        advance(life, moment.at, rules)
    seen = len(life.history)
    before = life.score
    if scores:
        life.score = before + terms.points[moment.type]
    if moment.channel is not None and not life.touched:
        life.touched, life.channel, life.campaign = True, moment.channel, moment.campaign
    if moment.type in rules.shortest_silence:
        hear(life, moment)
    if moment.amount is not None and moment.currency is not None and moment.type == "opportunity_won":
        life.value[moment.currency] = life.value.get(moment.currency, 0) + moment.amount
    for stage in _met(life, moment, before, terms):
        _meet(life, stage, moment, terms)
    if moment.type in terms.returns:
        _return(life, moment, terms)
    if terms.handoffs is not None and (len(life.history) > seen or moment.type in MILESTONES):
        take(life, moment, life.history[seen:], terms.handoffs)


def hear(life: Lifecycle, moment: Moment) -> None:
    """Note that a type whose silence means something was heard."""
    life.heard[moment.type] = max(life.heard.get(moment.type, moment.last), moment.last)


def _met(life: Lifecycle, moment: Moment, before: int, terms: Terms) -> tuple[int, ...]:
    """The stages whose criterion this moment meets, in the playbook's order."""
    met = terms.by_event.get(moment.type, ())
    if moment.named:
        for stage in terms.identified:
            if life.reached[stage] is None:
                met = (*met, stage)
    if life.score > before:
        for limit, stage in terms.by_score:
            # a threshold that was lowered below the score since is met by the next event that scores
            if limit <= life.score and (before < limit or life.reached[stage] is None):
                met = (*met, stage)
    if moment.quantity is not None:
        if life.usage is not None:
            met += tuple(stage for percent, stage in terms.by_usage if moment.quantity * 100 < percent * life.usage)
        life.usage = moment.quantity
    if moment.satisfaction is not None:
        met += tuple(stage for limit, stage in terms.by_satisfaction if moment.satisfaction <= limit)
    return met if len(met) < 2 else tuple(sorted(set(met), key=terms.place.__getitem__))


def _meet(life: Lifecycle, stage: int, moment: Moment, terms: Terms) -> None:
    entered = life.stage in terms.enter_from[stage]
    if life.reached[stage] is None and (entered or 0 in terms.enter_from[stage]):
        life.reached[stage] = moment.at
    if entered:
        life.stage = stage
        life.history.append(Entry(stage, moment.at, moment.id, moment.source))


def _return(life: Lifecycle, moment: Moment, terms: Terms) -> None:
    for sources, target in terms.returns[moment.type]:
        if life.stage in sources:
            life.stage = target
            life.history.append(Entry(target, moment.at, moment.id, moment.source))
            return


def advance(life: Lifecycle, until: int, rules: Rules) -> None:
    """Let time do what it does up to and including `until`: silence leads to stages, offers expire."""
    while True:
        silence = _next_silence(life, until, rules) if life.heard else None
        expiry = next_expiry(life) if life.handoffs else None
        if expiry is not None and expiry[0] <= (until if silence is None else silence[0]):
            expire(life, expiry[1], expiry[0])
        elif silence is not None:
            _fall(life, *silence, rules)
        else:
            return


def _fall(life: Lifecycle, at: int, stage: int, rules: Rules) -> None:
    life.stage = stage
    if life.reached[stage] is None:
        life.reached[stage] = at
    entry = Entry(stage, at, None, None)
    life.history.append(entry)
    terms = rules.at(at).handoffs
    if terms is not None:
        enter(life, entry, terms)


def _next_silence(life: Lifecycle, until: int, rules: Rules) -> tuple[int, int] | None:
    """(time, stage) of the next move by silence up to `until`, if nothing else happens.

    Silence counts from the last time the type was heard, or from the last stage that an event led to, if that came
    later: who was won back today is not at risk today. Each time is judged by the terms that hold then: where new
    terms allow less silence than there has been, the move comes when they come into force.
    """
    entered = life.history[-1].at
    led = next(entry.at for entry in reversed(life.history) if entry.id is not None)
    for n, terms in enumerate(rules.terms):
        end = rules.terms[n + 1].since if n + 1 < len(rules.terms) else until + 1
        if end <= entered:
            continue
        due = [
            (max(heard + rule.after, entered, terms.since), rule.stage)
            for rule in terms.silences
            if life.stage in rule.sources and (heard := _silent_since(life, rule, led)) is not None
        ]
        first = min(due, default=None)
        if first is not None and first[0] < end:
            return first if first[0] <= until else None
        if end > until:
            return None
    return None


def _silent_since(life: Lifecycle, rule: SilenceRule, led: int) -> int | None:
    heard = life.heard.get(rule.of)
    return None if heard is None else max(heard, led)


def due_times(life: Lifecycle, rules: Rules) -> list[tuple[int, int]]:
    """[(time, stage)]: all moves that silence alone would make from here on, in order."""
    if not life.heard:
        return []
    return [(entry.at, entry.stage) for entry in ahead(life, rules).history[len(life.history) :]]


def ahead(life: Lifecycle, rules: Rules) -> Lifecycle:
    """The lifecycle once time has done all that it will, if nothing else happens."""
    future = copy_of(life)
    advance(future, _NEVER, rules)
    return future
