"""The digest of a projection: one number for all journeys, in whatever order they are read.

The sum modulo 2^256 of SHA-256(journey id, length of the state, state) over all journeys. Equal projections have equal
digests. The digest finds divergence; it proves nothing against somebody who can choose states.
"""

from collections.abc import Iterable
from hashlib import sha256

_MODULUS = 1 << 256


class Digest:
    """A running digest. `add` takes journeys in any order."""

    def __init__(self) -> None:
        self.journeys = 0
        self._sum = 0

    def add(self, journey_id: bytes, state: bytes) -> None:
        """Add one journey."""
        self.journeys += 1
        hashed = sha256(journey_id + len(state).to_bytes(8, "big") + state).digest()
        self._sum = (self._sum + int.from_bytes(hashed, "big")) % _MODULUS

    def hex(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum:064x}"


def digest_of(states: Iterable[tuple[bytes, bytes]]) -> str:
    """The digest of (journey id, state) pairs as 64 hexadecimal digits."""
    digest = Digest()
    for journey_id, state in states:
        digest.add(journey_id, state)
    return digest.hex()
