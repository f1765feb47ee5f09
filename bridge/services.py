"""The services that API, pages and background work share; built once by ``bridge.app``."""

from dataclasses import dataclass

from audit.service import AuditService
from bridge.feed import Feed
from bridge.gateway import Gateway
from bridge.helper.mailbox import Mailbox
from bridge.posts import CheckpointPosts
from bridge.readiness import Readiness
from bridge.timestamps import TimestampRounds
from bridge.witness.rounds import WitnessRounds
from config.clock import Clock
from config.db import Database
from config.settings import Settings
from partner_onboarding.access import AccessService
from partner_onboarding.enrolment import EnrolmentService
from partner_onboarding.holds import HoldService
from partner_onboarding.limits import LimitService
from partner_onboarding.service import OnboardingService
from spaces.answers import AnswerService
from spaces.committees import CommitteeService
from spaces.planning import PlanService
from spaces.publisher import Publisher
from spaces.reconciler import Reconciler
from spaces.service import PartnershipService
from spaces.sessions import SessionKeeper
from spaces.walls import WallService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that a request may need."""

    settings: Settings
    clock: Clock
    db: Database
    homeserver: Gateway
    onboarding: OnboardingService
    enrolment: EnrolmentService
    access: AccessService
    partnerships: PartnershipService
    committees: CommitteeService
    answers: AnswerService
    walls: WallService
    plans: PlanService
    audit: AuditService
    witnesses: WitnessRounds | None
    timestamps: TimestampRounds | None
    posts: CheckpointPosts | None
    publisher: Publisher
    reconciler: Reconciler
    sessions: SessionKeeper
    holds: HoldService
    limits: LimitService
    feed: Feed
    mailbox: Mailbox
    readiness: Readiness
    host: str
    bot: str
