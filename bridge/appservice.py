"""What the homeserver and its guard call: transactions, pings, refusals. Authenticated in constant time, bounded."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from bridge.feed import Feed
from bridge.helper.mailbox import extras_of
from config.errors import ConclaveError, InvalidInputError

log = structlog.get_logger()

MAX_BODY = 16 * 1024 * 1024
"""Synapse sends at most 100 events of 64 KiB in a transaction, with room to spare for its wrapping."""


def add_appservice(app: web.Application, feed: Feed, *, hs_token: str, guard_token: str) -> None:
    """Add the application-service API (specification, "Application Service API") and the guard's address."""

    async def transaction(request: web.Request) -> web.Response:
        body = await _read(request, hs_token)
        await feed.accept(request.match_info["id"], _list(body, "events"), extras_of(body))
        return web.json_response({})

    async def refusals(request: web.Request) -> web.Response:
        body = await _read(request, guard_token)
        await feed.accept_refusals(request.match_info["batch"], _list(body, "refusals"))
        return web.json_response({})

    async def ping(request: web.Request) -> web.Response:
        await _read(request, hs_token)
        return web.json_response({})

    async def unknown(request: web.Request) -> web.Response:
        _authenticate(request, hs_token)
        return _error(404, "M_NOT_FOUND", "no such user, alias or address here")

    app.router.add_put("/_matrix/app/v1/transactions/{id}", _answered(transaction))
    app.router.add_post("/_matrix/app/v1/ping", _answered(ping))
    app.router.add_route("*", "/_matrix/app/{tail:.*}", _answered(unknown))
    app.router.add_put("/_conclave/guard/v1/refusals/{batch}", _answered(refusals))


class _RejectedError(Exception):
    """The request is refused before anything of it is used."""

    def __init__(self, status: int, errcode: str, error: str) -> None:
        super().__init__(error)
        self.response = _error(status, errcode, error)


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answered(handler: Handler) -> Handler:
    """Errors as the Matrix specification writes them; whatever is not taken has to be sent again, so never 200."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except _RejectedError as rejected:
            log.warning("homeserver_call_rejected", path=request.path, status=rejected.response.status)
            return rejected.response
        except InvalidInputError as error:
            return _error(400, "M_BAD_JSON", error.message)
        except ConclaveError as error:
            log.warning("homeserver_call_failed", path=request.path, code=error.code, reason=error.message)
            return _error(503, "M_UNKNOWN", error.message)
        except Exception:  # the edge: an unexpected failure must not be acknowledged
            log.exception("homeserver_call_failed", path=request.path)
            return _error(500, "M_UNKNOWN", "internal error")

    return answer


async def _read(request: web.Request, token: str) -> dict[str, Any]:
    _authenticate(request, token)
    if (request.content_length or 0) > MAX_BODY:
        raise _RejectedError(413, "M_TOO_LARGE", f"more than {MAX_BODY} bytes")
    data = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        data += chunk
        if len(data) > MAX_BODY:
            raise _RejectedError(413, "M_TOO_LARGE", f"more than {MAX_BODY} bytes")
    try:
        body = json.loads(bytes(data) or b"{}")
    except (ValueError, RecursionError):
        raise _RejectedError(400, "M_NOT_JSON", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise _RejectedError(400, "M_BAD_JSON", "the body is not an object")
    return body


def _authenticate(request: web.Request, token: str) -> None:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not given:
        raise _RejectedError(401, "M_UNAUTHORIZED", "a token is missing")
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode()):
        raise _RejectedError(403, "M_FORBIDDEN", "the token is not the one agreed on")


def _list(body: dict[str, Any], name: str) -> list[Any]:
    items = body.get(name, [])
    if not isinstance(items, list):
        raise _RejectedError(400, "M_BAD_JSON", f"{name} is not a list")
    return items


def _error(status: int, errcode: str, error: str) -> web.Response:
    return web.json_response({"errcode": errcode, "error": error}, status=status)
