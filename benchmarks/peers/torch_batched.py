"""PyTorch: gradient descent on batches, by batched products with the gradient by hand, or by vmap of autograd."""

# pyright: reportMissingImports=false

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.descent import best_step, descend
from benchmarks.gradients import Arrays, gradient, join, one_hot, split
from benchmarks.jobs import Job, starts
from benchmarks.peers import Ends, Peer, Prepared
from benchmarks.peers.torch_loop import objective

Gradient = Callable[[Arrays], Arrays]


def by_hand(job: Job) -> Gradient:
    """Batched matrix products."""
    targets = torch.from_numpy(one_hot(job))
    return lambda params: gradient(job, params, targets, lambda logits: torch.softmax(logits, dim=-2))


def by_vmap(job: Job) -> Gradient:
    """`torch.func.vmap(grad)` of the objective of one seed."""
    one = torch.func.grad(objective(job))
    batched = torch.func.vmap(lambda params: one(params))
    return lambda params: list(batched(tuple(params)))


def prepare_descent(make: Callable[[Job], Gradient]) -> Callable[[Job], Prepared]:
    """Descent in batches that fit in the cache, with either gradient."""

    def prepare(job: Job) -> Prepared:
        step, slope_of = best_step(job), make(job)

        def run(seeds: int) -> Ends:
            points, counts = [], []
            for begin in range(0, seeds, job.rows):
                batch = np.array(starts(job, seeds)[begin : begin + job.rows])
                params = [part.clone() for part in split(job, torch.from_numpy(batch))]
                with torch.no_grad():
                    ends, evaluations = descend(slope_of, params, step.length, step.limit)
                points.append(join(ends))
                counts.append(evaluations)
            return Ends(np.concatenate(points), float(np.concatenate(counts).mean()))

        batch = split(job, torch.from_numpy(np.array(starts(job, job.rows))))
        return Prepared(run, lambda: slope_of(batch))

    return prepare


PEERS = [
    Peer("torch bmm descent", prepare_descent(by_hand), lambda job: job.rows, lambda job: job.tuned),
    Peer("torch vmap(grad) descent", prepare_descent(by_vmap), lambda job: job.rows, lambda job: job.tuned),
]
