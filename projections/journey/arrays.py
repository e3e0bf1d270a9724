"""MessagePack arrays, put together without decoding them.

The form is that of the MessagePack specification: 1001XXXX, or 0xdc and two bytes, or 0xdd and four bytes, whichever
is the shortest for the number of elements; then the elements.
"""

import msgspec

_SHORT, _LONG, _LONGER = 0x90, 0xDC, 0xDD


def joined(one: msgspec.Raw, other: bytes) -> msgspec.Raw:
    """The elements of both arrays as one array: the bytes that encoding them together would give."""
    (number, elements), (more, others) = _opened(memoryview(one)), _opened(memoryview(other))
    return msgspec.Raw(b"".join((_head(number + more), elements, others)))


def is_empty(array: msgspec.Raw) -> bool:
    """Whether an array has no elements."""
    return memoryview(array)[0] == _SHORT


def _opened(array: memoryview) -> tuple[int, memoryview]:
    """(number of elements, their bytes)."""
    first = array[0]
    if first == _LONG:
        return int.from_bytes(array[1:3], "big"), array[3:]
    if first == _LONGER:
        return int.from_bytes(array[1:5], "big"), array[5:]
    return first - _SHORT, array[1:]


def _head(number: int) -> bytes:
    if number < 1 << 4:
        return bytes((_SHORT | number,))
    if number < 1 << 16:
        return bytes((_LONG,)) + number.to_bytes(2, "big")
    return bytes((_LONGER,)) + number.to_bytes(4, "big")
