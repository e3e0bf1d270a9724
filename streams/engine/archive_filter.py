"""Archive filter: whether archived bytes may name a person, at a tenth of the cost of decoding them.

A block of the archive has a few events of the wanted person among hundreds of others.
"""

import re
from collections.abc import Callable, Iterable

from projections.journey.links import Known

#: Numbers have many spellings in JSON, and telephone numbers everywhere.
_NUMBER = re.compile(r"[-+0-9.]*[.e][-+0-9.einf]*|nan|inf", re.IGNORECASE)


def may_name(people: Iterable[Known]) -> Callable[[bytes], bool]:
    """Whether an event's bytes may name one of these identifiers. True for some that do not, False for none that do.

    An identifier stands in the bytes as it is but for capitals, unless something in it or in them is escaped, not
    ASCII, or one of many spellings (projections/identifiers.py has the normal forms).
    """
    people = list(people)
    values = sorted({known.value.lower() for known in people})
    if any(known.type == "phone" or not known.value.isascii() for known in people):
        return lambda _: True
    if any(_NUMBER.fullmatch(value) for value in values):
        return lambda _: True
    wanted = [value.encode() for value in values]

    def look(text: bytes) -> bool:
        if b"\\" in text or not text.isascii():
            return True
        lower = text.lower()
        return any(value in lower for value in wanted)

    return look
