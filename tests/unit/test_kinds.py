"""The table of kinds: every name says what happened to what, once."""

import re

from audit.kinds import _TABLE, KINDS

IRREGULAR = {"found", "left", "sent"}


def test_names_are_a_noun_and_a_past_participle() -> None:
    for name in KINDS:
        assert re.fullmatch(r"[a-z]+\.[a-z]+", name), name
        participle = name.partition(".")[2]
        assert participle.endswith("ed") or participle in IRREGULAR, name


def test_names_are_unique() -> None:
    assert len(KINDS) == len(_TABLE)


def test_members_are_named_in_lower_case() -> None:
    for kind in _TABLE:
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", member) for member in kind.data), kind.name


def test_what_a_kind_records_is_one_phrase() -> None:
    for kind in _TABLE:
        assert kind.records
        assert not kind.records.endswith(".")
        assert kind.records[0].islower(), kind.name
