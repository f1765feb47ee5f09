"""What committees leave in the ledger, and how it reads as the story of one of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from audit.entry import Draft, person_actor
from audit.kinds import KINDS
from audit.store import EntryRow
from config.clock import Millis
from spaces.committee import Committee

COMMITTEE_KINDS = tuple(kind for kind in KINDS if kind.startswith(("committee.", "vendor.", "answer.")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened to a committee: the entry at ``position``, who did it, and which vendor it concerns."""

    position: int
    at: Millis
    kind: str
    actor: str
    vendor: str | None


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


def moment(row: EntryRow) -> Moment:
    """What an entry of one of ``COMMITTEE_KINDS`` tells."""
    body = json.loads(row.body)
    actor = next(iter(body["actor"].values()))
    vendor = body["data"].get("vendor") or body["data"].get("winner")
    return Moment(position=row.position, at=row.at, kind=row.kind, actor=actor, vendor=vendor)


def belongs_to(row: EntryRow, committee_id: str) -> bool:
    """Whether the entry is one of this committee."""
    return bool(json.loads(row.body).get("engagement") == committee_id)
