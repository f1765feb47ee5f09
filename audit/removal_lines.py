"""What a removal shows, for people: a line each. Pure."""

from datetime import UTC, datetime

from audit.removal_report import RemovalReport


def removal_lines(report: RemovalReport) -> list[str]:
    """What a removal proof shows, a line each, for people."""
    whose = "people" if report.findings else f"of {report.buyer}, and nobody else,"
    later = "1 message" if report.later == 1 else f"{report.later} messages"
    used = "" if report.findings else ", none with one of these"
    return [
        f"shut out      {report.vendor}, from {when(report.shut_at)} on",
        f"cleared       {report.committee}, entry {report.cleared_entry:,}, recorded {when(report.cleared_at)}",
        *(
            f"left          {item.person} of {report.vendor}, {when(item.ts)}, {item.event_id}"
            for item in report.leaves
        ),
        f"history       {_history(report)}, since they were made",
        f"sessions      {len(report.sessions)} that the vendor may have; {later} since{used}",
        f"deliberation  {len(report.members)} {whose} were ever in it, over its whole life",
        f"whole         every entry of both rooms up to {when(report.whole_until)}",
    ]


def when(instant: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC; a homeserver may claim times that no calendar has."""
    try:
        moment = datetime.fromtimestamp(instant // 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{instant} ms since 1970"
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{instant % 1_000:03d}Z"


def _history(report: RemovalReport) -> str:
    if report.shared:
        return "from joining on only in the pitch room, all of the deliberation room for its members"
    return "from joining on only, in both rooms"
