"""What ``conclave room`` and ``conclave partnership`` show of a direct room."""

import asyncio
import json
import time
from typing import Any

import pytest

from bridge.cli.main import main
from tests.served import ServedHub


@pytest.fixture
def shown(served_hub: ServedHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a command prints, run as the administrator on the hub's own machine."""
    monkeypatch.setenv("CONCLAVE_STATE_DIR", str(served_hub.state))
    monkeypatch.setenv("COLUMNS", "240")

    def run(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
        return capsys.readouterr().out

    return run


async def open_direct(hub: ServedHub) -> str:
    fake = hub.fake
    await fake.api("POST", "/v1/companies", {"id": "direct-cli", "name": "Direct"})
    users = []
    for company, name, teams in (("contoso", "dana", ["direct-cli"]), ("direct-cli", "bob", [])):
        body = {"company": company, "name": f"{name.title()} Lee", "email": f"{name}@direct.example", "teams": teams}
        link = (await fake.api("POST", "/v1/people", body))["link"]
        enrolment = {"secret": link.rpartition("/")[2], "username": f"{name}d", "password": "correct horse battery"}
        users.append(str((await fake.api("POST", "/v1/enrol", enrolment, token=""))["user_id"]))
    await fake.api("POST", "/v1/partnerships", {"partner": "direct-cli", "team": "direct-cli"})
    await fake.hub.services.publisher.publish()
    return fake.homeserver.open_direct(users[1], users[0])


def test_a_direct_room_goes_by_the_names_of_the_two(served_hub: ServedHub, shown: Any) -> None:
    asyncio.run_coroutine_threadsafe(open_direct(served_hub), served_hub.loop).result(30)
    ends = time.monotonic() + 30
    while not (rooms := [room for room in json.loads(shown("room", "list", "--json")) if room["kind"] == "direct"]):
        assert time.monotonic() < ends
    (line,) = [line for line in shown("room", "list").splitlines() if "direct: " in line]
    assert line.startswith("direct: Bob Lee, Dana Lee")
    assert line.split()[-1] == rooms[0]["key"]
    detail = shown("room", "show", rooms[0]["key"])
    told = dict(line.split(maxsplit=1) for line in detail.splitlines())
    assert told["kind"] == "direct"
    assert told["topic"] == "A direct chat of two. Who wrote when is recorded; what, is not."
    assert told["encryption"] == "end to end, from creation"
    assert "direct: Bob Lee, Dana Lee: " in shown("partnership", "show", "direct-cli")
