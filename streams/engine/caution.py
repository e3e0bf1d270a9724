"""Caution: after a batch that was void, batches are smaller and all their events are looked up."""

BATCH_RECORDS = 16_384  #: at most, when behind; when not, a batch is what has come meanwhile
SMALLEST_BATCH = 128
_CAREFUL_BATCHES = 1_000  #: after a void batch: it may have held events that were known and not looked up


class Caution:
    """How large batches are, and how much of them is looked up. It outlives the connections of a session."""

    def __init__(self) -> None:
        self.batch_records = BATCH_RECORDS
        self.batches = 0  #: committed since the start
        self._careful_until = 0

    @property
    def careful(self) -> bool:
        """Whether to look up all events, whatever their ids are."""
        return self.batches < self._careful_until

    def failed(self, *, stale: bool) -> None:
        """A batch was void; `stale`: another worker works on the same journeys, and smaller batches meet it less."""
        if stale:
            self.batch_records = max(SMALLEST_BATCH, self.batch_records // 2)
        self._careful_until = self.batches + _CAREFUL_BATCHES

    def committed(self) -> None:
        """A batch was committed."""
        self.batches += 1
        self.batch_records = min(BATCH_RECORDS, self.batch_records + SMALLEST_BATCH)
