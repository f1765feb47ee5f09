"""Each command by hand, against a hub: what a person reads, what a program reads, and what bad use gets."""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.main import main
from tests.served import ServedHub

Run = Callable[..., "Ran"]


class Ran:
    """What a command said and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """``err``, but for the line that says whose credential counts (tests/cli/test_acting.py)."""
        lines = self.err.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("Acting as the hub's administrator, by "))


@pytest.fixture
def run(
    served_hub: ServedHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Run ``conclave …`` as the administrator on the hub's own machine."""
    monkeypatch.setenv("CONCLAVE_STATE_DIR", str(served_hub.state))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        status = ended.value.code
        return Ran(status if isinstance(status, int) else 0, said.out, said.err)

    return ran


@pytest.fixture(scope="module")
def names() -> Callable[[str], str]:
    """Names that no other test of this module took."""
    numbers: dict[str, int] = {}

    def name(prefix: str) -> str:
        numbers[prefix] = numbers.get(prefix, 0) + 1
        return f"{prefix}-cli-{numbers[prefix]}"

    return name


def enrolled(run: Run, monkeypatch: pytest.MonkeyPatch, link: str, username: str, password: str) -> Ran:
    monkeypatch.setattr("sys.stdin", _Input(password + "\n"))
    return run("person", "enrol", link, "--username", username)


class _Input:
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return self._text


def link_in(text: str) -> str:
    found = re.search(r"http\S+/enrol/\S+", text)
    assert found
    return found.group()


def test_a_partnership_from_first_to_last(
    run: Run, monkeypatch: pytest.MonkeyPatch, names: Callable[[str], str], served_hub: ServedHub
) -> None:
    acme, team = names("acme"), names("team")
    ran = run("company", "add", acme, "--name", "Acme", "--kind", "reseller", "--until", "2099-12-31", "--seats", "5")
    assert ran.out == f"Added Acme ({acme}). No engagement yet: nobody there can see anyone here.\n"
    people = [("contoso", "dana", ["--team", team]), (acme, "bob", []), (acme, "ann", [])]
    for company, name, more in people:
        email = f"{name}@{acme}.example"
        ran = run("person", "invite", "--company", company, "--name", name.title(), "--email", email, *more)
        assert ran.out.startswith(f"{name.title()} invited, until ")
        if name != "ann":
            link = link_in(ran.out).replace("http://127.0.0.1:8090", served_hub.url)
            ran = enrolled(run, monkeypatch, link, name + acme, "correct horse battery")
            assert ran.status == 0, ran.err
            assert f"user name   {name}{acme}.{company}\n" in ran.out
    ran = run("partnership", "open", acme, "--team", team)
    assert ran.out.splitlines() == [
        "  + space    Contoso × Acme           lists the rooms, carries no conversation",
        "  + room     General                  encrypted, history from joining on, metadata",
        "  + room     Deals                    encrypted, history from joining on, metadata",
        "  + room     Support                  encrypted, history from joining on, metadata",
        f"  + people   1 of the team {team}, 1 (1 more when they enrol) of {acme}",
        "Open. Everyone concerned sees it in their client now.",
    ]
    assert "Deals: 2 people, as it should be" in run("partnership", "show", acme).out
    room = next(
        one for one in run("room", "list", "--json").data if one["engagement"] == acme and one["kind"] == "room"
    )
    shown = run("room", "show", room["key"]).out
    assert "encryption  end to end, from creation" in shown
    assert "state       as its charter says" in shown
    ran = run("person", "suspend", f"bob@{acme}.example", "--reason", "left", "--yes")
    assert ran.out == "Bob is suspended; the homeserver enforces it now.\n"
    assert (
        run("person", "resume", f"bob@{acme}.example").out == "Bob is active again; the homeserver enforces it now.\n"
    )
    ran = run("company", "suspend", acme, "--reason", "unpaid", "--yes")
    assert ran.out == "Acme is suspended; the homeserver enforces it now.\n"
    assert run("company", "resume", acme).out == "Acme is active again; the homeserver enforces it now.\n"
    ran = run("partnership", "close", acme, "--reason", "over", "--yes")
    assert ran.out == "Closed. 4 rooms are frozen and everybody has left them; the record stays.\n"


