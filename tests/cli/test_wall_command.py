"""``conclave wall`` by hand."""

import re

import pytest

from tests.cli.test_commands import Run, run  # noqa: F401  # `run` is the fixture
from tests.served import ServedHub


@pytest.fixture
def officer(run: Run, served_hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811  # the fixture
    """From here on the commands are a compliance officer's; companies wall-a and wall-b are there."""
    for company in ("wall-a", "wall-b"):
        assert run("company", "add", company, "--name", company).status == 0
    email = "wall-officer@contoso.example"
    run("person", "invite", "--company", "contoso", "--name", "Olga", "--email", email)
    assert run("role", "grant", email, "compliance-officer").status == 0
    issued = run("credential", "issue", email, "--device", "laptop", "--json")
    file = served_hub.state / "officer.credential"
    file.write_text(issued.data["token"])
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(file))
    monkeypatch.setenv("CONCLAVE_URL", served_hub.url)


@pytest.mark.usefixtures("officer")
def test_a_wall_from_first_to_last(run: Run) -> None:  # noqa: F811  # the fixture
    assert run("wall", "list").err == "No wall yet. Next: conclave wall add COMPANY OTHER --reason TEXT\n"
    ran = run("wall", "add", "wall-b", "wall-a", "--reason", "same tender")
    assert (ran.status, ran.out) == (0, "A wall stands between wall-a and wall-b.\n")
    ran = run("wall", "add", "wall-a", "wall-b", "--reason", "again")
    assert (ran.status, ran.err.splitlines()) == (
        1,
        ["conclave: there is a wall between wall-a and wall-b already", "  next: conclave wall list"],
    )
    assert [(row["first"], row["second"], row["reason"]) for row in run("wall", "list", "--json").data] == [
        ("wall-a", "wall-b", "same tender")
    ]
    assert re.search(r"wall-a +wall-b +same tender +\d{4}-", run("wall", "list").out)
    ran = run("wall", "remove", "wall-a", "wall-b", "--reason", "over")
    assert (ran.status, ran.err) == (
        2,
        "conclave: Take down the wall between wall-a and wall-b? Not asked off a terminal; say --yes.\n",
    )
    ran = run("wall", "remove", "wall-a", "wall-b", "--reason", "over", "--yes")
    assert (ran.status, ran.out) == (0, "The wall between wall-a and wall-b is down: they may meet again.\n")
    assert run("wall", "add", "wall-a", "wall-a", "--reason", "x").status == 2
