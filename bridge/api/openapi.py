"""The OpenAPI 3.1 document, made from the table of operations."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bridge.api import models as m
from bridge.api.authorisation import ROLES, Permission
from bridge.api.idempotency import HEADER
from bridge.api.operations import OPERATIONS, Operation
from bridge.api.problems import MEDIA_TYPE, TITLES
from bridge.version import SOFTWARE

_REF = "#/components/schemas/{model}"


def openapi_document() -> dict[str, Any]:
    """The whole document."""
    answers = [(operation.answer, "serialization") for operation in OPERATIONS if operation.answer is not None]
    bodies = [(operation.body, "validation") for operation in OPERATIONS if operation.body is not m.NoBody]
    mapping, definitions = models_json_schema(
        [*answers, *bodies, (m.Problem, "serialization")],  # type: ignore[list-item]  # the modes are literals
        ref_template=_REF,
    )
    schemas: dict[tuple[Any, str], Any] = {(model, mode): schema for (model, mode), schema in mapping.items()}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Conclave",
            "version": SOFTWARE.split()[-1],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"credential": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"credential": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, schemas: dict[tuple[Any, str], Any]) -> dict[str, Any]:
    text = (operation.handler.__doc__ or "").strip()
    document: dict[str, Any] = {
        "operationId": operation.id,
        "summary": text.split(". ")[0].split("\n")[0].rstrip("."),
        "description": f"{text}\n\nNeeds {_needs(operation.needs)}.",
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": {str(operation.status): _answer(operation, schemas), **_problems(operation, schemas)},
    }
    if operation.needs is Permission.ANYONE:
        document["security"] = []
    elif operation.writes:
        document["parameters"].append(
            {
                "name": HEADER,
                "in": "header",
                "description": "any fresh text; a repeated call with the same key is carried out once",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]+$"},
            }
        )
    if operation.body is not m.NoBody:
        schema = schemas[operation.body, "validation"]
        content = {"application/json": {"schema": schema}}
        document["requestBody"] = {"required": operation.needs_body, "content": content}
    return document


def _needs(permission: Permission) -> str:
    if permission is Permission.ANYONE:
        return "no credential"
    if permission is Permission.SIGNED_IN:
        return "a credential"
    return "the role " + " or ".join(sorted(ROLES[permission]))


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "description": member.pop("description", ""),
            "schema": {key: value for key, value in member.items() if key != "title"},
        }
        for name, member in schema.get("properties", {}).items()
    ]


def _answer(operation: Operation, schemas: dict[tuple[Any, str], Any]) -> dict[str, Any]:
    if operation.answer is None:
        schema: Any = {"type": "string", "format": "binary"}
    else:
        schema = schemas[operation.answer, "serialization"]
    return {"description": "done", "content": {operation.media_type: {"schema": schema}}}


def _problems(operation: Operation, schemas: dict[tuple[Any, str], Any]) -> dict[str, Any]:
    statuses = {401, 403, 422, 503, *operation.problems}
    if "{" in operation.path or operation.writes:
        statuses.add(404)
    if operation.writes:
        statuses |= {400, 409, 413, 415}
    content = {MEDIA_TYPE: {"schema": schemas[m.Problem, "serialization"]}}
    return {str(status): {"description": TITLES[status], "content": content} for status in sorted(statuses)}
