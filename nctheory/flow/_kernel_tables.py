"""What the kernels of a solve are made of: problems that have them, the solver's constants, the records as arrays."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import EPS, Array
from nctheory.flow import _chebyshev, _handover, _ode, _polish
from nctheory.flow._record import Record
from nctheory.flow._stages import Stage
from nctheory.flow._tsit5 import TABLEAU
from nctheory.kernels import MAX_LAYERS, Arrays, Shape
from nctheory.problems import DeepLinear, Family, Loss, Problem, SphericalFeatures, is_loss

REALS = ("step", "time", "value", "grad_norm", "peak", "trigger", "radius", "tolerance", "length")
"""The numbers of a record, in the order in which the kernels have them."""
COUNTS = ("steps", "attempts", "stage")
"""Its whole numbers, after which the member comes."""
NAMED = {
    _polish: "STEPS_PER_BLOCK MEMORY SUFFICIENT_DECREASE SHRINK MIN_SHRINK MAX_POLISH_STEPS",
    _handover: "NEWTON_ITERATIONS PROBE_ITERATIONS NEWTON_RESIDUAL FINAL_RESIDUAL PROBE_RESIDUAL MAX_CONTRACTION BALL_RADIUS "
    "MAX_STEP LATE_ATTEMPTS MAX_LATE_STEP RETRY_FACTOR PROBE_SHIFT MAX_PROBE_SHIFT NEWTON_DECREASE REPEAT_DECREASE "
    "RESOLVED_STEP MAX_ATTEMPTS",
    _ode: "OVERFLOW_SHRINK",
    _chebyshev: "DAMPING STABILITY MIN_STAGES MAX_STAGES FIRST_POWER_ITERATIONS POWER_ITERATIONS",
}
"""The constants that the kernels share with the stages, by the module that defines them."""


def kernel_shape(problem: Problem) -> Shape | None:
    """The shape of a problem that has kernels; None for any other.

    Under the library's own cross-entropy (smoothed or not) or squared error these are the chains of two to four free factors,
    with any bias, any targets, weights and decays, one column a sample or a class, and any law of starts; and features on
    spheres, with any classifier.

    >>> import nctheory as nct
    >>> def model(loss):
    ...     return nct.unconstrained_features(counts=(2, 2), dim=3, loss=loss, weight_decay=(0.1, 0.1))
    >>> kernel_shape(model("mse")), kernel_shape(model(nct.losses.focal(1.0)))
    (Shape(classes=2, dim=3, columns=4, cross_entropy=False, bias=False, hidden=(), spheres=''), None)
    """
    if type(problem) is SphericalFeatures and _known(problem.loss):
        entropy, columns = is_loss(problem.loss, "cross_entropy"), sum(problem.counts)
        return Shape(problem.classes, problem.dim, columns, entropy, bias=False, spheres=problem.classifier)
    if type(problem) is not DeepLinear or problem.factors != problem.depth + 1 or problem.depth > MAX_LAYERS:
        return None
    if problem.bias_row is not None or not _known(problem.loss):
        return None
    dim, *hidden, classes = problem.widths
    entropy = is_loss(problem.loss, "cross_entropy")
    return Shape(classes, dim, problem.targets.shape[1], entropy, problem.bias_decay is not None, tuple(hidden))


def _known(loss: Loss) -> bool:
    return is_loss(loss, "cross_entropy") or is_loss(loss, "mse")


@cache
def constants() -> dict[str, int | float]:
    """The constants of the stages, by the names that the kernels have for them."""
    found: dict[str, int | float] = {stage.name: int(stage) for stage in Stage}
    for module, names in NAMED.items():
        found |= {name: getattr(module, name) for name in names.split()}
    controller = diffrax.PIDController(rtol=0.0, atol=1.0)
    return found | {
        "EPS": float(EPS),
        "FLOW_STEPS": _ode.ACCURATE.steps,
        "STIFF_STEPS": _ode.STABILISED.steps,
        "FLOW_ORDER": _order(_ode.UNROLLED),
        "STIFF_ORDER": _order(_ode.STABILISED),
        "SAFETY": float(controller.safety),
        "FACTOR_MIN": float(controller.factormin),
        "FACTOR_MAX": float(controller.factormax),
        "CURVATURE_SAFETY": _chebyshev.SAFETY,
    }


def _order(integrator: _ode.Integrator) -> float:
    return float(integrator.solver.error_order(None))


@cache
def tables() -> dict[str, Any]:
    """The weights of the flow's method of order five."""
    lower = tuple(tuple(map(float, row)) for row in TABLEAU.a_lower)
    return {"TSIT5_LOWER": lower, "TSIT5_ERROR": tuple(map(float, TABLEAU.b_error))}


def directions(numbers: int) -> np.ndarray:
    """The random directions of Newton's tests and of the stabilised method, 2 x P."""
    first = np.asarray(_handover.random_direction(np.zeros(numbers)))
    state = _ode.STABILISED.solver.init(diffrax.ODETerm(lambda t, y, args: y), 0.0, 1.0, jnp.zeros(numbers), None)
    return np.stack([first, np.asarray(state.direction)])


def members(family: Family, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the members among these contexts, a row each, and which of them every context is."""
    if np.all(contexts == contexts[:1]):
        distinct, place = contexts[:1], np.zeros(len(contexts), np.int64)
    else:
        distinct, place = np.unique(contexts, axis=0, return_inverse=True)
    return np.stack([_member(family.at(one)) for one in distinct]), np.ravel(place)


def _member(problem: Any) -> np.ndarray:
    if isinstance(problem, SphericalFeatures):
        return _on_spheres(problem)
    decay_b = 0.0 if problem.bias_decay is None else float(problem.bias_decay)
    columns: Sequence[Any] = (problem.targets, problem.column_weight, problem.multiplicity)
    return np.concatenate([*(np.ravel(np.asarray(x)) for x in columns), np.asarray(problem.weight_decay), [decay_b]])


def _on_spheres(problem: SphericalFeatures) -> np.ndarray:
    """The same of features on spheres: equal weights, no decay but that of the classifier, then both lengths."""
    targets = np.asarray(problem.loss.encode(np.eye(problem.classes)))[:, problem.labels]
    columns = targets.shape[1]
    decayed, size = problem.classifier == "decay", float(problem.size)
    decays = [size if decayed else 0.0, 0.0, 0.0, float(problem.radius), size]
    given = [] if problem.given is None else [np.ravel(np.asarray(problem.given))]
    return np.concatenate([np.ravel(targets), np.full(columns, 1 / columns), np.zeros(columns), decays, *given])


@jax.jit
def packed(records: Record, member: Array) -> tuple[Array, ...]:
    """Points, anchors, numbers and whole numbers of stacked records."""
    reals = jnp.stack([getattr(records, name).astype(float) for name in REALS], axis=1)
    counts = jnp.stack([*(getattr(records, name).astype(int) for name in COUNTS), member.astype(int)], axis=1)
    return records.point, records.anchor, reals, counts


def unpacked(records: Record, arrays: Arrays) -> Record:
    """The records with what the kernels have made of them."""
    reals = {name: arrays.reals[:, i] for i, name in enumerate(REALS)}
    counts = {name: arrays.counts[:, i] for i, name in enumerate(COUNTS)}
    return records._replace(point=arrays.points, anchor=arrays.anchors, **reals, **counts)
