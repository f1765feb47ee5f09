"""The OpenAPI document tells the truth: schemathesis tries it against a running hub."""

import json
import urllib.request
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bridge.api.openapi import openapi_document
from bridge.api.operations import OPERATIONS
from tests.served import ServedHub

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(openapi_document())


@pytest.fixture(scope="module")
def officer(served_hub: ServedHub) -> str:
    """A compliance officer's token: the administrator may not export."""

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            served_hub.url + path,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {served_hub.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            found: dict[str, Any] = json.load(response)
            return found

    email = "truth@contoso.example"
    post("/v1/people", {"company": "contoso", "name": "Truth", "email": email})
    post("/v1/roles/grant", {"person": email, "role": "compliance-officer"})
    return str(post("/v1/credentials", {"person": email, "device": "x"})["token"])


@schema.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_describes(case: Case[Any], served_hub: ServedHub, officer: str) -> None:
    if case.operation.path in {"/v1/logout", "/v1/roles/revoke", "/v1/credentials/{credential}/revoke"}:
        token = "conclave_none.none"  # it must not take away what the test stands on
    else:
        token = officer if "export" in case.operation.path else served_hub.token
    response = case.call(base_url=served_hub.url, headers={"Authorization": f"Bearer {token}"})
    case.validate_response(response, checks=CHECKS)


def test_every_operation_is_described_once() -> None:
    document = openapi_document()
    described = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    assert sorted(described) == sorted(operation.id for operation in OPERATIONS)
    assert len(set(described)) == len(described)


def test_the_document_is_served(served_hub: ServedHub) -> None:
    with urllib.request.urlopen(f"{served_hub.url}/v1/openapi.json") as response:
        assert json.load(response) == openapi_document()
