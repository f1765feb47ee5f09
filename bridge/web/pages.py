"""The shell of every page: templates, style sheet, and headers that leave no room for scripts."""

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

import jinja2
from aiohttp import web

from bridge.version import SOFTWARE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Pages:
    """Renders templates of ``bridge.web`` and of the domain packages that have pages."""

    def __init__(self, host_name: str) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(
                [
                    jinja2.PackageLoader("bridge.web", "templates"),
                    jinja2.PackageLoader("partner_onboarding", "templates"),
                ]
            ),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shared = {"host_name": host_name, "software": SOFTWARE}

    def render(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A page."""
        text = self._environment.get_template(template).render(**self._shared, **values)
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def add_static(app: web.Application) -> None:
    """Add the style sheet."""
    style = resources.files("bridge.web").joinpath("static/style.css").read_bytes()

    async def serve(_request: web.Request) -> web.Response:
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=style, content_type="text/css", headers=headers)

    app.router.add_get("/static/style.css", serve)
