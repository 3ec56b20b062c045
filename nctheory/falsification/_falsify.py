"""`falsify`: a search over hyperparameters and starts for a violation of a theorem."""

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from threadpoolctl import threadpool_limits

from nctheory._version import __version__
from nctheory.engine import described, float64, untraced, whole_number
from nctheory.falsification._files import check_command, predicted_number, save_counterexample
from nctheory.falsification._places import Place, instance_at
from nctheory.falsification._proposals import Change, propose
from nctheory.falsification._records import WIDTH, Effort, TrialRecord, Tried
from nctheory.falsification._reduce import Found, reduced, rounded
from nctheory.falsification._result import Counterexample, Falsification, SearchOutcome, line_of, nearest, tightest
from nctheory.falsification._store import Store, source_digest
from nctheory.falsification._trial import known_ends, run_trial
from nctheory.flow import as_key
from nctheory.theorems import EngineError, Theorem, find_theorem, narrow_reason

REDUCTION = 0.25
"""The part of the seconds that a find may take more, to be reduced to the smallest instance (conventional)."""
PAUSE = 0.5
"""Seconds between two looks at a trial that another process is at work on."""


@untraced()
@float64
def falsify(
    theorem: str | Theorem,
    seconds: float | int = 60.0,
    key: int | PRNGKeyArray = 0,
    *,
    seeds: int = WIDTH,
    trials: int | None = None,
    out: str | Path | None = None,
    file: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Falsification:
    """Search for a counterexample to a theorem, over hyperparameters and starts, for some `seconds`.

    Each trial takes one instance of the theorem, solves it from `seeds` random starts and as many structured ones (features
    of low rank, incidence matrices of graphs, codes, blocks, minimisers at neighbouring numbers and of smaller and larger
    instances, brought down by several optimisers), and judges all ends as `verify` does. The first round are the instances
    that `verify` takes, with both sides of the boundaries near them (where the formula changes its branch, where a
    hypothesis ceases to hold) at relative distances of 1e-4 to 1e-1; then neighbours of the tightest trials, more predicted
    thresholds, corners (two classes, one sample) and fresh draws take turns. The search ends with the first violation that
    stands in extended precision, or with `seconds` or the number of `trials`; a trial under way is finished. A find is then
    reduced, for a quarter of the seconds more at the most, to the smallest instance and the roundest numbers at which the
    same claim fails.

    With a folder `out` every finished trial is kept, and the same search goes on from there; several processes with one
    folder share its trials. A find is saved there as JSON, NPZ and a test. `file` is the theorem file named in the commands,
    and `progress` is called with a line for each trial.

    Raises ValueError for an unknown theorem, seconds that are not positive, seeds or trials below 1, a folder of another
    search, or a theorem that predicts nothing on any of its instances.

    >>> import nctheory as nct
    >>> found = nct.falsify("ufm-mse-nobias", seconds=60, seeds=4, trials=1)
    >>> found.outcome, found.trials
    ('nothing found', 1)
    """
    if isinstance(seconds, bool) or not (isinstance(seconds, int | float | np.number) and 0 < seconds < math.inf):
        raise ValueError(f"seconds: expected a positive number, got {seconds!r}")
    whole_number("seeds", seeds, 1)
    if trials is not None:
        whole_number("trials", trials, 1)
    chosen = theorem if isinstance(theorem, Theorem) else find_theorem(theorem)
    search = _Search(chosen, float(seconds), key, Effort(seeds, seeds), trials, out, file, progress)
    with threadpool_limits(1, user_api="blas"):
        try:
            search.run()
        except EngineError as error:
            return search.result("engine error", reason=str(error))
    if search.found is None:
        return search.result("nothing found")
    return search.result("refuted", reason=narrow_reason(search.theorem, {search.found.claim}))


class _Search:
    """One search under way."""

    def __init__(
        self,
        theorem: Theorem,
        seconds: float,
        key: int | PRNGKeyArray,
        effort: Effort,
        trials: int | None,
        out: str | Path | None,
        file: str | None,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.began = time.perf_counter()
        self.theorem, self.seconds, self.key, self.effort = theorem, seconds, key, effort
        self.root = as_key(key)
        self.most, self.file, self.say = trials, file, progress or (lambda line: None)
        self.out = None if out is None else Path(out)
        self.shown_key = key if isinstance(key, int) else str(np.asarray(jax.random.key_data(key)).tolist())
        self.store = Store(out, {
            "theorem": theorem.id, "key": self.shown_key, "effort": list(effort), "version": __version__,
            "source": source_digest(theorem),
        })  # fmt: skip
        self.records: list[TrialRecord] = []
        self.changes: list[list[Change]] = []
        """Of each round; that of the first is filled while its trials are done."""
        self.rounds = 0
        self.found: Counterexample | None = None

    def late(self) -> bool:
        return time.perf_counter() - self.began >= self.seconds

    def full(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.late() or (self.most is not None and len(self.records) >= self.most)

    def run(self) -> None:
        """Round after round, to a find or to the end of the budget."""
        number = 0
        for round_ in itertools.count():
            # In the order of their numbers, whichever process did them first.
            before = sorted(self.records, key=lambda record: record.number)
            proposals = propose(self.theorem, self.root, round_, before, self.late)
            self.changes.append(proposals.changes)
            self.rounds = round_ + 1
            # Trials of a round know the rounds before it alone, so that they may be done in any order.
            waiting: list[tuple[int, Place, bool]] = []
            for place in proposals.places:
                if number and self.full() and not self._kept(number):
                    return
                locate = place in proposals.locating
                if not self.trial(number, round_, place, before, locate):
                    waiting.append((number, place, locate))
                number += 1
                if self.found is not None:
                    return
            while waiting and self.found is None and not self.full():
                time.sleep(PAUSE)
                waiting = [one for one in waiting if not self.trial(one[0], round_, one[1], before, one[2])]
            if round_ == 0 and self.records and all(record.note for record in self.records):
                raise ValueError(
                    f"predict: theorem {self.theorem.id!r} predicts nothing on any of its instances, so that nothing can be "
                    f"searched for; the first: {self.records[0].note}"
                )

    def _kept(self, number: int) -> bool:
        """Whether the next trial is finished already, so that it costs nothing to go on."""
        return (self.most is None or len(self.records) < self.most) and self.store.load(number) is not None

    def trial(self, number: int, round_: int, place: Place, before: list[TrialRecord], locate: bool) -> bool:
        """One trial, from the folder where it is finished there; False where another process is at work on it."""
        kept = self.store.load(number)
        if kept is not None and not kept.violated:
            self.records.append(kept)
            return True
        instance = instance_at(self.theorem, self.root, place)
        if instance is None:
            return True
        try:
            lock = self.store.claim(number)
        except BlockingIOError:
            return False
        try:
            known = known_ends(before, instance.problem)
            began = time.perf_counter()
            tried = run_trial(
                self.theorem, instance, place, number, round_, self.root, self.effort, known, self.late, locate=locate
            )
            # A trial that the end of the budget has shortened is not what the same search would do again.
            if not self.late() or tried.violations:
                self.store.save(tried.record)
        finally:
            if lock is not None:
                lock.release()
        self.records.append(tried.record)
        self.say(line_of(tried.record, time.perf_counter() - began))
        if tried.violations:
            self.found = self.counterexample(place, instance, tried)
        return True

    def counterexample(self, place: Place, instance: Any, tried: Tried) -> Counterexample:
        """The violation with the largest residual over tolerance, of values first, reduced, rounded and saved."""
        worst = max(tried.violations, key=lambda one: one.residual / max(one.tolerance, 1e-300))
        found = Found(place, instance, tried.record.number, worst)
        self.say(f"claim {worst.claim!r} fails, residual {worst.residual:.3g}: reducing the instance")
        end = time.perf_counter() + max(REDUCTION * self.seconds, 1.0)
        try:
            found = reduced(self.theorem, self.root, found, self.effort, lambda: time.perf_counter() > end)
        except EngineError:
            raise
        except Exception as error:
            # The theorem's own functions need not know the smaller instances, and the find stands without them.
            self.say(f"the instance is kept as it is: reducing it ended with {described(error)}")
        found = rounded(self.theorem, found)
        path = None
        if self.out is not None:
            path = save_counterexample(self.out, self.theorem, self.root, found, self.effort, self.file)
        name = self.file or self.theorem.id
        again = f"nctheory falsify {name} --key {self.shown_key} --seeds {self.effort.seeds} --seconds {self.seconds:g}"
        return Counterexample(
            theorem=self.theorem.id,
            claim=found.violation.claim,
            kind=next(one.kind for one in self.theorem.claims if one.name == found.violation.claim),
            parameters=dict(found.instance.parameters),
            predicted=predicted_number(self.theorem, found.violation.claim, found.instance.problem),
            value=found.violation.value,
            residual=found.violation.residual,
            tolerance=found.violation.tolerance,
            note=found.violation.note,
            place=found.place.plain(),
            point=found.violation.point,
            digits=found.digits,
            command=again if path is None else check_command(self.file, path),
            file=None if path is None else str(path),
        )

    def result(self, outcome: SearchOutcome, reason: str = "") -> Falsification:
        """What the search came to."""
        starts, optimisers = Counter[str](), Counter[str]()
        changes = [one for some in self.changes for one in some]
        for record in self.records:
            starts.update(record.starts)
            optimisers.update(record.optimisers)
        return Falsification(
            theorem=self.theorem.id,
            outcome=outcome,
            found=self.found,
            reason=reason,
            trials=len(self.records),
            rounds=self.rounds,
            starts=dict(starts),
            optimisers=dict(optimisers),
            shapes=len({record.shape for record in self.records}),
            tightest=tightest(self.records),
            thresholds=len(changes),
            nearest_threshold=nearest(self.records, changes),
            unjudged=sum(bool(record.note) for record in self.records),
            key=self.shown_key,
            seconds=time.perf_counter() - self.began,
            undecided=tuple(
                one.name for one in self.theorem.claims if not any(one.name in record.ratios for record in self.records)
            ),
        )


__all__ = ["falsify"]
