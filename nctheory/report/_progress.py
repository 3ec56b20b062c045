"""A progress bar over seeds, with seeds per second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nctheory.theorems import Theorem


class SeedProgress:
    """One bar a theorem on standard error while it runs; silent where that is not a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("seeds"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            disable=not console.is_terminal,
            redirect_stdout=False,
            transient=True,
        )

    def __enter__(self) -> "SeedProgress":
        self._bars.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.__exit__(None, None, None)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars off the screen while something else is printed."""
        if self._bars.disable:
            yield
            return
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    @contextmanager
    def bar(
        self, theorem: Theorem, seeds: int | list[int] | None, key: int, instance: int | None
    ) -> Iterator[Callable[[int], None]]:
        """The bar of one theorem; the function it yields takes numbers of finished seeds, from any thread."""
        each = theorem.seeds if seeds is None else seeds if isinstance(seeds, int) else len(seeds)
        count = 1 if instance is not None else len(theorem.instances(jax.random.fold_in(jax.random.key(key), 0)))
        task = self._bars.add_task(theorem.id, total=each * count, rate="")

        def advance(finished: int) -> None:
            self._bars.advance(task, finished)
            bar = next(t for t in self._bars.tasks if t.id == task)
            if bar.elapsed:
                self._bars.update(task, rate=f"{bar.completed / bar.elapsed:.0f} seeds/s")

        yield advance
        self._bars.stop_task(task)
