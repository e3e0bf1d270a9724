"""What if: journeys under a playbook that is not agreed, beside the same journeys under those that are.

Nothing is stored. Where the candidate holds from a time on that lies behind a journey's last event, only time can tell
the two apart; else the journey is derived again from its own moments.
"""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import msgspec
from msgspec import UNSET

from projections.attribution.report import Attribution
from projections.journey.handoffs import Handoff, breaches_at
from projections.journey.journey import Journey
from projections.journey.lifecycle import Lifecycle, advance, copy_of
from projections.journey.moments import Moment
from projections.playbook.model import Playbook, Rules, shortest_silences
from projections.playbook.terms import compile_terms
from projections.text import time_text
from schemas.answers import what_if as answers

_EXAMPLES = 5  #: journeys that are named for each kind of difference


class _State(msgspec.Struct, array_like=True):
    """A stored state; its parts are decoded as they are needed."""

    format: int
    identifiers: msgspec.Raw
    links: msgspec.Raw
    moments: msgspec.Raw
    facts: msgspec.Raw
    life: Lifecycle


_state = msgspec.msgpack.Decoder(_State)
_moments = msgspec.msgpack.Decoder(list[Moment])


def rules_with(rules: Rules, candidate: Playbook, since: int, now: int) -> Rules:
    """The rules if the candidate held from `since` on, in place of all that is agreed by `now`.

    What is agreed to follow later than both still follows. Times are microseconds since 1970 UTC.
    """
    names = tuple(dict.fromkeys((*rules.names, *(stage.name for stage in candidate.stages))))
    kept = [one for one in rules.terms if one.since < since or one.since > max(since, now)]
    agreed = [compile_terms(one.playbook, names, one.since, one.proposal, one.digest) for one in kept]
    terms = tuple(sorted([*agreed, compile_terms(candidate, names, since)], key=lambda one: one.since))
    return replace(rules, names=names, terms=terms, shortest_silence=shortest_silences(terms))


class WhatIf:
    """Adds up journeys, one after the other, under both, as of the time `at`, microseconds since 1970 UTC."""

    def __init__(self, rules: Rules, then: Rules, since: int, at: int) -> None:
        self._rules, self._then, self._since, self._at = rules, then, since, at
        self._journeys = 0
        self._moves: Counter[tuple[int, int]] = Counter()
        self._examples: dict[tuple[int, int], list[str]] = {}
        #: (kind, offered or which deadline was missed, appear or vanish)
        self._handoff_moves: Counter[tuple[str, str, str]] = Counter()
        self._sides = (_Side(rules, at), _Side(then, at))
        settings = rules.at(at).attribution, then.at(at).attribution
        moves = settings[0] != settings[1]
        self._credit = [Attribution(one, one.model, "channel") for one in settings] if moves else []

    def add(self, journey_id: UUID, last_seen: int, state: bytes) -> None:
        """Take one stored journey; `last_seen` is the time of its last event."""
        stored = _state.decode(state)
        moments: list[Moment] | None = None
        now = copy_of(stored.life, len(self._rules.names))
        if last_seen < self._since:
            then = copy_of(stored.life, len(self._then.names))
        else:
            moments = _moments.decode(stored.moments)
            then = _derived(stored.life, moments, self._then)
        advance(now, self._at, self._rules)
        advance(then, self._at, self._then)
        self._journeys += 1
        for side, life in zip(self._sides, (now, then), strict=True):
            side.add(life)
        if now.stage != then.stage:
            move = (now.stage, then.stage)
            self._moves[move] += 1
            examples = self._examples.setdefault(move, [])
            if len(examples) < _EXAMPLES:
                examples.append(str(journey_id))
        self._handoffs(now.handoffs, then.handoffs)
        for credit in self._credit:
            moments = _moments.decode(stored.moments) if moments is None else moments
            credit.add(moments)

    def _handoffs(self, now: list[Handoff], then: list[Handoff]) -> None:
        """Count hand-offs, and deadlines missed, that there are under one of both only."""
        if now == then:
            return
        sides = [
            {(one.kind, one.id, what) for one in found for what in ("offered", *breaches_at(one, self._at))}
            for found in (now, then)
        ]
        for sign, found in (("vanish", sides[0] - sides[1]), ("appear", sides[1] - sides[0])):
            self._handoff_moves.update((kind, what, sign) for kind, _, what in found)

    def view(self) -> answers.WhatIf:
        """The answer."""
        names, moves = self._then.names, sorted(self._moves.items(), key=lambda found: (-found[1], found[0]))
        return answers.WhatIf(
            since=time_text(self._since),
            at=time_text(self._at),
            journeys=self._journeys,
            changed=sum(self._moves.values()),
            moves=[
                answers.StageMove(
                    stage_from=names[before],
                    stage_to=names[after],
                    journeys=count,
                    examples=self._examples[before, after],
                )
                for (before, after), count in moves
            ],
            handoffs=[
                answers.HandoffMove(
                    kind=kind,
                    what=what,
                    appear=self._handoff_moves[kind, what, "appear"],
                    vanish=self._handoff_moves[kind, what, "vanish"],
                )
                for kind, what in sorted({(kind, what) for kind, what, _ in self._handoff_moves})
            ],
            funnel=answers.FunnelMove(now=self._sides[0].view(), then=self._sides[1].view()),
            credit=_credit_view(*self._credit) if self._credit else None,
        )


class _Side:
    """Counts under one set of rules."""

    def __init__(self, rules: Rules, at: int) -> None:
        self._names, self._line = rules.names, rules.at(at).main_line
        self._place = {stage: n for n, stage in enumerate(self._line)}
        self._stages: Counter[int] = Counter()
        self._furthest: Counter[int] = Counter()

    def add(self, life: Lifecycle) -> None:
        self._stages[life.stage] += 1
        place = len(self._line) - 1
        while place >= 0 and life.reached[self._line[place]] is None:
            place -= 1
        self._furthest[place] += 1

    def view(self) -> answers.StageCounts:
        """Stages of the main line with how many reached them, or a later one, and are in them; the others beside."""
        return answers.StageCounts(
            stages=[
                answers.StageCount(
                    stage=self._names[stage],
                    reached=sum(count for furthest, count in self._furthest.items() if furthest >= place),
                    now=self._stages[stage],
                )
                for stage, place in self._place.items()
            ],
            beside={
                self._names[stage]: self._stages[stage] for stage in range(len(self._names)) if stage not in self._place
            },
        )


def _derived(life: Lifecycle, moments: list[Moment], rules: Rules) -> Lifecycle:
    """The lifecycle that moments make under other rules; of a journey without moments, the same."""
    if not moments:
        return copy_of(life, len(rules.names))
    journey = Journey(b"")
    journey.moments = moments
    journey.derive(rules)
    assert journey.life is not None, "it was derived"
    return journey.life


def _credit_view(now: Attribution, then: Attribution) -> answers.CreditMove:
    """Credit by channel under both settings."""
    sides = now.view(), then.view()
    channels: dict[str | None, list[dict[str, int]]] = {}
    for n, side in enumerate(sides):
        for group in side.groups:
            assert group.channel is not UNSET, "credit is given by channel"
            channels.setdefault(group.channel, [{}, {}])[n] = group.credit
    return answers.CreditMove(
        model=answers.ModelMove(now=sides[0].model, then=sides[1].model),
        channels=[
            answers.ChannelMove(channel=name, now=credit[0], then=credit[1])
            for name, credit in sorted(channels.items(), key=lambda found: (found[0] is None, found[0] or ""))
        ],
    )
