"""Event ids."""

import os
import threading
import time
from collections.abc import Callable
from uuid import NAMESPACE_URL, UUID, uuid5

NAMESPACE = uuid5(NAMESPACE_URL, "https://tandem.dev/events")


def event_id(source: str, own_id: str) -> UUID:
    """The id of the event that `source` knows as `own_id`: the same for ever, so that sending twice changes nothing."""
    return uuid5(NAMESPACE, f"{source}\n{own_id}")


def uuid7_source(
    clock: Callable[[], int] = time.time_ns, randomness: Callable[[int], bytes] = os.urandom
) -> Callable[[], UUID]:
    """A maker of UUIDs of version 7 (RFC 9562, 5.7) that only grow, also within a millisecond and from many threads.

    `clock` gives nanoseconds since 1970 UTC; `randomness(n)` gives n random bytes.
    """
    lock = threading.Lock()
    last = 0

    def make() -> UUID:
        nonlocal last
        with lock:
            # 48 bits of milliseconds and 12 bits of its fraction, never at or below the last one
            nanos = clock()
            stamp = (nanos // 1_000_000 << 12) | (nanos % 1_000_000 * 4096 // 1_000_000)
            last = stamp = max(stamp, last + 1)
        tail = int.from_bytes(randomness(8), "big") & (1 << 62) - 1
        return UUID(int=(stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | tail)

    return make
