"""A stack of docker-compose.yml: with a name and ports of its own, apart from whatever else runs on this machine."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import pytest

from bridge.cli.client import HubClient
from bridge.demo.temporary import free_ports

ROOT = Path(__file__).parents[2]
SERVICES = ("postgres", "signer", "homeserver", "hub", "proxy")
BUILD_S = 1_800
COMMAND_S = 300
PATIENCE_S = 120
LOOK_S = 0.25

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP call came back with."""

    status: int
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One project of compose; ``credential`` is a copy of its administrator's, as an operator would make it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    port: int
    credential: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> HubClient:
        return HubClient(url=self.url, token=self.credential.read_text().strip())

    def compose(self, *arguments: str, within: float = COMMAND_S) -> str:
        """What the command says; the test fails with all of it, and with the services' logs, where it fails."""
        done = _run((*self.command, *arguments), self.environment, within)
        if done.returncode:
            logs = _run((*self.command, "logs", "--no-color", "--tail", "30"), self.environment, COMMAND_S)
            pytest.fail(f"compose {' '.join(arguments)}:\n{done.stdout}{done.stderr}\n{logs.stdout}", pytrace=False)
        return done.stdout

    def execute(self, service: str, *command: str) -> str:
        """What ``command`` says inside the container of ``service``."""
        return self.compose("exec", "-T", service, *command)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of the container of ``service``, which may have ended."""
        identity = _engine("ps", "--all", "--quiet", *self._filter(service)).split()
        assert len(identity) == 1, (service, identity)
        found: list[dict[str, Any]] = json.loads(_engine("inspect", *identity))
        return found[0]

    def _filter(self, service: str) -> tuple[str, ...]:
        project = self.environment["COMPOSE_PROJECT_NAME"]
        labels = {"project": project, "service": service}
        return tuple(f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items())

    def up(self) -> None:
        self.compose("up", "--detach")
        self.until_healthy()

    def until_healthy(self) -> None:
        for service in SERVICES:
            until(partial(self._is_healthy, service), f"{service} is not healthy")

    def _is_healthy(self, service: str) -> bool:
        return bool(self.inspect(service)["State"]["Health"]["Status"] == "healthy")

    def crash(self, service: str) -> None:
        """End every process of ``service`` at once, as the kernel does when memory runs out."""
        begun = self.inspect(service)["State"]["StartedAt"]
        _run(
            (*self.command, "exec", "-T", service, "python", "-c", "import os; os.kill(-1, 9)"),
            self.environment,
            COMMAND_S,
        )
        until(lambda: self.inspect(service)["State"]["StartedAt"] != begun, f"{service} was not started again")

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """Through the proxy, with ``path`` as it is."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()


def until(look: Callable[[], T], otherwise: str) -> T:
    """What ``look`` finds, as soon as it finds something."""
    ends = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > ends:
            pytest.fail(f"{otherwise} after {PATIENCE_S} s", pytrace=False)
        time.sleep(LOOK_S)
    return found


@contextmanager
def running_stack(place: Path) -> Iterator[Stack]:
    """A stack that is built and up, from nothing; nothing of it but the image is left behind."""
    compose = _compose_command()
    http, https = free_ports(2)
    settings = {
        "CONCLAVE_IMAGE": "conclave-hub-test",
        "CONCLAVE_HTTP_PORT": http,
        "CONCLAVE_HTTPS_PORT": https,
        "CONCLAVE_HOST__ID": "contoso",
        "CONCLAVE_HOST__NAME": "Contoso Manufacturing",
        "CONCLAVE_HOMESERVER__NAME": "conclave.contoso.example",
    }
    file = place / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CONCLAVE_", "COMPOSE_"))}
    stack = Stack(
        command=(*compose, "--env-file", str(file), "--file", str(ROOT / "docker-compose.yml")),
        environment={**inherited, "COMPOSE_PROJECT_NAME": f"conclave-test-{token_hex(4)}"},
        port=http,
        credential=place / "admin.credential",
    )
    try:
        stack.compose("build", "--quiet", within=BUILD_S)
        stack.up()
        stack.credential.touch(mode=0o600)
        stack.credential.write_text(stack.execute("hub", "cat", "admin.credential"))
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")


def _compose_command() -> tuple[str, ...]:
    """``docker compose``, else ``docker-compose``; skips with the reason where there is no engine to talk to."""
    if shutil.which("docker") is None:
        pytest.skip("no container engine: docker is not installed here")
    engine = _run(("docker", "info", "--format", "{{.ServerVersion}}"), None, COMMAND_S)
    if engine.returncode:
        pytest.skip(f"no container engine answers: {(engine.stderr or engine.stdout).strip().splitlines()[-1]}")
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and _run((*command, "version"), None, COMMAND_S).returncode == 0:
            return command
    pytest.skip("neither docker compose nor docker-compose is installed here")


def _engine(*arguments: str) -> str:
    done = _run(("docker", *arguments), None, COMMAND_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(
    command: tuple[str, ...], environment: dict[str, str] | None, within: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, timeout=within, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
