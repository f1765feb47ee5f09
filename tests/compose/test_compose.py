"""docker-compose.yml for real: closed where it must be, the story told, restarted, killed, taken down and up again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.demo.telling import PASSWORD
from tests.compose.stack import ROOT, SERVICES, Stack, running_stack, until

STORY_S = 300
CLOSED_BY_PROXY = "there is nothing at this address"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture(scope="module")
def story(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the story counted; with it the hub has a ledger, people and rooms to lose."""
    out = tmp_path_factory.mktemp("story")
    done = subprocess.run(
        [sys.executable, "-m", "bridge.demo", "--hub", stack.url, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "CONCLAVE_CREDENTIAL_FILE": str(stack.credential)},
        timeout=STORY_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/readyz",
        "/_matrix/app/v1/ping",
        "/_matrix/app/v1/transactions/1",
        "/_conclave/guard/v1/refusals/1",
        "/_synapse/admin/v1/server_version",
        "/_synapse/conclave/status",
        "/_matrix/federation/v1/version",
        "/_matrix/key/v2/server",
        "//metrics",
        "/static/../metrics",
        "/static/..%2fmetrics",
        "/static/%2e%2e/readyz",
        "/_matrix/client/../app/v1/ping",
        "/_matrix/client/../../_synapse/admin/v1/server_version",
        "/_matrix/client/%2e%2e/%2e%2e/_synapse/admin/v1/server_version",
        "/_matrix%2fapp/v1/ping",
    ],
)
def test_what_nobody_outside_needs_is_closed(stack: Stack, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = stack.request(method, path)
        assert (answer.status, CLOSED_BY_PROXY in answer.body) == (404, True), (method, answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/_matrix/client/versions", 200),
        ("/_matrix/media/v3/config", 401),
        ("/static/style.css", 200),
        ("/enrol/a-link-that-nobody-has", 410),
        ("/v1/whoami", 401),
        ("/log/checkpoint", 401),
        ("/v1/openapi.json", 200),
    ],
)
def test_what_people_need_is_open(stack: Stack, path: str, status: int) -> None:
    assert stack.request("GET", path).status == status


def test_clients_are_sent_to_the_proxy(stack: Stack) -> None:
    assert stack.request("GET", "/.well-known/matrix/client").json() == {"m.homeserver": {"base_url": stack.url}}
    assert stack.client.get("/v1/status")["homeserver"] == stack.url


