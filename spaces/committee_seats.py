"""Who sits on a committee and may act there: conflicts of interest, the chair handed on, members taken off. Pure."""

from dataclasses import replace

from config.errors import ConflictError
from spaces.committee import Committee, Declared


class InterestError(ConflictError):
    """The person has a conflict of interest: they do nothing in this committee, and are not chosen for anything."""

    code = "conflict_of_interest"


def has_conflict(committee: Committee, person: str) -> bool:
    """Whether this person is a member who declared a conflict of interest: whatever else they are, they stay out."""
    return any(item.person == person and item.declared is Declared.CONFLICT for item in committee.members)


def demand_impartial(committee: Committee, person: str) -> None:
    """Return when ``person`` declared no conflict of interest here.

    Raises:
        InterestError: They did, be they chair, partner manager, or both.
    """
    if has_conflict(committee, person):
        raise InterestError(
            f"you declared a conflict of interest in {committee.id}; who has one does nothing there",
            hint=who_else(committee, person),
        )


def who_else(committee: Committee, person: str) -> str:
    """Whom somebody with a conflict of interest turns to; nobody is above a chair but a partner manager."""
    if person == committee.chair:
        return f"a partner manager without a conflict can say: conclave committee chair {committee.id} PERSON"
    return "ask the chair, or a partner manager without a conflict"


def without_member(committee: Committee, person: str) -> Committee:
    """One buyer less, who leaves its rooms.

    Raises:
        PhaseError: The committee is closed.
        NotFoundError: The person is no member.
        ConflictError: They chair it, or nobody would be left who may decide.
        InterestError: They have a conflict. It stays on record: taken off, they could come back without.
    """
    committee.demand_live("a member is taken off")
    before = committee.member(person)
    if person == committee.chair:
        raise ConflictError(
            f"{before.user_id} chairs {committee.id}",
            hint=f"hand the chair on first: conclave committee chair {committee.id} PERSON",
        )
    if before.declared is Declared.CONFLICT:
        raise InterestError(
            f"{before.user_id} declared a conflict of interest in {committee.id}, which stays on record",
            hint="nothing is to be done: they are in none of its rooms",
        )
    left = tuple(item for item in committee.members if item is not before)
    if all(item.declared is Declared.CONFLICT for item in left):
        raise ConflictError(
            f"{before.user_id} is the last member of {committee.id} without a conflict of interest",
            hint=f"take another in first: conclave committee add-member {committee.id} PERSON",
        )
    return replace(committee, members=left)


def with_chair(committee: Committee, person: str) -> Committee:
    """The committee with ``person`` in the chair.

    Raises:
        PhaseError: The committee is closed.
        NotFoundError: The person is no member.
        ConflictError: They chair it already, or have not declared.
        InterestError: They declared a conflict of interest.
    """
    committee.demand_live("the chair is handed on")
    after = committee.member(person)
    if after.person == committee.chair:
        raise ConflictError(
            f"{after.user_id} chairs {committee.id} already", hint=f"conclave committee show {committee.id}"
        )
    if after.declared is Declared.CONFLICT:
        raise InterestError(
            f"{after.user_id} declared a conflict of interest in {committee.id}; who has one does not chair it",
            hint=f"choose another member: conclave committee show {committee.id}",
        )
    if after.declared is None:
        raise ConflictError(
            f"{after.user_id} has not declared whether there is a conflict of interest",
            hint=f"they say so first: conclave committee declare {committee.id} --none",
        )
    return replace(committee, chair=after.person)
