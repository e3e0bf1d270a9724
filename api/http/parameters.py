"""Types of parameters that several routes take."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

Limit = Annotated[int, Query(ge=1, le=200, description="How many items a page has at most")]
#: Free text, without the null character, which PostgreSQL does not take.
Text = Annotated[str | None, Query(max_length=512, pattern=r"^[^\x00]*$")]
#: The short name of something: of a team, of a kind.
Name = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")]
Identifier = Annotated[str, Query(max_length=600, pattern=r"^[^\x00]*$", description="type:value")]
Cursor = Annotated[str | None, Query(max_length=128, description="`next_cursor` of the page before")]
#: What somebody says in a body, and who does.
Words = Annotated[str, Field(min_length=1, max_length=2048)]
Somebody = Annotated[str, Field(min_length=1, max_length=256)]
