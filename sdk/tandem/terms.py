"""The words that Tandem's API knows, for type checkers."""

from typing import Literal

Department = Literal["marketing", "sales"]
EventDepartment = Literal["marketing", "sales", "joint"]  #: whose topic an event belongs to
GroupBy = Literal["channel", "campaign"]
AttributionModel = Literal["first", "last", "linear", "u-shaped", "w-shaped", "time-decay", "markov", "shapley"]
Axis = Literal["true", "known"]  #: what was true at a time, or what Tandem knew then
Ruling = Literal["join", "split", "release"]
HandoffDecision = Literal["accept", "reject", "withdraw"]
PlaybookDecision = Literal["approve", "reject", "comment"]
ChangeKind = Literal["created", "changed", "merged", "split", "vanished", "handoff", "entered", "left", "credit"]
