"""Where Olist's real funnel is, and the mark of tests that need it."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TANDEM_OLIST", _ROOT.parent / "shared" / "data" / "olist"))
MAPPING = _ROOT / "examples" / "olist" / "mapping.yaml"

needs_olist = pytest.mark.skipif(
    not list(DATA.glob("*.csv")),
    reason="the Olist data is not here (CC BY-NC-SA keeps it out of the repository); TANDEM_OLIST names its folder",
)
