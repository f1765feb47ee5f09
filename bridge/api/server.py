"""Serving the API: each request is authenticated, authorised and checked here, once, before its handler runs."""

import json
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, cast

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import IntegrityError

from bridge import metrics
from bridge.api.authorisation import Permission, authorise
from bridge.api.call import Call
from bridge.api.idempotency import HEADER, Once, StoredAnswer, noting
from bridge.api.models import NoBody
from bridge.api.openapi import openapi_document
from bridge.api.operations import OPERATIONS, Handler, Operation, StreamHandler
from bridge.api.problems import problem, problem_of, problem_of_validation
from bridge.services import Services
from config.errors import ConclaveError, ConflictError
from partner_onboarding.access import NotAuthenticatedError, Principal

log = structlog.get_logger()

_CODES = {400: "not_json", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "not_json"}

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_api(app: web.Application, services: Services) -> None:
    """Add every operation and the OpenAPI document to ``app``."""
    document = json.dumps(openapi_document()).encode()

    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    app.router.add_get("/v1/openapi.json", describe)
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, _respond(operation, services))


@web.middleware
async def api_errors(request: web.Request, handler: Respond) -> web.StreamResponse:
    """Failures below ``/v1/`` that no operation answers for, such as an unknown address, as problem documents."""
    if not request.path.startswith("/v1/"):
        return await handler(request)
    return await _guarded(request, handler)


async def _guarded(request: web.Request, handler: Respond) -> web.StreamResponse:
    """What ``handler`` answers, every failure as a problem document; what is unexpected is logged, and not told."""
    try:
        return await handler(request)
    except ConclaveError as error:
        return problem_of(error)
    except ValidationError as error:
        return problem_of_validation(error)
    except web.HTTPException as error:
        detail = f"{request.method} {request.path}: {error.reason}"
        return problem(error.status, _CODES.get(error.status, "failed"), detail)
    except Exception:  # the edge: nothing inside may reach the caller
        log.exception("request_failed", method=request.method, path=request.path)
        return problem(500, "internal", "something failed inside; it was logged", hint="tell the operator the time")


def _respond(operation: Operation, services: Services) -> Respond:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await _answer(operation, services, request)

    async def respond(request: web.Request) -> web.StreamResponse:
        began = perf_counter()
        response = await _guarded(request, answer)
        metrics.HTTP_REQUESTS.labels(operation.id, response.status).inc()
        metrics.HTTP_SECONDS.labels(operation.id).inc(perf_counter() - began)
        return response

    return respond


async def _answer(operation: Operation, services: Services, request: web.Request) -> web.StreamResponse:
    principal = None
    if operation.needs is not Permission.ANYONE:
        principal = await _authenticate(services, request)
        authorise(principal, operation.needs)
    raw = await request.read() if operation.writes else b""
    call = Call(
        services=services,
        principal=principal,
        path=dict(request.match_info),
        query=operation.query.model_validate(dict(request.query)),
        body=_body(operation, request, raw),
    )
    if operation.media_type != "application/json":
        return await cast(StreamHandler, operation.handler)(call, request)
    return await _once(operation, call, request, raw)


async def _once(operation: Operation, call: Call[Any, Any], request: web.Request, raw: bytes) -> web.Response:
    """Carry the call out; under a key that was here before, answer as then."""
    key, handler, once = request.headers.get(HEADER), cast(Handler, operation.handler), None
    if key is not None and operation.writes and call.principal is not None:
        name = f"{operation.id} {request.path}"
        services = call.services
        once = Once(services.db, services.clock, person=call.actor, key=key, operation=name, body=raw)
        earlier = await once.earlier()
        if earlier is not None:
            return _json(earlier)
    try:
        with noting(once):
            result = await handler(call)
    except (IntegrityError, ConflictError):
        stored = None if once is None else await once.earlier()  # the same call, sent twice at the same moment
        if stored is None:
            raise
        return _json(stored)
    answer = StoredAnswer(status=operation.status, body=_dump(result))
    if once is not None:
        hidden = dict.fromkeys(operation.secrets)
        await once.keep(StoredAnswer(status=answer.status, body={**answer.body, **hidden}))
    return _json(answer)


async def _authenticate(services: Services, request: web.Request) -> Principal:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticatedError("this call needs a credential", hint="conclave login")
    return await services.access.authenticate(token.strip())


def _body(operation: Operation, request: web.Request, raw: bytes) -> BaseModel:
    if not raw and not operation.needs_body:
        return operation.body()
    if operation.body is NoBody:
        return NoBody()
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="Content-Type must be application/json")
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(reason="The body is not JSON") from None
    return operation.body.model_validate_json(raw)


def _dump(result: BaseModel) -> dict[str, Any]:
    return result.model_dump(mode="json")


def _json(answer: StoredAnswer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers={"Cache-Control": "no-store"})
