"""PyTorch as published scripts use it: one seed after the other, autograd, torch.optim.SGD on the full batch.

Once with the step that suits the job best, and once with the settings of the synthetic experiments of Dang et al., ICML 2023
(their `synthetic_experiment_imbalanced.py`: step 0.1, momentum 0.9), which are not tuned to the job.
"""

# pyright: reportMissingImports=false

from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.descent import CHECK, best_step
from benchmarks.gradients import forward, one_hot, split
from benchmarks.jobs import TOLERANCE, Job, starts
from benchmarks.peers import Ends, Peer, Prepared


def objective(job: Job) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
    """The objective of one seed, with PyTorch's own losses."""
    labels = torch.repeat_interleave(torch.arange(job.classes), job.per_class)
    targets = torch.from_numpy(one_hot(job))

    def value(params: Sequence[torch.Tensor]) -> torch.Tensor:
        logits = forward(job, list(params))[-1]
        if job.loss == "cross_entropy":
            fit = torch.nn.functional.cross_entropy(logits.mT, labels)
        else:
            fit = 0.5 * (logits - targets).square().sum() / job.samples
        decayed = params[:-1] if job.bias else params
        return fit + 0.5 * job.decay * sum(param.square().sum() for param in decayed)

    return value


RATE, MOMENTUM, ITERATIONS = 0.1, 0.9, 200_000
"""The published settings, and the steps after which they give up; the script stops after 30,000, whatever the gradient."""


def prepare_tuned(job: Job) -> Prepared:
    """The constant step that needs the fewest gradients, without momentum."""
    step = best_step(job)
    return prepare(job, step.length, 0.0, step.limit)


def prepare(job: Job, rate: float, momentum: float, limit: int) -> Prepared:
    """A fresh optimiser for each seed; the gradient norm is looked at now and then."""
    value = objective(job)

    def solve(start: np.ndarray) -> tuple[np.ndarray, int]:
        params = [torch.nn.Parameter(part.clone()) for part in split(job, torch.from_numpy(start.copy()))]
        optimiser = torch.optim.SGD(params, lr=rate, momentum=momentum)
        count = 0
        while count < limit:
            optimiser.zero_grad()
            value(params).backward()
            count += 1
            if count % CHECK == 0:
                square = sum(float(param.grad.square().sum()) for param in params if param.grad is not None)
                if not square > TOLERANCE**2:
                    break
            optimiser.step()
        return np.concatenate([param.detach().numpy().ravel() for param in params]), count

    def run(seeds: int) -> Ends:
        points, counts = zip(*(solve(start) for start in starts(job, seeds)), strict=True)
        return Ends(np.stack(points), float(np.mean(counts)))

    first = [part.requires_grad_() for part in split(job, torch.from_numpy(starts(job, 1)[0].copy()))]
    return Prepared(run, lambda: value(first).backward())


PEERS = [
    Peer("torch autograd loop", prepare_tuned, most=lambda job: job.tuned),
    Peer("torch loop, published settings", lambda job: prepare(job, RATE, MOMENTUM, ITERATIONS), most=lambda job: 1),
]
