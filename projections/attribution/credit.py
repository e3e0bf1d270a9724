"""Credit: how a booking is shared out among the touchpoints before it."""

from collections.abc import Callable, Sequence

from projections.attribution.paths import Path
from projections.playbook.model import AttributionRules
from schemas.times import DAY

_UNIT = 2**52  #: scale of fractional weights


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Whole minor units in proportion to the weights, which add up to the amount: the largest remainder method.

    Each part is rounded down; the remaining units go to the parts that lost most, of equal ones to the first. The
    weights must add up to more than 0.
    """
    total = sum(weights)
    parts, lost = [], []
    for weight in weights:
        part, remainder = divmod(amount * weight, total)
        parts.append(part)
        lost.append(remainder)
    left = amount - sum(parts)
    for place in sorted(range(len(parts)), key=lambda place: -lost[place])[:left]:
        parts[place] += 1
    return parts


def _first(path: Path, _: AttributionRules) -> list[int]:
    return [1, *[0] * (len(path.touchpoints) - 1)]


def _last(path: Path, _: AttributionRules) -> list[int]:
    return [*[0] * (len(path.touchpoints) - 1), 1]


def _linear(path: Path, _: AttributionRules) -> list[int]:
    return [1] * len(path.touchpoints)


def _u_shaped(path: Path, rules: AttributionRules) -> list[int]:
    shares = rules.u_shaped
    last = len(path.touchpoints) - 1
    return _peaks(path, [(0, shares.first), (last, shares.last)], shares.others)


def _w_shaped(path: Path, rules: AttributionRules) -> list[int]:
    shares = rules.w_shaped
    peaks = [(0, shares.first), (path.known, shares.known), (path.opened, shares.opportunity)]
    return _peaks(path, peaks, shares.others)


def _peaks(path: Path, peaks: list[tuple[int | None, int]], others: int) -> list[int]:
    """Shares of single touchpoints, and one that all others share; a peak that is missing gets none."""
    taken = {place for place, _ in peaks}
    rest = [place for place in range(len(path.touchpoints)) if place not in taken]
    weights = [0] * len(path.touchpoints)
    for place, share in peaks:
        if place is not None:
            weights[place] += share * max(1, len(rest))
    for place in rest:
        weights[place] = others
    return weights


def _time_decay(path: Path, rules: AttributionRules) -> list[int]:
    """The weight halves with each half-life before the last touchpoint.

    Counted from the booking, the proportions would be the same.
    """
    newest, half_life = path.touchpoints[-1].at, rules.half_life_days * DAY
    return [int(_UNIT * 2.0 ** ((touchpoint.at - newest) / half_life)) for touchpoint in path.touchpoints]


#: By model: the weights of a path's touchpoints (at least one), which add up to more than 0.
WEIGHTS: dict[str, Callable[[Path, AttributionRules], list[int]]] = {
    "first": _first,
    "last": _last,
    "linear": _linear,
    "u-shaped": _u_shaped,
    "w-shaped": _w_shaped,
    "time-decay": _time_decay,
}
