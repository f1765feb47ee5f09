"""``conclave committee timeline``: what happened to a committee, each line an entry of the ledger."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.cli.committee_calls import clock, path_of
from bridge.cli.output import Json, counted, listing, write_json
from bridge.cli.session import client_of

Name = Annotated[str, typer.Argument(metavar="NAME", help="The committee's id, such as crm-2027.")]
Row = Mapping[str, Any]


def timeline(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """What happened to a committee, each line an entry of the ledger; times are UTC."""
    found = client_of(ctx).get(path_of(name, "/timeline"))
    if as_json:
        write_json(found["items"])
        return
    names = found["names"]
    listing(
        found["items"],
        as_json=False,
        columns=[
            ("entry", lambda row: f"{row['position']:,}"),
            ("recorded (UTC)", lambda row: clock(row["at"]).removesuffix(" UTC")),
            ("what", lambda row: row["kind"]),
            ("vendor", lambda row: row["vendor"] or ""),
            ("more", lambda row: about(row, names)),
            ("who", lambda row: _name(row["actor"], names)),
        ],
        empty="Nothing is in the log yet; it follows within a second.",
    )


def about(row: Row, names: Mapping[str, str]) -> str:
    """What an entry says beside its kind, for people; nothing for kinds that say no more."""
    kind, data = row["kind"], row["data"]
    if kind in _SAYS:
        return _SAYS[kind](data, names)
    return "" if row["person"] is None else _name(row["person"], names)


def _opened(data: Row, names: Mapping[str, str]) -> str:
    return f"chair {_name(data['chair'], names)}; {counted(len(data['members']), 'member')}"


def _chaired(data: Row, names: Mapping[str, str]) -> str:
    return f"{_name(data['chair'], names)} in place of {_name(data['before'], names)}"


def _declared(data: Row, names: Mapping[str, str]) -> str:
    return f"{_name(data['person'], names)}: {'a conflict of interest' if data['conflict'] else 'no conflict'}"


def _scheduled(data: Row, names: Mapping[str, str]) -> str:
    del names
    times = [(word, data.get(f"{name}_at")) for word, name in (("in", "pitch"), ("out", "clear"))]
    return "; ".join(f"{word} at {_instant(at)}" for word, at in times if at is not None)


def _started(data: Row, names: Mapping[str, str]) -> str:
    del names
    return f"in from {_instant(data['pitch_at'])} on{_timed(data)}"


def _cleared(data: Row, names: Mapping[str, str]) -> str:
    del names
    return f"out from {_instant(data['clear_at'])} on{_timed(data)}" if "clear_at" in data else ""


def _decided(data: Row, names: Mapping[str, str]) -> str:
    del names
    until = data.get("standstill_until")
    return f"{data['winner']} wins" + ("" if until is None else f"; standstill until {_instant(until)}")


def _reason(data: Row, names: Mapping[str, str]) -> str:
    del names
    return str(data.get("reason", ""))


_SAYS: dict[str, Callable[[Row, Mapping[str, str]], str]] = {
    "committee.opened": _opened,
    "committee.chaired": _chaired,
    "committee.declared": _declared,
    "committee.scheduled": _scheduled,
    "committee.started": _started,
    "committee.cleared": _cleared,
    "vendor.cleared": _cleared,
    "committee.decided": _decided,
    "committee.closed": _reason,
    "answer.dropped": _reason,
}


def _timed(data: Row) -> str:
    return ", as was set" if data.get("timed") else ""


def _name(person: str, names: Mapping[str, str]) -> str:
    return names.get(person, person)


def _instant(at: int) -> str:
    """Milliseconds since 1970 as a time in UTC, to the millisecond: evidence is compared by it."""
    moment = datetime.fromtimestamp(at // 1_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at % 1_000:03d}"
