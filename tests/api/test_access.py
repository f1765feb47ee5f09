"""Who may call what: credentials, roles, the one table. On both databases."""

import gzip

import aiohttp
import pytest

from bridge.api.authorisation import ROLES, Permission
from bridge.api.operations import OPERATIONS, Operation
from bridge.app import listening
from bridge.demo.temporary import free_ports
from config.clock import DAY
from partner_onboarding.access_store import Role
from tests.fakes.hub import FakeHub


async def credential_of(hub: FakeHub, *roles: str) -> tuple[str, str]:
    """A fresh person of the host with these roles: their id and a token."""
    name = f"officer{hub.clock.now}{len(roles)}{'-'.join(roles)}"
    body = {"company": "contoso", "name": name, "email": f"{name}@contoso.example"}
    person = (await hub.api("POST", "/v1/people", body))["person"]["id"]
    for role in roles:
        await hub.api("POST", "/v1/roles/grant", {"person": person, "role": role})
    issued = await hub.api("POST", "/v1/credentials", {"person": person, "device": "laptop"})
    return person, issued["token"]


def path_of(operation: Operation) -> str:
    return operation.path.replace("{position}", "0").replace("{", "").replace("}", "")


async def test_every_call_but_enrolment_needs_a_credential(fake_hub: FakeHub) -> None:
    for operation in OPERATIONS:
        answer = await fake_hub.request(operation.method, path_of(operation), {}, token="")
        if operation.needs is Permission.ANYONE:
            assert answer.status == 422, operation.id
        else:
            assert (answer.status, answer.body["code"]) == (401, "not_authenticated"), operation.id


async def test_each_role_may_do_what_the_table_says_and_nothing_else(fake_hub: FakeHub) -> None:
    tokens = {role: (await credential_of(fake_hub, role))[1] for role in Role}
    tokens_of_nobody = (await credential_of(fake_hub))[1]
    async with fake_hub.sequencing():  # ordering an export waits for its entry
        for operation in OPERATIONS:
            if operation.needs in {Permission.ANYONE, Permission.SIGNED_IN}:
                continue
            for role, token in [*tokens.items(), (None, tokens_of_nobody)]:
                answer = await fake_hub.request(operation.method, path_of(operation), {}, token=token)
                allowed = role in ROLES[operation.needs]
                assert (answer.status != 403) is allowed, (operation.id, role, answer)


async def test_a_refusal_names_the_roles_and_who_can_help(fake_hub: FakeHub) -> None:
    person, token = await credential_of(fake_hub, "auditor")
    answer = await fake_hub.request("POST", "/v1/companies", {}, token=token)
    assert answer.body["detail"].endswith(" holds auditor; this needs partner-manager")
    assert answer.body["hint"] == f"an administrator can say: conclave role grant {person} partner-manager"


async def test_a_permission_without_a_row_allows_nobody() -> None:
    assert set(ROLES) == set(Permission) - {Permission.ANYONE, Permission.SIGNED_IN}


@pytest.mark.parametrize("token", ["x", "conclave_crd_none.secret", "conclave_", ".", "conclave_.x"])
async def test_an_unknown_credential_is_refused(fake_hub: FakeHub, token: str) -> None:
    answer = await fake_hub.request("GET", "/v1/whoami", token=token)
    assert (answer.status, answer.body["detail"]) == (401, "the credential is not known here")


async def test_a_credential_that_is_no_text_is_unknown(fake_hub: FakeHub) -> None:
    answer = await fake_hub.request("GET", "/v1/whoami", token="\udcff")
    assert (answer.status, answer.body["code"]) == (401, "not_authenticated")


