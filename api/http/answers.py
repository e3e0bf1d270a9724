"""Success answers as bytes: the one place where they are encoded."""

import msgspec
from starlette.responses import Response

from schemas.answers.parts import Answer

encode = msgspec.json.Encoder().encode  #: an answer as JSON


def answer(body: Answer, status: int = 200) -> Response:
    """The answer over HTTP."""
    return Response(encode(body), status, media_type="application/json")
