"""What the proxy closes stays closed, however an address is written."""

import asyncio
import json

import pytest

from tests.live import LiveHub
from tests.silence.test_reach import CONTENT, heard
from tests.silence.world import World

ADMIN = "/_synapse/admin/v2/users"
CLOSED = [
    "/_synapse/conclave/v1/status",
    "/_synapse/conclave/v1/screened/_matrix/client/v3/keys/claim",
    "/_matrix/federation/v1/version",
    "/_matrix/key/v2/server",
    "/_matrix/app/v1/transactions/1",
    "/_conclave/guard/v1/refusals/1",
    "/_matrix/static/",
    "/readyz",
    "/metrics",
    "/health",
    "/",
    ADMIN,
]


def spellings(path: str) -> list[str]:
    """``path`` as somebody writes it who wants to get past."""
    first, rest = path[1:].split("/", 1) if path.count("/") > 1 else (path[1:], "")
    found = [
        path,
        "/" + path,
        path.replace("/", "//"),
        path.upper(),
        path + "/",
        path + ";x",
        path + "?x",
        path + "%00",
        path.replace("/", "/./"),
        path.replace("_", "%5f"),
        path.replace("_", "%255f"),
        "/" + path[1:].replace("/", "%2F"),
        f"/_matrix/client/..{path}",
        f"/_matrix/client/../..{path}",
        f"/_matrix/client/%2e%2e/%2e%2e{path}",
        f"/_matrix/client/..%2f..{path}",
        f"/_matrix/client/..;/..;{path}",
        f"/_matrix/client/..\\..{path}",
        f"/v1/..{path}",
        f"/enrol/../{path}",
        f"/.well-known/matrix/../..{path}",
        f"/_synapse/client/..{path.removeprefix('/_synapse')}",
        f"http://127.0.0.1{path}",
        f"{path}#/_matrix/client/versions",
        f"/{first}/%2e/{rest}",
    ]
    return sorted({item for item in found if " " not in item})


async def raw(url: str, method: str, target: str, headers: dict[str, str] | None = None, body: str = "") -> int:
    """The status that this very request line gets; no client library tidies it up."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent = {"Host": "hub.example", "Connection": "close", "Content-Length": str(len(body)), **(headers or {})}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    await writer.drain()
    line = await reader.readline()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(line.split(b" ")[1])


@pytest.mark.parametrize("path", CLOSED)
async def test_no_spelling_gets_to_what_is_closed(live: LiveHub, proxy: str, path: str) -> None:
    """Not even when it is the administrator who asks: 404, or 400 for what is no address."""
    token = {"Authorization": f"Bearer {live.state.token('as_token')}"}
    for method in ("GET", "PUT", "POST"):
        for target in spellings(path):
            status = await raw(proxy, method, target, token)
            assert status in (400, 404, 405), f"{method} {target}: {status}"


async def test_the_administrator_would_get_there_past_the_proxy(live: LiveHub) -> None:
    token = {"Authorization": f"Bearer {live.state.token('as_token')}"}
    assert await raw(live.homeserver_url, "GET", ADMIN, token) == 200


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path"])
async def test_no_header_gets_to_what_is_closed(live: LiveHub, proxy: str, header: str) -> None:
    token = {"Authorization": f"Bearer {live.state.token('as_token')}", header: ADMIN}
    assert await raw(proxy, "GET", "/_synapse/admin/v2/users", token) == 404
    assert await raw(proxy, "GET", "/healthz", token) == 200


async def test_no_spelling_gets_a_message_past_the_guard(world: World, proxy: str) -> None:
    headers = {"Authorization": f"Bearer {world.outsider.token}", "Content-Type": "application/json"}
    body = json.dumps({"messages": {world.alice.user_id: {"*": {**CONTENT, "marked": True}}}})
    for version in ("r0", "v3", "unstable"):
        path = f"/_matrix/client/{version}/sendToDevice/m.room.encrypted/spelt{version}"
        more = [path.replace("sendTo", "send%54o"), path.replace("sendTo", "SENDTO"), path + "?access_token=x"]
        more += [path.replace("/m.room", "/x/../m.room"), path.replace("/v3/", "/v3/x/../"), "/x/.." + path]
        more += [path.replace("/client", "/./client"), path.replace("client", "%63lient")]
        for target in spellings(path) + more:
            await raw(proxy, "PUT", target, headers, body)
            await raw(proxy, "POST", target, {**headers, "X-HTTP-Method-Override": "PUT"}, body)
    assert [event for event in await heard(world.alice) if event["content"].get("marked")] == []
    direct = path.replace("spelt", "direct")
    assert await raw(world.hub.homeserver_url, "PUT", direct, headers, body) == 200
    assert [event for event in await heard(world.alice) if event["content"].get("marked")], "the body was no message"


async def test_no_spelling_claims_a_key(world: World, proxy: str) -> None:
    headers = {"Authorization": f"Bearer {world.outsider.token}", "Content-Type": "application/json"}
    claimed = {world.alice.user_id: {world.known["device"]: "signed_curve25519"}}
    body = json.dumps({"one_time_keys": claimed})
    before = await keys_left(world)
    for version in ("r0", "v3", "unstable"):
        path = f"/_matrix/client/{version}/keys/claim"
        for target in (*spellings(path), path.replace("keys", "%6beys"), path.replace("/claim", "//claim")):
            await raw(proxy, "POST", target, headers, body)
    assert await keys_left(world) == before
    assert await raw(world.hub.homeserver_url, "POST", path, headers, body) == 200
    assert await keys_left(world) == before - 1, "the body was no claim"


async def keys_left(world: World) -> int:
    answer = await world.alice.call("POST", "/keys/upload", {})
    return int(answer.body["one_time_key_counts"]["signed_curve25519"])
