"""The helper after a restart, after damage, and while something that it needs is away. Real Synapse, real client."""

from pathlib import Path

import pytest

from tests.helper.conversation import check, signed_in
from tests.live import LiveHub, start_live_hub, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]


async def says_trouble(live: LiveHub) -> bool:
    found = await check(live, "helper")
    return bool(found["ok"]) and "cannot be used" in str(found["detail"])


async def test_the_same_device_goes_on_after_a_restart_and_damage_harms_nobody_else(tmp_path: Path) -> None:
    place = tmp_path / "hub"
    async with start_live_hub(place) as live:
        bob = await live.add_person(await live.add_company())
        room_id = await live.chat_of(bob)
        async with signed_in(live, bob, tmp_path / "bob") as reader:
            await reader.say(room_id, "!help")
            assert await reader.hears("I answer these:")
        device = (live.state.helper / "device_id").read_text()
    async with start_live_hub(place) as live:
        reader.client.homeserver = live.homeserver_url
        try:
            await reader.say(room_id, "!rules")
            assert await reader.hears("You are in no room yet. A partner manager"), "on the sessions of before"
        finally:
            await reader.close()
        assert (live.state.helper / "device_id").read_text() == device
    (live.state.helper / "olm.sqlite3").write_bytes(b"damaged" * 1_000)
    async with start_live_hub(place) as live:

        async def trouble() -> bool:
            return await says_trouble(live)

        await until(trouble)
        scene = await live.stage()
        assert (await scene.bob.send_encrypted(scene.room)).status == 200

        async def recorded() -> int:
            return len(await live.entries("message.sent", scene.room))

        assert await until(recorded) == 1, "feed and ledger go on"
    for file in live.state.helper.iterdir():
        file.unlink()
    async with start_live_hub(place) as live:

        async def well() -> bool:
            return str((await check(live, "helper"))["detail"]).startswith("answers")

        await until(well)
        async with signed_in(live, bob, tmp_path / "again") as reader:
            await reader.say(room_id, "!help")
            assert await reader.hears("I answer these:"), "begun anew, as docs/helper.md says"
        assert (live.state.helper / "device_id").read_text() != device
