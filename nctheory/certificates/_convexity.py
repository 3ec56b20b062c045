"""Whether a user's loss is what its certificate needs: a counterexample found on a fixed sample forbids the certificate."""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates._fenchel import wrong_conjugate
from nctheory.certificates._loss_points import loss_at
from nctheory.engine import EPS, Array, fast_compile, is_traced
from nctheory.problems import (
    CrossEntropy,
    DeepLinear,
    DeepNonlinear,
    FixedClassifier,
    Focal,
    Loss,
    MeanSquaredError,
    PickAllLabel,
    SphericalFeatures,
)

OUR_OWN = (MeanSquaredError, CrossEntropy, Focal, PickAllLabel)
"""The losses whose convexity or profile is proved; a subclass is not one of them, because it may override anything."""
SAMPLES = 512
ROUNDING = 256 * EPS
SIZES = (0.1, 1.0, 5.0, 20.0)
"""The typical sizes of the sampled logits."""
SCALES = (1e-2, 0.1, 1.0, 5.0, 20.0, 100.0)
"""The typical sizes of the ends of the sampled segments, in units of the targets."""
ROUNDS = 12
"""The least number of segments of every column."""


@fast_compile
def _value(loss: Loss, logits: Array, targets: Array) -> Array:
    return jnp.asarray(loss.value(logits, targets))


@fast_compile
def _along(loss: Loss, centre: Array, step: Array, own: Array, targets: Array) -> tuple[Array, ...]:
    r"""The steps v taken, and for the ends a, b of each and its middle c the numbers $\ell(a)+\ell(b)-2\ell(c)$ and
    $\langle g(a)-g(b),a-b\rangle$, each followed by itself with its rounding added.

    Where `own` holds a step goes along the eigenvector of the lowest curvature instead, with the length that it has.
    """

    def one(inputs: tuple[Array, Array, Array]) -> tuple[Array, ...]:
        z, v, lowest = inputs
        direction = jnp.linalg.eigh(loss_at(loss, targets, z).hessian)[1][:, :, 0].T
        v = jnp.where(lowest[None, :], jnp.linalg.norm(v, axis=0, keepdims=True) * direction, v)
        points = z + v, z - v, z
        value = [loss.value(x, targets) for x in points]
        # The terms within a value are not known: those of its gradient at the origin, too, stand for them.
        around = [loss_at(loss, targets, x) for x in points]
        terms = sum(
            loss.value_terms(x, targets) + jnp.sum(a.size * jnp.abs(x), axis=0)
            for x, a in zip(points, around, strict=True)
        )
        # Midpoint convexity, l(z + v) + l(z - v) >= 2 l(z), and monotonicity of the gradient, <g(z + v) - g(z - v), 2v> >= 0;
        # of both the number itself, and the number with its rounding added, which a convex loss cannot make negative.
        second = value[0] + value[1] - 2.0 * value[2]
        turn = 2.0 * jnp.sum((around[0].gradient - around[1].gradient) * v, axis=0)
        moved = 2.0 * jnp.sum((around[0].size + around[1].size) * jnp.abs(v), axis=0)
        return v, second, second + ROUNDING * terms, turn, turn + ROUNDING * moved

    return jax.lax.map(one, (centre, step, own))


WithLoss = DeepLinear | DeepNonlinear | SphericalFeatures | FixedClassifier
"""The problems whose certificates rest on the convexity of their loss."""


def doubtful_convexity(problem: WithLoss) -> str | None:
    r"""Why duality must not be used with this loss, or None.

    Convexity is tested on a fixed sample of segments [a, b] with the targets of the problem, over six sizes of logits, half of
    them along the lowest curvature at their middle: $\ell(a)+\ell(b)\ge2\ell(\tfrac{a+b}2)$, and
    $\langle\nabla\ell(a)-\nabla\ell(b),a-b\rangle\ge0$. A violation beyond rounding disproves it, and the message names the
    two points; a sample cannot prove it. A conjugate is held against Fenchel and Young's inequality on it.
    """
    loss = problem.loss
    if loss.convex is False:
        return f"the loss {loss.name} is not convex in the logits, so that duality does not apply"
    if type(loss) in OUR_OWN or any(map(is_traced, (*jax.tree.leaves(loss), problem.targets))):
        return None
    centre, step, own, targets = _segments(problem)
    try:
        found = [np.asarray(x) for x in _along(loss, centre, step, own, targets)]
    except jax.errors.TracerArrayConversionError:
        return None
    step, second, excess, turn, turned = found
    claimed = "defines a conjugate but is" if loss.has_conjugate else "is"
    for kind, value, beyond in (
        ("l(z) + l(z') - 2 l((z+z')/2)", second, excess),
        ("<grad l(z) - grad l(z'), z - z'>", turn, turned),
    ):
        beyond = np.where(np.isfinite(beyond), beyond, np.inf)
        at_worst = np.unravel_index(np.argmin(beyond), beyond.shape)
        if beyond[at_worst] < 0.0:
            row, column = at_worst
            ends = (centre[row][:, column] + sign * step[row][:, column] for sign in (1.0, -1.0))
            first, second_end = map(_shown, ends)
            return (
                f"the loss {loss.name} {claimed} not convex in the logits, so that duality does not apply: between "
                f"z = {first} and z' = {second_end}, for the target {_shown(targets[:, column])}, {kind} is "
                f"{value[at_worst]:.3g}"
            )
    return wrong_conjugate(loss, centre, targets) if loss.has_conjugate else None


