"""The probe: each call twice, once with what company A has and once with what nobody has, by a person of company B.

Where the two answers are the same but for the ids that were asked with, nothing was learnt.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, count
from typing import Any
from urllib.parse import quote

from yarl import URL

from tests.silence.routes import by_key, key
from tests.silence.table import ADMIN, By, Row
from tests.silence.world import Ids, World

GUESSABLE = frozenset({"user", "localpart", "name", "email", "phone", "alias"})
RANDOM = frozenset({"room", "event", "device", "media"})
OWNABLE = ("room", "user")
CONSTANTS = frozenset({"server", "txn", "now"})
AT_ONCE = 8

_NAMED = re.compile(r"\{(\w+)\}")
_FIXED = re.compile(r"\{=([^}]*)\}")
_VOLATILE = frozenset(
    {"session", "next_batch", "pos", "event_id", "start", "end", "filter_id", "etag", "count", "last_seen_ts"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call with which two sets of ids are told apart, or not: ``varied`` are those that differ."""

    row: Row
    method: str
    path: str
    varied: frozenset[str]
    known: Ids
    ghost: Ids

    def __str__(self) -> str:
        return f"{self.method} {self.path} with {'+'.join(sorted(self.varied)) or 'nothing'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came back, without what is random in every answer and without the ids that were asked with."""

    status: int
    body: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A case with both answers."""

    case: Case
    known: Seen
    ghost: Seen

    @property
    def differs(self) -> bool:
        return (self.known.status, self.known.body) != (self.ghost.status, self.ghost.body)

    def __str__(self) -> str:
        answers = [f"{name} {seen.status} {seen.body}" for name, seen in (("known", self.known), ("ghost", self.ghost))]
        return "\n    ".join([str(self.case), *answers])


def placeholders(row: Row, path: str, method: str) -> frozenset[str]:
    """What the call has to be filled in with, but for what is the same for everyone."""
    text = path + row.query + json.dumps(row.bodies(method))
    return frozenset(_NAMED.findall(_FIXED.sub("", text))) - CONSTANTS


def cases(row: Row, method: str, path: str, world: World) -> Iterator[Case]:
    """Each way in which the call can tell: all ids at once, some of them one's own, the guessable ones alone."""
    names = placeholders(row, path, method)
    chosen: set[tuple[frozenset[str], frozenset[str]]] = {(names, frozenset())}
    ownable = [name for name in OWNABLE if name in names]
    for size in range(1, len(ownable) + 1):
        chosen |= {(names - set(own), frozenset(own)) for own in combinations(ownable, size) if names - set(own)}
    if names & GUESSABLE:
        chosen.add((names & GUESSABLE, frozenset()))
    for varied, own in sorted(chosen, key=lambda pair: sorted(pair[0])):
        fixed = {name: world.own[row.who][name] for name in own}
        base = {**world.ghost, **fixed}
        yield Case(
            row=row,
            method=method,
            path=path,
            varied=varied,
            known={**base, **{name: world.known[name] for name in varied}},
            ghost=base,
        )


def admin_rows(routes: Iterable[str]) -> list[Row]:
    """A row for each address of Synapse's admin API, from its pattern."""
    found = []
    for name in by_key(route for route in routes if ADMIN in route):
        route = next(route for route in routes if key(route) == name)
        filled = re.sub(r"\{(\w+)\}", lambda match: _named_as(match[1]), route)
        found.append(Row(call=filled, by=By.ADMINISTRATOR))
    return found


def _named_as(group: str) -> str:
    for name, part in (
        ("user", "user"),
        ("room", "room"),
        ("event", "event"),
        ("device", "device"),
        ("media", "media"),
    ):
        if part in group:
            return f"{{{name}}}"
    return "{server}" if group == "server_name" else "{=1}"


class Prober:
    """Asks."""

    def __init__(self, world: World, base: str, versions: dict[str, list[str]]) -> None:
        self._world = world
        self._base = base
        self._versions = versions
        self._numbers = count(1)
        self._free = asyncio.Semaphore(AT_ONCE)

    async def find(self, rows: Iterable[Row], *, every_version: bool) -> list[Finding]:
        """Every finding of ``rows``; of an address that has several versions the newest, or all."""
        found: list[Case] = []
        for row in rows:
            for method, path in row.calls():
                for full in self._paths(method, path, every_version=every_version):
                    found += cases(row, method, full, self._world)
        last = [case for case in found if case.row.who == "passer"]
        found = [case for case in found if case.row.who != "passer"]
        findings = await asyncio.gather(*(self._compare(case) for case in found))
        return [*findings, *[await self._compare(case) for case in last]]

    def _paths(self, method: str, path: str, *, every_version: bool) -> list[str]:
        """``path`` as the homeserver serves it, the newest version first."""
        served = [route.split(" ", 1)[1].rstrip() for route in self._versions.get(key(f"{method} {path}"), [])]
        heads = {_head(full) for full in served} or {""}
        ranked = sorted(heads, key=lambda head: ("unstable" in head, "api/v1" in head, "r0" in head, head))
        tail = path.removeprefix("/_matrix/media") if path.startswith("/_matrix/media") else path
        return [head + tail for head in (ranked if every_version else ranked[:1])]

    async def _compare(self, case: Case) -> Finding:
        async with self._free:
            known = await self._ask(case, case.known)
            ghost = await self._ask(case, case.ghost) if case.varied else known
        return Finding(case=case, known=known, ghost=ghost)

    async def _ask(self, case: Case, ids: Ids) -> Seen:
        values = {**ids, "txn": f"t{next(self._numbers)}", "now": "s0"}
        path = _fill(case.path, values, quoted=True)
        query = _fill(case.row.query, values, quoted=True)
        body = case.row.bodies(case.method)
        sent = None if body is None else _fill(json.dumps(body), values, quoted=False)
        who = {"outsider": self._world.outsider.token, "passer": self._world.passer.token}.get(case.row.who)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {who}"} if who else {})}
        url = f"{self._base}{path}" + (f"?{query}" if query else "")
        async with self._world.hub.session.request(
            case.method, URL(url, encoded=True), data=sent, headers=headers, allow_redirects=False
        ) as response:
            raw = (await response.read()).decode(errors="replace")
            assert response.status != 429, f"{case} was limited: {raw}"
            shown = {name: value for name, value in response.headers.items() if name in ("Location", "Content-Type")}
        return Seen(status=response.status, body=_settled(raw, values) + json.dumps(shown), raw=raw)


def _head(full: str) -> str:
    found = re.match(r"/_matrix/(client/(api/v1|r0|v1|v3|unstable)(?=/)|media/(r0|v1|v3)(?=/))", full)
    return found[0] if found else ""


def _fill(text: str, values: Ids, *, quoted: bool) -> str:
    text = _FIXED.sub(lambda found: found[1], text)
    return _NAMED.sub(lambda found: quote(values[found[1]], safe="") if quoted else values[found[1]], text)


def _settled(raw: str, values: Ids) -> str:
    """The answer with the ids that were asked with called by their names, and without what is random."""
    with suppress(ValueError):
        raw = json.dumps(_steady(json.loads(raw)), sort_keys=True)
    for name in sorted(values, key=lambda name: -len(values[name])):
        if name not in CONSTANTS and len(values[name]) > 3:
            raw = raw.replace(values[name], f"<{name}>")
    return raw


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "…" if name in _VOLATILE else _steady(item) for name, item in value.items()}
    return [_steady(item) for item in value] if isinstance(value, list) else value
