"""`solve`: many seeds to the end of the gradient flow, with a fast polish that stays in the basin."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import as_key, float64, untraced
from nctheory.flow._items import FlowPrecision, Method, Options, solve_items
from nctheory.flow._kernel_road import Kernel
from nctheory.flow._record import Record
from nctheory.flow._stages import Stage
from nctheory.flow._status import Ensemble, Status
from nctheory.problems import Problem, as_family, unravel


def as_seeds(seeds: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """The seed numbers of a count or of an explicit list."""
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"seeds: expected at least 1, got {seeds}")
        return np.arange(int(seeds))
    listed = np.asarray(seeds)
    if listed.ndim != 1 or listed.size == 0 or not np.issubdtype(listed.dtype, np.integer) or listed.min() < 0:
        raise ValueError(f"seeds: expected a count or a list of whole numbers of at least 0, got {seeds!r}")
    return listed


@untraced("for many members of a family there are `solve_many` and `sweep`, and `jax.grad` of `global_minimum`")
@float64
def solve(
    problem: Problem,
    seeds: int | Sequence[int] | np.ndarray = 256,
    key: int | PRNGKeyArray = 0,
    *,
    method: Method | str = "flow+polish",
    tolerance: float = 1e-10,
    scale: float = 1.0,
    rtol: float = 1e-3,
    switch: float = 0.03,
    budget: int = 200_000,
    chunk: int | None = None,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
    flow_precision: FlowPrecision | str = "float64",
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    light: bool = False,
    kernel: Kernel | str = "auto",
) -> Ensemble:
    r"""Follow the gradient flow $\dot\theta = -\nabla f(\theta)$ from many random starts to critical points.

    `seeds` is a count or a list of seed numbers; seed i starts at `init(fold_in(key, i), scale)` whatever the chunk or
    the devices. `method` is "flow+polish" (adaptive Tsit5 with local error `rtol` per displacement into the basin, then
    Barzilai-Borwein to `tolerance` in the problem's unit of gradients, `Problem.characteristic_scales`, which is 1 for class
    labels), "flow" (only the flow, down to the tolerance), or "polish" (no flow: fast, but it may end in another basin
    than the flow, or at a saddle, which its status does not tell). The hand-over is first tried when the gradient norm has
    fallen to `switch` times its largest, and is granted only in a region of fast Newton convergence with positive
    curvature; see `Ensemble.handovers`. With `flow_precision` "float32" the flow runs in single precision down to the
    first hand-over (on devices without float64 that is all they do, and the host does the rest). `budget` bounds the gradient
    evaluations of one seed, but for two stabilised steps under way (of 4,096 at the most). Seeds run in chunks of `chunk`
    (by default as many as `memory` bytes hold, by default a quarter of what the devices report as free, else 512 MiB), split
    over `devices` (default: all local ones); `workers` chunks run at a time (default: one per core where the only device is
    a CPU). `progress` is called with the size of each finished chunk, possibly from another thread. With `light` the
    program is compiled for few seeds: on a CPU in a third of the time, and to a third to a quarter of the speed. `kernel`
    says who computes on CUDA devices: with "auto" the kernels of `nctheory.kernels`, for problems that have them and
    where CuPy is installed, with "off" XLA alone; "emulate" runs the kernels' source on the CPU, to try it. The ends are
    the same to rounding.

    Where the objective has kinks (`max`, `min`, `abs`, and what is made of them, as ReLU and hinge), found in its program, the
    flow is that of the problem with its kinks rounded off, which tends to the flow that slides along them, and the polish
    narrows the rounding to nothing. `grad_norm` is then the norm of an element of Clarke's subdifferential, at the kinks that
    the end meets to within $10^{-6}$ of their unit, and the tolerance is at least $10^{-5}$. "flow" alone follows the problem
    as it is.

    Returns an `Ensemble` of NumPy float64 arrays with a `Status` per seed: a bad seed never raises, and what kept seeds from
    a critical point is told by `Ensemble.caveat`.
    Raises ValueError, naming the argument, for arguments out of range.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> ensemble = nct.solve(model, seeds=4, key=0)
    >>> {name: number for name, number in ensemble.counts().items() if number}
    {'converged': 4}
    """
    options = Options(
        method, tolerance, scale, rtol, switch, budget, chunk, memory, devices, flow_precision, workers, progress, light,
        kernel,
    )  # fmt: skip
    numbers, root = as_seeds(seeds), as_key(key)
    family, contexts = as_family([problem])
    records = solve_items(family, np.repeat(contexts, len(numbers), axis=0), numbers, root, options)
    return gather_ensemble(problem, numbers, records)


@untraced("for grids of members there is `sweep`")
@float64
def solve_many(
    members: Sequence[Problem],
    seeds: int | Sequence[int] | np.ndarray = 16,
    key: int | PRNGKeyArray = 0,
    **options: Any,
) -> Ensemble:
    """`solve` for many problems that differ only in their numbers (or class counts of one total), with one compiled program.

    The fields of the ensemble have leading axes members x seeds; `seeds` are the same for every member, and seed i of a
    member starts and ends where `solve` of that member alone would. `options` are those of `solve`. Raises ValueError,
    naming the field that differs, for members of different shapes or kinds, and for what `solve` refuses.

    >>> import nctheory as nct
    >>> def model(decay):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))
    >>> ensemble = nct.solve_many([model(0.1), model(0.2)], seeds=3)
    >>> ensemble.value.shape, [round(float(x), 6) for x in ensemble.value[:, 0]]
    ((2, 3), [0.242843, 0.405685])
    """
    unknown = sorted(set(options) - set(Options._fields))
    if unknown:
        raise ValueError(f"options: expected some of {', '.join(Options._fields)}, got {', '.join(unknown)}")
    chosen, numbers, root = Options(**options), as_seeds(seeds), as_key(key)
    family, contexts = as_family(members)
    count = len(numbers)
    records = solve_items(family, np.repeat(contexts, count, axis=0), np.tile(numbers, len(members)), root, chosen)
    flat = gather_ensemble(family.template, np.tile(numbers, len(members)), records)
    return jax.tree.map(
        lambda x: np.asarray(x).reshape(len(members), count, *np.shape(x)[1:]) if np.ndim(x) else x, flat
    )


def status_of(stages: np.ndarray) -> np.ndarray:
    """The `Status` codes of records that ended in these stages."""
    status = np.full(len(stages), int(Status.STALLED), dtype=np.int8)
    for stage in Stage:
        if stage.status is not None:
            status[stages == stage] = stage.status
    return status


def gather_ensemble(problem: Problem, numbers: np.ndarray, records: Record) -> Ensemble:
    """The records of finished seeds as an `Ensemble`."""
    params = unravel(problem, records.point)
    return Ensemble(
        seeds=numbers,
        value=np.asarray(records.value),
        grad_norm=np.asarray(records.grad_norm),
        status=status_of(np.asarray(records.stage)),
        params=params,
        steps=np.asarray(records.steps),
        flow_time=np.asarray(records.time),
        handovers=np.asarray(records.attempts),
        peak_grad_norm=np.asarray(records.peak),
        tolerance=float(np.max(records.tolerance)),
    )


__all__ = ["Method", "as_key", "as_seeds", "solve", "solve_many"]
