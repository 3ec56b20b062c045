"""A million seeds of one problem: every seed's outcome, and the parameters of the worst few."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.certificates import certify, gap_closed
from nctheory.engine import float64, is_finite, shown, untraced
from nctheory.flow import Ensemble, Options, Status, as_key, as_seeds, solve
from nctheory.problems import Problem
from nctheory.sweeps._device_blocks import Seen, on_accelerator, worst_first

BLOCK = 4_096
"""Seeds whose parameters are held at a time on a CPU."""


@shown()
class Survey(NamedTuple):
    """What became of every seed; arrays with a leading axis `seeds`, about 48 bytes a seed."""

    seeds: np.ndarray
    value: np.ndarray
    grad_norm: np.ndarray
    gap: np.ndarray
    """Value minus the certified lower bound of the global minimum; infinite where there is none."""
    rounding: np.ndarray
    """Rounding error of the gap."""
    status: np.ndarray
    steps: np.ndarray
    """Gradient evaluations."""
    worst: Ensemble
    """The seeds to look at first, with parameters: those that did not converge, then those of the largest gap."""
    reason: str | None
    """Why there is no certificate, or why a gap may persist (see `certify`)."""

    @property
    def converged(self) -> np.ndarray:
        """Mask of the converged seeds."""
        return self.status == int(Status.CONVERGED)

    @property
    def certified(self) -> np.ndarray:
        """Mask of the seeds that converged to the global minimum, to a relative gap of 1e-9 and rounding."""
        return self.converged & gap_closed(self.gap, self.value, self.rounding)

    def counts(self) -> dict[str, int]:
        """Number of seeds by status, and of certified ones."""
        by_status = {status.name.lower(): int(np.sum(self.status == int(status))) for status in Status}
        return {**by_status, "certified": int(np.sum(self.certified))}

    def minima(self, digits: int = 6) -> dict[float, int]:
        """Values reached by converged seeds, to `digits` significant digits, with their numbers."""
        reached = self.value[self.converged]
        # Rounding to `digits` significant digits: the last of them has the place of 10^(floor(log10 |v|) + 1 - digits).
        scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.maximum(np.abs(reached), np.finfo(float).tiny))))
        values, numbers = np.unique(np.round(reached * scale) / scale, return_counts=True)
        return dict(zip(values.tolist(), numbers.tolist(), strict=True))


@untraced("for many members of a family there are `solve_many` and `sweep`")
@float64
def survey(
    problem: Problem,
    seeds: int | Sequence[int] | np.ndarray = 100_000,
    key: int | PRNGKeyArray = 0,
    *,
    keep: int = 16,
    block: int | None = None,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> Survey:
    """Solve and certify very many seeds in bounded memory: everything scalar is kept, of the parameters only the worst.

    Seeds run in blocks of `block`, by default 4,096 on a CPU and 65,536 elsewhere; what each block leaves behind are value,
    gradient norm, duality gap, status and step count of each seed, and the parameters of the `keep` worst so far. `options`
    go to `solve`; a seed's outcome is the same as there. Time is linear in the number of seeds. Raises ValueError for `keep`
    or `block` below 1 and for what `solve`
    refuses.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> outcome = nct.survey(model, seeds=40, block=16)
    >>> outcome.counts()["certified"], outcome.minima()
    (40, {0.242843: 40})
    """
    numbers, root = as_seeds(seeds), as_key(key)
    for name, number in (("keep", keep), ("block", block)):
        if number is not None and not (is_finite(number) and number >= 1):
            raise ValueError(f"{name}: expected at least 1, got {number}")
    chosen = Options(progress=progress, **options)
    chosen.check()
    # A CPU among the devices decides the road: the solver's own on the host, or blocks that stay on the accelerator.
    devices = chosen.devices or jax.local_devices()
    platform = "cpu" if any(device.platform == "cpu" for device in devices) else None
    return survey_blocks(problem, numbers, root, keep, block, chosen, platform)


def survey_blocks(
    problem: Problem,
    numbers: np.ndarray,
    root: PRNGKeyArray,
    keep: int,
    block: int | None,
    options: Options,
    platform: str | None,
) -> Survey:
    """`survey` by the road of a platform: of "cpu", or of an accelerator, None being that of the devices."""
    if platform == "cpu":
        size = BLOCK if block is None else block
        begins = range(0, len(numbers), size)
        blocks = (_on_host(problem, numbers[begin : begin + size], root, keep, options) for begin in begins)
    else:
        blocks = on_accelerator(problem, numbers, root, keep, options, block=block, platform=platform)
    # Of all blocks the numbers are kept; of the worst seeds those of the new block compete with the ones kept so far.
    parts, worst, reason = [], None, None
    for seen in blocks:
        parts.append(seen.columns)
        reason = reason or seen.reason
        candidates = (seen.worst, seen.gap) if worst is None else _joined(worst, (seen.worst, seen.gap))
        worst = _worst(*candidates, keep)
    assert worst is not None  # there is at least one seed
    value, grad_norm, gap, rounding, status, steps = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Survey(numbers, value, grad_norm, gap, rounding, status, steps, worst[0], reason)


def _on_host(problem: Problem, numbers: np.ndarray, root: PRNGKeyArray, keep: int, options: Options) -> Seen:
    """A block by way of `solve`, whose ensemble is certified."""
    ensemble = solve(problem, numbers, root, **options._asdict())
    bound = certify(problem, ensemble.params)
    columns = (ensemble.value, ensemble.grad_norm, bound.gap, bound.gap_rounding, ensemble.status, ensemble.steps)
    return Seen(columns, *_worst(ensemble, bound.gap, keep), bound.reason)


def _worst(ensemble: Ensemble, gap: np.ndarray, keep: int) -> tuple[Ensemble, np.ndarray]:
    order = worst_first(ensemble.value, gap, ensemble.converged, keep)
    return _map(lambda x: x[order], ensemble), gap[order]


def _joined(one: tuple[Ensemble, np.ndarray], other: tuple[Ensemble, np.ndarray]) -> tuple[Ensemble, np.ndarray]:
    return _map(lambda a, b: np.concatenate([a, b]), one[0], other[0]), np.concatenate([one[1], other[1]])


def _map(function: Callable[..., np.ndarray], *ensembles: Ensemble) -> Ensemble:
    """`function` on every array that has a seeds axis."""
    first = ensembles[0]
    return jax.tree.map(lambda *xs: function(*map(np.asarray, xs)) if np.ndim(xs[0]) else xs[0], first, *ensembles[1:])
