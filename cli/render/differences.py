"""What changed between two times, and why things are as they are: lines of text."""

import json
from typing import Any


def difference_text(difference: dict[str, Any]) -> str:
    """One field that differs: before and after, or what was removed and added."""
    field = difference["field"]
    if "before" in difference:
        return f"{field}: {json.dumps(difference['before'])} -> {json.dumps(difference['after'])}"
    removed = [f"  - {json.dumps(item)}" for item in difference["removed"]]
    added = [f"  + {json.dumps(item)}" for item in difference["added"]]
    return "\n".join([f"{field}:", *removed, *added])


def stage_text(step: dict[str, Any]) -> str:
    """Why a journey entered a stage: the rule, the event and its place in the log, the playbook then in force."""
    lines = [f"{step['at'][:16]} {step['stage']}: {step['because']}"]
    event, playbook = step["event"], step["playbook"]
    if event is not None:
        place = f"{event['topic']}/{event['partition']}/{event['offset']}"
        lines.append(f"  {event['type']} of {event['source']}, {place}")
    since = f", in force since {playbook['in_force_since'][:16]}" if playbook["in_force_since"] else ""
    return "\n".join([*lines, f"  playbook {playbook['digest'][:12]}{since}"])
