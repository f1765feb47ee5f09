"""The proof of a removal from a real Synapse, of what real clients said in real encryption; written as one file."""

import asyncio
from pathlib import Path

import pytest

from audit.archive import Archive
from audit.files import read_vkeys
from audit.keys import verify_signature
from audit.parts import VerificationError
from audit.proof_check import Trust
from audit.removal_file import RemovalProof, verify_removal
from bridge.cli.client import HubClient
from bridge.cli.removals import write_removal
from tests.e2e.test_committee import Cleared, cleared, committee, company_of
from tests.live import LiveHub

__all__ = ["cleared", "committee"]  # fixtures


async def officer_of(live: LiveHub) -> HubClient:
    """A client of a compliance officer."""
    person = await live.add_person("contoso")
    await live.api("POST", "/v1/roles/grant", {"person": person.person, "role": "compliance-officer"})
    issued = await live.api("POST", "/v1/credentials", {"person": person.person, "device": "laptop"})
    return HubClient(url=live.settings.hub.url, token=issued["token"])


async def proven(live: LiveHub, name: str, vendor: str, out: Path) -> RemovalProof:
    """Ordered, written and verified."""
    officer = await officer_of(live)

    await asyncio.to_thread(write_removal, officer, name, vendor, out)
    trust = Trust(read_vkeys(live.state.log_vkey))
    return await asyncio.to_thread(verify_removal, Archive.open(out), trust, None, verify_signature)


async def test_the_proof_has_the_leaves_and_sessions_of_real_clients(cleared: Cleared, tmp_path: Path) -> None:
    committee, live = cleared.committee, cleared.committee.live
    vendor = await company_of(committee.vendor[0])
    proof = await proven(live, committee.name, vendor, tmp_path / "removal.tar")
    shows = proof.shows
    assert shows.findings == []
    assert {leave.person for leave in shows.leaves} == {user.person for user in committee.vendor}
    assert set(shows.members) == {buyer.person for buyer in committee.buyers}
    assert (shows.pitch.id, shows.deliberation.id) == (committee.own, committee.rooms["Deliberation"])
    sent = {item["data"]["event_id"]: item["data"] for item in await live.entries("message.sent", committee.own)}
    assert set(shows.sessions) == {sent[cleared.before]["session_id"]}
    assert shows.later == 1
    for leave in shows.leaves:
        answer = await committee.vendor[0].call("GET", f"/rooms/{committee.own}/event/{leave.event_id}")
        assert (answer.status, answer.body.get("content", {}).get("membership")) in ((200, "leave"), (404, None))
    assert set(proof.written.names.values()) == {user.user_id for user in (*committee.vendor, *committee.buyers)}


async def test_a_flipped_bit_of_it_is_seen(cleared: Cleared, tmp_path: Path) -> None:
    committee, live, out = cleared.committee, cleared.committee.live, tmp_path / "removal.tar"
    proof = await proven(live, committee.name, await company_of(committee.vendor[0]), out)
    content = bytearray(out.read_bytes())
    at = content.index(proof.shows.leaves[0].event_id.encode())  # in the page
    content[at + 3] ^= 1
    out.write_bytes(content)
    with pytest.raises(VerificationError) as raised:
        verify_removal(Archive.open(out), Trust(read_vkeys(live.state.log_vkey)), None, verify_signature)
    assert (raised.value.where, raised.value.detail) == ("page.html", "does not have the listed hash")
