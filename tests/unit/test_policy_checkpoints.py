"""Into a Space the hub writes checkpoints of the log, and nothing that could be anything else; nobody else does."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.note import Checkpoint, sign_note
from spaces.model import ObservedRoom
from spaces.plan import Desired, foreign_state, plan_room
from spaces.policy.blueprint import fixed_state
from spaces.policy.checkpoints import BODY, CHECKPOINT, MAX_NOTE, checkpoint_content, checkpoint_size
from spaces.policy.decide import decide
from spaces.policy.records import RoomKind
from spaces.policy.refusal import Code
from spaces.policy.rules import EventRequest
from tests.ledger import signing_key
from tests.policy import ALICE, BOB, BOT, CHARTER, NOW, ROSTER, SPACE, STRANGER

KEY = signing_key("hub.test")
NOTE = sign_note(Checkpoint(origin="hub.test", size=103, root=bytes(range(32))).text(), KEY.public, KEY).decode()
WITNESS = "— witness.northwind.example AAAAAAAAAAAA\n"
CONTENT = checkpoint_content(NOTE)


def refusal(content: dict[str, Any], *, sender: str = BOT, charter: Any = SPACE, key: str = "") -> Code | None:
    request = EventRequest(sender=sender, type=CHECKPOINT, content=content, state_key=key)
    found = decide(request, charter, ROSTER, NOW, BOT)
    return None if found is None else found.code


def test_the_hub_posts_a_checkpoint_into_a_space() -> None:
    assert refusal(CONTENT) is None
    assert refusal(checkpoint_content(NOTE + WITNESS)) is None
    assert CONTENT["note"] == NOTE
    assert CONTENT["body"].startswith("Checkpoint of the audit log hub.test: 103 entries, root AAECAwQFBgcICQ")
    assert checkpoint_size(CONTENT) == checkpoint_size(CONTENT, "hub.test") == 103
    assert checkpoint_size(CONTENT, "hub.test/2") is None


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_that_the_log_signs_has_the_form(size: int, root: bytes) -> None:
    note = sign_note(Checkpoint(origin="hub.test", size=size, root=root).text(), KEY.public, KEY).decode()
    assert checkpoint_size(checkpoint_content(note)) == size
    assert refusal(checkpoint_content(note)) is None


@pytest.mark.parametrize("sender", [ALICE, BOB, STRANGER])
@pytest.mark.parametrize("charter", [SPACE, CHARTER])
def test_nobody_else_does(sender: str, charter: Any) -> None:
    assert refusal(CONTENT, sender=sender, charter=charter) is not None
    assert refusal({}, sender=sender, charter=charter) is not None
    own = EventRequest(sender=sender, type="m.room.redaction", content={"redacts": "$x"}, redacts_state=True)
    assert decide(own, charter, ROSTER, NOW, BOT) is not None


def test_it_stands_in_the_space_of_an_open_engagement_and_nowhere_else() -> None:
    assert refusal(CONTENT, charter=CHARTER) is Code.STATE_FIXED
    assert refusal(CONTENT, charter=replace(CHARTER, kind=RoomKind.DIRECT)) is Code.STATE_FIXED
    assert refusal(CONTENT, charter=replace(SPACE, open=False)) is Code.ENGAGEMENT_CLOSED
    assert refusal(CONTENT, charter=None) is Code.CHARTER_MISSING
    assert refusal(CONTENT, key="another") is Code.STATE_FIXED
    said = EventRequest(sender=BOT, type=CHECKPOINT, content=CONTENT)
    found = decide(said, SPACE, ROSTER, NOW, BOT)
    assert found is not None
    assert found.code is Code.SPACE_QUIET, "as state only: so there is one at a time"


LINES = NOTE.split("\n")


def said(note: str) -> dict[str, Any]:
    """A note with the sentence that follows from its first lines, whatever these are."""
    origin, size, root = note.split("\n")[:3]
    return {"note": note, "body": BODY.format(origin=origin, size=size, root=root)}


OTHER = {
    "nothing": {},
    "no note": {"body": CONTENT["body"]},
    "no sentence": {"note": NOTE},
    "another sentence": {**CONTENT, "body": "Meet us at the Blue Boar, without Contoso."},
    "another size in it": {**CONTENT, "body": CONTENT["body"].replace("103", "104")},
    "more": {**CONTENT, "m.text": "x"},
    "a list": {**CONTENT, "note": [NOTE]},
    "a message in front": said("hello\n" + NOTE),
    "a message behind": said(NOTE + "hello\n"),
    "an extension line": said(NOTE.replace("\n\n", "\nhello\n\n")),
    "words for an origin": said(NOTE.replace("hub.test\n103", "buy now\n103")),
    "a root that is none": said(NOTE.replace(LINES[2], "hello")),
    "a size that is none": said(NOTE.replace("\n103\n", "\n0103\n")),
    "no signature": said(NOTE.partition("—")[0]),
    "invisible text": said(NOTE.replace("hub.test\n103", "hub.t\u200best\n103")),
    "many signatures": said(NOTE + WITNESS * 16),
    "too much": said(NOTE + f"— w {'A' * 4_000}\n" * (MAX_NOTE // 4_000 + 1)),
}


@pytest.mark.parametrize("what", OTHER)
def test_whoever_has_the_hubs_token_can_say_nothing_in_it(what: str) -> None:
    assert refusal(OTHER[what]) is Code.STATE_FIXED


def test_what_is_no_checkpoint_cannot_be_made_the_content_of_a_post() -> None:
    with pytest.raises(ValueError, match="the note is no checkpoint of three lines with signatures"):
        checkpoint_content("hello")


def test_the_reconciler_leaves_it_where_it_is_and_tells_of_it_elsewhere() -> None:
    for charter, foreign in ((SPACE, []), (replace(SPACE, open=False), []), (CHARTER, [(CHECKPOINT, "")])):
        desired = Desired(charter=charter, people=(), roster=ROSTER, bot=BOT, links={})
        state = {**fixed_state(charter, BOT), (CHECKPOINT, ""): CONTENT}
        seen = ObservedRoom(state=state, members={BOT: "join"})
        assert foreign_state(desired, seen) == foreign
        assert plan_room(desired, seen, NOW) == []
