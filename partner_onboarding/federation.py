"""Companies with a homeserver of their own: which servers they may have, and whose accounts are theirs. Pure."""

import re
from dataclasses import dataclass

from config.errors import ConflictError, InvalidInputError
from spaces.policy.servers import server_of

MAX_USER_ID = 255
_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """The hub's own server, and those that the operator opened it to."""

    own: str
    servers: tuple[str, ...] = ()

    def check_server(self, server: str) -> str:
        """``server`` in lower case when a company may have it.

        Raises:
            InvalidInputError: It is the hub's own, or none that the operator named.
            ConflictError: This hub has no federation.
        """
        name = server.strip().lower()
        if not self.servers:
            raise ConflictError(
                "this hub has no federation: a company cannot bring its own homeserver",
                hint=f'the operator sets servers = ["{name}"] under [federation] and starts the hub again;'
                " see docs/federation.md",
            )
        if name == self.own:
            raise InvalidInputError(f"{name} is the hub's own homeserver", field="homeserver")
        if name not in self.servers:
            raise InvalidInputError(
                f"homeserver {name!r}: expected one of {', '.join(self.servers)}; the operator adds others under"
                " [federation]",
                field="homeserver",
            )
        return name


def check_remote_user_id(value: str, server: str) -> str:
    """``value`` when it is a Matrix user id on ``server``.

    Raises:
        InvalidInputError: It is none, or one on another server.
    """
    user_id = value.strip()
    localpart = user_id.partition(":")[0].removeprefix("@")
    if not user_id.startswith("@") or not _LOCALPART.fullmatch(localpart) or len(user_id) > MAX_USER_ID:
        raise InvalidInputError(
            f"Matrix address {value!r}: expected your full address, such as @bob:{server}", field="user_id"
        )
    if server_of(user_id) != server:
        raise InvalidInputError(
            f"Matrix address {value!r}: expected one on your company's own homeserver, such as @{localpart}:{server}",
            field="user_id",
        )
    return user_id
