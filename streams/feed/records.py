"""The feed as Kafka records. Pure.

The journeys' topic is compacted, so that of a round only the last state of each journey matters; of transitions, each
change does.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import msgspec

from projections.playbook.rules import Rules
from projections.playbook.windows import Window
from projections.views.feed import FeedChange, FeedJourney, change_view, feed_journey_view
from schemas.answers import journeys as answers

_encode = msgspec.json.Encoder().encode


class Record(NamedTuple):
    """One record of the feed's topics."""

    journey_id: UUID  #: the key, as text
    value: bytes | None  #: JSON; None: the journey is gone
    seq: int  #: of its change; in a snapshot, of the feed's head


class View(NamedTuple):
    """How journeys are shown to readers of the topics."""

    rules: Rules
    window: Window
    at: int  #: microseconds since 1970 UTC


def records_of_changes(changes: Iterable[FeedChange], view: View) -> tuple[list[Record], list[Record]]:
    """(records of journeys, records of transitions), each in the feed's order."""
    shown: dict[UUID, answers.FeedJourney | None] = {}
    last: dict[UUID, int] = {}
    transitions = []
    for change in changes:
        key = change.journey_id
        if key not in shown:  # all changes of a round were read with the same journey
            shown[key] = None if change.journey is None else _show(change.journey, view)
        last.pop(key, None)  # so journeys are ordered by their last change
        last[key] = change.seq
        if change.stage_from != change.stage_to:
            transitions.append(Record(key, _encode(change_view(change, shown[key], view.rules)), change.seq))
    return [Record(key, _value(shown[key]), seq) for key, seq in last.items()], transitions


def records_of_journeys(journeys: Iterable[FeedJourney], seq: int, view: View) -> list[Record]:
    """The records of one page of a snapshot."""
    return [Record(journey.summary.journey_id, _value(_show(journey, view)), seq) for journey in journeys]


def tombstones(keys: Iterable[UUID], seq: int) -> list[Record]:
    """Records that say that journeys are gone."""
    return [Record(key, None, seq) for key in keys]


def _show(journey: FeedJourney, view: View) -> answers.FeedJourney:
    return view.window.show(feed_journey_view(journey, view.rules, view.at))


def _value(shown: answers.FeedJourney | None) -> bytes | None:
    return None if shown is None else _encode(shown)
