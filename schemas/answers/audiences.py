"""Audiences: how many are in each, and who."""

from typing import Annotated

from schemas.answers.journeys import FeedJourney
from schemas.answers.parts import Answer, NextCursor, WindowedAnswer, doc


class AudienceSize(Answer, frozen=True, kw_only=True):
    """How many are in an audience."""

    audience: str
    members: int
    stages: Annotated[list[str], doc("The stages that it takes people from; none stands for all")]


class AudienceList(Answer, frozen=True, kw_only=True):
    """The playbook's audiences."""

    items: list[AudienceSize]


class AudiencePage(WindowedAnswer, frozen=True, kw_only=True):
    """A page of an audience's members, in the order of their journey ids."""

    items: list[FeedJourney]
    next_cursor: NextCursor
