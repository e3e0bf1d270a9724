"""The feed as Kafka records: pure.

The journeys' topic is compacted, so that of a round only the last state of each journey matters; of transitions, each
change does.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import msgspec

from projections.playbook.model import Rules
from projections.playbook.windows import Window
from projections.views.feed import FeedChange, FeedJourney, change_view, feed_journey_view
from schemas.answers import journeys as answers

_encode = msgspec.json.Encoder().encode


class Record(NamedTuple):
    """One record of the feed's topics."""

    journey_id: UUID  #: the key, as text
    value: bytes | None  #: JSON; None where the journey is no more
    seq: int  #: of the change that it tells of; of the head where a snapshot tells it


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
        last.pop(key, None)  # keeps the order that of the last changes
        last[key] = change.seq
        if change.stage_from != change.stage_to:
            transitions.append(Record(key, _encode(change_view(change, shown[key], view.rules)), change.seq))
    return [Record(key, _value(shown[key]), seq) for key, seq in last.items()], transitions


def records_of_journeys(journeys: Iterable[FeedJourney], seq: int, view: View) -> list[Record]:
    """Records of a snapshot's page."""
    return [Record(journey.summary.journey_id, _value(_show(journey, view)), seq) for journey in journeys]


def tombstones(keys: Iterable[UUID], seq: int) -> list[Record]:
    """Records that say that journeys are no more."""
    return [Record(key, None, seq) for key in keys]


def _show(journey: FeedJourney, view: View) -> answers.FeedJourney:
    return view.window.show(feed_journey_view(journey, view.rules, view.at))


def _value(shown: answers.FeedJourney | None) -> bytes | None:
    return None if shown is None else _encode(shown)
