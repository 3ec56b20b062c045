"""Progress over seeds and over tiles: bars on a terminal, a line now and then elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from time import monotonic

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nctheory.report._bars import Bars


class SeedProgress(Bars):
    """One bar a theorem on standard error while it runs; silent where that is not a terminal."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("seeds"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rate]}"),
        )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars off the screen while something else is printed."""
        if not self.shown:
            yield
            return
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    @contextmanager
    def bar(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """The bar of one theorem, of `total` seeds where that is known.

        The function it yields takes numbers of finished seeds, from any thread.
        """
        task = self._bars.add_task(name, total=total, rate="")

        def advance(finished: int) -> None:
            self._bars.advance(task, finished)
            bar = next(t for t in self._bars.tasks if t.id == task)
            if bar.elapsed:
                self._bars.update(task, rate=f"{bar.completed / bar.elapsed:.0f} seeds/s")
            if bar.completed == finished:
                self._bars.refresh()  # the first are told at once, and not when the bars are next drawn

        yield advance
        self._bars.stop_task(task)

    def listener(self, stack: ExitStack, totals: Mapping[str, int | None]) -> Callable[[str, int | None], None]:
        """What hears of theorems in other processes: None when one begins, then numbers of finished seeds, -1 at its end."""
        open_: dict[str, tuple[ExitStack, Callable[[int], None]]] = {}

        def hear(name: str, finished: int | None) -> None:
            if finished is None:
                own = stack.enter_context(ExitStack())
                open_[name] = own, own.enter_context(self.bar(name, totals[name]))
            elif name in open_ and finished < 0:
                open_.pop(name)[0].close()
            elif name in open_:
                open_[name][1](finished)

        return hear


class TileProgress(Bars):
    """Tiles done, rate and time left on standard error; where that is no terminal, a line every `every` seconds."""

    def __init__(self, every: float = 15.0) -> None:
        super().__init__(
            TextColumn("tiles"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._every, self._task = every, self._bars.add_task("tiles", rate="")
        self._began, self._said = monotonic(), 0.0

    def __call__(self, finished: int, total: int) -> None:
        """Say that so many of all tiles are finished; 0 begins a new batch of them."""
        now = monotonic()
        if finished == 0:
            self._began = now
        rate = finished / max(now - self._began, 1e-9)
        self._bars.update(self._task, completed=finished, total=total, rate=f"{rate:.1f} tiles/s" if finished else "")
        if not self.shown and total > 1 and (now - self._said >= self._every or finished == total):
            left = (total - finished) / rate if finished else float("nan")
            said = f"{rate:.2f} a second, {left:.0f} s left" if finished else "begun"
            self._console.print(f"{finished} of {total} tiles, {said}", highlight=False)
            self._said = now
