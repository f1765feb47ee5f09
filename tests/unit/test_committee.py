"""Committees: their phases, what each admits, and what the charters say in each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY
from config.errors import ConflictError, InvalidInputError, NotFoundError
from spaces.committee import Committee, Declared, LateMembers, Member, Phase, PhaseError, Vendor, charters_of, keys_of
from spaces.policy.decide import decide
from spaces.policy.records import Admission, Charter, CompanyRecord, MappingRoster, PersonRecord, Standing
from spaces.policy.refusal import Code
from spaces.policy.rules import EventRequest

NOW = 1_800_000_000_000
NAMES = {"contoso": "Contoso", "adatum": "Adatum", "fabrikam": "Fabrikam", "litware": "Litware"}
ANN, BEA = (
    Member(person=f"prs_{name}", user_id=f"@{name}:hub.test", declared=Declared.NONE, declared_at=NOW)
    for name in ("ann", "bea")
)
OPEN = Committee(
    id="crm",
    title="CRM 2027",
    buyer="contoso",
    chair="prs_ann",
    contact="Dana Fox (Contoso)",
    space="rm_space",
    deliberation="rm_delib",
    members=(ANN, BEA),
    vendors=(Vendor(company="adatum", pitch="rm_a"), Vendor(company="fabrikam", pitch="rm_f")),
)
PLANNED = OPEN.schedule(pitch_at=NOW + 5, clear_at=NOW + 10, now=NOW)
PITCH = OPEN.start(NOW)
CLEARED = PITCH.clear(NOW + 10)
DECIDED = CLEARED.decide("adatum", NOW + 20, standstill_until=NOW + DAY)
CLOSED = DECIDED.close(NOW + DAY)
PHASES = {item.phase: item for item in (OPEN, PITCH, CLEARED, DECIDED, CLOSED)}

ACTS: dict[str, tuple[Callable[[Committee], Any], set[Phase]]] = {
    "add a vendor": (lambda it: it.add_vendor(Vendor(company="litware", pitch="rm_l")), {Phase.OPEN, Phase.PITCH}),
    "add a member": (
        lambda it: it.add_member(Member(person="prs_eve", user_id="@eve:hub.test")),
        set(Phase) - {Phase.CLOSED},
    ),
    "plan the pitch": (lambda it: it.schedule(pitch_at=NOW + 99, clear_at=None, now=NOW), {Phase.OPEN}),
    "plan the clearing": (
        lambda it: it.schedule(pitch_at=None, clear_at=NOW + 99, now=NOW),
        {Phase.OPEN, Phase.PITCH},
    ),
    "declare": (lambda it: it.declare("prs_ann", Declared.CONFLICT, NOW), set(Phase) - {Phase.CLOSED}),
    "start": (lambda it: it.start(NOW), {Phase.OPEN}),
    "clear": (lambda it: it.clear(NOW), {Phase.PITCH}),
    "decide": (lambda it: it.decide("adatum", NOW, standstill_until=None), {Phase.DELIBERATION}),
    "debrief": (lambda it: it.debrief("fabrikam", "rm_d"), {Phase.DECIDED}),
    "close": (lambda it: it.close(NOW + DAY), set(Phase) - {Phase.CLOSED}),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("phase", PHASES)
def test_what_may_be_done_in_which_phase(act: str, phase: Phase) -> None:
    change, allowed = ACTS[act]
    if phase in allowed:
        assert isinstance(change(PHASES[phase]), Committee)
    else:
        with pytest.raises(
            PhaseError, match=f"^crm is in phase {phase}; .* in phase |^crm is closed already(; .* before that)?$"
        ):
            change(PHASES[phase])


def test_vendors_do_not_come_before_every_member_declared() -> None:
    silent = replace(OPEN, members=(ANN, replace(BEA, declared=None)))
    with pytest.raises(ConflictError, match=r"1 of 2 members has not declared .*: @bea:hub.test$") as raised:
        silent.start(NOW)
    assert raised.value.hint.endswith("conclave committee remove-member crm PERSON")
    with pytest.raises(ConflictError, match="1 of 2 members has not declared"):
        silent.schedule(pitch_at=NOW + 1, clear_at=None, now=NOW)
    conflicted = replace(OPEN, members=(replace(ANN, declared=Declared.CONFLICT),))
    with pytest.raises(ConflictError, match="nobody is left to decide"):
        conflicted.start(NOW)
    with pytest.raises(ConflictError, match="crm has no vendor"):
        replace(OPEN, vendors=()).start(NOW)


def test_a_conflict_once_declared_stays_and_a_stranger_declares_nothing() -> None:
    after = OPEN.declare("prs_bea", Declared.CONFLICT, NOW + 1)
    assert [member.declared for member in after.members] == [Declared.NONE, Declared.CONFLICT]
    for declared in Declared:
        with pytest.raises(ConflictError, match="you declared already: conflict"):
            after.declare("prs_bea", declared, NOW + 2)
    with pytest.raises(NotFoundError, match="prs_eve is no member of crm"):
        OPEN.declare("prs_eve", Declared.NONE, NOW)


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ({"pitch_at": NOW}, "is over"),
        ({"clear_at": NOW - 1}, "is over"),
        ({"pitch_at": NOW + 9, "clear_at": NOW + 9}, r"and would be out at 2027-01-15T08:00:00\.009Z, not later"),
    ],
)
def test_times_are_to_come_and_in_order(times: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        OPEN.schedule(**{"pitch_at": None, "clear_at": None, **times}, now=NOW)


def test_who_is_a_vendor_and_who_wins() -> None:
    for vendor, text in (
        ("adatum", "is a vendor of crm already"),
        ("contoso", "is the buyer itself"),
        ("crm", "name, crm"),
    ):
        with pytest.raises((ConflictError, InvalidInputError), match=text):
            OPEN.add_vendor(Vendor(company=vendor, pitch="rm_x"))
    with pytest.raises(NotFoundError, match="litware is no vendor of crm"):
        CLEARED.decide("litware", NOW, standstill_until=None)
    with pytest.raises(ConflictError, match="adatum has a debriefing already"):
        DECIDED.debrief("adatum", "rm_1").debrief("adatum", "rm_2")


def test_the_standstill_period_holds_to_the_millisecond() -> None:
    with pytest.raises(ConflictError, match=r"the standstill period of crm lasts until 2027-01-16T08:00:00\.000Z"):
        DECIDED.close(NOW + DAY - 1)
    assert DECIDED.close(NOW + DAY).phase is Phase.CLOSED


def test_time_moves_the_phases() -> None:
    planned = OPEN.schedule(pitch_at=NOW + 10, clear_at=NOW + 20, now=NOW)
    seen = [planned.at(NOW + after).phase for after in (0, 9, 10, 19, 20, 99)]
    assert seen == [Phase.OPEN, Phase.OPEN, Phase.PITCH, Phase.PITCH, Phase.DELIBERATION, Phase.DELIBERATION]
    only_clearing = OPEN.schedule(pitch_at=None, clear_at=NOW + 20, now=NOW)
    assert only_clearing.at(NOW + 20).phase is Phase.OPEN, "nothing was begun"
    assert only_clearing.start(NOW + 30).clear_at is None, "a time that is over clears nothing"


def charter(committee: Committee, key: str) -> Charter:
    return next(item for item in charters_of(committee, NAMES, "12") if item.key == key)


BOT = "@conclave:hub.test"
SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AAAA", "session_id": "s"}
PEOPLE = {"@ann:hub.test": "contoso", "@bea:hub.test": "contoso", "@guest:hub.test": "adatum"}
ROSTER = MappingRoster(
    companies={
        company: CompanyRecord(company=company, name=name, standing=Standing.ACTIVE) for company, name in NAMES.items()
    },
    people={
        user: PersonRecord(user_id=user, person=f"prs_{user[1:4]}", company=company, standing=Standing.ACTIVE)
        for user, company in PEOPLE.items()
    },
)
BUYERS = tuple(Admission(company="contoso", person=user) for user in ("@ann:hub.test", "@bea:hub.test"))


@pytest.mark.parametrize("phase", PHASES)
def test_no_vendor_is_in_the_buyers_rooms_in_any_phase(phase: Phase) -> None:
    for key in ("rm_space", "rm_delib"):
        found = charter(PHASES[phase], key)
        assert (found.admits, found.companies, found.history_visibility) == (BUYERS, ("contoso",), "joined")
        assert found.open is (phase is not Phase.CLOSED)


@pytest.mark.parametrize("phase", PHASES)
def test_late_members_may_see_all_of_the_deliberation_room_and_of_no_other(phase: Phase) -> None:
    shared = replace(PHASES[phase], late_members=LateMembers.SEE_ALL)
    before = {item.key: item for item in charters_of(PHASES[phase], NAMES, "12")}
    after = {item.key: item for item in charters_of(shared, NAMES, "12")}
    found = after.pop("rm_delib")
    assert found.history_visibility == "shared"
    assert found.topic.endswith("Who joins late gets all of it.")
    assert replace(found, history_visibility="joined", topic=before.pop("rm_delib").topic).admits == BUYERS
    assert after == before


@pytest.mark.parametrize(
    ("committee", "guests", "frozen_from"),
    [
        (OPEN, (), None),
        (PLANNED, (Admission(company="adatum", not_before=NOW + 5, not_after=NOW + 10),), NOW + 10),
        (PLANNED.at(NOW + 5), (Admission(company="adatum", not_after=NOW + 10),), NOW + 10),
        (PITCH, (Admission(company="adatum"),), None),
        (CLEARED, (Admission(company="adatum", not_after=0),), 0),
        (DECIDED, (Admission(company="adatum", not_after=0),), 0),
    ],
)
def test_a_pitch_room_has_its_vendor_from_the_pitch_until_the_clearing(
    committee: Committee, guests: tuple[Admission, ...], frozen_from: int | None
) -> None:
    found = charter(committee, "rm_a")
    assert (found.admits, found.frozen_from) == ((*BUYERS, *guests), frozen_from)
    assert found.companies == ("adatum", "contoso")


@pytest.mark.parametrize("committee", [CLEARED, DECIDED])
def test_who_declares_after_the_clearing_is_in_no_pitch_room(committee: Committee) -> None:
    """Synapse tells a client that was put out of a room, and catches up, who is in it."""
    late = Member(person="prs_eve", user_id="@eve:hub.test")
    for declared_at, inside in ((NOW + 10, True), (NOW + 11, False)):
        enlarged = committee.add_member(late).declare("prs_eve", Declared.NONE, declared_at)
        found = {key: charter(enlarged, key).admits for key in ("rm_space", "rm_delib", "rm_a", "rm_f")}
        eve = Admission(company="contoso", person="@eve:hub.test")
        assert {key: eve in admits for key, admits in found.items()} == {
            **dict.fromkeys(("rm_space", "rm_delib"), True),
            **dict.fromkeys(("rm_a", "rm_f"), inside),
        }
        assert set(BUYERS) <= set(found["rm_a"])


@pytest.mark.parametrize("committee", [CLEARED, DECIDED, PLANNED.at(NOW + 10)])
@pytest.mark.parametrize("clock", [0, NOW - DAY, NOW, NOW + 9, NOW + 10, NOW + DAY])
def test_no_clock_takes_a_clearing_back(committee: Committee, clock: int) -> None:
    """A homeserver's clock may be set back, or be behind the hub's; what is recorded holds on every clock."""
    found = charter(committee, "rm_a")
    for user, code in (("@guest:hub.test", Code.NOT_IN_PHASE), ("@ann:hub.test", Code.ROOM_FROZEN)):
        request = EventRequest(sender=user, type="m.room.encrypted", content=SEALED)
        refusal = decide(request, found, ROSTER, clock, BOT)
        assert (refusal and refusal.code) == code, (user, refusal)
    back = EventRequest(sender=BOT, type="m.room.member", state_key="@guest:hub.test", content={"membership": "invite"})
    refused = decide(back, found, ROSTER, clock, BOT)
    assert (refused and refused.code) == Code.NOT_IN_PHASE


@pytest.mark.parametrize("clock", [0, NOW - DAY, NOW, NOW + DAY])
def test_no_clock_puts_a_vendor_out_of_a_pitch_that_has_begun(clock: int) -> None:
    request = EventRequest(sender="@guest:hub.test", type="m.room.encrypted", content=SEALED)
    assert decide(request, charter(PITCH, "rm_a"), ROSTER, clock, BOT) is None


def test_a_debriefing_is_for_one_vendor() -> None:
    debriefed = DECIDED.debrief("fabrikam", "rm_d")
    assert charter(debriefed, "rm_d").admits == (*BUYERS, Admission(company="fabrikam"))
    assert [key for key, _ in keys_of(debriefed)] == ["rm_space", "rm_delib", "rm_a", "rm_f", "rm_d"]


def test_who_has_a_conflict_or_said_nothing_is_in_no_room() -> None:
    for declared in (None, Declared.CONFLICT):
        quiet = replace(PITCH, members=(ANN, replace(BEA, declared=declared)))
        for item in charters_of(quiet, NAMES, "12"):
            assert "@bea:hub.test" not in {admission.person for admission in item.admits}


@given(st.lists(st.sampled_from(sorted(ACTS)), max_size=12))
def test_whatever_is_done_no_charter_tells_a_vendor_of_another(acts: list[str]) -> None:
    committee = OPEN
    for act in acts:
        try:
            committee = ACTS[act][0](committee)
        except (ConflictError, InvalidInputError, NotFoundError):
            continue
        companies = {vendor.company for vendor in committee.vendors}
        for item in charters_of(committee, NAMES, "12"):
            inside = {admission.company for admission in item.admits} & companies
            assert len(inside | (set(item.companies) & companies)) <= 1
            others = companies - set(item.companies)
            assert not any(NAMES[other] in item.name + item.topic for other in others)
            if item.key in ("rm_space", "rm_delib"):
                assert not inside
