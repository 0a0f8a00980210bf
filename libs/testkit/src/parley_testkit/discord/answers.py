"""How the REST API reads bodies and writes answers.

Every answer has the content type `application/json` with no charset, as Discord's have: discord.py takes others for
text.
"""

import json
from http import HTTPStatus
from typing import Any, Final

from aiohttp import BodyPartReader, web

from parley_testkit.discord.users import Json


class ApiError(Exception):
    """An answer with an error of Discord's (topics/opcodes-and-status-codes, "JSON Error Codes")."""

    def __init__(self, status: int, code: int, message: str) -> None:
        """Answer with a status, Discord's own code and its words."""
        super().__init__(message)
        self.status: Final = status
        self.code: Final = code


async def read_body(request: web.Request) -> tuple[Json, dict[str, bytes]]:
    """Read a body, with the files that may come along."""
    if not request.content_type.startswith("multipart/"):
        return (await request.json()) if request.can_read_body else {}, {}
    body: Json = {}
    files: dict[str, bytes] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "payload_json":
            body = await part.json() or {}
        else:
            files[part.filename or part.name or "file"] = bytes(await part.read())
    return body, files


def answer(content: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> web.Response:  # noqa: ANN401
    """Answer with JSON."""
    body = json.dumps(content).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