def assumed_convexity(problem: WithLoss) -> str | None:
    """What a certificate of a user's own loss rests on that is not proved, or None."""
    loss = problem.loss
    if (
        (not isinstance(problem, SphericalFeatures | FixedClassifier) and problem.factors > 2)
        or type(loss).__module__.startswith("nctheory.")
        or loss.convex is False
    ):
        return None
    if loss.has_profile and not loss.has_conjugate:
        return f"that the loss {loss.name} lies above its profile was tested on {SAMPLES} logits, not proved"
    segments = np.prod(_segments(problem)[2].shape) if not is_traced(problem.targets) else SAMPLES
    other = ", and its conjugate against Fenchel and Young's inequality" if loss.has_conjugate else ""
    return f"that the loss {loss.name} is convex was tested on {segments} segments between logits, not proved{other}"


def doubtful_profile(problem: DeepLinear) -> str | None:
    r"""Why the profile that this loss claims is none, or None: $\ell<\varphi(m)$ at a sampled point, or a wrong shape."""
    loss, classes = problem.loss, problem.classes
    if type(loss) in OUR_OWN:
        return None
    grid = np.linspace(-40.0, 40.0, 801)
    try:
        logits, _, targets = _sample(problem)
        label = np.sum(targets * logits, axis=0)
        margin = (classes * label - np.sum(logits, axis=0)) / (classes - 1)
        value, claimed = (
            np.asarray(_value(loss, logits, targets)),
            np.asarray(loss.profile(jnp.asarray(margin), classes)),
        )
        profile, slope = (np.asarray(f(jnp.asarray(grid), classes)) for f in (loss.profile, loss.profile_slope))
        bend = float(loss.profile_inflection(classes))
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
        return None
    short = claimed - value - ROUNDING * (np.abs(claimed) + np.abs(value) + np.abs(margin))
    worst = int(np.argmax(short))
    if short[worst] > 0.0:
        at = f"z = {_shown(logits[:, worst])}, margin m = {margin[worst]:.6g}"
        return f"the profile of {loss.name} is not below the loss: at {at} the loss is lower by {short[worst]:.3g}"
    noise = 2.0 * ROUNDING * np.max(np.abs(slope))
    change = np.diff(slope)
    wrong = np.where(grid[1:] <= bend, change > noise, np.where(grid[:-1] >= bend, change < -noise, False))
    if np.any(wrong) or np.any(slope > noise) or np.any(profile < 0.0):
        return (
            f"the profile of {loss.name} is not non-negative, falling, and concave up to {bend:.6g} and convex beyond"
        )
    tangent = np.abs(np.diff(profile) - 0.5 * np.diff(grid) * (slope[1:] + slope[:-1]))
    if np.any(tangent > 0.5 * np.diff(grid) * np.abs(change) + ROUNDING * (np.abs(profile[1:]) + np.abs(profile[:-1]))):
        return f"profile_slope of {loss.name} is not the slope of its profile"
    if np.any(-slope[grid < bend] < loss.profile_far_slope - noise) or loss.profile_far_slope < 0.0:
        return f"the far slope {loss.profile_far_slope:g} of {loss.name} is not that of its profile"
    return None


def _sample(problem: DeepLinear) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sampled logits, steps and targets, one column each: K x SAMPLES."""
    rng = np.random.default_rng(5)
    shape = problem.classes, SAMPLES
    size = np.asarray(SIZES)[np.arange(SAMPLES) % len(SIZES)][None, :]
    centre, step = size * rng.normal(size=shape), rng.normal(size=shape)
    axis = np.arange(SAMPLES) % 2 == 1  # every other step along one logit
    step[:, axis] *= np.eye(problem.classes)[:, rng.integers(problem.classes, size=int(axis.sum()))]
    step *= size * 10.0 ** rng.uniform(-2.0, 0.3, size=(1, SAMPLES))
    columns = rng.integers(problem.targets.shape[1], size=SAMPLES)
    return centre, step, np.asarray(problem.targets)[:, columns]


def _segments(
    problem: WithLoss,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The sampled segments: middles and steps, rounds x K x M, a mask of those along the lowest curvature, and targets, K x M.

    All columns as they stand where the loss holds data of every one, else at most `SAMPLES` of them.
    """
    rng, targets = np.random.default_rng(5), np.asarray(problem.targets)
    columns = targets.shape[1]
    if columns > SAMPLES and not any(np.shape(x)[-1:] == (columns,) for x in jax.tree.leaves(problem.loss)):
        targets = targets[:, np.sort(rng.choice(columns, SAMPLES, replace=False))]
    rows, columns = targets.shape
    shape = max(ROUNDS, -(-SAMPLES // columns)), rows, columns
    which = np.arange(shape[0])[:, None, None] + np.arange(columns)[None, None, :]
    unit = float(np.max(np.abs(targets))) or 1.0
    size = unit * np.asarray(SCALES)[which % len(SCALES)]
    centre, step = size * rng.normal(size=shape), rng.normal(size=shape)
    axis = rng.random((shape[0], 1, columns)) < 0.3  # along one logit
    single = np.moveaxis(np.eye(rows)[rng.integers(rows, size=(shape[0], columns))], 2, 1)
    step = np.where(axis, np.sqrt(rows) * rng.choice([-1.0, 1.0], size=axis.shape) * single, step)
    step *= size * 10.0 ** rng.uniform(-2.0, 0.3, size=(shape[0], 1, columns))
    return centre, step, rng.random((shape[0], columns)) < 0.5, targets


def _shown(vector: np.ndarray) -> str:
    """A column of logits for a message."""
    return "(" + ", ".join(f"{x:.4g}" for x in vector) + ")"
