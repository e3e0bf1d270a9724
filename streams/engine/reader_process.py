"""The reader process: large batches are read beside the process that folds them.

The first large batch starts it. It answers one request after the other over standard input and output, and ends when
its input does, so it never outlives the worker.
"""

import asyncio
import os
import pickle
import signal
import struct
import sys
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from typing import BinaryIO

import msgspec

from projections.playbook.rules import Rules
from schemas.errors import TandemError
from store.archive import DamagedBlock, LogRecord
from streams.engine.batch import Packed, ReadBatch
from streams.engine.desk import Desk
from streams.engine.gc_tuning import look_seldom

LARGE = 512  #: records; fewer are read at once in the worker itself: asking another process takes longer
_PIPE_BYTES = 1024 * 1024
_length = struct.Struct(">I")


class ReaderGone(TandemError):
    """The reader's process has ended. Nothing to do: the worker starts another and asks again."""


class ReaderFailed(TandemError):
    """The reader met an unexpected error. Report a bug with the traceback in the message."""


class _Read(msgspec.Struct, array_like=True, tag=True):
    batch: int
    departments: dict[int, str]
    records: list[LogRecord]


class _Open(msgspec.Struct, array_like=True, tag=True):
    batch: int
    departments: dict[int, str]
    payloads: list[bytes]


class _Pack(msgspec.Struct, array_like=True, tag=True):
    batch: int
    known: set[int]
    superseding: set[int]
    sources: dict[str, int]


class _Failure(msgspec.Struct, array_like=True, tag=True):
    traceback: str


class _Damage(msgspec.Struct, array_like=True, tag=True):
    message: str


class _Answer(msgspec.Struct, array_like=True, tag=True):
    content: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_request = msgspec.msgpack.Decoder(_Read | _Open | _Pack)
_read_batch = msgspec.msgpack.Decoder(ReadBatch)
_packed = msgspec.msgpack.Decoder(Packed)
_answer: msgspec.msgpack.Decoder[_Answer | _Failure | _Damage] = msgspec.msgpack.Decoder(_Answer | _Failure | _Damage)


class BatchReader:
    """Reads batches in this process or in its own one, and packs each where it was read."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._here = Desk(rules)
        self._away: set[int] = set()
        self._batches = 0
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def read(self, departments: Mapping[int, str], records: list[LogRecord]) -> ReadBatch:
        """Sort out a batch. Raises ReaderGone and ReaderFailed."""
        self._batches += 1
        batch = self._batches
        if len(records) < LARGE:
            return self._here.read(batch, departments, records)
        self._away.add(batch)
        return _read_batch.decode(await self._ask(_Read(batch, dict(departments), records)))

    async def open(self, departments: Mapping[int, str], payloads: list[bytes]) -> ReadBatch:
        """Sort out the events of blocks of the archive. Raises DamagedBlock, ReaderGone and ReaderFailed."""
        self._batches += 1
        return _read_batch.decode(await self._ask(_Open(self._batches, dict(departments), payloads)))

    async def pack(self, batch: int, known: set[int], superseding: set[int], sources: dict[str, int]) -> Packed:
        """See `Desk.pack`. Raises ReaderGone and ReaderFailed."""
        if batch not in self._away:
            return self._here.pack(batch, known, superseding, sources)
        self._away = {other for other in self._away if other > batch}
        return _packed.decode(await self._ask(_Pack(batch, known, superseding, sources)))

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _ask(self, request: _Read | _Open | _Pack) -> msgspec.Raw:
        message = _encode(request)
        async with self._turn:
            process = self._process = self._process or await self._start()
            assert process.stdin is not None, "the process has a pipe"
            assert process.stdout is not None, "the process has a pipe"
            try:
                process.stdin.write(_length.pack(len(message)))
                process.stdin.write(message)
                await process.stdin.drain()
                [size] = _length.unpack(await process.stdout.readexactly(_length.size))
                answer = _answer.decode(await process.stdout.readexactly(size))
            except (OSError, EOFError) as error:
                await self.close()
                raise ReaderGone("the process that reads batches has ended: another one is started") from error
            except asyncio.CancelledError:
                # otherwise its answer would be taken for the answer to the next request
                await self.close()
                raise
        if isinstance(answer, _Failure):
            raise ReaderFailed(answer.traceback)
        if isinstance(answer, _Damage):
            raise DamagedBlock(answer.message)
        return answer.content

    async def _start(self) -> Process:
        code = "from streams.engine.reader_process import serve; serve()"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdin=PIPE, stdout=PIPE, env=environment, limit=_PIPE_BYTES
        )
        rules = pickle.dumps(self._rules)
        assert process.stdin is not None, "the process has a pipe"
        process.stdin.write(_length.pack(len(rules)) + rules)
        return process


def serve() -> None:
    """Answer requests until the input ends. What else is printed goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the worker, too, which ends this process
    source, target = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    rules = _receive(source)
    if rules is None:
        return
    desk = Desk(pickle.loads(rules))  # noqa: S301 (from the worker that started this process)
    look_seldom()
    while (message := _receive(source)) is not None:
        answer = _encode(_reply(desk, message))
        target.write(_length.pack(len(answer)))
        target.write(answer)
        target.flush()


def _reply(desk: Desk, message: bytes) -> _Answer | _Failure | _Damage:
    try:
        request = _request.decode(message)
        if isinstance(request, _Read):
            result: ReadBatch | Packed = desk.read(request.batch, request.departments, request.records)
        elif isinstance(request, _Open):
            result = desk.open(request.batch, request.departments, request.payloads)
        else:
            result = desk.pack(request.batch, request.known, request.superseding, request.sources)
        return _Answer(msgspec.Raw(_encode(result)))
    except DamagedBlock as error:
        return _Damage(str(error))
    except Exception:
        return _Failure(traceback.format_exc())


def _receive(source: BinaryIO) -> bytes | None:
    """One message; None at the end of the input."""
    head = source.read(_length.size)
    if len(head) < _length.size:
        return None
    [size] = _length.unpack(head)
    message = source.read(size)
    return message if len(message) == size else None
