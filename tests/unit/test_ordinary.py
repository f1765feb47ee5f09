"""Ordinary entries and drafts: the quick way to read them agrees with the slow one wherever it says anything."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import canonical_json
from audit.entry import Draft, _parse_slowly, _read_draft_slowly, counted, parse_entry, person_actor, seal_entry
from audit.inbox import _text
from audit.ordinary import read_ordinary, read_ordinary_draft
from tests.unit.test_entry import ENTRY, PLACE, numbers, texts

plain = st.text("a,:{}[]'-0 ", max_size=8)
named = st.dictionaries(st.just("person"), plain, min_size=1, max_size=1)


@given(
    st.fixed_dictionaries(
        {
            "v": st.just(1),
            "kind": st.just("message.sent"),
            "actor": st.dictionaries(st.sampled_from(["person", "user"]), plain, min_size=1, max_size=1),
            "data": st.dictionaries(st.sampled_from(["place", "size", "ts"]), plain | numbers | named | texts),
        },
        optional={
            "room": plain,
            "engagement": plain,
            "companies": st.lists(plain, min_size=1, max_size=3).map(sorted),
            "sd": st.lists(plain, min_size=1, max_size=3).map(sorted),
            "salt": plain,
        },
    )
)
def test_the_quick_way_to_read_a_draft_agrees_with_the_slow_one(body: dict[str, Any]) -> None:
    text = canonical_json(body).decode()
    found = read_ordinary_draft(text)
    if found is None:
        return
    assert found == _read_draft_slowly(text)


def test_what_the_inbox_leaves_is_ordinary() -> None:
    """The quick way is there for what is really in a log: salted, with digests, with a room or the place of an act."""
    actor, said = person_actor("prs_1"), {"event_id": "$1", "session_id": "aB-0_", "size": 4, "ts": 1, "type": "t"}
    sent = Draft(kind="message.sent", actor=actor, room="!r", engagement="e", companies=("a", "b"), data=said)
    moved = {"event_id": "$1", "subject": {"person": "prs_2"}, "ts": 1, "type": "t"}
    joined = Draft(kind="member.joined", actor=actor, room="!r", companies=("a",), data=moved)
    refused = Draft(kind="guard.refused", actor=actor, data={"act": "send", "place": "!r"})
    for draft, digests in ((sent, []), (joined, ["x", "y"]), (refused, ["x"])):
        text = _text(draft, digests, bytes(16))
        waiting = read_ordinary_draft(text)
        assert waiting is not None
        data = seal_entry(waiting, PLACE._replace(room_seq=None if draft.room is None else 5))
        assert read_ordinary(data) == counted(_parse_slowly(data))


members = st.sampled_from(
    [None, True, 0, -1, 7, 2**53, 1.5, "", "a:b", ":c", "hub.stopped", "message.sent", "-0", [], ["a"]]
)
data_members = st.dictionaries(st.sampled_from(["event_id", "type", "ts", "size", "x"]), members | st.just({"a": 1}))


@given(
    st.dictionaries(st.sampled_from([*ENTRY, "sd", "companies", "room", "room_seq", "commit", "extra"]), members),
    data_members,
    st.sampled_from([b"", b" ", b"0", b"-", b"\xff", b'"room":"!r",', b'"v":1,', b":", b",", b'":']),
    st.integers(0, 400),
    st.integers(0, 3),
)
def test_the_quick_way_to_read_an_entry_agrees_with_the_slow_one(
    change: dict[str, Any], inner: dict[str, Any], splice: bytes, at: int, less: int
) -> None:
    """Whatever is written in whatever form: where the quick way says something, the slow one says the same."""
    entry = ENTRY | {"kind": "message.sent", "data": inner} | change
    good = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    at = min(at, len(good))
    for data in (good, good[:at] + splice + good[at + less :], json.dumps(entry).encode()):
        if read_ordinary(data) is not None:
            found = _parse_slowly(data)
            assert canonical_json(found) == data
            assert found == parse_entry(data)
            assert read_ordinary(data) == counted(found)


def test_the_quick_way_is_the_one_that_ordinary_entries_take() -> None:
    for change in ({}, {"room": "!r", "room_seq": 1}, {"companies": ["a", "b"], "engagement": "e", "sd": ["x"]}):
        assert read_ordinary(canonical_json(ENTRY | change)) == counted(ENTRY | change)


PLAIN = canonical_json(ENTRY | {"kind": "message.sent", "data": {"event_id": "x", "size": 1, "type": "t"}})
NOT_PLAIN: dict[str, tuple[bytes, bytes]] = {
    "members of the data not in order": (b'"size":1,"type":"t"', b'"type":"t","size":1'),
    "members not in order": (b'"source":"api","source_seq":7', b'"source_seq":7,"source":"api"'),
    "a member of the data twice": (b'"event_id":"x"', b'"event_id":"x","event_id":"x"'),
    "a member twice": (b'"v":1', b'"v":1,"v":1'),
    "an actor twice": (b'{"system":"hub"}', b'{"system":"hub","system":"hub"}'),
    "a minus zero": (b'"size":1', b'"size":-0'),
    "a space": (b'"size":1', b'"size": 1'),
    "a tab": (b'"size":1', b'"size":\t1'),
    "a line feed": (b'"size":1', b'"size":\n1'),
    "a carriage return": (b'"size":1', b'"size":\r1'),
    "an escape": (b'"type":"t"', b'"type":"\\u0074"'),
    "a fraction": (b'"size":1', b'"size":1.5'),
    "an exponent": (b'"size":1', b'"size":1e3'),
    "no number": (b'"size":1', b'"size":NaN'),
    "a large integer": (b'"size":1', b'"size":9007199254740992'),
    "a large number of the source": (b'"source_seq":7', b'"source_seq":9007199254740992'),
    "a truth in the place of a number": (b'"source_seq":7', b'"source_seq":true'),
    "an object deeper down": (b'"size":1', b'"size":{"b":1,"a":1}'),
    "an object of two": (b'"size":1', b'"size":{"b":"1","a":"1"}'),
    "an object deeper still": (b'"size":1', b'"size":{"b":{"a":"1"}}'),
    "a control character": (b'"type":"t"', b'"type":"\x01"'),
    "a zero in front": (b'"size":1', b'"size":01'),
    "companies out of order": (b'"data":', b'"companies":["b","a"],"data":'),
    "a company twice": (b'"data":', b'"companies":["a","a"],"data":'),
    "digests out of order": (b'"source":', b'"sd":["b","a"],"source":'),
    "a room without a number": (b'"source":', b'"room":"!r","source":'),
    "a number without a room": (b'"source":', b'"room_seq":1,"source":'),
    "no companies": (b'"data":', b'"companies":[],"data":'),
    "a list deeper down": (b'"size":1', b'"size":[1.5]'),
    "a member that is not known": (b'"size":1', b'"siza":1'),
    "a kind that is not known": (b'"message.sent"', b'"message.seen"'),
    "a kind that is a list": (b'"message.sent"', b'["message.sent"]'),
    "an actor that is no text": (b'{"system":"hub"}', b'{"system":1}'),
    "a source that is no text": (b'"source":"api"', b'"source":1'),
    "more behind it": (b'"v":1}', b'"v":1}}'),
    "beyond ASCII": (b'"type":"t"', '"type":"é"'.encode()),
}


@pytest.mark.parametrize(("old", "new"), NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_ordinary_is_left_to_the_slow_way(old: bytes, new: bytes) -> None:
    """Each of the conditions of the quick way, by what it would let through without it."""
    assert read_ordinary(PLAIN) is not None
    assert PLAIN.count(old) == 1
    assert read_ordinary(PLAIN.replace(old, new)) is None
