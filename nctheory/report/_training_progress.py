"""Progress of a training: a bar on a terminal, a line now and then elsewhere."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nctheory.networks import Progress as Training
from nctheory.report._trained import training_line, training_words


class TrainingProgress:
    """Steps done, with loss, accuracy and nc1 of the last features, in one bar on standard error; else a line now and then."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("steps"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[seen]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            redirect_stdout=False,
            transient=True,
        )
        self._task = self._bars.add_task("steps", total=None, seen="")

    def __enter__(self) -> "TrainingProgress":
        if not self._bars.disable:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not self._bars.disable:
            self._bars.stop()

    def __call__(self, now: Training) -> None:
        """Say how far a training is; where standard error is no terminal, as a line on standard output."""
        if self._bars.disable:
            print(training_line(now), flush=True)
            return
        self._bars.update(self._task, completed=now.steps, total=now.last, seen=training_words(now))
