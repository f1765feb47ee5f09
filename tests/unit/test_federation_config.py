"""Federation in the settings and in Synapse's configuration: closed, or open to the servers that are named alone."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.homeserver_config import HARDENING, HomeserverFiles, hardening, homeserver_config
from config.settings import FederationSettings, Settings
from config.state import StateDirectory


def config(tmp_path: Path, *servers: str) -> dict[str, Any]:
    settings = Settings(state_dir=tmp_path / "state", federation=FederationSettings(servers=servers))
    state = StateDirectory(settings.state_dir)
    state.prepare()
    files = HomeserverFiles(config=tmp_path, registration=tmp_path, log_config=tmp_path, log=tmp_path)
    found = homeserver_config(settings, state, files, b"k" * 32)
    assert {name: found[name] for name in hardening(settings)} == hardening(settings)
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [name for listener in found["listeners"] for part in listener["resources"] for name in part["names"]]


def test_without_servers_nobody_is_talked_to(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert found["federation_domain_whitelist"] == []
    assert names(found) == ["client"]
    assert hardening(Settings()) == HARDENING


def test_with_servers_it_is_they_and_nobody_else(tmp_path: Path) -> None:
    found = config(tmp_path, "partner.example", "other.example:8448")
    assert found["federation_domain_whitelist"] == ["other.example:8448", "partner.example"]
    assert names(found) == ["client", "federation"]
    kept = HARDENING.keys() - {"federation_domain_whitelist"}
    assert {name: found[name] for name in kept} == {name: HARDENING[name] for name in kept}
    assert found["allow_profile_lookup_over_federation"] is False
    assert found["trusted_key_servers"] == []


@pytest.mark.parametrize("server", ["partner.example", "a.b-c.example", "partner.example:8448", "partner"])
def test_server_names(server: str) -> None:
    assert FederationSettings(servers=(server,)).enabled


WRONG = (
    *("", "*", "*.example", "Partner.example", "https://partner.example", "10.0.0.1", "[::1]", "a..example"),
    *("a.example:", "a.example:0", "a.example:x", "a_b.example", "-a.example", "a.example/", "1.2.3.4:8448"),
)


@pytest.mark.parametrize("server", WRONG)
def test_what_is_no_server_name(server: str) -> None:
    with pytest.raises(ValidationError, match=r"write a domain such as partner\.example"):
        FederationSettings(servers=(server,))
