"""The log as static files under ``/log/``: any client of transparency logs can follow it (C2SP tlog-tiles)."""

import base64
import binascii
from collections.abc import Awaitable, Callable

from aiohttp import web

from audit.tiles import TileError, parse_path
from bridge.api.authorisation import ForbiddenError, Permission, authorise
from bridge.services import Services
from config.errors import ConclaveError, NotFoundError
from partner_onboarding.access import NotAuthenticatedError

FOREVER = "private, max-age=31536000, immutable"
NOW = "private, no-cache"
CHALLENGE = 'Basic realm="Conclave log", charset="UTF-8"'


def add_log(app: web.Application, services: Services) -> None:
    """Add ``/log/checkpoint`` and ``/log/tile/…`` for those who may read the ledger.

    The credential comes as a bearer token, or as the password of HTTP's Basic authentication, which programs for such
    logs know.
    """

    async def checkpoint(request: web.Request) -> web.Response:
        await _authorise(services, request)
        note = await services.audit.checkpoint()
        return web.Response(body=note, content_type="text/plain", charset="utf-8", headers={"Cache-Control": NOW})

    async def tile(request: web.Request) -> web.Response:
        await _authorise(services, request)
        try:
            level, index, width = parse_path(request.path.removeprefix("/log/"))
        except TileError as error:
            raise NotFoundError(str(error)) from None
        data = await services.audit.tile(level, index, width)
        response = web.Response(body=data, content_type="application/octet-stream", headers={"Cache-Control": FOREVER})
        response.enable_compression()
        return response

    app.router.add_get("/log/checkpoint", _plain(checkpoint))
    app.router.add_get("/log/tile/{path:.*}", _plain(tile))


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _plain(handler: Handler) -> Handler:
    """Failures as one line of text: who asks is a program that expects files."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ConclaveError as error:
            status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
            headers = {"WWW-Authenticate": CHALLENGE} if status == 401 else {}
            return web.Response(
                status=status, text=f"{error.message}\n", headers={**headers, "Cache-Control": "no-store"}
            )

    return answer


_STATUS: dict[type[ConclaveError], int] = {NotAuthenticatedError: 401, ForbiddenError: 403, NotFoundError: 404}


async def _authorise(services: Services, request: web.Request) -> None:
    principal = await services.access.authenticate(_token(request.headers.get("Authorization", "")))
    authorise(principal, Permission.READ_LEDGER)


def _token(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            pass
    raise NotAuthenticatedError("this needs a credential", hint="as a bearer token, or as a password")
