"""The settings: one ``conclave.toml`` and the environment, parsed once into a frozen object.

Every key is described in ``config/conclave.example.toml``. The environment wins over the file: ``CONCLAVE_HUB__PORT``
is ``[hub] port``.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from config.errors import SettingsError

CONFIG_VARIABLE = "CONCLAVE_CONFIG"
DEFAULT_FILE = Path("conclave.toml")


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", value):  # as partner_onboarding.model has it for every company
        raise ValueError("use 1 to 40 lower-case letters, digits and hyphens, beginning with a letter, such as contoso")
    return value


def _web_address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("write a web address such as https://hub.contoso.example")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    try:
        backend = make_url(value).drivername
    except ArgumentError:
        backend = ""
    if backend not in ("sqlite+aiosqlite", "postgresql+asyncpg"):
        raise ValueError("write postgresql+asyncpg://user@host/name or sqlite+aiosqlite:///path")
    return value


def _homeserver_database(value: str) -> str:
    try:
        backend = make_url(value).get_backend_name()
    except ArgumentError:
        backend = ""
    if backend != "postgresql":
        raise ValueError("write postgresql://user@host/name")
    return value


def _server_name(value: str) -> str:
    host, colon, port = value.partition(":")
    labels = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
    if not re.fullmatch(rf"{labels}(?:\.{labels})*", host) or not re.search("[a-z]", host.rpartition(".")[2]):
        raise ValueError("write a domain such as partner.example, no address of numbers")
    if colon and not re.fullmatch(r"[1-9][0-9]{0,4}", port):
        raise ValueError("write a domain such as partner.example or partner.example:8448")
    return value


_OID = r"^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9][0-9]{0,8}))(?:\.(?:0|[1-9][0-9]{0,11})){1,20}$"


def _object_identifier(value: str) -> str:
    if not re.fullmatch(_OID, value):
        raise ValueError("write an object identifier such as 1.3.6.1.4.1.99999.1")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
HomeserverDatabase = Annotated[str, AfterValidator(_homeserver_database)]
ServerName = Annotated[str, AfterValidator(_server_name)]
ObjectIdentifier = Annotated[str, AfterValidator(_object_identifier)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HostSettings(_Section):
    """The company that runs the hub."""

    id: Identifier = "host"
    name: str = Field(default="Host company", min_length=1)
    admin_name: str = Field(default="Administrator", min_length=1)
    admin_email: str = "admin@conclave.example"


class HubSettings(_Section):
    """Where the service listens, and how others reach it."""

    listen: str = "127.0.0.1"
    port: Port = 8090
    public_url: WebAddress | None = None

    @property
    def url(self) -> str:
        """The address that links in invitations begin with."""
        return self.public_url or f"http://{self.listen}:{self.port}"


class HomeserverSettings(_Section):
    """The Matrix homeserver: its permanent name, where it listens, and how the hub and others reach it."""

    name: str = Field(default="conclave.localhost", pattern=r"^[a-z0-9][a-z0-9.:-]*$")
    listen: str = "127.0.0.1"
    port: Port = 8008
    url: WebAddress | None = None
    public_url: WebAddress | None = None
    hub_url: WebAddress | None = None
    room_version: Literal["11", "12"] = "12"
    max_upload: str = Field(default="50M", pattern=r"^[1-9][0-9]*[KM]$")
    database: HomeserverDatabase | None = None
    database_password_file: Path | None = None

    @property
    def internal_url(self) -> str:
        """Where the hub reaches the homeserver."""
        return self.url or f"http://{self.listen}:{self.port}"

    @property
    def client_url(self) -> str:
        """Where Matrix clients reach the homeserver."""
        return self.public_url or self.internal_url


class DatabaseSettings(_Section):
    """The hub's own database; SQLite in the state directory when no address is given."""

    url: DatabaseUrl | None = None
    password_file: Path | None = None


class LedgerSettings(_Section):
    """The audit log; ``signer`` is the Unix socket of a signer in another process, which then holds the log's key.

    ``post_quantum`` has an ML-DSA-44 key sign beside it.
    """

    signer: Path | None = None
    post_quantum: bool = False
    origin: str | None = Field(default=None, pattern=r"^[^\s+]+$")
    post_minutes: float = Field(default=60, ge=0)
    post_cosignatures: bool = False