def test_every_list_has_a_table_for_people_and_json_for_programs(run: Run) -> None:
    for noun in ("company", "person", "team", "partnership", "room", "role", "credential"):
        assert isinstance(run(noun, "list", "--json").data, list)
        assert run(noun, "list").status == 0
    assert "contoso" in run("company", "list").out


def test_teams(run: Run, names: Callable[[str], str]) -> None:
    team = names("team")
    run("person", "invite", "--company", "contoso", "--name", "Tom", "--email", f"tom@{team}.example")
    assert run("team", "add", team, f"tom@{team}.example").out.startswith(f"Tom is in the team {team}")
    assert run("team", "show", team).out == f"team    {team}\npeople  Tom (invited)\n"
    assert run("team", "remove", team, f"tom@{team}.example").out.startswith(f"Tom is no longer in the team {team}")
    ran = run("team", "show", team)
    assert (ran.status, ran.err.splitlines()[0]) == (1, f"conclave: nobody is in a team '{team}'")


def test_signing_in_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, served_hub: ServedHub, names: Callable[[str], str], tmp_path: Path
) -> None:
    email = f"{names('eve')}@contoso.example"
    run("person", "invite", "--company", "contoso", "--name", "Eve", "--email", email)
    assert run("role", "grant", email, "auditor").out == "Eve is auditor now.\n"
    token = run("credential", "issue", email, "--device", "laptop").out.strip()
    monkeypatch.setenv("CONCLAVE_STATE_DIR", str(tmp_path / "none"))
    ran = run("whoami")
    assert (ran.status, ran.err.splitlines()) == (
        1,
        ["conclave: no hub is known here", "  next: conclave up, or conclave login ADDRESS"],
    )
    monkeypatch.setattr("sys.stdin", _Input(token + "\n"))
    assert run("login", served_hub.url).out.startswith(f"Signed in to {served_hub.url} as Eve (auditor), until ")
    assert oct((tmp_path / "conclave" / "logins.json").stat().st_mode)[-3:] == "600"
    assert run("whoami", "--json").data["name"] == "Eve"
    ran = run("company", "add", "x", "--name", "X")
    assert (ran.status, ran.err.splitlines()[0]) == (1, "conclave: Eve holds auditor; this needs partner-manager")
    assert "Signed out" in run("logout").out
    monkeypatch.setattr("sys.stdin", _Input(token + "\n"))
    ran = run("login", served_hub.url)
    assert ran.status == 1
    assert "was revoked" in ran.err


def test_a_credential_is_revoked(run: Run, names: Callable[[str], str]) -> None:
    email = f"{names('max')}@contoso.example"
    run("person", "invite", "--company", "contoso", "--name", "Max", "--email", email)
    issued = run("credential", "issue", email, "--device", "laptop", "--days", "1", "--json").data["credential"]
    assert run("credential", "revoke", issued["id"], "--yes").out == f"{issued['id']} on laptop works no more.\n"
    listed = run("credential", "list", "--person", email, "--json").data
    assert listed[0]["revoked_at"]


def test_the_hubs_own_machine_does_not_log_out(run: Run) -> None:
    ran = run("logout")
    assert (ran.status, ran.err.splitlines()[0]) == (
        1,
        "conclave: nobody is signed in to any hub here; the credential of a hub's own machine stays",
    )


def test_who_signed_in_on_the_hubs_own_machine_signs_out_and_the_administrator_does_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, names: Callable[[str], str], served_hub: ServedHub
) -> None:
    email = f"{names('ina')}@contoso.example"
    run("person", "invite", "--company", "contoso", "--name", "Ina", "--email", email)
    token = run("credential", "issue", email, "--device", "laptop").out.strip()
    monkeypatch.setattr("sys.stdin", _Input(token + "\n"))
    assert "to act as Ina: --hub" in run("login", served_hub.url).out
    assert run("logout").out == f"Signed out of {served_hub.url}: the credential of Ina is revoked.\n"
    assert run("whoami", "--json").data["name"] == "Dana Fox"
    assert run("credential", "list", "--person", email, "--json").data[0]["revoked_at"]


