"""The guard's addresses for the hub, below ``/_synapse/conclave/v1``; everyone else gets 403."""

import hmac
from collections.abc import Mapping
from typing import Any, Protocol

from synapse.module_api import DirectServeJsonResource, ModuleApi, SynapseRequest, parse_json_object_from_request
from synapse.module_api.errors import Codes, SynapseError

PATH = "/_synapse/conclave/v1"


class Served(Protocol):
    """What the addresses ask the guard for."""

    @property
    def token(self) -> str:
        """What the hub shows."""
        ...

    async def put_documents(self, items: list[Any]) -> int:
        """Store signed documents; how many were new."""
        ...

    async def claimed_room(self, key: str) -> str | None:
        """The room that the charter ``key`` is bound to."""
        ...

    async def direct_rooms(self, after: str) -> list[tuple[str, str]]:
        """A page of the direct rooms as (key, room id)."""
        ...

    async def release_room(self, key: str, room_id: str) -> bool:
        """Unbind a room whose creation failed."""
        ...

    async def appoint(self) -> None:
        """Make the hub's account a server administrator."""
        ...

    async def status(self) -> dict[str, Any]:
        """The guard's instance, and what it has."""
        ...


def register(api: ModuleApi, guard: Served) -> None:
    """Have Synapse serve the guard's addresses."""
    for name, resource in (("direct", _Direct), ("documents", _Documents), ("rooms", _Rooms), ("status", _Status)):
        api.register_web_resource(f"{PATH}/{name}", resource(guard))


class _Resource(DirectServeJsonResource):
    """An address for the hub."""

    def __init__(self, guard: Served) -> None:
        super().__init__()
        self._guard = guard

    def _authenticate(self, request: SynapseRequest) -> None:
        """Return when ``request`` carries the hub's token.

        Raises:
            SynapseError: It does not (403).
        """
        given = (request.getHeader(b"Authorization") or b"").removeprefix(b"Bearer ")
        if not given or not hmac.compare_digest(given, self._guard.token.encode()):
            raise SynapseError(403, "this is for the hub only", Codes.FORBIDDEN)


class _Documents(_Resource):
    async def _async_render_PUT(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._authenticate(request)
        items = parse_json_object_from_request(request).get("documents")
        if not isinstance(items, list):
            raise SynapseError(400, "documents must be a list", Codes.INVALID_PARAM)
        return 200, {"stored": await self._guard.put_documents(items)}


class _Rooms(_Resource):
    async def _async_render_GET(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._authenticate(request)
        return 200, {"room_id": await self._guard.claimed_room(_argument(request, b"key"))}

    async def _async_render_DELETE(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._authenticate(request)
        released = await self._guard.release_room(_argument(request, b"key"), _argument(request, b"room_id"))
        return 200, {"released": released}


class _Direct(_Resource):
    async def _async_render_GET(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._authenticate(request)
        rooms = await self._guard.direct_rooms(_argument(request, b"after"))
        return 200, {"rooms": [{"key": key, "room_id": room_id} for key, room_id in rooms]}


class _Status(_Resource):
    async def _async_render_GET(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._authenticate(request)
        return 200, await self._guard.status()

    async def _async_render_POST(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._authenticate(request)
        await self._guard.appoint()
        return 200, await self._guard.status()


def _argument(request: SynapseRequest, name: bytes) -> str:
    values = (request.args or {}).get(name)
    if not values:
        raise SynapseError(400, f"{name.decode()} is missing", Codes.MISSING_PARAM)
    return str(values[0].decode())
