"""From values of the core to what the API shows."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from audit.store import EntryRow
from bridge.api.models import (
    CompanyView,
    CredentialView,
    EntryView,
    PartnershipView,
    PersonView,
    RoomView,
)
from config.clock import DAY, Millis, iso
from partner_onboarding.access_store import Credential
from partner_onboarding.model import Company, Person
from spaces import model


def time(instant: Millis | None) -> str | None:
    """RFC 3339, or nothing."""
    return None if instant is None else iso(instant)


def last_day(not_after: Millis | None) -> str | None:
    """The last day before ``not_after``."""
    return None if not_after is None else iso(not_after - DAY)[:10]


def company_view(company: Company) -> CompanyView:
    """A company as the API shows it."""
    return CompanyView(
        id=company.id,
        name=company.name,
        kind=company.kind.value,
        status="suspended" if company.suspended else "active",
        external_id=company.external_id,
        seats=company.seats,
        until=last_day(company.not_after),
        max_upload=company.max_upload,
        added_at=iso(company.added_at),
        homeserver=company.server,
    )


def person_fields(person: Person) -> dict[str, Any]:
    """The members of a person's view."""
    return {
        "id": person.id,
        "company": person.company,
        "name": person.name,
        "email": person.email,
        "role": person.role,
        "status": person.status,
        "user_id": person.user_id,
        "invited_at": iso(person.invited_at),
        "enrolled_at": time(person.enrolled_at),
    }


def person_view(person: Person) -> PersonView:
    """A person as the API shows them."""
    return PersonView(**person_fields(person))


def room_fields(view: model.RoomView) -> dict[str, Any]:
    """The members of a room's view."""
    return {
        "key": view.room.key,
        "room_id": view.room.room_id,
        "engagement": view.room.engagement,
        "kind": view.room.kind,
        "name": view.charter.name,
        "recording": view.charter.recording,
        "members": view.members,
        "settled": view.room.settled,
        "problem": view.room.problem,
    }


def room_view(view: model.RoomView) -> RoomView:
    """A room as the API shows it."""
    return RoomView(**room_fields(view))


def partnership_fields(engagement: model.Engagement) -> dict[str, Any]:
    """The members of a partnership's view."""
    return {
        "id": engagement.id,
        "partner": engagement.partner,
        "template": engagement.template,
        "team": engagement.team,
        "status": engagement.status,
        "opened_at": iso(engagement.opened_at),
        "opened_by": engagement.opened_by,
        "closed_at": time(engagement.closed_at),
    }


def partnership_view(engagement: model.Engagement) -> PartnershipView:
    """A partnership as the API shows it."""
    return PartnershipView(**partnership_fields(engagement))


def credential_view(item: Credential) -> CredentialView:
    """A credential as the API shows it."""
    return CredentialView(
        id=item.id,
        person=item.person,
        device=item.device,
        issued_at=iso(item.issued_at),
        expires_at=iso(item.expires_at),
        revoked_at=time(item.revoked_at),
    )


def entry_fields(row: EntryRow, names: Mapping[str, str], disclosed: Mapping[str, str]) -> dict[str, Any]:
    """The members of an entry's view."""
    entry = json.loads(row.body)
    return {
        "position": row.position,
        "kind": row.kind,
        "at": iso(row.at),
        "entry": entry,
        "names": {one: names[one] for one in (*people_in(entry), row.room or "") if one in names},
        "disclosed": dict(disclosed),
    }


def entry_view(row: EntryRow, names: Mapping[str, str], disclosed: Mapping[str, str]) -> EntryView:
    """An entry as the API shows it."""
    return EntryView(**entry_fields(row, names, disclosed))


def people_in(entry: Mapping[str, Any]) -> Iterator[str]:
    """The ids of the people whom an entry names."""
    data = entry.get("data", {})
    subject = data.get("subject")
    for found in (entry.get("actor", {}).get("person"), data.get("person")):
        if isinstance(found, str):
            yield found
    if isinstance(subject, Mapping) and isinstance(subject.get("person"), str):
        yield subject["person"]
    left = data.get("left")
    yield from (person for person in (left if isinstance(left, list) else ()) if isinstance(person, str))
