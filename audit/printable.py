"""Text of unknown origin, made fit for a terminal. Pure.

Entries and exports hold what others chose, down to escape sequences that would rewrite a terminal's lines: a forged
export must not be able to print VALID.
"""

MAX_SHOWN = 300


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """``text`` on one line, at most ``limit`` characters of it, everything that is no visible character escaped."""
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text[:limit]
    )
    return shown if len(text) <= limit else f"{shown}…"
