"""Charters and roster as documents: versioned, signed; the only form in which the guard takes them. Pure.

The signature is Ed25519 over ``CONTEXT`` ‖ sorted JSON, so that it can be taken for nothing else.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from spaces.policy.records import Admission, Charter, CompanyRecord, PersonRecord, Recording, RoomKind, Standing

CONTEXT = b"conclave-document/1\n"

Record = Charter | CompanyRecord | PersonRecord
T = TypeVar("T", Charter, CompanyRecord, PersonRecord)


class DocumentError(Exception):
    """The document has another form than its kind demands."""


class DocumentKind(StrEnum):
    """What a document describes; its key is the charter's, the company's id, or the Matrix user id."""

    CHARTER = "charter"
    COMPANY = "company"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of one record; ``gone`` takes the record away."""

    kind: DocumentKind
    key: str
    version: int
    body: Mapping[str, Any]
    gone: bool = False

    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        content = {
            "kind": self.kind.value,
            "key": self.key,
            "version": self.version,
            "body": dict(self.body),
            "gone": self.gone,
        }
        return CONTEXT + json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def document_of(record: Record, version: int) -> Document:
    """The document of ``record``."""
    if isinstance(record, Charter):
        return Document(kind=DocumentKind.CHARTER, key=record.key, version=version, body=_body(record))
    if isinstance(record, CompanyRecord):
        return Document(kind=DocumentKind.COMPANY, key=record.company, version=version, body=_body(record))
    return Document(kind=DocumentKind.PERSON, key=record.user_id, version=version, body=_body(record))


def charter_of(body: Mapping[str, Any]) -> Charter:
    """The charter in a document's body.

    Raises:
        DocumentError: A member is missing, unknown or of another type.
    """
    admits = _list(body, "admits")
    changes = {
        "kind": _enum(RoomKind, body.get("kind")),
        "recording": _enum(Recording, body.get("recording")),
        "admits": tuple(_admission(item) for item in admits),
        **{name: tuple(_texts(body, name)) for name in ("companies", "accounts", "servers") if name in body},
    }
    return _record(Charter, {**body, **changes})


def company_of(body: Mapping[str, Any]) -> CompanyRecord:
    """The company in a document's body.

    Raises:
        DocumentError: A member is missing, unknown or of another type.
    """
    direct = {"direct": tuple(_texts(body, "direct"))} if "direct" in body else {}
    return _record(CompanyRecord, {**body, **direct, "standing": _enum(Standing, body.get("standing"))})


def person_of(body: Mapping[str, Any]) -> PersonRecord:
    """The person in a document's body.

    Raises:
        DocumentError: A member is missing, unknown or of another type.
    """
    changes = {"standing": _enum(Standing, body.get("standing")), "teams": frozenset(_texts(body, "teams"))}
    return _record(PersonRecord, {**body, **changes})


READERS: dict[DocumentKind, Callable[[Mapping[str, Any]], Record]] = {
    DocumentKind.CHARTER: charter_of,
    DocumentKind.COMPANY: company_of,
    DocumentKind.PERSON: person_of,
}


def parse_document(data: Any) -> Document:
    """The document in the JSON value ``data``, its body checked against its kind.

    Raises:
        DocumentError: It has another form.
    """
    if not isinstance(data, Mapping) or set(data) != {"kind", "key", "version", "body", "gone"}:
        raise DocumentError("a document has kind, key, version, body and gone")
    kind = _enum(DocumentKind, data["kind"])
    key, version, body, gone = data["key"], data["version"], data["body"], data["gone"]
    if not isinstance(key, str) or type(version) is not int or version < 1:
        raise DocumentError("key is text, version an integer from 1 on")
    if not isinstance(body, Mapping) or not isinstance(gone, bool):
        raise DocumentError("body is an object, gone a truth value")
    document = Document(kind=kind, key=key, version=version, body=body, gone=gone)
    if not gone and document_of(READERS[kind](body), version).key != key:
        raise DocumentError(f"the body describes another {kind} than {key}")
    return document


def _body(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in _ADDED[type(record)] and value == field.default:
            continue
        if isinstance(value, frozenset):
            value = sorted(value)
        elif field.name == "admits":
            value = [_admission_body(item) for item in value]
        elif isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, StrEnum):
            value = value.value
        body[field.name] = value
    return body


def _admission_body(item: Admission) -> dict[str, Any]:
    added = {name: value for name in _ADMISSION_ADDED if (value := getattr(item, name)) is not None}
    return {"company": item.company, "team": item.team, **added}


def _admission(item: Any) -> Admission:
    if not isinstance(item, Mapping) or not {"company", "team"} <= set(item) <= {"company", "team", *_ADMISSION_ADDED}:
        raise DocumentError(f"an admission has company and team, and perhaps {', '.join(_ADMISSION_ADDED)}")
    if not isinstance(item["company"], str):
        raise DocumentError("an admission's company is text")
    if not all(isinstance(item.get(name), str | None) for name in ("team", "person")):
        raise DocumentError("an admission's team and person are text or nothing")
    times = {name: item[name] for name in ("not_before", "not_after") if name in item}
    if not all(type(value) is int for value in times.values()):
        raise DocumentError("an admission's times are integers")
    return Admission(company=item["company"], team=item["team"], person=item.get("person"), **times)


def _enum(kind: type[StrEnum], value: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise DocumentError(f"{value!r} is none of {', '.join(kind)}") from None


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list | tuple):
        raise DocumentError(f"{name} is a list")
    return list(value)


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    value = _list(body, name)
    if not all(isinstance(item, str) for item in value):
        raise DocumentError(f"{name} is a list of texts")
    return value


_ADMISSION_ADDED = ("person", "not_before", "not_after")
_OPTIONAL_INTEGERS = {"not_after", "max_upload", "frozen_from"}
_OPTIONAL_TEXTS = {"server"}
_FLAGS = {"open", "held"}
_CHECKED = {"kind", "recording", "admits", "companies", "standing", "teams", "accounts", "servers"}
_ADDED: dict[type[Record], frozenset[str]] = {
    Charter: frozenset({"accounts", "servers", "held", "direct", "frozen_from"}),
    CompanyRecord: frozenset({"max_upload", "server", "direct"}),
    PersonRecord: frozenset({"held"}),
}
"""Members that the first form of a document did not have: left out while they say nothing, so that what was signed
before stays what it was."""


def _record(kind: type[T], body: Mapping[str, Any]) -> T:
    names = {field.name for field in fields(kind)}
    if not names - _ADDED[kind] <= set(body) <= names:
        raise DocumentError(f"a {kind.__name__} has other members than {', '.join(sorted(body))}")
    for name, value in body.items():
        if not _fits(kind, name, value):
            raise DocumentError(f"{name} = {value!r} has the wrong type")
    return kind(**body)


def _fits(kind: type[Any], name: str, value: Any) -> bool:
    if name in _CHECKED or (name == "direct" and kind is CompanyRecord):
        return True
    if name in _OPTIONAL_INTEGERS:
        return value is None or type(value) is int
    if name in _OPTIONAL_TEXTS:
        return isinstance(value, str | None)
    return isinstance(value, bool if name in _FLAGS or name == "direct" else str)
