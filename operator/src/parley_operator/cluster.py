"""The API server, as far as the operator speaks to it: the only page that knows the `kubernetes` client.

Objects are plain mappings, as in `resources`: the client's classes have every field, and cannot tell what is ours from
what is not. Every call has a timeout, none is tried again here: `reconciling` looks anew, and the queue knows when.

    RetryableError            (parley_contract.errors) the same call may succeed later
    ├── ApiAwayError          no answer, 429 or 5xx; `retry_after_s` if the server said when
    └── ConflictError         409: somebody else was first, or it is not the object that was seen
    PermanentError
    ├── MissingError          404: there is no such object
    ├── EndingError           403: its namespace is being deleted
    └── RefusedError          whatever else: no right, no quota, not valid, a webhook that does not answer
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from parley_contract.errors import PermanentError, RetryableError
from parley_operator.actions import Delete
from parley_operator.kinds import ASSISTANT, NEWS, SECRET, Kind, kind_named
from parley_operator.pod_access import PodAccess
from parley_operator.resources.objects import FIELD_MANAGER, Object

REQUEST_S: Final = 15.0
"""An answer takes milliseconds; a server under load queues for seconds (API Priority and Fairness), then says 429."""
_USERS: Final = str(Path("~/.kube/config").expanduser())
_PAGE: Final = 200
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiAwayError(RetryableError):
    """The API server did not answer, or has no time."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        """Keep when the server wants to be asked again."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConflictError(RetryableError):
    """Somebody else was first."""


class MissingError(PermanentError):
    """There is no such object."""


class EndingError(PermanentError):
    """The namespace is being deleted, and takes nothing new."""


class RefusedError(PermanentError):
    """The API server does not take it."""


