"""Signed documents: reports and certificates, signed over their other fields as JSON with sorted keys."""

import json
from pathlib import Path
from typing import Any


def signed_document(document: dict[str, Any], data_dir: Path | None) -> dict[str, Any]:
    """The document with a signature, if there is a key here; else as it is."""
    from audit.checkpoints import load_private, signature_of
    from cli.settings import audit_files

    key = audit_files(data_dir).key
    return document | signature_of(load_private(key), canonical(document)) if key.exists() else document


def canonical(document: dict[str, Any]) -> bytes:
    """What is signed."""
    return json.dumps(document, sort_keys=True).encode()
