"""Trained networks brought nearer to a stationary point, by a quasi-Newton method in double precision."""

import contextlib
import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from threadpoolctl import threadpool_limits

from nctheory.engine import Array, fast_compile, float64, in_float64, untraced, whole_number
from nctheory.networks._network import Network
from nctheory.networks._train import TrainedNetworks, summarise
from nctheory.problems import ravel, unravel

MEMORY = 10
"""The pairs of steps and changes of gradient that L-BFGS keeps (conventional; 30 ended no lower and took twice the time)."""


@untraced()
@float64
def polish(
    trained: TrainedNetworks,
    *,
    grad_norm: float = 1e-6,
    evaluations: int = 2000,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> TrainedNetworks:
    """Bring every seed to a gradient of norm `grad_norm` at most, by L-BFGS (SciPy's) on all samples.

    It ends where that norm is reached, after so many `evaluations` of the gradient, or where no step lowers the objective any
    more, as at a kink of ReLUs: `TrainedNetworks.grad_norm` says how far each seed came. No seed ends at a larger
    objective than it began with; one that is not finite stays as it is. `progress` is called with the number of seeds done.

    Raises ValueError, naming the argument, for a norm or a number of evaluations that is not positive.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> network = nct.networks.network_on(mixture, (5, 5), weight_decay=1e-2, activation="tanh")
    >>> ends = polish(nct.networks.train(network, seeds=2, steps=100))
    >>> bool((ends.grad_norm < 1e-6).all())
    True
    """
    if not (np.isfinite(grad_norm) and grad_norm > 0):
        raise ValueError(f"grad_norm: expected a positive number, got {grad_norm!r}")
    most = whole_number("evaluations", evaluations)
    network = jax.tree.map(jnp.asarray, trained.network)

    @in_float64  # settings of JAX are those of a thread
    def one(seed: int) -> np.ndarray:
        start = np.asarray(ravel(jax.tree.map(lambda x: np.asarray(x[seed]), trained.params)))
        end = _descend(network, start, grad_norm, most) if trained.finite[seed] else start
        if progress is not None:
            progress(1)
        return end

    threads = workers or (os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1)
    # SciPy's vectors are small: shared out over threads, their arithmetic took twenty times as long (measured).
    with threadpool_limits(1), ThreadPoolExecutor(max(1, min(threads, len(trained.seeds)))) as pool:
        ends = np.stack(list(pool.map(one, range(len(trained.seeds)))))
    return summarise(network, trained.seeds, unravel(network, ends), trained.steps)._replace(passed=trained.passed)


@fast_compile
def _value_and_slope(network: Network, vector: Array) -> tuple[Array, Array]:
    value, slope = network.value_and_grad(unravel(network, vector))
    return jnp.asarray(value), ravel(slope)


@dataclasses.dataclass
class _Best:
    """The point of least objective that was evaluated, and whether its gradient is small enough to end there."""

    value: float
    point: np.ndarray


def _descend(network: Network, start: np.ndarray, enough: float, most: int) -> np.ndarray:
    """L-BFGS from one start, until the Euclidean norm of the gradient is `enough`."""
    best = _Best(np.inf, start)

    def evaluate(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = (np.asarray(x) for x in _value_and_slope(network, vector, light=False))
        # What ends the search is the best point of all, not the last one: a line search may end on a worse one.
        if value < best.value:
            best.value, best.point = float(value), vector.copy()
        if np.linalg.norm(slope) <= enough:
            best.point = vector.copy()
            raise StopIteration
        return float(value), slope

    options = {"maxcor": MEMORY, "maxfun": most, "maxiter": most, "ftol": 0.0, "gtol": 0.0}
    with contextlib.suppress(StopIteration):
        scipy.optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
    return best.point