class WitnessSettings(_Section):
    """Who outside this machine sees the log grow, and how often they are asked."""

    policy: Path | None = None
    every_seconds: float = Field(default=60, gt=0)
    max_age_minutes: float = Field(default=60, gt=0)


class TimestampSettings(_Section):
    """The RFC 3161 authority that says when the log was how it is; without ``url`` there is none."""

    url: WebAddress | None = None
    every_minutes: float = Field(default=60, gt=0)
    ca_file: Path | None = None
    policy: ObjectIdentifier | None = None


class AccessSettings(_Section):
    """Credentials and roles."""

    credential_days: int = Field(default=90, ge=1, le=3_650)
    allow_manager_and_officer: bool = False


class InvitationSettings(_Section):
    """Enrolment links."""

    valid_hours: int = Field(default=168, ge=1, le=8_760)


class FederationSettings(_Section):
    """The homeservers of partners that this one exchanges events with; with none of them there is no federation."""

    servers: tuple[ServerName, ...] = ()

    @property
    def enabled(self) -> bool:
        """Whether this homeserver talks to any other."""
        return bool(self.servers)


class TemplateSettings(_Section):
    """The sets of rooms for partnerships."""

    file: Path | None = None


class ReconcilerSettings(_Section):
    """Whether rooms are brought in line at once, or when somebody says ``conclave apply``."""

    mode: Literal["continuous", "manual"] = "continuous"


class SupportSettings(_Section):
    """Whom ``/.well-known/matrix/support`` names."""

    email: str | None = None
    page: WebAddress | None = None


class LoggingSettings(_Section):
    """What is written to the service's log."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class HelperSettings(_Section):
    """The encrypted chat of each person with ``@conclave-helper``."""

    enabled: bool = True


class ReadinessSettings(_Section):
    """From which delay on ``/readyz`` says no."""

    feed_lag_seconds: float = Field(default=30, gt=0)
    ledger_lag_seconds: float = Field(default=10, gt=0)


class Settings(BaseSettings):
    """Everything that can be set; see ``config/conclave.example.toml``."""

    model_config = SettingsConfigDict(
        env_prefix="CONCLAVE_", env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    state_dir: Path = Path(".conclave")
    host: HostSettings = HostSettings()
    hub: HubSettings = HubSettings()
    homeserver: HomeserverSettings = HomeserverSettings()
    database: DatabaseSettings = DatabaseSettings()
    ledger: LedgerSettings = LedgerSettings()
    witnesses: WitnessSettings = WitnessSettings()
    timestamps: TimestampSettings = TimestampSettings()
    access: AccessSettings = AccessSettings()
    invitations: InvitationSettings = InvitationSettings()
    federation: FederationSettings = FederationSettings()
    templates: TemplateSettings = TemplateSettings()
    reconciler: ReconcilerSettings = ReconcilerSettings()
    support: SupportSettings = SupportSettings()
    logging: LoggingSettings = LoggingSettings()
    helper: HelperSettings = HelperSettings()
    readiness: ReadinessSettings = ReadinessSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file that ``load_settings`` names."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def origin(self) -> str:
        """The ledger's origin: the name in its key and in every checkpoint."""
        return self.ledger.origin or self.homeserver.name

    def shown(self) -> dict[str, Any]:
        """The effective settings for a person's eyes: no password in them."""
        shown = self.model_dump(mode="json")
        for section, key in (("database", "url"), ("homeserver", "database"), ("timestamps", "url")):
            if shown[section][key]:
                shown[section][key] = make_url(shown[section][key]).render_as_string(hide_password=True)
        return shown


def load_settings(file: Path | None = None) -> Settings:
    """The settings from ``file``, else ``$CONCLAVE_CONFIG``, else ``conclave.toml`` if it is there; environment on top.

    Raises:
        SettingsError: A file that was named is missing, or a value does not fit; the text names key and value.
    """
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"the settings file {named} does not exist", hint="see config/conclave.example.toml")
    path = named or DEFAULT_FILE

    class _Located(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _Located()
    except ValidationError as error:
        raise SettingsError(_explain(error), hint="config/conclave.example.toml shows every key") from None
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


_PASSWORD = re.compile(r"(://[^:/@]*:).*@")
"""The password in an address, for errors that show what was given."""


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        given = _PASSWORD.sub(r"\1***@", repr(problem["input"]))
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            problems.append(f"{key} is not a setting")
        else:
            problems.append(f"{key} = {given}: {reason[:1].lower()}{reason[1:]}")
    return "; ".join(problems)
