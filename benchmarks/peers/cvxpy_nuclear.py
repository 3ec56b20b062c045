"""CVXPY: the convex program in the logits, whose penalty is the nuclear norm; it gives the optimum's value only."""

import cvxpy as cp
import numpy as np

from benchmarks.gradients import one_hot
from benchmarks.jobs import Job
from benchmarks.peers import Ends, Peer, Prepared

MAX_ENTRIES = 100


def prepare(job: Job) -> Prepared:
    """min over Z and b of the fit plus sqrt(lambda_W lambda_H) |Z|_*, which is the model's minimum for d >= rank Z."""
    targets = one_hot(job)

    def run(seeds: int) -> Ends:
        product = cp.Variable(targets.shape)
        shift = cp.Variable((job.classes, 1)) if job.bias else np.zeros((job.classes, 1))
        logits = product + shift @ np.ones((1, job.samples))
        if job.loss == "cross_entropy":
            fit = cp.sum(cp.log_sum_exp(logits, axis=0)) - cp.sum(cp.multiply(targets, logits))
        else:
            fit = 0.5 * cp.sum_squares(logits - targets)
        program = cp.Problem(cp.Minimize(fit / job.samples + job.decay * cp.normNuc(product)))
        program.solve()
        return Ends(points=None, value=float(np.asarray(program.value)))

    return Prepared(run)


def unfit(job: Job) -> str | None:
    """Interior-point solvers take minutes on larger logits."""
    if job.hidden:
        return "more than two factors: the program is not convex"
    entries = job.classes * job.samples
    return f"{entries} logits, the limit here is {MAX_ENTRIES}" if entries > MAX_ENTRIES else None


PEERS = [Peer("cvxpy nuclear norm", prepare, unfit=unfit, several=False)]
