"""Synapse's configuration: every setting that keeps companies apart, and the guard in its place."""

import base64
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.engine import make_url

from bridge.federation_config import RESOURCE, federation_config
from config.settings import Settings
from config.state import StateDirectory

BOT_LOCALPART = "conclave"
HELPER_LOCALPART = "conclave-helper"
SERVICE_ID = "conclave"
MIN_PASSWORD = 12
BCRYPT_ROUNDS = 12

# What closes a way to learn of, or reach, people of another company (docs/adr/0005 says which setting closes what).
HARDENING: dict[str, Any] = {
    "enable_registration": False,
    "allow_guest_access": False,
    "enable_3pid_lookup": False,
    "enable_3pid_changes": False,
    "request_token_inhibit_3pid_errors": True,
    "enable_room_list_search": False,
    "room_list_publication_rules": [{"user_id": "*", "action": "deny"}],
    "alias_creation_rules": [{"user_id": "*", "action": "deny"}],
    "allow_public_rooms_without_auth": False,
    "allow_public_rooms_over_federation": False,
    "require_auth_for_profile_requests": True,
    "limit_profile_requests_to_users_who_share_rooms": True,
    "include_profile_data_on_invite": False,
    "allow_per_room_profiles": False,
    "enable_set_displayname": False,
    "max_avatar_size": "1M",
    "allowed_avatar_mimetypes": ["image/png", "image/jpeg", "image/gif", "image/webp"],
    "media_upload_limits": [{"time_period": "1d", "max_size": "2G"}],
    "push": {"include_content": False},
    "enable_search": False,
    "user_directory": {"enabled": True, "search_all_users": False, "prefer_local_users": False},
    "presence": {"enabled": False},
    "federation_domain_whitelist": [],
    "allow_device_name_lookup_over_federation": False,
    "allow_profile_lookup_over_federation": False,
    "trusted_key_servers": [],
    "url_preview_enabled": False,
    "enable_authenticated_media": True,
    "report_stats": False,
    # Synapse never forgets here who shared a room once, and would give their keys to somebody who was put out of it.
    "caches": {"per_cache_factors": {"does_pair_of_users_share_a_room_joined_or_invited": 0}},
    "experimental_features": {
        "msc4263_limit_key_queries_to_users_who_share_rooms": True,
        "msc4277_enabled": True,  # a report is answered alike whether what it is about exists or not
        # The helper's device lives on what transactions bring (docs/adr/0013): these open nothing to anybody else.
        "msc2409_to_device_messages_enabled": True,
        "msc3202_transaction_extensions": True,
    },
}

