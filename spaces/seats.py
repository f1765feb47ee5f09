"""Seats of committees: members taken off, the chair handed on. A change and its entry are one transaction."""

from audit.entry import Draft
from config.clock import Millis
from spaces.committee import Committee
from spaces.committee_entries import draft
from spaces.committee_seats import with_chair, without_member
from spaces.committees import CommitteeService


async def remove_member(committees: CommitteeService, committee_id: str, person: str, *, actor: str) -> Committee:
    """Take one of the buyer's people off; they leave the committee's rooms.

    Raises:
        ConclaveError: See :func:`spaces.committee_seats.without_member`.
    """

    def remove(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
        del now
        after = without_member(before, person)
        return after, [draft("committee.reduced", after, actor, {"person": person})]

    return await committees.change(committee_id, remove, by=actor)


async def hand_on(committees: CommitteeService, committee_id: str, person: str, *, actor: str) -> Committee:
    """Give the chair to another member.

    Raises:
        ConclaveError: See :func:`spaces.committee_seats.with_chair`.
    """

    def hand_on(before: Committee, now: Millis) -> tuple[Committee, list[Draft]]:
        del now
        after = with_chair(before, person)
        return after, [draft("committee.chaired", after, actor, {"chair": after.chair, "before": before.chair})]

    return await committees.change(committee_id, hand_on, by=actor)
