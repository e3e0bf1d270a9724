"""Contracts of answers: each type and each field that needs it is described, and the export is stable."""

import json

from schemas.answers.export import answer_schemas, operation_schemas
from schemas.answers.operations import ANSWERS


def test_every_type_is_described() -> None:
    for name, schema in answer_schemas().items():
        assert schema.get("description"), name


def test_the_export_is_the_same_each_time_and_refers_to_what_is_in_it() -> None:
    schemas = answer_schemas("#/$defs/{name}")
    assert json.dumps(schemas) == json.dumps(answer_schemas("#/$defs/{name}"))
    assert list(schemas) == sorted(schemas)
    operations = operation_schemas("#/$defs/{name}")
    assert operations.keys() == ANSWERS.keys()
    for text in (json.dumps(schemas), json.dumps(operations)):
        for name in text.split('"#/$defs/')[1:]:
            assert name.partition('"')[0] in schemas


def test_names_are_unique() -> None:
    assert not [name for name in answer_schemas() if "." in name]