_LIMITS: dict[str, Any] = {
    "rc_message": {"per_second": 10, "burst_count": 100},
    "rc_login": {
        "address": {"per_second": 1, "burst_count": 50},
        "account": {"per_second": 0.2, "burst_count": 20},
        "failed_attempts": {"per_second": 0.05, "burst_count": 5},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeserverFiles:
    """Where the generated configuration is."""

    config: Path
    registration: Path
    log_config: Path
    log: Path


def write_homeserver_config(
    settings: Settings,
    state: StateDirectory,
    document_key: bytes,
    overrides: Mapping[str, Any] | None = None,
    *,
    supervised: bool = False,
) -> HomeserverFiles:
    """Write Synapse's configuration for these settings; keys and secrets that exist already stay.

    A ``supervised`` Synapse logs to standard error, where systemd or a container engine collects it; else it logs to
    a file of its own. ``overrides`` replaces top-level keys, for tests and benchmarks.
    """
    home = state.homeserver.absolute()
    files = HomeserverFiles(
        config=home / "homeserver.yaml",
        registration=home / "appservice.yaml",
        log_config=home / "log.yaml",
        log=home / "homeserver.log",
    )
    signing_key = home / "signing.key"
    if not signing_key.exists():
        _write(signing_key, _signing_key())
    config = homeserver_config(settings, state, files, document_key)
    _write(files.config, yaml.safe_dump({**config, **(overrides or {})}, sort_keys=False))
    _write(files.registration, yaml.safe_dump(_registration(settings, state), sort_keys=False))
    _write(files.log_config, yaml.safe_dump(_log_config(None if supervised else files.log), sort_keys=False))
    return files


def bot_user_id(settings: Settings) -> str:
    """The hub's own account: creator of every room, without any device."""
    return f"@{BOT_LOCALPART}:{settings.homeserver.name}"


def helper_user_id(settings: Settings) -> str:
    """The account that talks with people, each in a chat of their own; it has one device."""
    return f"@{HELPER_LOCALPART}:{settings.homeserver.name}"


def homeserver_config(
    settings: Settings, state: StateDirectory, files: HomeserverFiles, document_key: bytes
) -> dict[str, Any]:
    """``homeserver.yaml`` as a mapping."""
    home, server = files.config.parent, settings.homeserver
    guard = {
        "bot": bot_user_id(settings),
        "hub_url": _hub_url(settings),
        "client_url": settings.homeserver.internal_url,
        "bcrypt_rounds": BCRYPT_ROUNDS,
        "token_file": str(_token_file(state, "guard_token")),
        "document_key": base64.b64encode(document_key).decode(),
    }
    listener = {"port": server.port, "bind_addresses": [server.listen], "type": "http", "x_forwarded": True}
    resources = [{"names": ["client"], "compress": False}, *([RESOURCE] if settings.federation.enabled else [])]
    return {
        "server_name": server.name,
        "public_baseurl": server.client_url,
        "listeners": [{**listener, "resources": resources}],
        "database": _database(settings, home),
        "signing_key_path": str(home / "signing.key"),
        "media_store_path": str(home / "media"),
        "pid_file": str(home / "synapse.pid"),
        "log_config": str(files.log_config),
        "macaroon_secret_key": state.token("macaroon_secret"),
        "form_secret": state.token("form_secret"),
        "app_service_config_files": [str(files.registration)],
        "modules": [{"module": "bridge.guard.module.Guard", "config": guard}],
        "default_room_version": server.room_version,
        "max_upload_size": server.max_upload,
        "bcrypt_rounds": BCRYPT_ROUNDS,
        "password_config": {"policy": {"enabled": True, "minimum_length": MIN_PASSWORD}},
        **hardening(settings),
        **_LIMITS,
    }


def hardening(settings: Settings) -> dict[str, Any]:
    """The settings that keep companies apart, as these settings want them."""
    return {**HARDENING, **federation_config(settings.federation)}


def _registration(settings: Settings, state: StateDirectory) -> dict[str, Any]:
    """The application service: the hub's accounts, and every event of every room in its feed.

    ``receive_ephemeral`` brings to-device messages (MSC4203), ``msc3202`` device lists and key counts; with
    ``msc4190`` the service makes and removes devices of its accounts, and none of them can sign in.
    """
    server = settings.homeserver.name.replace(".", r"\.")
    return {
        "id": SERVICE_ID,
        "url": _hub_url(settings),
        "as_token": state.token("as_token"),
        "hs_token": state.token("hs_token"),
        "sender_localpart": BOT_LOCALPART,
        "rate_limited": False,
        "receive_ephemeral": True,
        "org.matrix.msc3202": True,
        "io.element.msc4190": True,
        "namespaces": {
            "users": [{"exclusive": True, "regex": f"@{BOT_LOCALPART}(-.*)?:{server}"}],
            "rooms": [{"exclusive": False, "regex": "!.*"}],
            "aliases": [],
        },
    }


def _hub_url(settings: Settings) -> str:
    return settings.homeserver.hub_url or f"http://{settings.hub.listen}:{settings.hub.port}"


def _database(settings: Settings, home: Path) -> dict[str, Any]:
    if settings.homeserver.database is None:
        return {"name": "sqlite3", "args": {"database": str(home / "homeserver.db")}}
    url = make_url(settings.homeserver.database)
    password_file = settings.homeserver.database_password_file
    password = password_file.read_text().strip() if password_file else url.password
    args: dict[str, Any] = {"user": url.username, "password": password, "dbname": url.database}
    args |= {"host": url.host, "port": url.port, "cp_min": 2, "cp_max": 10, **url.query}
    return {"name": "psycopg2", "args": {name: value for name, value in args.items() if value is not None}}


def _log_config(log: Path | None) -> dict[str, Any]:
    """Warnings into the file ``log``, or to standard error."""
    rotating = {
        "class": "logging.handlers.RotatingFileHandler",
        "filename": str(log),
        "maxBytes": 20_000_000,
        "backupCount": 3,
    }
    handler = {"class": "logging.StreamHandler"} if log is None else rotating
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"log": {**handler, "formatter": "plain"}},
        "root": {"level": "WARNING", "handlers": ["log"]},
    }


def _token_file(state: StateDirectory, name: str) -> Path:
    state.token(name)
    return (state.tokens / name).absolute()


def _signing_key() -> str:
    """A federation signing key in the form of ``signedjson.key.write_signing_keys``."""
    name = "".join(secrets.choice(string.ascii_letters) for _ in range(4))
    return f"ed25519 a_{name} {base64.b64encode(secrets.token_bytes(32)).decode().rstrip('=')}\n"


def _write(path: Path, text: str) -> None:
    """Put ``text`` into ``path`` (mode 0600), whole or not at all."""
    fresh = path.with_suffix(path.suffix + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    fresh.replace(path)
