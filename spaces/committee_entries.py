"""What committees leave in the ledger, and how it reads as the story of one of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from audit.entry import Draft, person_actor
from audit.kinds import KINDS
from audit.store import EntryRow
from config.clock import Millis
from spaces.committee import Committee, LateMembers
from spaces.model import Engagement, EngagementKind, EngagementStatus

COMMITTEE_KINDS = tuple(kind for kind in KINDS if kind.startswith(("committee.", "vendor.", "answer.")))
REUSED = "session.reused"
MOVES = ("member.joined", "member.left", "member.removed", "member.banned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened to a committee: the entry at ``position``, who did it, and which vendor it concerns.

    ``person`` is whom it concerns, where that is one; ``data`` is the entry's own (:mod:`audit.kinds`).
    """

    position: int
    at: Millis
    kind: str
    actor: str
    vendor: str | None
    person: str | None
    data: Mapping[str, Any]


def cleared(committee: Committee, actor: Mapping[str, str], *, timed: bool) -> list[Draft]:
    """The entries of a clearing: one for the buyer, and one for each vendor that names no other."""
    data = {"clear_at": committee.clear_at, "vendors": len(committee.vendors), "timed": timed}
    drafts = [draft("committee.cleared", committee, "", data)]
    for vendor in committee.vendors:
        about = {
            "committee": committee.id,
            "vendor": vendor.company,
            "pitch": vendor.pitch,
            "deliberation": committee.deliberation,
            "history": "shared" if committee.late_members is LateMembers.SEE_ALL else None,
            "clear_at": committee.clear_at,
        }
        drafts.append(draft("vendor.cleared", committee, "", about, vendor=vendor.company))
    return [replace(item, actor=actor) for item in drafts]


def draft(
    kind: str, committee: Committee, actor: str, data: Mapping[str, object], *, vendor: str | None = None
) -> Draft:
    """An entry that concerns the buyer, and one vendor where it names it: no vendor's trail tells of another."""
    companies = {committee.buyer} if vendor is None else {committee.buyer, vendor}
    told = {name: value for name, value in data.items() if value is not None}
    return Draft(
        kind=kind,
        actor=person_actor(actor),
        engagement=committee.id,
        companies=tuple(sorted(companies)),
        data=told,
    )


def opened(committee: Committee, actor: str) -> Draft:
    """The entry of a new committee; its title is disclosed beside the log."""
    data = {
        "chair": committee.chair,
        "members": sorted(member.person for member in committee.members),
        "rooms": [committee.space, committee.deliberation],
        "late_members": committee.late_members.value,
    }
    return replace(draft("committee.opened", committee, actor, data), disclose={"title": committee.title})


def engagement_of(committee: Committee, now: Millis, actor: str) -> Engagement:
    """What a new committee is among the engagements of its buyer."""
    return Engagement(
        id=committee.id,
        kind=EngagementKind.COMMITTEE,
        partner=committee.buyer,
        template="",
        team="",
        status=EngagementStatus.OPEN,
        opened_at=now,
        opened_by=actor,
    )


def moment(row: EntryRow, buyer: str) -> Moment:
    """What an entry of one of ``COMMITTEE_KINDS`` or ``REUSED`` tells; ``buyer`` is the committee's."""
    body = json.loads(row.body)
    data = body["data"]
    vendor = data.get("vendor") or data.get("winner")
    if row.kind == REUSED:
        vendor = next((company for company in data["left_of"] if company != buyer), None)
    return Moment(
        position=row.position,
        at=row.at,
        kind=row.kind,
        actor=next(iter(body["actor"].values())),
        vendor=vendor,
        person=data.get("person") or data.get("chair"),
        data=data,
    )


def move(row: EntryRow, vendor: str) -> Moment:
    """What an entry of one of ``MOVES`` tells: one of the people of ``vendor`` came or went."""
    body = json.loads(row.body)
    return Moment(
        position=row.position,
        at=row.at,
        kind=row.kind,
        actor=next(iter(body["actor"].values())),
        vendor=vendor,
        person=body["data"]["subject"]["person"],
        data=body["data"],
    )


def belongs_to(row: EntryRow, committee_id: str) -> bool:
    """Whether the entry is one of this committee."""
    return bool(json.loads(row.body).get("engagement") == committee_id)