def test_the_trail_is_followed_exported_and_verified(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: Callable[[str], str], served_hub: ServedHub
) -> None:
    assert "log.opened" in run("audit", "tail", "-n", "1000").out
    assert run("audit", "tail", "-n", "0").out == ""
    first = json.loads(run("audit", "tail", "--kind", "log.opened", "--json").out)
    assert first["position"] == 0
    assert "in the log: " in run("audit", "show", "0").out
    ran = run("audit", "show", "999999")
    assert (ran.status, ran.err.splitlines()[0][:28]) == (1, "conclave: no entry 999999; t")
    out = tmp_path / "bundle"
    ran = run("audit", "export", "--out", str(out))
    assert (ran.status, "this needs auditor or compliance-officer" in ran.err) == (1, True)
    assert not out.exists()
    email = f"{names('olga')}@contoso.example"
    run("person", "invite", "--company", "contoso", "--name", "Olga", "--email", email)
    run("role", "grant", email, "compliance-officer")
    token = tmp_path / "olga.token"
    token.write_text(run("credential", "issue", email, "--device", "laptop").out)
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(token))
    ran = run("audit", "export", "--out", str(out))
    assert ran.status == 0, ran.err
    assert f"{out}/ written; this export is entry " in ran.out
    ran = run("audit", "export", "--out", str(out))
    assert (ran.status, ran.err.splitlines()[0]) == (
        2,
        f"conclave: {out} exists already; an export is never written over another",
    )
    vkey = str(served_hub.state / "log.vkey")
    ran = run("audit", "verify", str(out), "--vkey", vkey)
    assert (ran.status, ran.out.splitlines()[-1]) == (
        0,
        f"VALID. The same with tools of others: see {out}/VERIFY.md",
    )
    assert run("audit", "verify", str(out), "--vkey", vkey, "--json").data["valid"] is True
    trail = tmp_path / "trail"
    ran = run("audit", "export", "--out", str(trail), "--company", "contoso")
    assert (ran.status, "is entry" in ran.out) == (0, True), ran.err
    ran = run("audit", "verify", str(trail), "--vkey", vkey)
    assert ran.status == 0
    assert "of company contoso only" in ran.out
    assert run("audit", "verify", str(trail), "--vkey", vkey, "--json").data["scope"] == "company:contoso"
    first = trail / "trail" / "0.ndjson"
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[1:]))
    ran = run("audit", "verify", str(trail), "--vkey", vkey)
    assert (ran.status, ran.out.splitlines()[-1]) == (
        1,
        "INVALID: something was left out of the export, or added to it.",
    )
    ran = run("audit", "export", "--out", str(tmp_path / "other"), "--company", "nobody")
    assert (ran.status, "nobody" in ran.err) == (1, True)
    ran = run("audit", "export", "--out", str(tmp_path / "other"), "--company", "contoso", "--room", "x")
    assert (ran.status, "an export is of one company or of one room, not of both" in ran.err) == (2, True)
    assert not (tmp_path / "other").exists()
    victim = next((out / "tile" / "entries").rglob("*.p/*"))
    victim.write_bytes(victim.read_bytes().replace(b"company.added", b"company.adDed", 1))
    ran = run("audit", "verify", str(out), "--vkey", vkey)
    assert ran.status == 1
    assert re.search(r"✗ entry \d+ .* does not hash to what the log committed to", ran.out)
    assert "INVALID: the file was changed after export, or the log's key is not the one you hold." in ran.out
    assert run("audit", "verify", str(out), "--vkey", vkey, "--json").data["valid"] is False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audit", "verify", "/nope", "--vkey", "/nope"], "/nope is not a log's public key"),
        (["company", "add", "Acme!", "--name", "x"], 'id = "Acme!"'),
        (["company", "add", "acme", "--name", "x", "--kind", "friend"], 'kind = "friend"'),
        (["company", "add", "acme", "--name", "x", "--until", "soon"], 'until = "soon"'),
        (["person", "enrol", "http://x", "--username", "x"], "is not an enrolment link"),
        (["role", "grant", "nobody@x.example", "king"], 'role = "king"'),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_was_expected(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.setattr("sys.stdin", _Input("correct horse battery\n"))
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["company", "suspend", "acme", "--reason", "x"],
        ["person", "suspend", "bob", "--reason", "x"],
        ["partnership", "close", "acme", "--reason", "x"],
        ["credential", "revoke", "crd"],
    ],
)
def test_nothing_is_asked_off_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr("sys.stdin", _Input("y\n"))
    ran = run(*arguments)
    assert (ran.status, "Not asked off a terminal; say --yes." in ran.err) == (2, True)


