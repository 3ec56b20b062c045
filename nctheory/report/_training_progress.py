"""Progress of a training: a bar on a terminal, a line now and then elsewhere."""

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from nctheory.networks import Progress as Training
from nctheory.report._bars import Bars
from nctheory.report._trained import training_line, training_words


class TrainingProgress(Bars):
    """Steps done, with loss, accuracy and nc1 of the last features, in one bar on standard error; else a line now and then."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("steps"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[seen]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._bars.add_task("steps", total=None, seen="")

    def __call__(self, now: Training) -> None:
        """Say how far a training is; where standard error is no terminal, as a line on standard output."""
        if not self.shown:
            print(training_line(now), flush=True)
            return
        self._bars.update(self._task, completed=now.steps, total=now.last, seen=training_words(now))
