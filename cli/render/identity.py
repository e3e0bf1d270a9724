"""Identities and rulings as people read them in a terminal."""

from typing import Any

from cli.render.money import amounts


def identity_text(found: dict[str, Any]) -> str:
    """The journey of an identifier, and its identifiers in quarantine."""
    lines = [f"journey {found['journey_id']}, {found['events']} events"]
    lines += [
        f"{known['type']}:{known['value']} is in quarantine: too many others are linked to it; it is nobody's"
        for known in found["identifiers"]
        if known["quarantined"]
    ]
    return "\n".join(lines)


def links_text(found: dict[str, Any]) -> str:
    """The links between the identifiers of a person, and the rulings about them."""
    lines = [_link(link) for link in found["links"]]
    for title in ("joined_by_ruling", "split_by_ruling"):
        lines += [f"{title.replace('_', ' ')}: {one} {other}" for one, other in found[title]]
    return "\n".join(lines)


def _link(link: dict[str, Any]) -> str:
    one, other = link["identifiers"]
    return f"  {one} {_state(link)} {other}, {link['authority']}, {link['at'][:16]}, event {link['event']['id']}"


def _state(link: dict[str, Any]) -> str:
    return "=" if link["holds"] else f"refused ({link['reason']})"


def explanation_text(a: str, b: str, found: dict[str, Any]) -> str:
    """Why two identifiers are one person, or not: the ruling, and the path of links between them."""
    verdict = "one person" if found["one_person"] else "not one person"
    lines = [f"{a} and {b} are {verdict}: {found['because']}"]
    if (ruling := found["ruling"]) is not None:
        by = f" by {ruling['by']}" if ruling["by"] else ""
        why = f": {ruling['reason']}" if ruling["reason"] else ""
        lines += [f"  ruling: {ruling['ruling']}{by}{why}", f"    {_source(ruling)}"]
    for step in found["path"]:
        lines += [f"  {step['from']} {_state(step)} {step['to']}", f"    {step['authority']}, {_source(step)}"]
    return "\n".join(lines)


def _source(fact: dict[str, Any]) -> str:
    """When something was said, by which event, and the place of that in the log."""
    place = fact["place"]
    where = f"{place['topic']}/{place['partition']}/{place['offset']}" if place else "not in the log yet"
    return f"{fact['at'][:16]}, event {fact['event']['id']}, {where}"


def preview_text(ruling: str, found: dict[str, Any]) -> str:
    """What a ruling would move."""
    if ruling == "release":
        return "future events belong to somebody else; past events stay where they are"
    lines = [f"without effect: {warning}" for warning in found["warnings"]]
    if not found["before"] and not found["after"]:
        return "\n".join([*lines, "no journey changes now"])
    lines.append(f"{len(found['before'])} journeys become {len(found['after'])}; {found['events_moved']} events move")
    for sign, sides in (("-", found["before"]), ("+", found["after"])):
        for side in sides:
            value = f", {amounts(side['value'])}" if side.get("value") else ""
            names = " ".join(side["identifiers"][:6]) + (" ..." if len(side["identifiers"]) > 6 else "")
            lines.append(f"{sign} {side['stage']}, {side['events']} events{value}: {names}")
    return "\n".join(lines)
