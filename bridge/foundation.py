"""The hub's first start: keys, the host company, its administrator, the ledger's first entry.

Killed anywhere, the next start finishes it. Once the database knows the host company, a missing key is an error and
never made anew: a new key would be a new log.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from audit.keys import SigningKey, create_key, read_key, write_whole
from audit.signer import CheckpointSigner
from bridge.log_keys import opening_keys, statement_draft
from bridge.signer.folder import KnownKeys, SignerFolder
from bridge.signer.remote import RemoteSigner, fetch_keys
from bridge.version import SOFTWARE
from config.clock import Clock, system_clock
from config.db import Database
from config.errors import SettingsError
from config.settings import Settings
from config.state import StateDirectory, kept_secret
from partner_onboarding.access import AccessService
from partner_onboarding.access_store import Role
from partner_onboarding.model import Company, CompanyKind
from partner_onboarding.service import OnboardingService
from partner_onboarding.store import CompanyStore

BOOTSTRAP = system_actor("bootstrap")
THIS_MACHINE = "this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The hub's private keys, the log's public ones, and who signs for it."""

    log: KnownKeys
    export: SigningKey
    document: SigningKey
    signer: CheckpointSigner


async def is_founded(db: Database, settings: Settings) -> bool:
    """Whether the first start was finished.

    Raises:
        SettingsError: It was, by another host company than the settings name.
    """
    async with db.read() as connection:
        host = await CompanyStore(connection).host()
    if host is not None and host.id != settings.host.id:
        raise SettingsError(
            f"host.id is {settings.host.id!r}, but this hub belongs to {host.id!r}; that is permanent",
            hint=f"set host.id back to {host.id!r}, or choose another state directory and database",
        )
    return host is not None


def load_keys(state: StateDirectory, settings: Settings, *, founded: bool, clock: Clock = system_clock) -> Keys:
    """The keys of the state directory; made when the hub is not founded yet.

    Raises:
        KeyFileError: A key is missing or broken.
        SignerRefusedError: The signer's memory is missing or broken.
        SignerUnavailableError: The signer is another process, and does not answer.
    """
    document = document_key(state, settings, founded=founded)
    export = _key(state.keys / "export.key", f"{settings.origin}/export", founded=founded)
    log, signer = _remote(settings.ledger.signer, settings) or _local(state, settings, clock, founded=founded)
    write_whole(state.log_vkey, "".join(f"{key}\n" for key in log.current).encode())
    return Keys(export=export, document=document, log=log, signer=signer)


def document_key(state: StateDirectory, settings: Settings, *, founded: bool) -> SigningKey:
    """The key that signs charters and roster for the guard; made when it is missing and the hub is not founded yet.

    Raises:
        KeyFileError: It is missing or broken.
    """
    return _key(state.keys / "document.key", f"{settings.origin}/documents", founded=founded)


def _key(path: Path, name: str, *, founded: bool) -> SigningKey:
    return read_key(path) if founded or path.exists() else create_key(path, name)


def _local(
    state: StateDirectory, settings: Settings, clock: Clock, *, founded: bool
) -> tuple[KnownKeys, CheckpointSigner]:
    folder = SignerFolder(state.keys, state.log_vkey)
    if not founded:
        folder.create(settings.origin, post_quantum=settings.ledger.post_quantum)
    signer = folder.open(clock)
    if settings.ledger.post_quantum:
        folder.add_post_quantum(clock)
        signer = folder.open(clock)
    return folder.known(), signer


def _remote(socket: Path | None, settings: Settings) -> tuple[KnownKeys, CheckpointSigner] | None:
    if socket is None:
        return None
    known = fetch_keys(socket)
    if known.current[0].name != settings.origin and known.succession is None:
        raise SettingsError(
            f"the signer at {socket} signs for the log {known.current[0].name}, and this hub's is {settings.origin}",
            hint="set ledger.origin, or make a signer for this log: conclave signer init",
        )
    if settings.ledger.post_quantum and len(known.current) == 1:
        raise SettingsError(
            f"ledger.post_quantum is set, and the signer at {socket} has no ML-DSA-44 key",
            hint="stop it, then conclave signer post-quantum, and start it again",
        )
    return known, RemoteSigner(socket, *known.current)


async def found(
    db: Database,
    state: StateDirectory,
    settings: Settings,
    keys: Keys,
    clock: Clock,
    *,
    onboarding: OnboardingService,
    access: AccessService,
) -> None:
    """Enter the host company and its administrator, and open the log: one transaction."""
    token = _admin_token(state, access)
    async with db.begin() as tx:
        await _open_log(tx, keys, Inbox("hub", clock))
        company = Company(
            id=settings.host.id,
            name=settings.host.name,
            kind=CompanyKind.HOST,
            external_id=None,
            suspended=False,
            seats=None,
            not_after=None,
            added_at=clock(),
        )
        await onboarding.add_host(tx, company, BOOTSTRAP)
        person = await onboarding.add_administrator(
            tx, name=settings.host.admin_name, email=settings.host.admin_email, actor=BOOTSTRAP
        )
        for role in (Role.ADMIN, Role.PARTNER_MANAGER):
            await access.put_role(tx, person, role, BOOTSTRAP)
        await access.put_credential(
            tx, person, device=THIS_MACHINE, days=settings.access.credential_days, token=token, actor=BOOTSTRAP
        )


async def keep_admin_credential(state: StateDirectory, access: AccessService) -> None:
    """See to it that the credential on this machine works: near its end it is renewed, a file that is gone is made.

    So whoever may write the state directory always has a way in, and the ledger says when it was used.
    """
    await access.keep_local(_admin_token(state, access), device=THIS_MACHINE, actor=BOOTSTRAP)


def log_opening(keys: Keys) -> dict[str, str]:
    """What the log's first entry says."""
    return {
        "origin": keys.log.current[0].name,
        **opening_keys(keys.log),
        "export_key": str(keys.export.public),
        "software": SOFTWARE,
    }


async def _open_log(tx: AsyncConnection, keys: Keys, inbox: Inbox) -> None:
    statements = [statement_draft(note) for note in keys.log.statements]
    await inbox.put(tx, Draft(kind="log.opened", actor=BOOTSTRAP, data=log_opening(keys)), *statements)


def _admin_token(state: StateDirectory, access: AccessService) -> str:
    """The administrator's token, on disk (mode 0600) before the database knows its hash."""
    return kept_secret(state.admin_credential, access.new_token)