class Cluster:
    """One connection to the API server; `connected` is the way in."""

    def __init__(self, client: ApiClient) -> None:
        """Speak through a client that knows where and who."""
        self._client = client

    async def apply(self, manifest: Object) -> Object:
        """Apply an object on the server's side and return what it is now.

        By force: a field in it is ours, whoever wrote it last. What is not in it belongs to others and stays.

        Raises:
            RetryableError, PermanentError: as the page's head says.
        """
        return await self._ask("PATCH", _place(manifest), {"force": "true"}, manifest, _APPLY)

    async def apply_status(self, resource: Object, status: Object) -> Object:
        """Make this the whole status of a VoiceAssistant, if it still is the one that was seen; errors as `apply`."""
        meta = resource["metadata"]
        manifest = {
            "apiVersion": ASSISTANT.api_version,
            "kind": ASSISTANT.name,
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "status": status,
        }
        return await self._ask("PATCH", f"{_place(manifest)}/status", {"force": "true"}, manifest, _APPLY)

    async def create(self, manifest: Object) -> Object:
        """Make an object that must not be there; errors as `apply`."""
        meta, kind = manifest["metadata"], kind_named(manifest["kind"])
        return await self._ask("POST", kind.path(meta["namespace"]), {}, manifest)

    async def delete(self, gone: Delete) -> None:
        """Remove an object if it still is the one that was seen; errors as `apply`."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": gone.uid}}
        await self._ask("DELETE", kind_named(gone.kind).path(gone.namespace, gone.name), None, options)

    async def secret(self, namespace: str, name: str) -> Object | None:
        """Return a Secret by its name, or None if there is none; errors as `apply`."""
        try:
            return await self._ask("GET", SECRET.path(namespace, name))
        except MissingError:
            return None

    async def objects(
        self, kind: Kind, namespace: str = "", *, names_only: bool = False, page: int = _PAGE
    ) -> AsyncIterator[Object]:
        """Return all objects of a kind that are watched, in pages; errors as `apply`.

        Args:
            kind: which.
            namespace: where; empty for everywhere.
            names_only: whether their metadata are enough.
            page: how many the server tells at once.
        """
        query = {"limit": str(page), "labelSelector": kind.labels, "fieldSelector": kind.fields}
        accept = _NAMES_ONLY if names_only else "application/json"
        while True:
            found = await self._ask("GET", kind.path(namespace), query, accept=accept)
            for item in found["items"] or []:
                yield {**item, "apiVersion": kind.api_version, "kind": kind.name}
            query["continue"] = found["metadata"].get("continue", "")
            if not query["continue"]:
                return

    async def post_event(self, event: Object, times: int) -> None:
        """Post an event (events.k8s.io/v1) under its name; one that is there counts on.

        Args:
            event: whole.
            times: how often it happened so far, if it is there.

        Raises:
            RetryableError, PermanentError: as the page's head says.
        """
        meta = event["metadata"]
        try:
            await self._ask("POST", NEWS.path(meta["namespace"]), {}, event)
        except ConflictError:
            series = {"series": {"count": max(2, times), "lastObservedTime": event["eventTime"]}}
            await self._ask("PATCH", NEWS.path(meta["namespace"], meta["name"]), {}, series, _MERGE)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        *,
        accept: str = "application/json",
    ) -> Object:
        """Ask, and translate what comes back."""
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": FIELD_MANAGER}
        what = f"{method} {path}"
        if method in {"POST", "PATCH"}:
            query = {**(query or {}), "fieldManager": FIELD_MANAGER}
        words = {key: value for key, value in (query or {}).items() if value}
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
                url = f"{self._client.configuration.host}{path}{f'?{urlencode(words)}' if words else ''}"
                answer = await self._client.call_api(method, url, headers, body, _request_timeout=REQUEST_S)
                content_back = await answer.read()  # type: ignore[no-untyped-call]
        except TimeoutError as error:
            raise ApiAwayError(f"{what}: no answer within {REQUEST_S:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiAwayError(f"{what}: {type(error).__name__}: {error}") from error
        if answer.status >= 300:  # noqa: PLR2004  # HTTP
            raise translated(what, answer.status, content_back, answer.headers.get("Retry-After", ""))
        made: Object = msgspec.json.decode(content_back)
        return made


def translated(what: str, code: int, body: bytes, retry_after: str = "") -> RetryableError | PermanentError:
    """Return the error that an answer stands for.

    Args:
        what: what was asked, for the message.
        code: the HTTP status.
        body: a Status object, or whatever a proxy in between said.
        retry_after: that header, in seconds.
    """
    try:
        said = msgspec.json.decode(body)
        message, details = str(said.get("message", "")), said.get("details") or {}
    except (msgspec.DecodeError, AttributeError):
        message, details = body[:200].decode(errors="replace"), {}
    sentence = f"{what}: {code}: {message}"
    if code == 404:  # noqa: PLR2004  # as HTTP has it, here and below
        return MissingError(sentence)
    if code == 409:  # noqa: PLR2004
        return ConflictError(sentence)
    if code == 403 and any(  # noqa: PLR2004
        cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or []
    ):
        return EndingError(sentence)
    if "failed calling webhook" in message:
        # 500, but of no server that is away: somebody has to hear of it who can do something about it.
        return RefusedError(message)
    # 401: a token that has just expired will be replaced; 408: the server gave up waiting.
    if code in {401, 408, 429} or code >= 500:  # noqa: PLR2004
        after = retry_after or str(details.get("retryAfterSeconds", ""))
        return ApiAwayError(sentence, float(after) if after.isdigit() else 0.0)
    return RefusedError(message or sentence)


@contextlib.asynccontextmanager
async def connected(pod: PodAccess | None = None) -> AsyncIterator[Cluster]:
    """Speak to the API server as a pod; as KUBECONFIG or the user's own file says, if this is none."""
    configuration = Configuration()
    if pod is not None:
        configuration.host, configuration.ssl_ca_cert = pod.server, str(pod.authority)

        def renew(shown: Configuration) -> None:
            shown.api_key["BearerToken"] = f"Bearer {pod.token()}"

        renew(configuration)  # without any, the client would never ask for one
        configuration.refresh_api_key_hook = renew  # type: ignore[assignment]  # it is None until somebody sets one
    else:
        await load_kube_config(config_file=os.environ.get("KUBECONFIG", _USERS), client_configuration=configuration)  # type: ignore[no-untyped-call]
    # As kopf does: proxies from the environment and a .netrc, which is looked for at each request, are for browsers.
    configuration.client_session_kwargs = {"trust_env": False}
    async with ApiClient(configuration) as client:
        yield Cluster(client)


def _place(manifest: Object) -> str:
    meta = manifest["metadata"]
    return kind_named(manifest["kind"]).path(meta["namespace"], meta["name"])
