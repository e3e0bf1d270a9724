"""The lifecycle of a journey: stages, score and value, stepped through its moments in law 2's order.

A new moment that comes last steps the lifecycle on. Late moments only mark the journey as unsettled: `settle` then
steps through all moments again, once for however many came. Both ways give the same bytes:
tests/laws/test_convergence.py proves it.
"""

from operator import attrgetter

from projections.journey.handoff_steps import enter, expire, next_expiry, take
from projections.journey.journey import Journey, earliest, share
from projections.journey.life import Entry, Lifecycle, copy_of
from projections.journey.moments import Moment, absorb
from projections.milestones import MILESTONES
from projections.playbook.rules import Rules, SilenceRule, Terms
from schemas.times import DAY, NEVER

#: law 2's order
_order = attrgetter("at", "id", "source")


def add_moment(journey: Journey, moment: Moment, rules: Rules) -> None:
    """Add one event's moment: in O(1) where it comes last, else `settle` must follow."""
    journey.events += 1
    journey.last_seen = max(journey.last_seen, moment.at)
    if journey.past is not None and moment.group_since <= journey.past.until:
        journey.recollect(journey.past)  # its group may be among the stored moments
    group = moment.group
    if group is not None:
        known = journey.groups.get(group)
        if known is not None:
            _repeat(journey, known, moment, rules)
            return
        share(moment, journey.identifiers)
        journey.groups[moment.group or group] = moment  # the group again, made of the shared values
    journey.recent.append(moment)
    if journey.settled and journey.life is not None and _is_newest(journey):
        _step_on(journey, journey.life, moment, rules)
    else:
        journey.settled = False


def settle(journey: Journey, rules: Rules) -> None:
    """Derive the lifecycle again, if moments came late."""
    if not journey.settled:
        derive(journey, rules)


def derive(journey: Journey, rules: Rules) -> None:
    """Sort the moments and step through all of them again, or through those after the stored ones.

    A journey without moments begins where it was first named.
    """
    journey.recent.sort(key=_order)
    past, moments, life = journey.past, journey.recent, None
    if past is not None and moments and moments[0].at // DAY > past.until // DAY:
        life = past.decode_life()
    if life is None:
        moments = journey.moments
        first = moments[0].order if moments else earliest(journey.identifiers.values()).order
        life = begin(rules, *first)
    journey.life, journey.day, journey.scored = life, -1, set()
    for moment in moments:
        _step_on(journey, life, moment, rules)
    journey.settled = True


def _step_on(journey: Journey, life: Lifecycle, moment: Moment, rules: Rules) -> None:
    """Step the lifecycle on. What repeats scores once a day, whichever identifiers it names."""
    terms = rules.at(moment.at)
    scores = moment.type in terms.points
    if scores and moment.type not in MILESTONES:
        day = moment.at // DAY
        if journey.day is None:
            _recall_scored(journey, day, rules)
        elif journey.day != day:
            journey.day, journey.scored = day, set()
        what = (moment.type, moment.channel, moment.campaign)
        scores = what not in journey.scored
        journey.scored.add(what)
    step(life, moment, rules, terms, scores)


def _recall_scored(journey: Journey, day: int, rules: Rules) -> None:
    """Work out what has scored on a day, in a journey that is settled but for its last moment."""
    journey.day, journey.scored = day, set()
    whole = journey.past is not None and journey.past.until // DAY >= day
    for moment in reversed((journey.moments if whole else journey.recent)[:-1]):
        if moment.at // DAY != day:
            return
        if moment.type in rules.at(moment.at).points and moment.type not in MILESTONES:
            journey.scored.add((moment.type, moment.channel, moment.campaign))


def _is_newest(journey: Journey) -> bool:
    """Whether the last moment of the list is the last by law 2's order."""
    if len(journey.recent) < 2:
        return journey.past is not None  # then it comes after all stored moments
    before, last = journey.recent[-2], journey.recent[-1]
    return before.at < last.at or (before.at == last.at and before.order < last.order)


def _repeat(journey: Journey, known: Moment, moment: Moment, rules: Rules) -> None:
    """Add another event of a group that the journey has already."""
    if (moment.at <= known.at and moment.order < known.order) or moment.quantity is not None:
        journey.settled = False
    elif moment.at > known.last and known.type in rules.shortest_silence:
        # a later moment may have been judged under the shorter silence
        journey.settled &= journey.recent[-1].at < known.last + rules.shortest_silence[known.type]
        if journey.settled and journey.life is not None:
            hear(journey.life, moment)
    absorb(known, moment)


def begin(rules: Rules, at: int, id_: bytes, source: str) -> Lifecycle:
    """The lifecycle of a journey whose first event is (at, id, source): in the playbook's first stage."""
    reached: list[int | None] = [None] * len(rules.names)
    reached[0] = at
    return Lifecycle(0, [Entry(0, at, id_, source)], reached, value={}, heard={}, handoffs=[], ignored=[])


def step(life: Lifecycle, moment: Moment, rules: Rules, terms: Terms, scores: bool) -> None:
    """Take the next moment in order. The journey may pass several stages at once.

    `terms`: those in force at the moment. `scores`: whether the moment scores.
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
    """Note an event of a type that has a rule about silence."""
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
            # a threshold since lowered below the score is met by the next event that scores
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
    """Let time pass up to and including `until`: silence leads to stages, offers expire."""
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
    """(time, stage) of the next move by silence up to `until`; None where there is none.

    Silence counts from the last event of the type, or from the last stage that an event led to, if that came later:
    who was won back today is not at risk today. Each time is judged by the terms in force then: where new terms allow
    less silence than there has been, the move happens when they come into force.
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
    """[(time, stage)]: all moves that silence alone will make, in order."""
    if not life.heard:
        return []
    return [(entry.at, entry.stage) for entry in ahead(life, rules).history[len(life.history) :]]


def ahead(life: Lifecycle, rules: Rules) -> Lifecycle:
    """The lifecycle after all that time alone will bring."""
    future = copy_of(life)
    advance(future, NEVER, rules)
    return future
