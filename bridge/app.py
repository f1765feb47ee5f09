"""The composition root: builds the hub from its settings and owns its one task group. Reads from top to bottom."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from aiohttp import web
from sqlalchemy.engine import make_url

from audit.batch_store import LedgerConflictError
from audit.entry import Draft, system_actor
from audit.inbox import Inbox
from audit.sequencer import Sequencer
from audit.service import AuditService
from audit.signer import SignerRefusedError, SignerUnavailableError
from bridge.api.log import add_log
from bridge.api.server import add_api, api_errors
from bridge.appservice import MAX_BODY, add_appservice
from bridge.committees import open_answers, open_committees
from bridge.feed import Feed
from bridge.foundation import Keys, found, is_founded, keep_admin_credential, load_keys, log_opening
from bridge.gateway import Gateway
from bridge.helper.mailbox import Mailbox
from bridge.helper.service import Helper
from bridge.helper.wiring import build_helper
from bridge.homeserver_config import bot_user_id, helper_user_id
from bridge.hub_devices import HubDevices
from bridge.link import HomeserverLink
from bridge.log_keys import enter_key_statements, retired_keys
from bridge.matrix import SynapseGateway
from bridge.ports import port_error
from bridge.posts import open_posts
from bridge.readiness import Readiness
from bridge.services import Services
from bridge.successor import enter_succession
from bridge.timestamps import open_timestamps
from bridge.version import SOFTWARE
from bridge.web.pages import Pages, add_static
from bridge.wellknown import add_health, add_well_known
from bridge.witness.rounds import named_witnesses, open_rounds
from config.clock import Clock, SteadyClock
from config.db import Database, DatabaseUnavailableError, Lease
from config.errors import ConclaveError
from config.migrate import check_schema, upgrade
from config.settings import Settings
from config.state import StateDirectory
from partner_onboarding.access import AccessService
from partner_onboarding.enrolment import EnrolmentService
from partner_onboarding.federation import Federation
from partner_onboarding.holds import HoldService
from partner_onboarding.limits import LimitService
from partner_onboarding.model import Person
from partner_onboarding.service import OnboardingService
from partner_onboarding.web import EnrolmentPages
from spaces.passes import RoomPass
from spaces.planning import PlanService
from spaces.publisher import Publisher
from spaces.reconciler import Reconciler
from spaces.service import PartnershipService
from spaces.sessions import SessionKeeper
from spaces.templates import load_templates
from spaces.walls import WallService

log = structlog.get_logger()

POLL_S = 0.1
RETRY_S = 1.0
SHUTDOWN_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A hub that is built: its services, its background work, its web application."""

    services: Services
    keys: Keys
    sequencer: Sequencer
    link: HomeserverLink
    helper: Helper
    hub_devices: HubDevices
    web: web.Application
    inbox: Inbox

    async def work(self) -> None:
        """Everything that goes on in the background, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sequence())
            tasks.create_task(self.services.reconciler.run())
            tasks.create_task(self.services.sessions.run())
            tasks.create_task(self.services.committees.run(self.services.reconciler.wake))
            tasks.create_task(self.services.answers.run(self.services.reconciler.wake))
            tasks.create_task(self.link.run())
            tasks.create_task(self._help())
            if self.services.witnesses is not None:
                tasks.create_task(self.services.witnesses.run())
            if self.services.timestamps is not None:
                tasks.create_task(self.services.timestamps.run())
            if self.services.posts is not None:
                tasks.create_task(self.services.posts.run())

    async def _help(self) -> None:
        """The helper, and the watch over the hub's devices, once the homeserver knows the hub."""
        await self.link.established.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.hub_devices.run())
            if self.services.settings.helper.enabled:
                tasks.create_task(self.helper.run())

    async def _sequence(self) -> None:
        """Move entries into the log as soon as they are committed; on PostgreSQL one hub at a time does."""
        db = self.services.db
        while True:
            try:
                async with db.lease("sequencer") as lease:
                    await self._lead(lease)
            except LedgerConflictError as error:
                log.warning("sequencer_overtaken", reason=error.message)
            except DatabaseUnavailableError as error:
                log.warning("sequencer_waits", reason=error.message)
            await asyncio.sleep(RETRY_S)

    async def _lead(self, lease: Lease) -> None:
        await self.sequencer.lead()
        log.info("sequencer_leads")
        while True:
            await lease.hold()
            await self._step()

    async def _step(self) -> None:
        """One batch; where nothing waits, return when something may."""
        db, readiness = self.services.db, self.services.readiness
        db.wrote.clear()  # what the sequencer itself commits is no reason to look twice
        try:
            written = await self.sequencer.step()
            readiness.signing_error = None
        except (SignerRefusedError, SignerUnavailableError) as error:
            if readiness.signing_error is None:
                log.error(error.code, reason=error.message)
            readiness.signing_error, written = error.message, 0
            await asyncio.sleep(RETRY_S)
        if not written:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await db.wrote.wait()

    async def note(self, kind: str, **data: object) -> None:
        """An entry by the hub itself."""
        async with self.services.db.begin() as tx:
            await self.inbox.put(tx, Draft(kind=kind, actor=system_actor("hub"), data=data))


