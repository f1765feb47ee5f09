"""What devices send each other, and the one-time keys for it: only between people who share a room.

Synapse asks no module about either. So the proxy sends these two calls here (``config/Caddyfile``), below ``PATH`` with
their own address behind it; what is for strangers is dropped, the rest goes on to Synapse itself. Whoever asks for a
stranger gets the answer that Synapse gives for somebody who does not exist.
"""

import re
from collections.abc import Awaitable, Mapping
from typing import Any

from synapse.module_api import DirectServeJsonResource, ModuleApi, SynapseRequest, parse_json_object_from_request
from synapse.module_api.errors import Codes, SynapseError

from bridge.guard.sharing_store import sharing_a_room

PATH = "/_synapse/conclave/v1/devices"
PASSED_ON = (b"Authorization", b"User-Agent", b"X-Forwarded-For", b"X-Forwarded-Proto")

_SEND = re.compile(rb"/_matrix/client/(r0|v3|unstable)/sendToDevice/[^/]*/[^/]*")
_CLAIM = re.compile(rb"/_matrix/client/(r0|v3|unstable)/keys/claim")



def register(api: ModuleApi, client_url: str) -> None:
    """Have Synapse serve this; ``client_url`` is where Synapse itself is reached."""
    api.register_web_resource(PATH, _Devices(api, client_url))


class _Devices(DirectServeJsonResource):
    isLeaf = True  # what is below it is the client's own address

    def __init__(self, api: ModuleApi, client_url: str) -> None:
        super().__init__()
        self._api = api
        self._client_url = client_url

    async def _async_render_PUT(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        return await self._filtered(request, _SEND, "messages", self._api.http_client.put_json)

    async def _async_render_POST(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        return await self._filtered(request, _CLAIM, "one_time_keys", self._api.http_client.post_json_get_json)

    async def _filtered(
        self, request: SynapseRequest, address: re.Pattern[bytes], member: str, forward: Any
    ) -> tuple[int, Mapping[str, Any]]:
        """Pass the call on with those people alone whom the caller shares a room with.

        Raises:
            SynapseError: It is not one of the two calls (404), nobody's (401), without its ``member`` (400), or what
                Synapse answers.
        """
        path, mark, query = request.uri.removeprefix(PATH.encode()).partition(b"?")
        if not address.fullmatch(path):
            raise SynapseError(404, "there is nothing at this address", Codes.UNRECOGNIZED)
        requester = await self._api.get_user_by_req(request)
        body = parse_json_object_from_request(request)
        people = body.get(member)
        if not isinstance(people, dict):
            raise SynapseError(400, f"{member} must be an object", Codes.BAD_JSON)
        known = await self._api.run_db_interaction(
            "conclave_sharing", sharing_a_room, requester.user.to_string(), list(people)
        )
        body[member] = {user: devices for user, devices in people.items() if user in known}
        headers = {name: list(values) for name in PASSED_ON if (values := request.requestHeaders.getRawHeaders(name))}
        url = self._client_url + (path + mark + query).decode("ascii")
        return 200, await _answered(forward(url, body, headers=headers))


async def _answered(call: Awaitable[Any]) -> Any:
    """Synapse's answer, its errors as they are."""
    try:
        return await call
    except Exception as error:
        as_answered = getattr(error, "to_synapse_error", None)  # the class is not part of the module API
        if as_answered is None:
            raise
        raise as_answered() from None
