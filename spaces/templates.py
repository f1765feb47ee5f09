"""Templates of partnerships: sets of rooms, as data in a file."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from config.errors import SettingsError
from spaces.policy.records import Recording


class Party(StrEnum):
    """Who takes part in a room of a template."""

    HOST_TEAM = "host-team"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomTemplate:
    """One room: ``who`` takes part, and what is kept of it."""

    name: str
    topic: str
    who: tuple[Party, ...]
    recording: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A Space and its rooms; texts may hold ``{host}`` and ``{partner}``. ``direct``: its people may talk in twos."""

    id: str
    title: str
    space: str
    topic: str
    rooms: tuple[RoomTemplate, ...]
    direct: bool = False


def load_templates(file: Path | None) -> dict[str, Template]:
    """The templates in ``file``, or those that come with Conclave.

    Raises:
        SettingsError: The file is missing or a template does not fit; the text names both.
    """
    where = str(file or "spaces/templates.toml")
    try:
        text = file.read_text() if file else resources.files("spaces").joinpath("templates.toml").read_text()
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SettingsError(f"cannot read the templates in {where}: {reason}", hint="see templates.file") from None
    if not data:
        raise SettingsError(f"{where} holds no template", hint="spaces/templates.toml shows the form")
    return {name: _template(name, body, where) for name, body in data.items()}


def _template(name: str, body: Any, where: str) -> Template:
    place = f"{where}, template {name}"
    _members(body, {"title", "space", "topic", "rooms"}, place, optional=frozenset({"direct"}))
    rooms = body["rooms"]
    direct = body.get("direct", False)
    if not isinstance(direct, bool):
        raise SettingsError(f"{place}: direct must be true or false, not {direct!r}")
    if not isinstance(rooms, list) or not rooms:
        raise SettingsError(f"{place}: rooms must be a list of at least one room")
    return Template(
        id=name,
        title=_text(body, "title", place),
        space=_text(body, "space", place),
        topic=_text(body, "topic", place),
        rooms=tuple(_room(room, f"{place}, room {number}") for number, room in enumerate(rooms, start=1)),
        direct=direct,
    )


def _room(body: Any, place: str) -> RoomTemplate:
    _members(body, {"name", "topic", "who", "recording"}, place)
    try:
        who = tuple(Party(party) for party in body["who"])
        recording = Recording(body["recording"])
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{place}: {error}") from None
    if not who:
        raise SettingsError(f"{place}: who must name at least one of {', '.join(Party)}")
    if recording is Recording.RECORDED:
        raise SettingsError(
            f"{place}: recording = 'recorded' needs the recorder, which this release does not have",
            hint="use recording = 'metadata'",
        )
    return RoomTemplate(
        name=_text(body, "name", place), topic=_text(body, "topic", place), who=who, recording=recording
    )


def _members(body: Any, names: set[str], place: str, *, optional: frozenset[str] = frozenset()) -> None:
    if not isinstance(body, dict):
        raise SettingsError(f"{place}: must be a table")
    if missing := sorted(names - body.keys()):
        raise SettingsError(f"{place}: {', '.join(missing)} is missing")
    if extra := sorted(body.keys() - names - optional):
        raise SettingsError(f"{place}: {', '.join(extra)} is not a key")


def _text(body: dict[str, Any], name: str, place: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{place}: {name} must be text")
    return value
