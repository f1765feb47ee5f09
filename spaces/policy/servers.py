"""Partners with homeservers of their own: which servers take part in a room, and whose accounts may act there. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from spaces.policy.records import Charter, CompanyRecord, Instant, Roster, Standing
from spaces.policy.refusal import Code, Refusal


def server_of(user_id: str) -> str:
    """The server name in a Matrix user id."""
    return user_id.partition(":")[2]


def is_remote(user_id: str, bot: str) -> bool:
    """Whether the account is on another homeserver than the hub's."""
    return server_of(user_id) != server_of(bot)


def server_acl(bot: str, servers: Iterable[str]) -> dict[str, Any]:
    """Nobody but the hub's own server and ``servers``; an ACL names hosts without their ports (m.room.server_acl)."""
    return {"allow": sorted(_hosts(bot, servers)), "deny": [], "allow_ip_literals": False}


def acl_is_within(content: Mapping[str, Any], charter: Charter, bot: str) -> bool:
    """Whether a server ACL lets in the hub, and nobody beyond the charter's servers.

    Fewer are always allowed: a company that is suspended drops out, and nothing but the roster has to change for it.
    """
    allowed = content.get("allow")
    return (
        content.keys() == {"allow", "deny", "allow_ip_literals"}
        and content["deny"] == []
        and content["allow_ip_literals"] is False
        and isinstance(allowed, list)
        and all(isinstance(host, str) for host in allowed)
        and _hosts(bot, ()) <= set(allowed) <= _hosts(bot, charter.servers)
    )


def open_servers(charter: Charter, roster: Roster, now: Instant) -> tuple[str, ...]:
    """Those of the charter's servers whose company is in good standing, while the engagement lasts."""
    if not charter.open or (charter.not_after is not None and now >= charter.not_after):
        return ()
    companies = [roster.company(company) for company in charter.companies]
    good = {company.server for company in companies if company is not None and _in_good_standing(company, now)}
    return tuple(server for server in charter.servers if server in good)


def refuse_server(user_id: str, charter: Charter, roster: Roster) -> Refusal | None:
    """An account elsewhere acts where the charter names its server, and that server is its own company's."""
    server, person = server_of(user_id), roster.person(user_id)
    if server not in charter.servers:
        return Refusal(Code.SERVER_NOT_ADMITTED, f"the server {server} has no part in this engagement")
    company = None if person is None else roster.company(person.company)
    if company is not None and company.server != server:
        return Refusal(Code.SERVER_NOT_ADMITTED, f"{server} is not the server of {company.name}")
    return None


def _hosts(bot: str, servers: Iterable[str]) -> set[str]:
    own = server_of(bot)  # with its port too: Synapse takes no ACL that does not allow the very name it has
    return {own, *(server.partition(":")[0] for server in (own, *servers))}


def _in_good_standing(company: CompanyRecord, now: Instant) -> bool:
    return company.standing is Standing.ACTIVE and (company.not_after is None or now < company.not_after)
