"""A progress bar, for work that takes a while on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LARGE = 50_000


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """What is to be told (done, whole) as the work goes on; silent off a terminal, and where ``whole`` is small."""
    if not sys.stderr.isatty():
        yield lambda _done, _whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"  {what}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Refreshed by hand: a thread of its own would keep the verifier from forking.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def tell(done: int, whole: int) -> None:
            bar.update(task, completed=done, total=whole, visible=whole > LARGE, refresh=True)

        yield tell
