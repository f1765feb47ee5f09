"""Addresses that need no credential: ``.well-known``, health, readiness, metrics."""

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bridge.readiness import Readiness
from config.settings import Settings

CORS = {"Access-Control-Allow-Origin": "*"}


def add_well_known(app: web.Application, settings: Settings) -> None:
    """Add ``/.well-known/matrix/client``, ``/support`` and, where there is federation, ``/server``.

    Specification, "Well-known URIs" and "Resolving server names".
    """
    client = {"m.homeserver": {"base_url": settings.homeserver.client_url}}
    support = _support(settings)

    async def serve_client(_request: web.Request) -> web.Response:
        return web.json_response(client, headers=CORS)

    async def serve_support(_request: web.Request) -> web.Response:
        if support is None:
            return web.json_response({"errcode": "M_NOT_FOUND", "error": "no contact is set"}, status=404, headers=CORS)
        return web.json_response(support, headers=CORS)

    server = _server(settings)
    if server is not None:

        async def serve_server(_request: web.Request) -> web.Response:
            return web.json_response({"m.server": server})

        app.router.add_get("/.well-known/matrix/server", serve_server)
    app.router.add_get("/.well-known/matrix/client", serve_client)
    app.router.add_get("/.well-known/matrix/support", serve_support)


def _server(settings: Settings) -> str | None:
    """Where other homeservers reach ours: where clients do, if that is by TLS and there is federation."""
    address = urlsplit(settings.homeserver.client_url)
    if not settings.federation.enabled or address.scheme != "https":
        return None
    return f"{address.hostname}:{address.port or 443}"


def _support(settings: Settings) -> dict[str, Any] | None:
    """The contacts; the specification demands a contact or a page."""
    found: dict[str, Any] = {}
    email = settings.support.email or settings.host.admin_email
    if email:
        found["contacts"] = [{"role": "m.role.admin", "email_address": email}]
    if settings.support.page:
        found["support_page"] = settings.support.page
    return found or None


def add_health(app: web.Application, readiness: Readiness) -> None:
    """Add ``/healthz`` (the process is alive), ``/readyz`` (it does its work) and ``/metrics``."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        checks = await readiness.checks()
        ready = all(check.ok for check in checks.values())
        parts = {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()}
        return web.json_response({"ready": ready, "checks": parts}, status=200 if ready else 503)

    async def serve_metrics(_request: web.Request) -> web.Response:
        await readiness.checks()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", serve_metrics)
