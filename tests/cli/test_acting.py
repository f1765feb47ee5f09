"""In whose name a command acts: an act is recorded under the name that the person meant, or not done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.cli.client import HubClient
from tests.cli.test_commands import Run, _Input, names, run  # noqa: F401  # fixtures
from tests.served import ServedHub


@pytest.fixture
def add(
    run: Run,  # noqa: F811  # the fixture
    names: Callable[[str], str],  # noqa: F811  # the fixture
    served_hub: ServedHub,
) -> Callable[..., tuple[int, str, str]]:
    """Try to add a company, with options of ``conclave`` in front: how it ends, what it says, whose act it was."""
    hub = HubClient(url=served_hub.url, token=served_hub.token)

    def added(*options: str) -> tuple[int, str, str]:
        company = names("acting")
        ran = run(*options, "company", "add", company, "--name", "Acting")
        entries = hub.get("/v1/ledger/entries", kind="company.added", limit=500)["items"]
        own = [one for one in entries if one["entry"]["data"].get("company") == company]
        return ran.status, ran.err, "".join(one["names"][one["entry"]["actor"]["person"]] for one in own)

    return added


def signed_in(run: Run, monkeypatch: pytest.MonkeyPatch, email: str, url: str) -> None:  # noqa: F811  # the fixture
    run("person", "invite", "--company", "contoso", "--name", "Dora", "--email", email)
    run("role", "grant", email, "partner-manager")
    token = run("credential", "issue", email, "--device", "laptop").out
    monkeypatch.setattr("sys.stdin", _Input(token))
    assert run("login", url).status == 0


def test_who_names_a_hub_never_acts_as_its_administrator(
    add: Callable[..., tuple[int, str, str]], served_hub: ServedHub
) -> None:
    url = served_hub.url
    refused = (
        f"conclave: no credential for {url} here\n"
        f"  next: conclave login {url}; without --hub commands here act as its administrator\n"
    )
    assert add("--hub", url) == (1, refused, "")
    assert add("--hub", f"{url}/") == (1, refused, "")


def test_who_signed_out_or_was_revoked_does_not_act_as_the_administrator(
    run: Run,  # noqa: F811  # the fixture
    add: Callable[..., tuple[int, str, str]],
    names: Callable[[str], str],  # noqa: F811  # the fixture
    monkeypatch: pytest.MonkeyPatch,
    served_hub: ServedHub,
) -> None:
    email, url = f"{names('dora')}@contoso.example", served_hub.url
    signed_in(run, monkeypatch, email, url)
    status, said, recorded = add("--hub", url)
    assert (status, said, recorded) == (0, "", "Dora")
    credential = run("credential", "list", "--person", email, "--json").data[0]["id"]
    run("credential", "revoke", credential, "--yes")
    status, said, recorded = add("--hub", url)
    assert (status, "was revoked" in said, recorded) == (1, True, "")
    assert run("--hub", url, "logout").status == 0
    status, said, recorded = add("--hub", url)
    assert (status, f"no credential for {url} here" in said, recorded) == (1, True, "")


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "holds no credential"), (None, "No such file or directory"), ("\n", "holds no credential")],
)
def test_a_credential_that_is_named_and_not_there_is_not_replaced_by_the_administrators(
    add: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: str | None,
    says: str,
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(file))
    status, said, recorded = add()
    assert (status, f"CONCLAVE_CREDENTIAL_FILE={file}" in said, says in said, recorded) == (1, True, True, "")


def test_an_empty_address_is_wrong_use(add: Callable[..., tuple[int, str, str]]) -> None:
    assert add("--hub", "") == (
        2,
        "conclave: --hub is empty, expected the address of a hub\n  next: --hub ADDRESS\n",
        "",
    )


def test_the_administrator_is_named_once_where_something_is_changed(
    run: Run,  # noqa: F811  # the fixture
    add: Callable[..., tuple[int, str, str]],
    served_hub: ServedHub,
) -> None:
    own = f"Acting as the hub's administrator, by {served_hub.state}/admin.credential; as yourself: --hub"
    status, said, recorded = add()
    assert (status, said, recorded) == (0, f"{own} {served_hub.url}\n", "Dana Fox")
    assert run("company", "list").err == ""


@pytest.mark.parametrize("token", ["syt_ZGFuYQ_abc_1", "correct horse battery"])
def test_what_is_no_credential_is_not_sent_to_a_hub(
    run: Run,  # noqa: F811  # the fixture
    monkeypatch: pytest.MonkeyPatch,
    token: str,
) -> None:
    monkeypatch.setattr("sys.stdin", _Input(f"{token}\n"))
    ran = run("login", "http://127.0.0.1:1")
    assert (ran.status, ran.err.splitlines()) == (
        1,
        [
            "conclave: no credential of a hub: expected conclave_…, not a password or a Matrix access token",
            "  next: an administrator issues one, to people of the host company: conclave credential issue",
        ],
    )