def synapse_gateway(settings: Settings, state: StateDirectory) -> Gateway:
    """The homeserver that the settings name, over HTTP."""
    return SynapseGateway(
        settings.homeserver.internal_url,
        bot=bot_user_id(settings),
        as_token=state.token("as_token"),
        guard_token=state.token("guard_token"),
    )


@asynccontextmanager
async def open_hub(
    settings: Settings,
    state: StateDirectory,
    *,
    migrate: bool,
    gateway: Callable[[Settings, StateDirectory], Gateway] = synapse_gateway,
    clock: Clock | None = None,
) -> AsyncIterator[Hub]:
    """Build the hub on ``state``, which must be prepared and locked; closes everything it opened.

    Raises:
        ConclaveError: Database, schema, keys or templates are not as they must be.
    """
    clock, db = clock or SteadyClock(), open_database(settings, state)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(db.close)
        await (upgrade(db) if migrate else check_schema(db))
        founded = await is_founded(db, settings)
        keys = load_keys(state, settings, founded=founded, clock=clock)
        opened.push_async_callback(keys.signer.close)
        await enter_succession(db, keys.log, log_opening(keys), clock)
        await enter_key_statements(db, keys.log, clock)
        homeserver = gateway(settings, state)
        opened.push_async_callback(homeserver.close)
        hub = _assemble(settings, state, clock, db, keys, homeserver)
        if not founded:
            services = hub.services
            await found(db, state, settings, keys, clock, onboarding=services.onboarding, access=services.access)
        await keep_admin_credential(state, hub.services.access)
        yield hub


def open_database(settings: Settings, state: StateDirectory) -> Database:
    """The database that the settings name; its password from a file where they say so."""
    if settings.database.url is None:
        return Database.sqlite(state.database)
    url = make_url(settings.database.url)
    if settings.database.password_file is not None:
        url = url.set(password=settings.database.password_file.read_text().strip())
    return Database(url.render_as_string(hide_password=False))


def _assemble(
    settings: Settings, state: StateDirectory, clock: Clock, db: Database, keys: Keys, homeserver: Gateway
) -> Hub:
    services = _services(settings, clock, db, keys, homeserver)
    hub_inbox, mailbox = Inbox("hub", clock), services.mailbox
    devices = HubDevices(db, hub_inbox, homeserver, bot=services.bot, changed=mailbox.accounts_changed)
    helper = build_helper(services, state, hub_inbox, watch=devices.look, new_key=lambda: _new_id("rm"))
    services.readiness.details = {"helper": helper.state.detail, "devices": devices.detail}
    services.readiness.told = {} if services.timestamps is None else {"timestamps": services.timestamps}
    return Hub(
        services=services,
        keys=keys,
        sequencer=Sequencer(db, keys.signer, keys.log.current[0].name, hub_inbox),
        link=HomeserverLink(homeserver, services.publisher, services.reconciler, services.feed, services.readiness),
        helper=helper,
        hub_devices=devices,
        web=_web(settings, state, services),
        inbox=hub_inbox,
    )


def _services(settings: Settings, clock: Clock, db: Database, keys: Keys, homeserver: Gateway) -> Services:
    bot, host, api = bot_user_id(settings), settings.host.id, Inbox("api", clock)
    publisher = Publisher(db, homeserver, keys.document)
    passes = RoomPass(db, homeserver, Inbox("hub", clock), clock, manual=settings.reconciler.mode == "manual")
    reconciler = Reconciler(db, homeserver, publisher, passes, bot, clock)
    mailbox = Mailbox(clock, helper=helper_user_id(settings), bot=bot, enabled=settings.helper.enabled)
    feed = Feed(db, clock, homeserver, bot=bot, changed=reconciler.wake, mailbox=mailbox)
    named = named_witnesses(settings.witnesses, keys.log.current)
    audit = _audit(clock, db, keys, api, b"" if named is None else named.text)
    witnesses = open_rounds(settings.witnesses, named, audit, clock)
    return Services(
        settings=settings,
        clock=clock,
        db=db,
        homeserver=homeserver,
        onboarding=_onboarding(settings, clock, db, api),
        enrolment=_enrolment(settings, clock, db, api, homeserver),
        access=_access(settings, clock, db, api),
        partnerships=_partnerships(settings, clock, db, api),
        committees=open_committees(settings, clock, db, api, _new_id),
        answers=open_answers(settings, clock, db, api, _new_id),
        walls=WallService(db, api, clock, host=host),
        plans=PlanService(db, api, reconciler, publisher, clock),
        audit=audit,
        witnesses=witnesses,
        timestamps=open_timestamps(settings.timestamps, audit, db, clock, secrets.randbits),
        posts=open_posts(settings.ledger, audit, db, homeserver, clock),
        publisher=publisher,
        reconciler=reconciler,
        sessions=SessionKeeper(db, homeserver, Inbox("hub", clock), clock, bot),
        holds=HoldService(db, api, clock, host=host, new_id=_new_id),
        limits=LimitService(db, api, clock),
        feed=feed,
        mailbox=mailbox,
        readiness=Readiness(db, homeserver, audit, feed, clock, settings.readiness, witnesses),
        host=host,
        bot=bot,
    )


