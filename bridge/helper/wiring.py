"""The helper, put together: its box, its rooms, its keys in the state directory."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from audit.inbox import Inbox
from bridge.helper.account import HelperAccount
from bridge.helper.committees import CommitteeChat
from bridge.helper.crosssigning import CrossSigningKeys
from bridge.helper.errands import Errands, ForCommittees
from bridge.helper.machine import Machine
from bridge.helper.rooms import HelperRooms
from bridge.helper.service import Helper
from bridge.homeserver_config import helper_user_id
from bridge.services import Services
from config.errors import ConclaveError
from config.state import StateDirectory, kept_secret

KEY_BYTES = 32


def build_helper(
    services: Services,
    state: StateDirectory,
    inbox: Inbox,
    *,
    watch: Callable[[str, set[str]], Awaitable[None]],
    new_key: Callable[[], str],
) -> Helper:
    """The helper of this hub; nothing of it is opened before it runs."""
    helper = helper_user_id(services.settings)
    rooms = HelperRooms(
        services.db,
        inbox,
        services.clock,
        helper=helper,
        room_version=services.settings.homeserver.room_version,
        new_key=new_key,
    )

    def connect() -> HelperAccount:
        return open_account(services, state, helper)

    return Helper(
        services.db,
        services.clock,
        services.mailbox,
        rooms,
        _committees(services),
        connect=connect,
        opened=services.reconciler.wake,
        watch=watch,
    )


def _committees(services: Services) -> ForCommittees:
    async def person(user_id: str) -> str:
        return (await services.onboarding.person(user_id))[0].id

    enforce, published = _enforcing(services), services.answers
    return ForCommittees(
        CommitteeChat(services.committees, published, services.clock, person=person, enforce=enforce),
        Errands(services.db, services.clock, published, enforce=enforce),
    )


def _enforcing(services: Services) -> Callable[[str], Awaitable[None]]:
    async def enforce(committee: str) -> None:
        """Have the guard take what changed, now; if the homeserver does not answer, it is told later."""
        services.reconciler.wake(committee)
        with suppress(ConclaveError):
            await services.publisher.publish()

    return enforce


def open_account(services: Services, state: StateDirectory, helper: str) -> HelperAccount:
    """The helper's keys from ``state/helper``, encrypted under ``keys/helper.key``; made when they are not there.

    Raises:
        ConclaveError: One of the files is damaged.
    """
    key = kept_secret(state.keys / "helper.key", lambda: secrets.token_urlsafe(KEY_BYTES))
    machine = Machine.opened(state.helper, helper, key)
    keys = CrossSigningKeys.kept(state.helper / "cross_signing.json", helper, key.encode())
    return HelperAccount(services.homeserver, helper, machine, keys, bot=services.bot)
