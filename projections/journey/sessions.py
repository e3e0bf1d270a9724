"""Sessions on a device: activity without a long pause."""

from collections.abc import Iterable

#: A pause longer than this ends a session; microseconds.
SESSION_GAP = 30 * 60 * 1_000_000


def sessions_of(spans: Iterable[tuple[int, int, bytes | None]]) -> list[tuple[int, int, list[bytes]]]:
    """(start, end, persons named) of each session among spans of activity (start, end, person)."""
    sessions: list[tuple[int, int, set[bytes]]] = []
    for start, end, person in sorted(spans, key=lambda span: span[:2]):
        if sessions and start - sessions[-1][1] <= SESSION_GAP:
            first, last, persons = sessions[-1]
            sessions[-1] = (first, max(last, end), persons)
        else:
            sessions.append((start, end, set()))
        if person is not None:
            sessions[-1][2].add(person)
    return [(start, end, sorted(persons)) for start, end, persons in sessions]
