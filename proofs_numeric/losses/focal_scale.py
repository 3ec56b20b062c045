"""The logit scale of collapse under the focal loss: where it ends, and wrong versions of it."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.shallow.strength import located

ID = "ufm-focal"


def onset(gamma, classes):
    """Return the (K-1) kappa at which the global minimum becomes zero."""
    with jax.enable_x64(True):
        return float(nct.closed_form.focal_onset(gamma, classes))


def ends_of_coexistence(gamma, classes):
    """Return the (K-1) kappa between which zero and a collapsed solution are both local minima: G(0) and max G."""
    with jax.enable_x64(True):
        steps = np.asarray(nct.closed_form.focal_strength(jnp.linspace(0.0, 5.0, 20_001), gamma, classes))
    return float(steps[0]), float(np.max(steps))


def parts(problem):
    """Return K, gamma and (K-1) kappa."""
    classes = problem.classes
    return (
        classes,
        jnp.asarray(problem.loss.gamma),
        (classes - 1) / classes * nct.closed_form.collapse_strength(problem),
    )


def predict(problem):
    """Return the closed form, and the (K-1) kappa from which on it is zero."""
    return located(
        nct.closed_form.focal_minimum(problem), nct.closed_form.focal_onset(problem.loss.gamma, problem.classes)
    )


def scaled(problem, scale, threshold=None):
    """Predict a simplex ETF of any logit scale, with its value, and the true onset or another."""
    classes, gamma, strength = parts(problem)
    value = nct.closed_form.focal_value(scale, gamma, classes) + strength * scale
    minimum = nct.closed_form.frame_minimum(problem, scale, jnp.zeros(()), value, None, ID)
    return located(minimum, nct.closed_form.focal_onset(gamma, classes) if threshold is None else threshold)


def far_root(strength, gamma, classes):
    """Return the far root, zero where there is none."""
    root = nct.closed_form.focal_scales(strength, gamma, classes)[2]
    return jnp.where(root > 0, root, 0.0)


def up_to(threshold):
    """Predict the far root wherever (K-1) kappa is below `threshold(gamma, K)`, else zero."""

    def wrong(problem):
        classes, gamma, strength = parts(problem)
        root, end = far_root(strength, gamma, classes), threshold(gamma, classes)
        return scaled(problem, jnp.where(strength < end, root, 0.0), end)

    return wrong


def continued(problem):
    """Predict collapse up to 1.03 of the onset, beyond it with the scale at the point mirrored in the onset."""
    classes, gamma, strength = parts(problem)
    critical = nct.closed_form.focal_onset(gamma, classes)
    beyond = (strength >= critical) & (strength < 1.03 * critical)
    mirrored = far_root(2 * critical - strength, gamma, classes)
    true = far_root(jnp.minimum(strength, critical), gamma, classes)
    return scaled(problem, jnp.where(beyond, mirrored, jnp.where(strength < critical, true, 0.0)), 1.03 * critical)


def gamma_ignored(problem):
    """Predict a* of cross-entropy."""
    classes, _, strength = parts(problem)
    return scaled(problem, far_root(strength, 0.0, classes))


def slope_of_the_power_ignored(problem):
    """Solve (1-p)^(gamma+1) = (K-1) kappa, as if the power (1-p)^gamma were not to be differentiated."""
    classes, gamma, strength = parts(problem)
    wrong = strength ** (1 / (gamma + 1))
    collapsed = wrong < (classes - 1) / classes
    wrong = jnp.where(collapsed, wrong, (classes - 1) / classes)
    return scaled(problem, jnp.where(collapsed, jnp.log((classes - 1) * (1 - wrong) / wrong), 0.0))


def orthogonal_frame(problem):
    """Predict orthogonal class directions of the right scale instead of a simplex."""
    true = predict(problem)
    scale = true.logits[0, 0] * problem.classes / (problem.classes - 1)
    return located(nct.closed_form.frame_minimum(problem, scale, scale, true.value, None, ID), true.onset)
