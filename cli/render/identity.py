"""Identities and rulings as people read them in a terminal."""

from typing import Any

from cli.render.money import amounts


def identity_text(person: dict[str, Any]) -> str:
    """The journey of an identifier, and its identifiers in quarantine."""
    lines = [f"journey {person['journey_id']}, {person['events']} events"]
    lines += [
        f"{known['type']}:{known['value']} is in quarantine: too many others are linked to it; it is nobody's"
        for known in person["identifiers"]
        if known["quarantined"]
    ]
    return "\n".join(lines)


def links_text(person: dict[str, Any]) -> str:
    """The links between the identifiers of a person, and the rulings about them."""
    lines = [_link(link) for link in person["links"]]
    for title in ("joined_by_ruling", "split_by_ruling"):
        lines += [f"{title.replace('_', ' ')}: {one} {other}" for one, other in person[title]]
    return "\n".join(lines)


def _link(link: dict[str, Any]) -> str:
    one, other = link["identifiers"]
    return f"  {one} {_state(link)} {other}, {link['authority']}, {link['at'][:16]}, event {link['event']['id']}"


def _state(link: dict[str, Any]) -> str:
    return "=" if link["holds"] else f"refused ({link['reason']})"


def explanation_text(a: str, b: str, explanation: dict[str, Any]) -> str:
    """Why two identifiers are one person, or not: the ruling, and the path of links between them."""
    verdict = "one person" if explanation["one_person"] else "not one person"
    lines = [f"{a} and {b} are {verdict}: {explanation['because']}"]
    if (ruling := explanation["ruling"]) is not None:
        by = f" by {ruling['by']}" if ruling["by"] else ""
        why = f": {ruling['reason']}" if ruling["reason"] else ""
        lines += [f"  ruling: {ruling['ruling']}{by}{why}", f"    {_source(ruling)}"]
    for step in explanation["path"]:
        lines += [f"  {step['from']} {_state(step)} {step['to']}", f"    {step['authority']}, {_source(step)}"]
    return "\n".join(lines)


def _source(fact: dict[str, Any]) -> str:
    """When something was said, by which event, and the place of that in the log."""
    place = fact["place"]
    where = f"{place['topic']}/{place['partition']}/{place['offset']}" if place else "not in the log yet"
    return f"{fact['at'][:16]}, event {fact['event']['id']}, {where}"


def preview_text(ruling: str, preview: dict[str, Any]) -> str:
    """What a ruling would move."""
    if ruling == "release":
        return "future events belong to somebody else; past events stay where they are"
    lines = [f"without effect: {warning}" for warning in preview["warnings"]]
    if not preview["before"] and not preview["after"]:
        return "\n".join([*lines, "no journey changes now"])
    lines.append(
        f"{len(preview['before'])} journeys become {len(preview['after'])}; {preview['events_moved']} events move"
    )
    for sign, sides in (("-", preview["before"]), ("+", preview["after"])):
        for side in sides:
            value = f", {amounts(side['value'])}" if side.get("value") else ""
            names = " ".join(side["identifiers"][:6]) + (" ..." if len(side["identifiers"]) > 6 else "")
            lines.append(f"{sign} {side['stage']}, {side['events']} events{value}: {names}")
    return "\n".join(lines)
