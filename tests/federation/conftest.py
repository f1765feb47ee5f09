"""Two Synapses that federate, started once for the tests of this folder that one worker runs, and people on both."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.federated import Pair, RemoteUser, start_pair
from tests.live import User


@dataclass(frozen=True, slots=True)
class Partnership:
    """A partnership with the company that has its own homeserver: the host's person, and two of the partner."""

    pair: Pair
    company: str
    host: User
    bob: RemoteUser
    carol: RemoteUser
    rooms: dict[str, str]

    @property
    def room(self) -> str:
        return self.rooms["Deals"]


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with start_pair(tmp_path_factory.mktemp("pair")) as found:
        yield found


@pytest.fixture(scope="module")
async def partnership(pair: Pair) -> Partnership:
    """Invited, nobody of the partner is in yet."""
    hub, partner = pair.hub, pair.partner
    host = await hub.add_person(hub.settings.host.id, teams=("north",))
    company = await hub.add_company(homeserver=partner.name)
    people = []
    for username in ("bob", "carol"):
        user = await partner.add_user(username)
        body = {"company": company, "name": username.title(), "email": f"{username}@partner.example"}
        invited = await hub.api("POST", "/v1/people", body)
        enrolment = {"secret": invited["link"].rpartition("/")[2], "user_id": user.user_id}
        await hub.api("POST", "/v1/enrol/remote", enrolment, token="")
        people.append(user)
    rooms = await hub.open_partnership(company, "north")
    return Partnership(pair=pair, company=company, host=host, bob=people[0], carol=people[1], rooms=rooms)
