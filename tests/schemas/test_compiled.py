"""The compiled contracts take and refuse what the models do, and read the same values."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.catalogue import EVENT_TYPES, EventType
from schemas.compiled import struct_of
from schemas.envelope import Envelope

_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 10, 11, 2**53, 2**63 - 1, 2**63, -(2**63), 10**14, 10**14 + 1, 10**30]),
    st.sampled_from([0.0, 1.0, 1.5, -0.0, 1e300]),
    st.sampled_from(["", "x", "EUR", "EURO", "eur", "EUR\n", "12.50", "1.", "a" * 129, "a" * 257, "a" * 2049]),
    st.dictionaries(
        st.sampled_from(["amount", "currency", "type", "value", "k"]), st.sampled_from([1, "EUR", None, "email"])
    ),
    st.lists(st.sampled_from([1, "x", {"type": "email", "value": "a"}, {"type": "shoe"}]), max_size=2),
)


def agree(model: Any, struct: Any, body: dict[str, Any]) -> None:
    text = json.dumps(body)
    try:
        expected = model.model_validate_json(text).model_dump(mode="json")
    except ValidationError:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text, type=struct)
        return
    assert json.loads(msgspec.json.encode(msgspec.json.decode(text, type=struct))) == expected


@pytest.mark.parametrize("found", EVENT_TYPES, ids=lambda found: f"{found.name}-{found.version}")
@settings(max_examples=60)
@given(data=st.data())
def test_data(found: EventType, data: st.DataObject) -> None:
    names = [*found.data.model_fields, "unknown"]
    agree(found.data, struct_of(found.data), data.draw(st.dictionaries(st.sampled_from(names), _ODD)))


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from([*Envelope.model_fields, "unknown"]), _ODD))
def test_envelope(changes: dict[str, Any]) -> None:
    valid = {"id": "0" * 36, "type": "x", "source": "s", "occurred_at": "t"}
    agree(Envelope, struct_of(Envelope), valid | changes)
