"""The endpoints by which a bot answers interactions: the callback, and the webhook of its token.

They are opened by the interaction's token, not by the bot's, and only for as long as Discord would.
"""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from parley_testkit.discord.answers import ApiError, answer, read_body
from parley_testkit.discord.interactions import Interaction

_UNKNOWN_MESSAGE, _UNKNOWN_WEBHOOK, _UNKNOWN_INTERACTION, _ALREADY_ACKNOWLEDGED = 10008, 10015, 10062, 40060


class Callbacks:
    """Those of all interactions."""

    def __init__(self) -> None:
        """Know of none."""
        self.interactions: Final[list[Interaction]] = []
        """All that people began, oldest first."""

    def add_to(self, router: web.UrlDispatcher, prefix: str) -> None:
        """Serve them below a prefix."""
        router.add_post(prefix + "/interactions/{id}/{token}/callback", self._callback)
        router.add_post(prefix + "/webhooks/{app}/{token}", self._follow_up)
        for method in ("GET", "PATCH", "DELETE"):
            router.add_route(method, prefix + "/webhooks/{app}/{token}/messages/{message}", self._answer)

    def _interaction(self, request: web.Request, *, status: int, code: int) -> Interaction:
        token = request.match_info["token"]
        found = next((one for one in self.interactions if one.token == token), None)
        if found is None or found.is_expired:
            words = "Unknown interaction" if code == _UNKNOWN_INTERACTION else "Unknown Webhook"
            raise ApiError(status, code, words)
        return found

    async def _callback(self, request: web.Request) -> web.StreamResponse:
        interaction = self._interaction(request, status=HTTPStatus.NOT_FOUND, code=_UNKNOWN_INTERACTION)
        if interaction.acknowledged_s is not None:
            raise ApiError(HTTPStatus.BAD_REQUEST, _ALREADY_ACKNOWLEDGED, "Interaction has already been acknowledged.")
        body, files = await read_body(request)
        message = await interaction.acknowledge(int(body["type"]), body.get("data") or {}, files)
        if request.query.get("with_response") not in ("true", "True", "1"):
            return web.Response(status=HTTPStatus.NO_CONTENT)
        about: dict[str, object] = {"id": str(interaction.id), "type": 2, "response_message_loading": message is None}
        resource: dict[str, object] = {"type": body["type"]}
        if message:
            about["response_message_id"] = str(message.id)
            resource["message"] = message.json()
        return answer({"interaction": about, "resource": resource})

    async def _follow_up(self, request: web.Request) -> web.StreamResponse:
        interaction = self._interaction(request, status=HTTPStatus.NOT_FOUND, code=_UNKNOWN_WEBHOOK)
        return answer((await interaction.add(*await read_body(request))).json())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        interaction = self._interaction(request, status=HTTPStatus.NOT_FOUND, code=_UNKNOWN_WEBHOOK)
        named = request.match_info["message"]
        message_id = None if named == "@original" else int(named)
        if request.method == "PATCH":
            message = await interaction.edit(message_id, *await read_body(request))
        else:
            message = interaction.find(message_id)
        if message is None:
            raise ApiError(HTTPStatus.NOT_FOUND, _UNKNOWN_MESSAGE, "Unknown Message")
        if request.method == "DELETE":
            interaction.messages.remove(message)
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return answer(message.json())
