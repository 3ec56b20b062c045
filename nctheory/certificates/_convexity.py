"""Whether a user's loss is what its certificate needs: a counterexample found on a fixed sample forbids the certificate."""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory._precision import EPS
from nctheory._programs import light_jit
from nctheory._types import Array
from nctheory.problems import CrossEntropy, DeepLinear, Focal, Loss, MeanSquaredError, PickAllLabel

OUR_OWN = (MeanSquaredError, CrossEntropy, Focal, PickAllLabel)
"""Losses whose convexity or profile is proved; a subclass is not one of them, because it may override anything."""
SAMPLES = 512
ROUNDING = 256 * EPS
SIZES = (0.1, 1.0, 5.0, 20.0)
"""Typical sizes of the sampled logits."""


@light_jit
def _value(loss: Loss, logits: Array, targets: Array) -> Array:
    return jnp.asarray(loss.value(logits, targets))


def doubtful_convexity(problem: DeepLinear) -> str | None:
    r"""Why duality must not be used with this loss, or None.

    Convexity is tested by second differences $\ell(z+v)+\ell(z-v)-2\ell(z)\ge0$ at a fixed sample of points and directions
    and the targets of the problem. A negative one beyond rounding disproves it; a sample cannot prove it.
    """
    loss = problem.loss
    if loss.convex is False:
        return f"the loss {loss.name} is not convex in the logits, so that duality does not apply"
    if type(loss) in OUR_OWN:
        return None
    try:
        centre, step, targets = _sample(problem)
        values = [np.asarray(_value(loss, z, targets)) for z in (centre, centre + step, centre - step)]
    except jax.errors.TracerArrayConversionError:
        return None
    second = values[1] + values[2] - 2.0 * values[0]
    excess = second + ROUNDING * (np.abs(values[1]) + np.abs(values[2]) + 2.0 * np.abs(values[0]))
    excess = np.where(np.isfinite(excess), excess, np.inf)
    worst = int(np.argmin(excess))
    if excess[worst] >= 0.0:
        return None
    return (
        f"the loss {loss.name} defines a conjugate but is not convex in the logits, so that duality does not apply: at "
        f"z = {_shown(centre[:, worst])} with step v = {_shown(step[:, worst])} the second difference "
        f"l(z+v) + l(z-v) - 2 l(z) is {second[worst]:.3g}"
    )


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
    """Logits, steps and targets, one column each: K x SAMPLES."""
    rng = np.random.default_rng(5)
    shape = problem.classes, SAMPLES
    size = np.asarray(SIZES)[np.arange(SAMPLES) % len(SIZES)][None, :]
    centre, step = size * rng.normal(size=shape), rng.normal(size=shape)
    axis = np.arange(SAMPLES) % 2 == 1  # every other step along one logit
    step[:, axis] *= np.eye(problem.classes)[:, rng.integers(problem.classes, size=int(axis.sum()))]
    step *= size * 10.0 ** rng.uniform(-2.0, 0.3, size=(1, SAMPLES))
    columns = rng.integers(problem.targets.shape[1], size=SAMPLES)
    return centre, step, np.asarray(problem.targets)[:, columns]


def _shown(vector: np.ndarray) -> str:
    """A column of logits for a message."""
    return "(" + ", ".join(f"{x:.4g}" for x in vector) + ")"
