"""Problems (RFC 9457): every error of the API."""

from typing import Annotated

from schemas.answers.parts import Answer, doc


class Problem(Answer, frozen=True, kw_only=True):
    """An error, as application/problem+json."""

    type: Annotated[str, doc("A URI of the kind of problem; about:blank says that `status` and `title` tell it")] = (
        "about:blank"
    )
    title: Annotated[str, doc("The kind of problem, in short")]
    status: Annotated[int, doc("The HTTP status")]
    detail: Annotated[str, doc("What is wrong, and what to do about it")]
