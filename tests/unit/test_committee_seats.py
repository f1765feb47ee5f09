"""Seats of a committee: who has a conflict does nothing, who is taken off, who may have the chair."""

from dataclasses import replace

import pytest

from config.errors import ConclaveError, ConflictError, NotFoundError
from spaces.committee import Committee, Declared, PhaseError
from spaces.committee_seats import InterestError, demand_impartial, who_else, with_chair, without_member
from tests.unit.test_committee import ANN, BEA, CLOSED, DECIDED, OPEN, PHASES, PITCH


def with_bea(declared: Declared | None, committee: Committee = OPEN) -> Committee:
    return replace(committee, members=(ANN, replace(BEA, declared=declared)))


def test_who_has_a_conflict_does_nothing_whoever_they_are() -> None:
    torn = OPEN.declare("prs_ann", Declared.CONFLICT, 1)
    with pytest.raises(InterestError, match=r"^you declared a conflict of interest in crm; who has one does nothing"):
        demand_impartial(torn, "prs_ann")
    demand_impartial(torn, "prs_bea")
    demand_impartial(torn, "prs_manager")
    assert who_else(torn, "prs_ann").endswith("conclave committee chair crm PERSON"), "she is the chair herself"
    assert who_else(torn, "prs_bea").startswith("ask the chair")


@pytest.mark.parametrize("phase", PHASES)
def test_a_member_is_taken_off_in_any_phase_but_the_last(phase: str) -> None:
    committee = {str(key): value for key, value in PHASES.items()}[str(phase)]
    for declared in (None, Declared.NONE):
        before = with_bea(declared, committee)
        if committee is CLOSED:
            with pytest.raises(PhaseError, match="crm is closed already"):
                without_member(before, "prs_bea")
        else:
            assert without_member(before, "prs_bea").members == (ANN,)


@pytest.mark.parametrize(
    ("committee", "person", "error", "text"),
    [
        (PITCH, "prs_ann", ConflictError, "@ann:hub.test chairs crm$"),
        (PITCH, "prs_eve", NotFoundError, "prs_eve is no member of crm"),
        (with_bea(Declared.CONFLICT), "prs_bea", InterestError, "which stays on record"),
        (
            replace(OPEN, members=(replace(ANN, declared=Declared.CONFLICT), BEA)),
            "prs_bea",
            ConflictError,
            "is the last member of crm without a conflict of interest",
        ),
    ],
)
def test_who_is_not_taken_off(committee: Committee, person: str, error: type[ConclaveError], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        without_member(committee, person)
    assert raised.value.hint


def test_the_chair_goes_to_a_member_without_a_conflict() -> None:
    for committee in (OPEN, PITCH, DECIDED):
        assert with_chair(committee, "prs_bea").chair == "prs_bea"
    for before, person, error, text in (
        (OPEN, "prs_eve", NotFoundError, "is no member"),
        (OPEN, "prs_ann", ConflictError, "chairs crm already"),
        (with_bea(None), "prs_bea", ConflictError, "has not declared"),
        (with_bea(Declared.CONFLICT), "prs_bea", InterestError, "who has one does not chair it"),
        (CLOSED, "prs_bea", PhaseError, "crm is closed already"),
    ):
        with pytest.raises(error, match=text):
            with_chair(before, person)
