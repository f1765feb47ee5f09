"""``conclave committee answer`` and ``answers`` by hand, on a hub whose helper says nothing by itself."""

import asyncio
import json
import re
from collections.abc import Coroutine
from typing import Any

import pytest

from bridge.cli.client import HubClient
from tests.cli.test_commands import Run, run  # noqa: F401  # `run` is the fixture
from tests.served import ServedHub

TEXT = ("--question", "May data leave?", "--answer", "No.\nNever \u00fcber.")
SHOWN = """Every vendor is to read this, in its own room, and not who asked or who answers:
  Question: May data leave?
  Answer: No.
  Never über.
"""


def there(hub: ServedHub, work: Coroutine[Any, Any, Any]) -> Any:
    """Do ``work`` in the hub's own thread."""
    return asyncio.run_coroutine_threadsafe(work, hub.loop).result(30)


@pytest.fixture(scope="module")
def pitching(served_hub: ServedHub) -> str:
    """A committee whose two vendors are in."""
    client = HubClient(url=served_hub.url, token=served_hub.token)
    chair = there(served_hub, served_hub.fake.add_person("contoso", prefix="answering"))
    client.post("/v1/committees", {"id": "answering", "title": "A", "chair": chair, "members": [chair]})
    for vendor in ("answer-a", "answer-b"):
        client.post("/v1/companies", {"id": vendor, "name": vendor})
        client.post("/v1/committees/answering/vendors", {"vendor": vendor})
    token = client.post("/v1/credentials", {"person": chair, "device": "laptop"})["token"]
    HubClient(url=served_hub.url, token=token).post("/v1/committees/answering/declare", {"conflict": False})
    client.post("/v1/committees/answering/start", {})
    return "answering"


def test_it_asks_shows_and_lists(run: Run, served_hub: ServedHub, pitching: str) -> None:  # noqa: F811  # the fixture
    ran = run("committee", "answers", pitching)
    assert ran.err == "Nothing was published yet. Next: conclave committee answer answering --answer TEXT\n"
    ran = run("committee", "answer", pitching, *TEXT)
    assert (ran.status, ran.said) == (2, SHOWN + "conclave: Publish it? Not asked off a terminal; say --yes.\n")
    assert run("committee", "answers", pitching, "--json").data == []
    ran = run("committee", "answer", pitching, *TEXT, "--yes", "--no-wait")
    assert (ran.status, ran.said.startswith(SHOWN)) == (0, True)
    assert (
        ran.out
        == "  … answer-a\n  … answer-b\nPublished; it is still being said. conclave committee answers answering\n"
    )
    answers = served_hub.fake.hub.services.answers
    first, second = there(served_hub, answers.errands())
    there(served_hub, answers.delivered(first, "$said"))
    there(served_hub, answers.dropped(second, "nobody of the vendor is in the room"))
    ran = run("committee", "answers", pitching)
    assert re.search(r"1 +\d{4}-.* May data leave\? +No\.\\nNever über\. +✓ answer-a", ran.out), ran.out
    assert "✗ answer-b: nobody of the vendor is in the room" in ran.out
    (found,) = run("committee", "answers", pitching, "--json").data
    assert [one["state"] for one in found["deliveries"]] == ["delivered", "dropped"]


@pytest.mark.parametrize(
    ("states", "status", "said"),
    [
        ((True, True), 0, "Published: said in every vendor's room, in the same words."),
        (
            (True, False),
            1,
            "Published, and not said everywhere: tell those who are marked ✗ by hand, in the same words.",
        ),
    ],
)
def test_it_waits_until_it_was_said(
    run: Run,  # noqa: F811  # the fixture
    served_hub: ServedHub,
    pitching: str,
    monkeypatch: pytest.MonkeyPatch,
    states: tuple[bool, bool],
    status: int,
    said: str,
) -> None:
    """What the helper does happens here while the command sleeps."""
    answers, looked = served_hub.fake.hub.services.answers, []

    def sleep(_seconds: float) -> None:
        looked.append(1)
        for errand, good in zip(there(served_hub, answers.errands()), states, strict=True):
            there(served_hub, answers.delivered(errand, "$x") if good else answers.dropped(errand, "gone"))

    monkeypatch.setattr("bridge.cli.answers.time.sleep", sleep)
    ran = run("committee", "answer", pitching, "--answer", "x", "--yes")
    assert (ran.status, ran.out.splitlines()[-1], len(looked)) == (status, said, 1)
    assert ("  ✗ answer-b: gone" in ran.out) is (not states[1])


def test_what_cannot_be_published(run: Run, pitching: str) -> None:  # noqa: F811  # the fixture
    for text, error in (
        (" ", "the answer is empty"),
        ("a\tb", "the answer has U+0009 at character 2; expected text and line breaks alone"),
        ("x" * 2_001, "the answer has 2,001 characters; at most 2,000 are sent"),
    ):
        ran = run("committee", "answer", pitching, "--answer", text, "--yes", "--json")
        assert (ran.status, json.loads(ran.err.splitlines()[-1])["detail"], ran.out) == (2, error, "")
    assert run("committee", "answer", pitching).status == 2
    ran = run("committee", "answer", "nothing", "--answer", "x", "--yes", "--json")
    assert (ran.status, json.loads(ran.err.splitlines()[-1])["detail"]) == (1, "no committee 'nothing'")
    assert run("committee", "answers", "nothing").status == 1
