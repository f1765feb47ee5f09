"""A person of company B goes through every address of the client-server API and learns nothing of company A.

Once at the homeserver itself, once through the shipped proxy. What is found is held against the table, from which
``docs/silence.md`` is written: an address that the table does not know fails, and so does a row that says too much.
"""

import pytest

from tests.silence.document import DOCUMENT, document
from tests.silence.probe import GUESSABLE, RANDOM, Finding, Prober, admin_rows, placeholders
from tests.silence.routes import by_key, key
from tests.silence.table import ADMIN, TABLE, By, Row
from tests.silence.world import World


@pytest.fixture(scope="module")
async def direct(world: World, routes: list[str]) -> list[Finding]:
    """Asked of the homeserver itself, each address in its newest version."""
    prober = Prober(world, world.hub.homeserver_url, by_key(routes))
    return await prober.find([*TABLE, *admin_rows(routes)], every_version=False)


@pytest.fixture(scope="module")
async def through_proxy(world: World, routes: list[str], proxy: str) -> list[Finding]:
    """Asked through the proxy, each address in every version."""
    return await Prober(world, proxy, by_key(routes)).find([*TABLE, *admin_rows(routes)], every_version=True)


def told(findings: list[Finding]) -> list[Finding]:
    """Those from which something is learnt that the table does not admit."""
    return [found for found in findings if found.differs and not (found.case.row.oracle and found.case.varied & RANDOM)]


def shown(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))


async def test_the_table_knows_every_address(routes: list[str]) -> None:
    """A new release of Synapse or of the specification: look at the address, then give it a row."""
    known = [key(f"{method} {path}") for row in TABLE for method, path in row.calls()]
    assert sorted(known) == sorted(set(known)), "an address has two rows"
    served = {name for name in by_key(routes) if ADMIN not in name}
    assert served - set(known) == set(), "addresses that the table does not know"
    assert set(known) - served == set(), "rows of addresses that are gone"


def test_the_document_is_the_table() -> None:
    assert DOCUMENT.read_text() == document(), "say: make docs"


async def test_at_the_homeserver_what_exists_and_what_does_not_get_one_answer(direct: list[Finding]) -> None:
    assert len(direct) > 400
    found = [item for item in told(direct) if item.case.row.by is not By.PROXY]
    assert found == [], shown(found)


async def test_through_the_proxy_nothing_more_differs(through_proxy: list[Finding]) -> None:
    assert len(through_proxy) > 900
    assert told(through_proxy) == [], shown(told(through_proxy))


async def test_what_can_be_guessed_is_never_told_apart(direct: list[Finding], through_proxy: list[Finding]) -> None:
    """User ids, names, addresses: whatever a row admits, it is about random ids."""
    both = [*direct, *through_proxy]
    assert [item for item in both if item.differs and item.case.varied <= GUESSABLE] == []
    for row in TABLE:
        if row.oracle:
            assert any(placeholders(row, path, method) & RANDOM for method, path in row.calls()), row


async def test_no_row_admits_more_than_there_is(direct: list[Finding]) -> None:
    differing = {item.case.row.call for item in direct if item.differs}
    admitted = {row.call for row in TABLE if row.oracle}
    assert admitted - differing == set(), "these rows say that ids are told apart, but they are not"
    assert "POST /keys/claim" in differing, "the homeserver alone tells no more: the proxy's rule may go"


async def test_no_answer_has_anything_of_the_other_company(
    world: World, direct: list[Finding], through_proxy: list[Finding]
) -> None:
    for item in (*direct, *through_proxy):
        if item.case.row.by is By.UNGUESSABLE:
            continue  # a file that who knows its id may fetch
        for seen, ids in ((item.known, item.case.known), (item.ghost, item.case.ghost)):
            asked = "".join(ids.values())
            assert [secret for secret in world.secrets if secret in seen.raw and secret not in asked] == [], str(item)


async def test_the_probe_is_understood(direct: list[Finding]) -> None:
    """An answer that is an accident shows nothing."""
    asked = [item for item in direct if "3pid" not in item.case.path]  # the identity server is not there
    broken = [item for item in asked if item.known.status >= 500 or "M_BAD_JSON" in item.known.body]
    assert broken == [], shown(broken)


async def test_administration_is_refused_before_it_is_looked_at(
    direct: list[Finding], through_proxy: list[Finding]
) -> None:
    found = [item for item in direct if ADMIN in item.case.path]
    assert len(found) > 100
    # the version; registration by a shared secret, of which there is none
    open_to_all = {f"{call} /_synapse/admin/v1/{path}" for call, path in (
        ("GET", "server_version"), ("GET", "register"), ("POST", "register"))}  # fmt: skip
    allowed = [item for item in found if item.known.status not in (401, 403, 404)]
    assert {f"{item.case.method} {item.case.path}" for item in allowed} <= open_to_all, shown(allowed)
    assert {item.known.status for item in through_proxy if ADMIN in item.case.path} == {404}


def test_every_row_says_why() -> None:
    silent = {By.MEMBERSHIP, By.OWN, By.NOTHING, By.ABSENT, By.ADMINISTRATOR}
    assert [row.call for row in TABLE if not row.note and row.by not in silent] == []


def rows_by(by: By) -> list[Row]:
    return [row for row in TABLE if row.by is by]


def test_what_the_proxy_has_to_close_is_little() -> None:
    assert [row.call for row in rows_by(By.PROXY)] == [
        "POST /keys/claim",
        "PUT /sendToDevice/{=m.room.encrypted}/{txn}",
        "POST /account/3pid/bind",
        "POST /account/3pid/unbind",
    ]
