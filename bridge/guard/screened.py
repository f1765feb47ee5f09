"""Three calls that the proxy sends through the guard, because Synapse asks no module about them.

They arrive below ``PATH`` with their own address behind it (``config/Caddyfile``); what is left of them goes on to
Synapse itself, and its answer comes back.

Messages between devices and one-time keys: only between people who share a room. What is for strangers is dropped;
whoever asks for a stranger gets the answer that Synapse gives for somebody who does not exist.

Signing in: a password that is no text (half of a surrogate pair, such as U+D800) makes Synapse fail for a user who
exists and refuse for one who does not. Here it is refused for both, in Synapse's words.
"""

import json
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from synapse.module_api import DirectServeJsonResource, ModuleApi, SynapseRequest, parse_json_object_from_request
from synapse.module_api.errors import Codes, SynapseError

from bridge.guard.sharing_store import sharing_a_room

PATH = "/_synapse/conclave/v1/screened"
PASSED_ON = (b"Authorization", b"User-Agent", b"X-Forwarded-For", b"X-Forwarded-Proto")

_SEND = re.compile(rb"/_matrix/client/(r0|v3|unstable)/sendToDevice/[^/]*/[^/]*")
_CLAIM = re.compile(rb"/_matrix/client/(r0|v3|unstable)/keys/claim")
_LOGIN = re.compile(rb"/_matrix/client/(api/v1|r0|v3|unstable)/login")


def register(api: ModuleApi, client_url: str) -> None:
    """Have Synapse serve this; ``client_url`` is where Synapse itself is reached."""
    api.register_web_resource(PATH, _Screened(api, client_url))


class _Screened(DirectServeJsonResource):
    isLeaf = True  # what is below it is the client's own address

    def __init__(self, api: ModuleApi, client_url: str) -> None:
        super().__init__()
        self._api = api
        self._client_url = client_url

    async def _async_render_PUT(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        path = _path(request)
        if not _SEND.fullmatch(path):
            raise _nothing_here()
        body = await self._for_acquaintances(request, "messages")
        return await self._passed_on(request, self._api.http_client.put_json, body)

    async def _async_render_POST(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        path = _path(request)
        if _CLAIM.fullmatch(path):
            body = await self._for_acquaintances(request, "one_time_keys")
        elif _LOGIN.fullmatch(path):
            body = _text_alone(request)
        else:
            raise _nothing_here()
        return await self._passed_on(request, self._api.http_client.post_json_get_json, body)

    async def _for_acquaintances(self, request: SynapseRequest, member: str) -> dict[str, Any]:
        """The call's body with those people alone in ``member`` whom the caller shares a room with.

        Raises:
            SynapseError: Nobody calls (401), or there is no such ``member`` (400).
        """
        requester = await self._api.get_user_by_req(request)
        body: dict[str, Any] = parse_json_object_from_request(request)
        people = body.get(member)
        if not isinstance(people, dict):
            raise SynapseError(400, f"{member} must be an object", Codes.BAD_JSON)
        known = await self._api.run_db_interaction(
            "conclave_sharing", sharing_a_room, requester.user.to_string(), list(people)
        )
        return {**body, member: {user: devices for user, devices in people.items() if user in known}}

    async def _passed_on(
        self, request: SynapseRequest, forward: Any, body: dict[str, Any]
    ) -> tuple[int, Mapping[str, Any]]:
        headers = {name: list(values) for name in PASSED_ON if (values := request.requestHeaders.getRawHeaders(name))}
        url = self._client_url + request.uri.removeprefix(PATH.encode()).decode("ascii")
        return 200, await _answered(forward(url, body, headers=headers))


def _path(request: SynapseRequest) -> bytes:
    """The client's own address, as it was written."""
    uri: bytes = request.uri
    return uri.removeprefix(PATH.encode()).partition(b"?")[0]


def _text_alone(request: SynapseRequest) -> dict[str, Any]:
    """The body of a sign-in.

    Raises:
        SynapseError: It holds what is no text; said as of a wrong password (403).
    """
    body: dict[str, Any] = parse_json_object_from_request(request)
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise SynapseError(403, "Invalid username or password", Codes.FORBIDDEN) from None
    return body


def _nothing_here() -> SynapseError:
    return SynapseError(404, "there is nothing at this address", Codes.UNRECOGNIZED)


async def _answered(call: Awaitable[Any]) -> Any:
    """Synapse's answer, its errors as they are."""
    try:
        return await call
    except Exception as error:
        as_answered = getattr(error, "to_synapse_error", None)  # the class is not part of the module API
        if as_answered is None:
            raise
        raise as_answered() from None
