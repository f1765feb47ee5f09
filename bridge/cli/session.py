"""login, logout, whoami; and which hub a command talks to."""

import getpass
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.acting import act_as_administrator
from bridge.cli.client import ADMIN_CREDENTIAL, HubClient, local_hub
from bridge.cli.errors import CallFailedError
from bridge.cli.output import Json, say, show

TOKEN_PREFIX = "conclave_"  # noqa: S105  # how every credential begins, and no secret
CREDENTIAL_FILE = "CONCLAVE_CREDENTIAL_FILE"


def logins_file() -> Path:
    """Where credentials of hubs are kept on this machine (mode 0600)."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "conclave" / "logins.json"


def client_of(ctx: typer.Context) -> HubClient:
    """The hub of this command: ``--hub``, else the one of the state directory, else the one that was logged into.

    The administrator's credential of the state directory is taken only where neither a hub nor a credential is named:
    whoever names one means to act as somebody, and an act is recorded under that name or not done.

    Raises:
        CallFailedError: There is none, or no credential for it.
    """
    options: dict[str, Any] = ctx.find_root().obj
    state = options["state"] or _state_directory(options["config"])
    local, logins, token, named = local_hub(state), _read_logins(), _token_file(), _named(options["hub"])
    if not named and token is None and local is not None:
        act_as_administrator(str(state / ADMIN_CREDENTIAL), local.url)
        return local
    url = named or (local.url if local is not None else str(logins.get("default", "")))
    if not url:
        raise CallFailedError("no hub is known here", code="no_hub", hint="conclave up, or conclave login ADDRESS")
    token = token or dict(logins.get("hubs", {})).get(url)
    if token is None:
        own = "; without --hub commands here act as its administrator" if local is not None and local.url == url else ""
        raise CallFailedError(f"no credential for {url} here", code="no_credential", hint=f"conclave login {url}{own}")
    return HubClient(url=url, token=token)


def _named(hub: str | None) -> str:
    """The address in ``--hub``; an empty one is not the same as none, for then the administrator would act."""
    if hub is not None and not hub.strip():
        raise CallFailedError(
            "--hub is empty, expected the address of a hub", code="address", hint="--hub ADDRESS", usage=True
        )
    return (hub or "").rstrip("/")


def _state_directory(config: Path | None) -> Path:
    """The ``state_dir`` of the settings file, if there is one; read without loading all settings, to be quick."""
    try:
        named = tomllib.loads((config or Path("conclave.toml")).read_text()).get("state_dir")
    except (OSError, ValueError):
        named = None
    return Path(named) if isinstance(named, str) else Path(".conclave")


def _token_file() -> str | None:
    """The credential in the file that ``$CONCLAVE_CREDENTIAL_FILE`` names."""
    path = os.environ.get(CREDENTIAL_FILE)
    if not path:
        return None
    try:
        token = Path(path).read_text().strip()
    except OSError as error:
        raise CallFailedError(f"cannot read {CREDENTIAL_FILE}={path}: {error.strerror}", code="no_credential") from None
    if not token:
        hint = "conclave credential issue makes one"
        raise CallFailedError(f"{CREDENTIAL_FILE}={path} holds no credential", code="no_credential", hint=hint)
    return token


def login(
    ctx: typer.Context, address: Annotated[str, typer.Argument(help="Such as https://hub.contoso.example.")]
) -> None:
    """Use a hub from this machine; asks for the credential that an administrator issued."""
    options: dict[str, Any] = ctx.find_root().obj
    local = local_hub(options["state"] or _state_directory(options["config"]))
    token = (getpass.getpass("Credential: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not token:
        raise CallFailedError(
            "no credential was given", code="no_credential", hint="conclave credential issue makes one"
        )
    if not token.startswith(TOKEN_PREFIX):
        raise CallFailedError(
            f"no credential of a hub: expected {TOKEN_PREFIX}…, not a password or a Matrix access token",
            code="no_credential",
            hint="an administrator issues one, to people of the host company: conclave credential issue",
        )
    client = HubClient(url=address.rstrip("/"), token=token)
    me = client.get("/v1/whoami")
    logins = _read_logins()
    hubs = {**dict(logins.get("hubs", {})), client.url: token}
    _write_logins({"default": client.url, "hubs": hubs})
    roles = ", ".join(me["roles"]) or "no role"
    say(f"Signed in to {client.url} as {me['name']} ({roles}), until {me['expires_at'][:10]}.")
    if local is not None:
        say(f"In this folder commands act as its own hub's administrator; to act as {me['name']}: --hub {client.url}")


def logout(ctx: typer.Context) -> None:
    """Make the credential that ``conclave login`` keeps here useless, and forget it."""
    options: dict[str, Any] = ctx.find_root().obj
    logins = _read_logins()
    hubs = dict(logins.get("hubs", {}))
    url = (options["hub"] or "").rstrip("/") or str(logins.get("default", ""))
    if url not in hubs:
        raise CallFailedError(
            f"nobody is signed in to {url or 'any hub'} here; the credential of a hub's own machine stays",
            code="not_signed_in",
            hint="conclave credential revoke ID",
        )
    client = HubClient(url=url, token=hubs.pop(url))
    left = str(logins.get("default", ""))
    remaining = {"default": left if left in hubs else next(iter(hubs), ""), "hubs": hubs}
    try:
        name = client.get("/v1/whoami")["name"]
        client.post("/v1/logout")
    except CallFailedError as error:
        if error.problem_code != "not_authenticated":
            raise
        _write_logins(remaining)
        say(f"Signed out of {url}: the credential was useless already.")
        return
    _write_logins(remaining)
    say(f"Signed out of {url}: the credential of {name} is revoked.")


def whoami(ctx: typer.Context, as_json: Json = False) -> None:
    """Who this machine is signed in as."""
    client = client_of(ctx)
    me = client.get("/v1/whoami")
    show(
        {"hub": client.url, **me},
        as_json,
        [
            ("hub", client.url),
            ("person", f"{me['name']} ({me['person']}) of {me['company']}"),
            ("roles", ", ".join(me["roles"]) or "none"),
            ("credential", f"{me['credential']} on {me['device']}, until {me['expires_at']}"),
        ],
    )


def _read_logins() -> dict[str, Any]:
    try:
        return dict(json.loads(logins_file().read_text()))
    except (OSError, ValueError):
        return {}


def _write_logins(logins: dict[str, Any]) -> None:
    path = logins_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(logins, file, indent=1)


def _single(command: Any) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(command)
    return app


APPS = {"login": _single(login), "logout": _single(logout), "whoami": _single(whoami)}