def test_a_hub_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("conclave_x.y")
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(tmp_path / "token"))
    ran = run("--hub", "http://127.0.0.1:1", "whoami")
    assert (ran.status, ran.err.splitlines()) == (
        1,
        [
            "conclave: no hub answers at http://127.0.0.1:1: Connection refused",
            "  next: conclave up, or check --hub",
        ],
    )
    assert run("--hub", "ftp://x", "whoami").status == 2


class _Stranger(BaseHTTPRequestHandler):
    """Something else listens there."""

    def do_GET(self) -> None:
        self.send_response(418)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        return None


def test_an_address_that_is_no_hub(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("conclave_x.y")
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(tmp_path / "token"))
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ran = run("--hub", f"http://127.0.0.1:{server.server_port}", "whoami")
        server.shutdown()
        thread.join()
    assert (ran.status, ran.err.splitlines()[1]) == (1, "  next: is this a hub?")


def test_plan_and_apply(run: Run, names: Callable[[str], str], served_hub: ServedHub, tmp_path: Path) -> None:
    company, team, email = names("plan"), names("team"), f"{names('p')}@contoso.example"
    run("company", "add", company, "--name", company)
    run("person", "invite", "--company", "contoso", "--name", "P", "--email", email, "--team", team)
    run("partnership", "open", company, "--team", team)
    nothing = run("plan", "--engagement", company)
    assert (nothing.status, nothing.out) == (0, "Nothing to do: every room is what its charter says.\n")
    file = tmp_path / "plan.json"
    assert run("plan", "--engagement", company, "--out", str(file)).status == 0
    assert run("apply", str(file)).out == "Nothing to do.\n"
    assert run("apply", str(file), "--json").data == {"actions": [], "failed": 0}
    server = served_hub.fake.homeserver
    room = run("partnership", "show", company, "--json").data["rooms"][1]
    served_hub.loop.call_soon_threadsafe(
        server.backdoor, room["room_id"], server.bot, "m.room.member", {"membership": "leave"}, server.bot
    )
    while not run("room", "show", room["key"], "--json").data["problem"]:
        pass
    there = run("plan", "--engagement", company, "--out", str(file))
    assert there.status == 3
    assert there.out == (f"{room['name']}  {company}  {room['key']}\n  + add {server.bot}\n1 change in 1 room.\n")
    assert there.err == f"Next: conclave apply {file}\n"
    failed = run("apply", str(file))
    assert (failed.status, failed.err.splitlines()[1]) == (
        1,
        "conclave: 1 of 1 actions failed; the others are done",
    )
    shown = run("room", "show", room["key"]).out
    assert "stuck since" in shown
    assert "next try" in shown


def test_a_file_that_is_no_plan(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text("[]")
    refused = run("apply", str(file))
    assert (refused.status, refused.err.splitlines()) == (
        2,
        [f"conclave: {file} is not a plan", "  next: conclave plan --out FILE writes one"],
    )
