"""What a removal proof shows, for people."""

from audit.removal import RemovalReport
from config.clock import iso


def removal_lines(report: RemovalReport) -> list[str]:
    """What a removal proof shows, a line each, for people."""
    whose = "people" if report.findings else f"of {report.buyer}, and nobody else,"
    used = "" if report.findings else ", none by one of these"
    return [
        f"cleared       {report.committee}, entry {report.cleared_entry:,}, {iso(report.cleared_at)}",
        *(f"left          {item.person} of {report.vendor}, {iso(item.ts)}, {item.event_id}" for item in report.leaves),
        "history       from joining on only, in both rooms, since they were made",
        f"sessions      {report.sessions} that the vendor may have; {report.later} messages since{used}",
        f"deliberation  {len(report.members)} {whose} were ever in it, over its whole life",
        f"whole         every entry of both rooms up to {iso(report.whole_until)}",
    ]
