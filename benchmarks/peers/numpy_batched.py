"""NumPy: gradient descent on batches of seeds, gradient by hand, best constant step."""

import numpy as np

from benchmarks.descent import best_step, descend
from benchmarks.gradients import join, numpy_gradient, split
from benchmarks.jobs import Job, starts
from benchmarks.peers import Ends, Peer, Prepared


def prepare(job: Job) -> Prepared:
    """Descent in batches that fit in the cache."""
    step, gradient = best_step(job), numpy_gradient(job)

    def run(seeds: int) -> Ends:
        points, counts = [], []
        for begin in range(0, seeds, job.rows):
            batch = starts(job, seeds)[begin : begin + job.rows]
            params = [part.copy() for part in split(job, batch)]
            ends, evaluations = descend(gradient, params, step.length, step.limit)
            points.append(join(ends))
            counts.append(evaluations)
        return Ends(np.concatenate(points), float(np.concatenate(counts).mean()))

    batch = split(job, starts(job, job.rows))
    return Prepared(run, lambda: gradient(batch))


PEERS = [Peer("numpy batched descent", prepare, lambda job: job.rows, lambda job: job.tuned)]