def _partnerships(settings: Settings, clock: Clock, db: Database, api: Inbox) -> PartnershipService:
    return PartnershipService(
        db,
        api,
        clock,
        templates=load_templates(settings.templates.file),
        host=settings.host.id,
        room_version=settings.homeserver.room_version,
        bot=bot_user_id(settings),
        new_key=lambda: _new_id("rm"),
    )


def _audit(clock: Clock, db: Database, keys: Keys, api: Inbox, policy: bytes) -> AuditService:
    return AuditService(
        db,
        api,
        clock,
        log_keys=keys.log.current,
        export_key=keys.export,
        software=SOFTWARE,
        new_export=lambda: _new_id("exp"),
        retired=retired_keys(keys.log),
        policy=policy,
    )


def _onboarding(settings: Settings, clock: Clock, db: Database, api: Inbox) -> OnboardingService:
    return OnboardingService(
        db,
        api,
        clock,
        host=settings.host.id,
        invitation_hours=settings.invitations.valid_hours,
        new_id=_new_id,
        new_secret=_new_secret,
        federation=Federation(own=settings.homeserver.name, servers=settings.federation.servers),
    )


def _enrolment(settings: Settings, clock: Clock, db: Database, api: Inbox, homeserver: Gateway) -> EnrolmentService:
    return EnrolmentService(
        db, api, clock, homeserver, server=settings.homeserver.name, new_claim=lambda: _new_id("clm")
    )


def _access(settings: Settings, clock: Clock, db: Database, api: Inbox) -> AccessService:
    return AccessService(
        db,
        api,
        clock,
        host=settings.host.id,
        credential_days=settings.access.credential_days,
        allow_manager_and_officer=settings.access.allow_manager_and_officer,
        new_id=_new_id,
        new_secret=_new_secret,
    )


def _web(settings: Settings, state: StateDirectory, services: Services) -> web.Application:
    app = web.Application(middlewares=[api_errors], client_max_size=MAX_BODY)

    async def enrolled(person: Person) -> None:
        """Let the person in at once; if the homeserver does not answer now, the reconciler does it later."""
        _, teams = await services.onboarding.person(person.id)
        services.reconciler.wake(*await services.partnerships.concerning(person.company, teams))
        services.mailbox.enrolled()
        try:
            await services.publisher.publish()
        except ConclaveError as error:
            log.warning("enrolment_not_pushed_yet", reason=error.message)

    pages = EnrolmentPages(
        enrolment=services.enrolment,
        renderer=Pages(settings.host.name),
        server=settings.homeserver.name,
        homeserver=settings.homeserver.client_url,
        enrolled=enrolled,
    )
    add_api(app, services)
    add_log(app, services)
    add_appservice(app, services.feed, hs_token=state.token("hs_token"), guard_token=state.token("guard_token"))
    add_static(app)
    add_well_known(app, settings)
    add_health(app, services.readiness)
    pages.add_to(app)
    return app


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Serve ``app`` while the block runs; requests that are under way get five seconds to finish.

    Raises:
        PortError: The address is in use or not ours.
    """
    # What is sent compressed is not unpacked: a few kilobytes would become hundreds of megabytes.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, auto_decompress=False)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise port_error(host, port, error, "--port or hub.port") from None
        yield
    finally:
        await runner.cleanup()


def _new_id(kind: str) -> str:
    """An id such as ``prs_k3x9…``: 80 random bits in base 32."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789x"
    return f"{kind}_" + "".join(alphabet[byte & 31] for byte in secrets.token_bytes(16))


def _new_secret() -> str:
    """256 random bits, base64url."""
    return secrets.token_urlsafe(32)