def test_only_the_proxy_is_reachable_and_on_this_machine_only(stack: Stack) -> None:
    published = {service: stack.inspect(service)["HostConfig"]["PortBindings"] for service in SERVICES}
    assert [service for service, ports in published.items() if ports] == ["proxy"]
    assert {one["HostIp"] for ports in published["proxy"].values() for one in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("service", SERVICES)
def test_containers_are_confined(stack: Stack, service: str) -> None:
    process = dict(
        line.split(":\t", 1)
        for line in stack.execute(service, "grep", "-E", "^(Uid|CapEff|NoNewPrivs):", "/proc/1/status").splitlines()
    )
    assert "0" not in process["Uid"].split()
    assert int(process["CapEff"], 16) == 0
    assert process["NoNewPrivs"] == "1"
    assert stack.inspect(service)["HostConfig"]["ReadonlyRootfs"] is True


def test_secrets_are_files_and_nowhere_else(stack: Stack) -> None:
    places = ["tokens", "keys", "admin.credential", "/run/conclave/hub"]
    readable = ["-type", "f", "!", "-perm", "600", "!", "-perm", "640"]
    assert stack.execute("hub", "find", *places, *readable) == ""
    assert stack.execute("homeserver", "find", "tokens", "homeserver", *readable[:2], "-perm", "/o=r") == ""

    secrets = stack.execute("hub", "sh", "-c", "cat tokens/* admin.credential /run/conclave/hub/*").split()
    assert len(secrets) == 7
    shown = stack.compose("config") + stack.compose("logs", "--no-color")
    shown += "".join(json.dumps(stack.inspect(service)) for service in (*SERVICES, "init", "databases"))
    assert [number for number, secret in enumerate(secrets) if secret in shown] == []


def test_the_key_of_the_log_is_the_signers_alone(stack: Stack) -> None:
    assert stack.execute("signer", "stat", "--format=%u %a", "log.key", "signer.json").split() == ["10002", "600"] * 2
    assert stack.execute("hub", "find", "keys", "-name", "log.key", "-o", "-name", "signer.json") == ""
    assert stack.execute("hub", "id", "--user").strip() == "10001"
    assert stack.execute("hub", "cat", "log.vkey") == stack.execute("signer", "cat", "log.vkey")


def test_a_signer_that_was_away_signs_what_waited(stack: Stack) -> None:
    stack.compose("stop", "signer")
    before = stack.client.get("/v1/ledger")["signed_size"]
    stack.client.post("/v1/companies", {"id": "unsigned", "name": "While nobody signs"})
    until(lambda: stack.client.get("/v1/ledger")["size"] > before, "the entry was not written")
    assert stack.client.get("/v1/ledger")["signed_size"] == before
    stack.compose("start", "signer")
    until(lambda: stack.client.get("/v1/ledger")["signed_size"] > before, "the entry was not signed")
    stack.until_healthy()


def test_the_homeserver_does_not_see_the_keys_of_the_hub(stack: Stack) -> None:
    assert stack.execute("homeserver", "find", ".", "-maxdepth", "1", "-mindepth", "1").split() == [
        "./homeserver",
        "./tokens",
    ]
    assert stack.execute("homeserver", "find", "/run/conclave", "-type", "f") == ""


def test_the_story(story: dict[str, Any]) -> None:
    assert story["decrypted_messages"] >= 60
    assert story["refusals"] >= 6


def test_a_restart_keeps_everything(stack: Stack, story: dict[str, Any]) -> None:
    before = _everything(stack)
    assert before["ledger"] >= story["entries"]
    stack.compose("restart", "hub", "homeserver")
    stack.until_healthy()
    _assert_kept(stack, before)


def test_a_crash_is_mended(stack: Stack, story: dict[str, Any]) -> None:
    before = _everything(stack)
    stack.crash("hub")
    stack.crash("homeserver")
    stack.until_healthy()
    _assert_kept(stack, before)


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = {service: stack.inspect(service)["Id"] for service in SERVICES}
    started = {service: stack.inspect(service)["State"]["StartedAt"] for service in SERVICES}
    stack.up()
    assert {service: stack.inspect(service)["Id"] for service in SERVICES} == before
    assert {service: stack.inspect(service)["State"]["StartedAt"] for service in SERVICES} == started


def test_down_and_up_keeps_everything(stack: Stack, story: dict[str, Any]) -> None:
    before = _everything(stack)
    stack.compose("down")
    stack.up()
    _assert_kept(stack, before)


def _everything(stack: Stack) -> dict[str, Any]:
    """What a restart could lose: the ledger and its key, companies, people, rooms, passwords."""
    client = stack.client
    ledger = client.get("/v1/ledger")
    last = client.get("/v1/ledger/entries", start=ledger["size"] - 1, limit=1)["items"]
    return {
        "ledger": ledger["size"],
        "vkey": ledger["vkey"],
        "last": last,
        "companies": list(client.items("/v1/companies")),
        "people": list(client.items("/v1/people")),
        "partnerships": [client.get(f"/v1/partnerships/{one['id']}") for one in client.items("/v1/partnerships")],
    }


def _assert_kept(stack: Stack, before: dict[str, Any]) -> None:
    after = _everything(stack)
    assert after["ledger"] >= before["ledger"]
    assert stack.client.get("/v1/ledger/entries", start=before["ledger"] - 1, limit=1)["items"] == before["last"]
    kept = ("vkey", "companies", "people", "partnerships")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    dana = next(one["user_id"] for one in after["people"] if one["name"] == "Dana Fox")
    login = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": dana},
        "password": PASSWORD,
    }
    assert stack.request("POST", "/_matrix/client/v3/login", login).status == 200
