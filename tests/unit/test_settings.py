"""Settings: the example file says all and nothing else; the environment wins; errors name key and value."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from config.errors import SettingsError
from config.settings import DatabaseSettings, HomeserverSettings, Settings, load_settings

EXAMPLE = Path("config/conclave.example.toml")
HINT = "config/conclave.example.toml shows every key"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test finds a ``conclave.toml`` or environment of whoever runs it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(request.config.rootpath / "config")
    for name in ("CONCLAVE_CONFIG", "CONCLAVE_STATE_DIR", "CONCLAVE_HUB__PORT"):
        monkeypatch.delenv(name, raising=False)


def load(text: str) -> Settings:
    file = Path("my.toml")
    file.write_text(text)
    return load_settings(file)


def refused(text: str) -> str:
    with pytest.raises(SettingsError) as error:
        load(text)
    assert error.value.hint in ("", HINT)
    return error.value.message


# --- the example file


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the settings, sections and keys joined by a dot."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def uncommented() -> str:
    """The example with every key that is commented out put in force."""
    return re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def test_the_example_names_every_key_and_no_other() -> None:
    assert sorted(flat(tomllib.loads(uncommented()))) == sorted(keys(Settings))


def test_the_example_shows_the_defaults() -> None:
    defaults = flat(Settings().model_dump(mode="json"))
    shown = flat(tomllib.loads(EXAMPLE.read_text()))
    assert {name: defaults[name] for name in shown} == shown
    unset = defaults.keys() - shown.keys()
    assert {name: defaults[name] for name in unset} == dict.fromkeys(unset)
    assert load_settings(EXAMPLE).model_dump() == Settings().model_dump()


def test_every_value_of_the_example_fits() -> None:
    found = load(uncommented())
    assert found.hub.public_url == "https://hub.contoso.example"
    assert found.ledger.origin == "conclave.contoso.example"


# --- where they come from


def test_without_a_file_there_are_the_defaults() -> None:
    found = load_settings()
    assert (found.state_dir, found.hub.url, found.origin) == (
        Path(".conclave"),
        "http://127.0.0.1:8090",
        "conclave.localhost",
    )


def test_the_file_in_the_working_directory_is_found() -> None:
    Path("conclave.toml").write_text("[hub]\nport = 9001\n")
    assert load_settings().hub.port == 9001


def test_a_file_that_is_named_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("conclave.toml", "variable.toml", "option.toml"), start=9001):
        Path(name).write_text(f"[hub]\nport = {number}\n")
    monkeypatch.setenv("CONCLAVE_CONFIG", "variable.toml")
    assert load_settings().hub.port == 9002
    assert load_settings(Path("option.toml")).hub.port == 9003


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCLAVE_HUB__PORT", "9999")
    monkeypatch.setenv("CONCLAVE_STATE_DIR", "/srv/conclave")
    found = load("state_dir = 'x'\n[hub]\nport = 9001\nlisten = '10.0.0.1'\n")
    assert (found.hub.port, found.hub.listen, found.state_dir) == (9999, "10.0.0.1", Path("/srv/conclave"))


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, by_variable: bool) -> None:
    if by_variable:
        monkeypatch.setenv("CONCLAVE_CONFIG", "lost.toml")
    with pytest.raises(SettingsError) as error:
        load_settings(None if by_variable else Path("lost.toml"))
    assert error.value.message == "the settings file lost.toml does not exist"
    assert error.value.hint == "see config/conclave.example.toml"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().hub.port = 1  # type: ignore[misc]  # that it is refused is the point


# --- what does not fit

ADDRESS = "write a web address such as https://hub.contoso.example"
DATABASE = "write postgresql+asyncpg://user@host/name or sqlite+aiosqlite:///path"
IDENTIFIER = "use 1 to 40 lower-case letters, digits and hyphens, beginning with a letter, such as contoso"

WRONG: dict[str, tuple[str, str]] = {
    "an unknown section": ("[robots]\nx = 1", "robots is not a setting"),
    "an unknown key": ("[hub]\nprot = 80", "hub.prot is not a setting"),
    "a key in the wrong place": ("port = 80", "port is not a setting"),
    "text for a number": ("[hub]\nport = 'x'", "hub.port = 'x': input should be a valid integer"),
    "port 0": ("[hub]\nport = 0", "hub.port = 0: input should be greater than or equal to 1"),
    "a port beyond": ("[homeserver]\nport = 65536", "homeserver.port = 65536: input should be less than"),
    "a bad address": ("[hub]\npublic_url = 'hub.example'", f"hub.public_url = 'hub.example': {ADDRESS}"),
    "an address of another scheme": ("[support]\npage = 'ftp://x'", f"support.page = 'ftp://x': {ADDRESS}"),
    "another database": ("[database]\nurl = 'mysql://x/y'", f"database.url = 'mysql://x/y': {DATABASE}"),
    "no database": ("[database]\nurl = 'x'", f"database.url = 'x': {DATABASE}"),
    "no database of the homeserver": (
        "[homeserver]\ndatabase = 'x'",
        "homeserver.database = 'x': write postgresql://user@host/name",
    ),
    "another database of the homeserver": (
        "[homeserver]\ndatabase = 'sqlite:///x'",
        "homeserver.database = 'sqlite:///x': write postgresql://user@host/name",
    ),
    "a bad server name": ("[homeserver]\nname = 'Hub Ä'", "homeserver.name = 'Hub Ä': string should match pattern"),
    "a bad company": ("[host]\nid = 'Contoso'", f"host.id = 'Contoso': {IDENTIFIER}"),
    "an empty company": ("[host]\nid = ''", f"host.id = '': {IDENTIFIER}"),
    "a company that begins with a digit": ("[host]\nid = '3m'", f"host.id = '3m': {IDENTIFIER}"),
    "a company that is too long": (f"[host]\nid = '{'x' * 41}'", IDENTIFIER),
    "an unknown level": ("[logging]\nlevel = 'loud'", "logging.level = 'loud': input should be 'debug', 'info'"),
    "an unknown room version": ("[homeserver]\nroom_version = '1'", "homeserver.room_version = '1': input should be"),
    "no time at all": ("[readiness]\nfeed_lag_seconds = 0", "readiness.feed_lag_seconds = 0: input should be greater"),
    "an origin with a plus": ("[ledger]\norigin = 'a+b'", "ledger.origin = 'a+b': string should match pattern"),
    "no object identifier": (
        "[timestamps]\npolicy = '1.40.1'",
        "timestamps.policy = '1.40.1': write an object identifier such as 1.3.6.1.4.1.99999.1",
    ),
    "a value for a section": ("hub = 5", "hub = 5: input should be a valid dictionary"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_names_key_value_and_what_fits(name: str) -> None:
    text, expected = WRONG[name]
    assert expected in refused(text)


def test_all_errors_are_told_at_once() -> None:
    message = refused("[hub]\nport = 0\nprot = 1\n")
    assert "hub.port = 0" in message
    assert "hub.prot is not a setting" in message


def test_an_unknown_key_in_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCLAVE_HUB__PROT", "1")
    assert refused("") == "hub.prot is not a setting"


def test_what_is_no_toml_is_told_with_its_file() -> None:
    assert refused("[hub").startswith("my.toml is not valid TOML: ")


# --- passwords


@pytest.mark.parametrize(
    ("section", "key", "scheme"),
    [("database", "url", "postgresql+asyncpg://"), ("homeserver", "database", "postgresql://")],
)
def test_what_is_shown_holds_no_password(section: str, key: str, scheme: str) -> None:
    found = load(f"[{section}]\n{key} = '{scheme}conclave:hunter2@db/conclave'\n")
    assert "hunter2" in getattr(getattr(found, section), key)
    shown = found.shown()
    assert shown[section][key] == f"{scheme}conclave:***@db/conclave"
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize("password", ["hunter2", "hunter2@x", "hun/ter2", "hunter2:x"])
def test_an_error_holds_no_password(password: str) -> None:
    for text in (
        f"[database]\nurl = 'postgres://conclave:{password}@db/conclave'",
        f"[homeserver]\ndatabase = 'mysql://conclave:{password}@db/conclave'",
        f"database = 'postgresql+asyncpg://conclave:{password}@db/conclave'",
    ):
        message = refused(text)
        assert "ter2" not in message
        assert "://conclave:***@db/conclave" in message


def test_what_is_shown_holds_no_password_of_a_tsa() -> None:
    found = load("[timestamps]\nurl = 'https://contoso:hunter2@tsa.example/a/b'\n")
    assert found.shown()["timestamps"]["url"] == "https://contoso:***@tsa.example/a/b"


def test_settings_without_a_database_are_shown() -> None:
    assert Settings().shown()["database"] == {"url": None, "password_file": None}


# --- addresses that follow from others


def test_addresses_follow_from_each_other() -> None:
    found = HomeserverSettings(listen="10.0.0.1", port=1)
    assert (found.internal_url, found.client_url) == ("http://10.0.0.1:1", "http://10.0.0.1:1")
    found = HomeserverSettings(url="http://homeserver:8008/", public_url="https://m.example/")
    assert (found.internal_url, found.client_url) == ("http://homeserver:8008", "https://m.example")
    assert DatabaseSettings(url="sqlite+aiosqlite:///x").url == "sqlite+aiosqlite:///x"
