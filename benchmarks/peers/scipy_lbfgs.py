"""SciPy: L-BFGS-B, one seed after the other, gradient by hand."""

import numpy as np
import scipy.optimize

from benchmarks.gradients import one_hot, value_and_gradient
from benchmarks.jobs import TOLERANCE, Job, starts
from benchmarks.peers import Ends, Peer, Prepared

OPTIONS = {"ftol": 0.0, "gtol": 0.0, "maxiter": 100_000, "maxfun": 100_000, "maxcor": 10, "maxls": 40}


def prepare(job: Job) -> Prepared:
    """Meant to stop at the Euclidean norm of the gradient; it stops before that when the value no longer falls."""
    targets = one_hot(job)

    def solve(start: np.ndarray) -> tuple[np.ndarray, int]:
        count, norm = 0, np.inf

        def fun(point: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal count, norm
            value, slope = value_and_gradient(job, point, targets)
            count, norm = count + 1, float(np.linalg.norm(slope))
            return value, slope

        def watch(point: np.ndarray) -> None:
            if norm <= TOLERANCE:  # that of the last point tried, which is the one accepted
                raise StopIteration

        end = scipy.optimize.minimize(fun, start, jac=True, method="L-BFGS-B", callback=watch, options=OPTIONS)
        return end.x, count

    def run(seeds: int) -> Ends:
        points, counts = zip(*(solve(start) for start in starts(job, seeds)), strict=True)
        return Ends(np.stack(points), float(np.mean(counts)))

    first = starts(job, 1)[0]
    return Prepared(run, lambda: value_and_gradient(job, first, targets))


PEERS = [Peer("scipy L-BFGS-B loop", prepare)]
