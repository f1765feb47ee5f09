"""Templates of partnerships: those that come along, and what is said of a file that does not fit."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.errors import SettingsError
from spaces.policy.records import Recording
from spaces.templates import Party, RoomTemplate, Template, load_templates

ROOM = """
[[mine.rooms]]
name = "General"
topic = "Day to day."
who = ["host-team", "partner"]
recording = "metadata"
"""
SPACE = """
[mine]
title = "Mine"
space = "{host} and {partner}"
topic = "Everything."
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.toml"


def refused(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_templates(file)
    return error.value.message.replace(str(file), "my.toml")


def test_the_templates_that_come_along_fit() -> None:
    found = load_templates(None)
    assert list(found) == ["reseller", "supplier"]
    for template in found.values():
        assert [room.recording for room in template.rooms] == [Recording.METADATA] * 3
        assert "{host}" in template.space
        assert "{partner}" in template.space
    assert found["supplier"].rooms[2].who == (Party.HOST_TEAM,)


def test_a_template_says_whether_its_people_talk_in_twos(file: Path) -> None:
    assert [template.direct for template in load_templates(None).values()] == [True, False]
    file.write_text(SPACE + "direct = true\n" + ROOM)
    assert load_templates(file)["mine"].direct
    says = refused(file, SPACE + 'direct = "yes"\n' + ROOM)
    assert says == "my.toml, template mine: direct must be true or false, not 'yes'"


def test_a_template_is_read_whole(file: Path) -> None:
    file.write_text(SPACE + ROOM)
    room = RoomTemplate(
        name="General",
        topic="Day to day.",
        who=(Party.HOST_TEAM, Party.PARTNER),
        recording=Recording.METADATA,
    )
    assert load_templates(file) == {
        "mine": Template(id="mine", title="Mine", space="{host} and {partner}", topic="Everything.", rooms=(room,))
    }


WRONG: dict[str, tuple[str, str]] = {
    "nothing in it": ("", "my.toml holds no template"),
    "no TOML": ("[mine", "cannot read the templates in my.toml: "),
    "a value for a template": ("mine = 5", "my.toml, template mine: must be a table"),
    "no rooms": (SPACE, "my.toml, template mine: rooms is missing"),
    "an empty list of rooms": (
        f"{SPACE}rooms = []",
        "my.toml, template mine: rooms must be a list of at least one room",
    ),
    "a table for rooms": (f"{SPACE}[mine.rooms]\nx = 1", "my.toml, template mine: rooms must be a list"),
    "a word for a room": (f"{SPACE}rooms = ['x']", "my.toml, template mine, room 1: must be a table"),
    "no title": (SPACE.replace("title", "#title") + ROOM, "my.toml, template mine: title is missing"),
    "two missing": (SPACE.replace("t", "#t", 2) + ROOM, "my.toml, template mine: title is missing"),
    "a key more": (f"{SPACE}colour = 'red'\n{ROOM}", "my.toml, template mine: colour is not a key"),
    "an empty title": (SPACE.replace('"Mine"', '" "') + ROOM, "my.toml, template mine: title must be text"),
    "a number for a title": (SPACE.replace('"Mine"', "5") + ROOM, "my.toml, template mine: title must be text"),
    "a room without a name": (
        SPACE + ROOM + ROOM.replace("name", "#name"),
        "my.toml, template mine, room 2: name is missing",
    ),
    "a room with a key more": (f"{SPACE}{ROOM}x = 1", "my.toml, template mine, room 1: x is not a key"),
    "a room with an empty name": (
        SPACE + ROOM.replace('"General"', '""'),
        "my.toml, template mine, room 1: name must be text",
    ),
    "nobody in a room": (
        SPACE + ROOM.replace('["host-team", "partner"]', "[]"),
        "my.toml, template mine, room 1: who must name at least one of host-team, partner",
    ),
    "a stranger in a room": (
        SPACE + ROOM.replace('"partner"]', '"everyone"]'),
        "my.toml, template mine, room 1: 'everyone' is not a valid Party",
    ),
    "text for a list of people": (
        SPACE + ROOM.replace('["host-team", "partner"]', '"partner"'),
        "my.toml, template mine, room 1: 'p' is not a valid Party",
    ),
    "a number for people": (
        SPACE + ROOM.replace('["host-team", "partner"]', "5"),
        "my.toml, template mine, room 1: 'int' object is not iterable",
    ),
    "an unknown recording": (
        SPACE + ROOM.replace('"metadata"', '"tape"'),
        "my.toml, template mine, room 1: 'tape' is not a valid Recording",
    ),
    "a recording that this release cannot do": (
        SPACE + ROOM.replace('"metadata"', '"recorded"'),
        "my.toml, template mine, room 1: recording = 'recorded' needs the recorder, which this release does not have",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_names_file_template_and_room(file: Path, name: str) -> None:
    text, expected = WRONG[name]
    assert expected in refused(file, text)


def test_a_file_that_is_missing_or_no_text_is_named(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the templates in .*my\.toml: .*No such file"):
        load_templates(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"cannot read the templates in .*my\.toml: "):
        load_templates(file)


def test_the_file_that_comes_along_explains_each_word() -> None:
    text = Path("spaces/templates.toml").read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    rooms: list[dict[str, Any]] = [room for body in tomllib.loads(text).values() for room in body["rooms"]]
    words = {"who", "recording", *(party for room in rooms for party in room["who"])}
    assert all(any(word in line for line in comments) for word in words)
