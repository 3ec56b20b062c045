"""The result of running many chains."""

from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.engine import shown
from nctheory.problems import Params
from nctheory.sampling._statistics import PooledMoments, effective_size, merged


@shown()
class Chains(NamedTuple):
    """Many chains of a stochastic process; arrays of single chains have a leading axis `chains`.

    A chain that stops being finite is lost: it is in no mean over chains, at no time, and its own numbers stay as they came.
    """

    numbers: np.ndarray
    """The numbers of the chains: a chain's path depends on the key and on its own number."""
    steps: np.ndarray
    """After how many steps was recorded; without an axis of chains, as are the moments."""
    values: Any
    """What was observed, a pytree of arrays chains x steps x …."""
    params: Params
    """Where each chain ended."""
    momenta: np.ndarray | None
    """The momenta there, chains x P in the order of `ravel`; None for a kind without."""
    lost_at: np.ndarray
    """The first step at which a chain was seen not to be finite; -1 for a chain that was followed to its end."""
    moments: PooledMoments
    """Mean and covariance of the parameters over the chains that were followed, at every recorded step."""
    running_mean: Any
    """The mean over counted steps of what is observed, of each chain; None where none were counted."""
    running_variance: Any
    """Its variance without bias, entry by entry; None likewise."""
    waits: np.ndarray
    """The waiting times t_w, in steps."""
    lags: np.ndarray
    """The lags t, in steps."""
    displacement: np.ndarray | None
    r"""$|x(t_w+t)-x(t_w)|^2$ of each chain, chains x waits x lags; None where no waits were asked for."""
    correlation: np.ndarray | None
    r"""$\langle x(t_w+t),x(t_w)\rangle$ of each chain, chains x waits x lags; None likewise."""
    acceptance: np.ndarray | None
    """The share of proposals that each chain accepted; None for a kind without."""

    @property
    def followed(self) -> np.ndarray:
        """The mask of the chains that were finite wherever they were looked at."""
        return self.lost_at < 0

    def counts(self) -> dict[str, int]:
        """The number of chains by how they ended."""
        return {"followed": int(self.followed.sum()), "lost": int((~self.followed).sum())}

    def lost(self) -> dict[int, int]:
        """The lost chains, by number, with the first step at which each was seen not to be finite."""
        bad = ~self.followed
        return dict(zip(self.numbers[bad].tolist(), self.lost_at[bad].tolist(), strict=True))

    def pooled(self, after: int = 0) -> PooledMoments:
        """The moments of the parameters over the recorded steps from `after` on, and over chains.

        Raises ValueError where no recorded step is left.
        """
        kept = np.flatnonzero(self.steps >= after)
        if kept.size == 0:
            raise ValueError(f"after: expected at most the last recorded step, {self.steps[-1]}, got {after}")
        parts = [PooledMoments(*(x[i] for x in self.moments)) for i in kept]
        total = parts[0]
        for part in parts[1:]:
            total = merged(total, part)
        return total

    def mean_displacement(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of `displacement` over followed chains, waits x lags, and its standard error: chains are independent.

        Raises ValueError for a run without waits.
        """
        return self._between(self.displacement)

    def mean_correlation(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of `correlation` over followed chains, waits x lags, and its standard error.

        Raises ValueError for a run without waits.
        """
        return self._between(self.correlation)

    def effective_sample_size(self, after: int = 0) -> Any:
        """What the recorded values from step `after` on are worth in independent draws, for each observed number.

        It is `effective_size` of the followed chains. Raises ValueError where fewer than four recorded steps are left, or
        where these are not evenly spaced.
        """
        kept = self._even(after)

        def one(x: np.ndarray) -> np.ndarray:
            series = np.asarray(x[self.followed][:, kept], np.float64).reshape(int(self.followed.sum()), kept.size, -1)
            sizes = [effective_size(series[..., i]) for i in range(series.shape[-1])]
            return np.asarray(sizes).reshape(x.shape[2:])

        return jax.tree.map(one, self.values)

    def standard_error(self, after: int = 0) -> Any:
        """The standard error of the mean of each observed number over chains and recorded steps from `after` on.

        It is the root of the variance over the effective sample size. Raises ValueError as `effective_sample_size` does.
        """
        kept = self._even(after)

        def one(x: np.ndarray, size: np.ndarray) -> np.ndarray:
            return np.sqrt(np.var(np.asarray(x[self.followed][:, kept], np.float64), axis=(0, 1)) / size)

        return jax.tree.map(one, self.values, self.effective_sample_size(after))

    def _between(self, kept: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        if kept is None:
            raise ValueError("waits: expected some in the run, got none; give `waits` and `lags` to `langevin`")
        return _mean_and_error(kept[self.followed])

    def _even(self, after: int) -> np.ndarray:
        kept = np.flatnonzero(self.steps >= after)
        if kept.size < 4 or np.ptp(np.diff(self.steps[kept])) > 0:
            raise ValueError(
                f"after: expected at least 4 evenly spaced recorded steps from {after} on, got {self.steps[kept].tolist()}"
            )
        if not np.any(self.followed):
            raise ValueError(f"after: expected a chain that was followed, all {len(self.numbers)} were lost")
        return kept


def _mean_and_error(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the first axis and its standard error; NaN where there are too few."""
    if len(x) < 2:
        nothing = np.full(x.shape[1:], np.nan)
        return (x[0] if len(x) else nothing), nothing
    return np.mean(x, axis=0), np.std(x, axis=0, ddof=1) / np.sqrt(len(x))
