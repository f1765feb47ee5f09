"""kill -9 of the hub when an answer is said in one vendor's room and not in the other's: it is said once in each."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.client import HubClient
from bridge.demo.people import Reader
from tests.faults.processes import Processes, start_processes
from tests.faults.test_kill_helper import ask
from tests.live import PASSWORD, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]
TEXT = "no data leaves the country"


async def person(processes: Processes, company: str, name: str, place: Path) -> Reader:
    """Somebody of a company, at a client."""
    body = {"company": company, "name": name.title(), "email": f"{name}@x.example"}
    link = (await asyncio.to_thread(processes.client.post, "/v1/people", body))["link"]
    enrolment = {"secret": link.rpartition("/")[2], "username": name, "password": PASSWORD}
    anyone = HubClient(url=processes.settings.hub.url, token="")
    user_id = (await asyncio.to_thread(anyone.post, "/v1/enrol", enrolment))["user_id"]
    (place / name).mkdir()
    homeserver = processes.settings.homeserver.internal_url
    return await Reader.sign_in(homeserver, name, user_id, PASSWORD, place / name)


async def deliveries(processes: Processes) -> dict[str, str]:
    """How the one answer fares, by vendor."""
    return {str(row[0]): str(row[1]) for row in ask(processes, "SELECT vendor, state FROM answer_delivery")}


async def test_a_kill_between_two_rooms(tmp_path: Path) -> None:
    async with start_processes(tmp_path) as processes:
        await processes.start_hub()
        await processes.ready()
        client = processes.client

        async def call(path: str, body: Any = None, token: str = "") -> dict[str, Any]:
            caller = HubClient(url=client.url, token=token) if token else client
            return await asyncio.to_thread(caller.post, path, body or {})

        for company in ("adatum", "fabrikam"):
            await call("/v1/companies", {"id": company, "name": company.title()})
        readers = [
            await person(processes, company, name, tmp_path)
            for company, name in (("contoso", "dana"), ("adatum", "ines"), ("fabrikam", "tom"))
        ]
        try:
            chair = readers[0].user_id
            await call("/v1/committees", {"id": "crm", "title": "CRM", "chair": chair, "members": [chair]})
            for company in ("adatum", "fabrikam"):
                await call("/v1/committees/crm/vendors", {"vendor": company})
            token = (await call("/v1/credentials", {"person": chair, "device": "laptop"}))["token"]
            await call("/v1/committees/crm/declare", {"conflict": False}, token)
            await call("/v1/committees/crm/start")

            async def inside() -> bool:
                found = await asyncio.to_thread(client.get, "/v1/committees/crm")
                return bool(found["settled"])

            await until(inside)
            for reader in readers * 2:
                await reader.sync()
            await call("/v1/companies/fabrikam/suspend", {"reason": "holds up one of the two rooms"})
            await call("/v1/committees/crm/answers", {"answer": TEXT})

            async def one_of_two() -> bool:
                return await deliveries(processes) == {"adatum": "delivered", "fabrikam": "waiting"}

            await until(one_of_two)
            await processes.kill_hub()
            assert await one_of_two()
            await processes.start_hub()
            await processes.ready()
            await call("/v1/companies/fabrikam/resume")
            (processes.state.root / "tom").mkdir()
            homeserver = processes.settings.homeserver.internal_url
            readers.append(
                await Reader.sign_in(homeserver, "tom", readers[2].user_id, PASSWORD, processes.state.root / "tom")
            )

            async def both() -> bool:
                return set((await deliveries(processes)).values()) == {"delivered"}

            await until(both, 90)
            for reader, times in ((readers[0], 2), (readers[1], 1), (readers[3], 1)):
                assert await reader.hears(TEXT)
                await reader.client.sync(timeout=0)
                assert len([text for text in reader.notices if TEXT in text]) == times, reader.name
        finally:
            for reader in readers:
                await reader.close()
