"""Positions: how far each leased partition was read, and the proof that its log is still the same log."""

from dataclasses import dataclass
from hashlib import blake2b

from aiokafka import ConsumerRecord

from schemas.errors import TandemError
from store.commit import Hole
from store.leases import Lease


class LogRecreated(TandemError):
    """The topic is not the one that was read before: it, or its cluster, was deleted and created again.

    Bring the old topic back.
    """


class LogTruncated(TandemError):
    """Kafka has dropped records that were not applied yet. Restore them, or send them again with the same ids."""


def witness_of(record: ConsumerRecord) -> int:
    """A signed 64-bit digest of a record: with it a later reader recognises the log."""
    content = b"%d %d %s" % (record.offset, record.timestamp, record.value or b"")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)


@dataclass(slots=True)
class Position:
    """One leased partition. `next_offset` is ahead of the fence by what is being committed."""

    lease: Lease
    next_offset: int
    #: whether the record before `next_offset` was recognised as the one that was read
    proven: bool

    @classmethod
    def of(cls, lease: Lease) -> "Position":
        """Where a lease begins to read."""
        return cls(lease, lease.next_offset, proven=lease.witness is None)

    def seek_offset(self) -> int:
        """Where to seek: one before the next record, if that one is still to be recognised."""
        return self.next_offset if self.proven else self.next_offset - 1

    def check_range(self, beginning: int, end: int) -> None:
        """Compare with what the broker has. Raises LogTruncated or LogRecreated."""
        place = f"{self.lease.topic}[{self.lease.partition}]"
        if end < self.next_offset:
            raise LogRecreated(
                f"{place} ends at {end}, but offset {self.next_offset} was reached before: the topic was deleted and "
                "created again. Restore the topic, or start with a new database"
            )
        if beginning > self.next_offset:
            raise LogTruncated(
                f"{place} begins at {beginning}, but {self.next_offset} is the next to read: Kafka's retention has "
                f"dropped {beginning - self.next_offset} records. Restore them, or accept the loss by moving "
                "next_offset by hand and recording a hole"
            )
        if beginning == self.next_offset:
            self.proven = True  # no record is left to recognise the log by

    def accept(self, record: ConsumerRecord, holes: list[Hole]) -> bool:
        """Whether a record is the next one. Notes a hole where offsets are missing. Raises LogRecreated."""
        if record.offset < self.next_offset:
            if not self.proven and record.offset == self.next_offset - 1:
                self._recognise(record)
            return False
        self.proven = True
        if record.offset > self.next_offset:
            holes.append(Hole(self.lease.partition_id, self.next_offset, record.offset))
        self.next_offset = record.offset + 1
        return True

    def _recognise(self, record: ConsumerRecord) -> None:
        if witness_of(record) != self.lease.witness:
            raise LogRecreated(
                f"{self.lease.topic}[{self.lease.partition}] holds another record at offset {record.offset} than the "
                "one that was applied: the topic was deleted and created again. Restore the topic, or start with a "
                "new database"
            )
        self.proven = True
