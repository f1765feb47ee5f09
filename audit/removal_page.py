"""The page of a removal proof: what it shows, for a person who opens it in a browser. Pure.

The page follows from the other files, byte for byte: who verifies makes it anew and compares. It has no script and
loads nothing, and everything that others chose is escaped in it. A page that reads otherwise, after a change of what is
below, is one of another ``FORMAT`` (``audit.removal_file``): proofs that were written before stay valid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from audit.entry import Disclosure
from audit.manifest import checkpoint_summary
from audit.note import Checkpoint
from audit.printable import printable
from audit.removal import ENROLLED
from audit.removal_lines import when
from audit.removal_report import Entry, RemovalReport

CANNOT = (
    "It says what the log says, of these two rooms. That a client kept what it had seen, or that somebody told the "
    "vendor, no log can show; that the log counted right, is shown by an export of the whole log. Times are those of "
    "the hub's and the homeserver's clocks."
)
USER_ID = "user_id"
"""The disclosure of an enrolment that is shown, where it was not erased."""
MOVES = {
    "member.joined": "came in",
    "member.updated": "changed their profile",
    "member.invited": "was invited",
    "member.knocked": "asked to be let in",
    "member.left": "left, or declined",
    "member.removed": "was removed",
    "member.banned": "was banned",
}
_ALONE = (
    "<p><strong>This page alone proves nothing.</strong> It came in one file with the entries and their proofs; "
    '<a href="#check">check it</a> with the key of the log, which you got by another way.</p>'
)
_STYLE = """
:root{color-scheme:light dark;--line:#8886;--soft:#8881;--good:#1a7f37;--bad:#cf222e}
@media(prefers-color-scheme:dark){:root{--good:#4ac26b;--bad:#ff7b72}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.5rem 0}
.verdict{border-left:.3rem solid var(--good);background:var(--soft);padding:.75rem 1rem;margin:1rem 0}
.bad{border-color:var(--bad)}
.bad strong{color:var(--bad)}
ul{margin:.5rem 0;padding-left:1.25rem}
code,pre,td.id{font-family:ui-monospace,monospace;font-size:.875rem;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.75rem 1rem;white-space:pre-wrap}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600}
td.n{white-space:nowrap}
@media(max-width:40rem){
thead{display:none}
tr{display:block;border-bottom:1px solid var(--line);padding:.5rem 0}
td,tbody th{display:grid;grid-template-columns:6.5rem minmax(0,1fr);gap:.5rem}
td,td.n,td.id,tbody th{border:0;padding:.1rem 0;white-space:normal}
td::before{content:attr(data-of);font:14px/1.6 system-ui,sans-serif;opacity:.7}
table.facts tbody th,table.facts td{display:block}
table.facts td::before{content:none}
}
@media print{body{max-width:none;padding:0}}
""".strip()
_HEAD = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How a proof was written: ``person`` ordered ``export`` by the entry ``entry`` at ``at``, in milliseconds.

    ``index`` is the entry that counts both rooms; ``names`` has the Matrix user ids of people, as far as disclosed.
    """

    checkpoint: Checkpoint
    export: str
    entry: int
    person: str
    at: int
    index: int
    names: Mapping[str, str]


def written_by(checkpoint: Checkpoint, exported: Entry, index: int, names: Mapping[str, str]) -> Written:
    """The same, by the entry ``exported`` of the log."""
    position, body = exported
    return Written(
        checkpoint=checkpoint,
        export=str(body["data"].get("export")),
        entry=position,
        person=str(body["actor"].get("person")),
        at=body["at"],
        index=index,
        names=names,
    )


def names_of(facts: Iterable[Entry], disclosed: Iterable[tuple[int, str]]) -> dict[str, str]:
    """The Matrix user ids of the people whose enrolments are among ``facts``, as far as they are ``disclosed``."""
    people = {position: str(body["data"]["person"]) for position, body in facts if body["kind"] == ENROLLED}
    found = {}
    for position, text in disclosed:
        item = Disclosure.decode(text)
        if item.name == USER_ID and position in people:
            found[people[position]] = item.value
    return found


def removal_page(report: RemovalReport, written: Written) -> bytes:
    """The page, UTF-8."""
    title = f"{report.vendor} was put out of {report.committee}"
    parts = [
        f"{_HEAD}<title>{_text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>",
        f"<h1>Removal proof: {_text(report.vendor)}, {_text(report.committee)}</h1>",
        _verdict(report),
        _ALONE,
        *_facts(report),
        *_left(report, written),
        *_sessions(report),
        *_deliberation(report, written),
        *_enrolled(report, written),
        *_check(written),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts).encode()


def _verdict(report: RemovalReport) -> str:
    if not report.findings:
        who = f"{_text(report.vendor)} was put out of {_text(report.committee)}"
        return (
            f'<p class="verdict"><strong>{who}, and nothing from after reached it</strong>: in its pitch room '
            f"and the deliberation room, up to {_text(when(report.whole_until))}.</p>"
        )
    items = "".join(f"<li>{_text(line)}</li>" for line in report.findings)
    many = f"{len(report.findings)} finding{'s' * (len(report.findings) > 1)}"
    return (
        f'<section class="verdict bad"><strong>{many}: what the log shows is not as it should be.</strong>'
        f"<ul>{items}</ul></section>"
    )


def _facts(report: RemovalReport) -> Iterable[str]:
    yield "<h2>The removal</h2>"
    rows = [
        ("Committee", f"<code>{_text(report.committee)}</code>, of {_text(report.buyer)}"),
        ("Put out", f"<strong>{_text(report.vendor)}</strong>"),
        ("Shut out from", f"{_text(when(report.shut_at))} on, by the homeserver"),
        ("Recorded", f"{_text(when(report.cleared_at))} (entry {report.cleared_entry:,})"),
        ("Pitch room", f"<code>{_text(report.pitch.id)}</code>"),
        ("Deliberation room", f"<code>{_text(report.deliberation.id)}</code>"),
        ("Shown whole", f"every entry of both rooms up to {_text(when(report.whole_until))}"),
        ("Who may read the history", f"{_readers(report)}; so since before anybody came: {_history(report)}"),
    ]
    yield _plain(rows)


def _readers(report: RemovalReport) -> str:
    if report.shared:
        return "of the pitch room, who was there when it was said; of the deliberation room, every member"
    return "only who was there when it was said"


def _history(report: RemovalReport) -> str:
    rooms = ((report.pitch, "pitch room"), (report.deliberation, "deliberation room"))
    said = [
        f"{name} {_entries(position for scope, position in report.history if scope == room)}" for room, name in rooms
    ]
    return ", ".join(said)


def _entries(positions: Iterable[int]) -> str:
    found = [f"{position:,}" for position in positions]
    return f"(entr{'ies' if len(found) > 1 else 'y'} {'; '.join(found)})"


def _left(report: RemovalReport, written: Written) -> Iterable[str]:
    yield "<h2>Who left the pitch room</h2>"
    yield f"<p>Everybody of {_text(report.vendor)} who was ever in it, by the events that put them out.</p>"
    rows = [
        (_who(one.person, written), _text(when(one.ts)), _text(one.event_id), f"{one.position:,}")
        for one in report.leaves
    ]
    yield _table(("Person", "Time", "Event", "Entry"), rows, ids=(0, 2))


def _sessions(report: RemovalReport) -> Iterable[str]:
    used = "" if report.findings else ", none with one of these sessions"
    yield "<h2>Sessions that the vendor may have</h2>"
    yield (
        "<p>A client encrypts a run of messages with one key, a Megolm session, which it gives to whoever is in the "
        f"room. Seen in the pitch room before {_text(report.vendor)} was out: {len(report.sessions):,}. Messages that "
        f"came since, in both rooms together: {report.later:,}{used}.</p>"
    )
    seen = sorted(report.sessions.items(), key=lambda item: item[1])
    yield _table(("Session", "First seen"), [(_text(one), f"entry {at:,}") for one, at in seen], ids=(0,))


def _deliberation(report: RemovalReport, written: Written) -> Iterable[str]:
    whose = "" if report.findings else f", all of {_text(report.buyer)}"
    yield "<h2>The deliberation room, over its whole life</h2>"
    yield (
        f"<p>People who were ever in it: {len(report.members):,}{whose}. The hub's own account, which runs the room "
        "and gets no keys, is not counted.</p>"
    )
    rows = [
        (
            _who(one.person, written),
            _text(MOVES.get(one.kind, one.kind)),
            _text(when(one.ts)),
            _text(one.event_id),
            f"{one.position:,}",
        )
        for one in report.moves
    ]
    yield _table(("Person", "What", "Time", "Event", "Entry"), rows, ids=(0, 3))


def _enrolled(report: RemovalReport, written: Written) -> Iterable[str]:
    yield "<h2>Whose people these are</h2>"
    rows = [
        (_who(person, written), _text(company), f"{position:,}")
        for person, (company, position) in sorted(report.enrolled.items(), key=lambda item: item[1][1])
    ]
    yield _table(("Person", "Company", "Enrolled by entry"), rows, ids=(0,))


def _check(written: Written) -> Iterable[str]:
    head = checkpoint_summary(written.checkpoint)
    yield '<h2 id="check">Check it</h2>'
    yield (
        "<p>Offline, with the file or folder that this page came in, and with the log's key (<code>log.vkey</code>) "
        "that you got before and by another way. This page is made anew and compared, too.</p>"
    )
    yield (
        "<pre>conclave audit verify removal.tar --vkey log.vkey\n"
        "python3 conclave-verify.pyz removal.tar --vkey log.vkey</pre>"
    )
    ordered = (
        f"by <code>{_text(written.person)}</code>, {_text(when(written.at))} (entry {written.entry:,}); "
        f"export <code>{_text(written.export)}</code>"
    )
    rows = [
        ("Log", f"<code>{_text(head['origin'])}</code>, {written.checkpoint.size:,} entries"),
        ("Root", f"<code>{_text(head['root'])}</code>"),
        ("Proof ordered", ordered),
        ("Nothing left out", f"how many entries each room has, is said by entry {written.index:,} of the log"),
    ]
    yield _plain(rows)
    yield f"<p>{CANNOT}</p>"


def _who(person: str, written: Written) -> str:
    name = written.names.get(person)
    return _text(person) if name is None else f"{_text(name)}<br>{_text(person)}"


def _plain(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values, which are HTML."""
    body = "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<table class="facts"><tbody>\n{body}\n</tbody></table>'


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], ids: Sequence[int]) -> str:
    """A table of HTML; the columns ``ids`` hold identifiers."""
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    lines = [
        "".join(
            f'<td class="{"id" if at in ids else "n"}" data-of="{name}"><span>{value}</span></td>'
            for at, (name, value) in enumerate(zip(names, row, strict=True))
        )
        for row in rows
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _text(value: str) -> str:
    """Text that others may have chosen, as HTML: no markup, nothing that turns, hides or imitates what is beside it.

    What the hub gives out is ASCII; letters from elsewhere look alike, or are read from right to left.
    """
    return escape(printable(value.encode("ascii", "backslashreplace").decode()))