async def test_what_is_sent_compressed_is_not_unpacked(sqlite_hub: FakeHub) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with (
        listening(sqlite_hub.hub.web, "127.0.0.1", (port := free_ports(1)[0])),
        aiohttp.ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{port}/v1/enrol"
        async with session.post(url, data=bomb, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, "not_json")


async def test_a_secret_is_never_said_again(fake_hub: FakeHub) -> None:
    for body in ({"secret": 7, "username": "x", "password": ["hunter2"]}, ["hunter2"]):
        answer = await fake_hub.request("POST", "/v1/enrol", body, token="")
        assert answer.status == 422
        assert "hunter2" not in str(answer.body)
        assert "7" not in answer.body["detail"]


async def test_a_wrong_secret_is_refused(fake_hub: FakeHub) -> None:
    known, _, _ = fake_hub.admin_token.partition(".")
    answer = await fake_hub.request("GET", "/v1/whoami", token=f"{known}.wrong")
    assert answer.status == 401


async def test_a_credential_expires(fake_hub: FakeHub) -> None:
    fake_hub.clock.now += 90 * DAY - 1
    assert (await fake_hub.request("GET", "/v1/whoami")).status == 200
    fake_hub.clock.now += 1
    answer = await fake_hub.request("GET", "/v1/whoami")
    assert answer.status == 401
    assert "has expired" in answer.body["detail"]


async def test_a_revoked_credential_works_no_more_and_the_others_do(fake_hub: FakeHub) -> None:
    person, token = await credential_of(fake_hub, "auditor")
    me = await fake_hub.api("GET", "/v1/whoami", token=token)
    await fake_hub.api("POST", f"/v1/credentials/{me['credential']}/revoke")
    answer = await fake_hub.request("GET", "/v1/whoami", token=token)
    assert (answer.status, answer.body["detail"]) == (401, f"the credential {me['credential']} was revoked")
    again = await fake_hub.api("POST", "/v1/credentials", {"person": person, "device": "phone"})
    assert (await fake_hub.api("GET", "/v1/whoami", token=again["token"]))["device"] == "phone"
    listed = await fake_hub.api("GET", f"/v1/credentials?person={person}")
    assert sorted(bool(item["revoked_at"]) for item in listed["items"]) == [False, True]


async def test_logging_out_revokes_the_credential_of_the_call(fake_hub: FakeHub) -> None:
    _, token = await credential_of(fake_hub)
    await fake_hub.api("POST", "/v1/logout", token=token)
    assert (await fake_hub.request("GET", "/v1/whoami", token=token)).status == 401


async def test_a_suspended_persons_credential_works_no_more(fake_hub: FakeHub) -> None:
    person, token = await credential_of(fake_hub, "auditor")
    await fake_hub.api("POST", f"/v1/people/{person}/suspend", {"reason": "left"})
    answer = await fake_hub.request("GET", "/v1/whoami", token=token)
    assert (answer.status, answer.body["detail"]) == (401, "this person is suspended")


async def test_secrets_are_stored_hashed_only(fake_hub: FakeHub) -> None:
    _, token = await credential_of(fake_hub)
    secret = token.partition(".")[2].encode()
    async with fake_hub.hub.services.db.read() as connection:
        for table in ("credential", "invitation", "idempotency", "ledger_entry", "inbox"):
            rows = (await connection.exec_driver_sql(f"SELECT * FROM {table}")).all()
            assert secret not in repr(rows).encode()


async def test_nobody_is_both_partner_manager_and_compliance_officer(fake_hub: FakeHub) -> None:
    person, _ = await credential_of(fake_hub, "partner-manager")
    answer = await fake_hub.request("POST", "/v1/roles/grant", {"person": person, "role": "compliance-officer"})
    assert answer.status == 409
    assert answer.body["detail"].endswith("nobody is both partner-manager and compliance-officer")
    person, _ = await credential_of(fake_hub, "compliance-officer", "auditor")
    answer = await fake_hub.request("POST", "/v1/roles/grant", {"person": person, "role": "partner-manager"})
    assert answer.status == 409


async def test_roles_are_for_people_of_the_host(fake_hub: FakeHub) -> None:
    await fake_hub.api("POST", "/v1/companies", {"id": "acme", "name": "Acme"})
    body = {"company": "acme", "name": "Bob", "email": "bob@acme.example"}
    bob = (await fake_hub.api("POST", "/v1/people", body))["person"]["id"]
    for path, more in (("/v1/roles/grant", {"role": "auditor"}), ("/v1/credentials", {"device": "x"})):
        answer = await fake_hub.request("POST", path, {"person": bob, **more})
        assert (answer.status, answer.body["detail"]) == (409, "Bob is of acme; only people of contoso have roles")
        assert answer.body["hint"].startswith("people of other companies need no credential")


async def test_the_last_administrator_stays(fake_hub: FakeHub) -> None:
    me = (await fake_hub.api("GET", "/v1/whoami"))["person"]
    answer = await fake_hub.request("POST", "/v1/roles/revoke", {"person": me, "role": "admin"})
    assert (answer.status, answer.body["detail"]) == (409, "Dana Fox is the last administrator")
    await credential_of(fake_hub, "admin")
    await fake_hub.api("POST", "/v1/roles/revoke", {"person": me, "role": "admin"})


async def test_nobody_suspends_themselves(fake_hub: FakeHub) -> None:
    me = (await fake_hub.api("GET", "/v1/whoami"))["person"]
    answer = await fake_hub.request("POST", f"/v1/people/{me}/suspend", {"reason": "x"})
    assert (answer.status, answer.body["detail"]) == (409, "nobody suspends or resumes themselves")


async def test_every_change_of_access_is_an_entry_with_its_actor(fake_hub: FakeHub) -> None:
    me = (await fake_hub.api("GET", "/v1/whoami"))["person"]
    person, _ = await credential_of(fake_hub, "auditor")
    await fake_hub.api("POST", "/v1/roles/revoke", {"person": person, "role": "auditor"})
    for kind in ("role.granted", "role.revoked", "credential.issued"):
        entry = (await fake_hub.entries(kind))[-1]
        assert entry["actor"] == {"person": me}
        assert entry["data"]["person"] == person
