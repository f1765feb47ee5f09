"""Errors as ``application/problem+json`` (RFC 9457), each with a stable code."""

import json

from aiohttp import web
from pydantic import ValidationError

from bridge.api.authorisation import ForbiddenError
from bridge.api.models import EXPECTED, Problem
from config.errors import ConclaveError, ConflictError, InvalidInputError, NotFoundError, UnavailableError
from partner_onboarding.access import NotAuthenticatedError
from partner_onboarding.model import InvitationError
from spaces.committee_seats import InterestError
from spaces.gateway import HomeserverRefusedError, HomeserverUnavailableError

MEDIA_TYPE = "application/problem+json"

# The first class that fits decides.
STATUS: tuple[tuple[type[ConclaveError], int], ...] = (
    (InvalidInputError, 422),
    (NotAuthenticatedError, 401),
    (ForbiddenError, 403),
    (InterestError, 403),
    (NotFoundError, 404),
    (InvitationError, 410),
    (ConflictError, 409),
    (HomeserverUnavailableError, 503),
    (HomeserverRefusedError, 502),
    (UnavailableError, 503),
)

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    415: "Not JSON",
    422: "Invalid input",
    500: "Internal error",
    502: "The homeserver refused",
    503: "Unavailable",
}


_SECRET = ("secret", "password", "token")
"""Members that are never said again, whatever is wrong with them."""


def status_of(error: ConclaveError) -> int:
    """The HTTP status for ``error``."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def problem(status: int, code: str, detail: str, *, hint: str = "", field: str = "") -> web.Response:
    """A problem document."""
    title = TITLES.get(status, "Error")
    body = Problem(
        type=f"urn:conclave:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        hint=hint,
        field=field,
    )
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        headers["Retry-After"] = "1"
    return web.Response(status=status, body=body.model_dump_json().encode(), content_type=MEDIA_TYPE, headers=headers)


def problem_of(error: ConclaveError) -> web.Response:
    """The problem document for an expected failure."""
    field = error.field if isinstance(error, InvalidInputError) else ""
    return problem(status_of(error), error.code, error.message, hint=error.hint, field=field)


def problem_of_validation(error: ValidationError) -> web.Response:
    """The problem document for input that does not have its form; it names the first offending member."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    secret = not first["loc"] or first["loc"][-1] in _SECRET
    given = "…" if secret else json.dumps(first["input"], default=str)[:100]
    said = EXPECTED.get(str(first.get("ctx", {}).get("pattern")), first["msg"])
    detail = f"{field or 'body'} = {given}: {said[:1].lower()}{said[1:]}"
    return problem(
        422,
        InvalidInputError.code,
        detail,
        field=field,
        hint="--help says what a command takes, /v1/openapi.json what a call takes",
    )
