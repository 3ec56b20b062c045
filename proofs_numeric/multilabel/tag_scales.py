"""The scales that features of several tags take by the theorem, wrong versions of them, and where these differ."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

ID = "mlab-pal"


class Prediction(NamedTuple):
    """What the theorem says of a problem."""

    minimum: nct.Minimum
    products: jax.Array
    """For every sample <h, sum of its tags' rows of W>."""
    onset: nct.engine.Scalar
    """The lambda from which on the minimum is zero."""


def with_scales(rule=lambda problem, found: found.scales):
    """State the theorem with other scales a_m; the value is the objective's at them, and all else follows from them."""

    def wrong(problem):
        found = nct.closed_form.tag_scales(problem)
        scales = jnp.where(found.samples > 0, rule(problem, found), 0.0)
        minimum = nct.closed_form.tag_frame_minimum(
            problem, found.samples, scales, program(problem, found.samples, scales), ID
        )
        targets = jnp.asarray(problem.targets)
        products = jnp.sum(minimum.product * targets, axis=0)
        return Prediction(minimum, products, found.onset)

    return wrong


predict = with_scales()


def program(problem, samples, scales):
    """Evaluate the convex program at scales a_m."""
    classes = problem.classes
    m = np.arange(1.0, classes)
    fit = jnp.sum(samples / jnp.sum(samples) * m * jnp.log(m + (classes - m) * jnp.exp(-scales)))
    norm = jnp.sqrt((classes - 1) * jnp.sum(samples * m * (classes - m) / classes * scales**2))
    return fit + nct.closed_form.decay_strength(problem) * norm


def first_scale(scales):
    """Return the scale of the least multiplicity that occurs."""
    return scales[jnp.argmax(scales > 0)]


def common(problem, found):
    """Take one C for all multiplicities, that of the least."""
    return jnp.where(found.scales > 0, first_scale(found.scales), 0.0)


def averaged(problem, found):
    """Take plain averages: h_S is the mean of its tags' single-label features, and C_m falls as 1/m."""
    m = jnp.arange(1.0, problem.classes)
    return common(problem, found) * m[jnp.argmax(found.scales > 0)] / m


def single_label(problem, found):
    """Take a = log(1/kappa - K + 1), kappa = sqrt(N/K) lambda, for every m: the formula of one tag a sample."""
    kappa = jnp.sqrt(jnp.sum(found.samples) / problem.classes) * nct.closed_form.decay_strength(problem)
    scale = jnp.log(jnp.maximum(1 / kappa - problem.classes + 1, 1.0))
    return jnp.full(found.scales.shape, scale)


def moved_onset(factor):
    """Take zero from `factor` times the onset on; between the two stands what is as far from it on the other side."""

    def rule(problem, found):
        lam = nct.closed_form.decay_strength(problem)
        other = _with_strength(problem, jnp.minimum(lam, found.onset**2 / lam))
        return jnp.where(lam < factor * found.onset, nct.closed_form.tag_scales(other).scales, 0.0)

    return rule


def _with_strength(problem, lam):
    """Return the problem at another lambda."""
    return nct.deep_linear(
        widths=problem.widths,
        targets=problem.targets,
        loss=problem.loss,
        weight_decay=(float(lam), float(lam)),
        bias=problem.bias_decay,
    )


def tags_counted(problem):
    """Predict the onset with the number of tags for the number of samples."""
    true, targets = predict(problem), jnp.asarray(problem.targets)
    return true._replace(onset=true.onset * targets.shape[1] / jnp.sum(targets))


def heavier(problem):
    """Predict H^T H and |H|^2 larger, |W|^2 smaller by a relative 1e-6, as if a decay were off."""
    true = predict(problem)
    off = true.minimum._replace(
        gram_features=(1 + 1e-6) * true.minimum.gram_features,
        feature_norm=(1 + 1e-6) * true.minimum.feature_norm,
        weight_norm=(1 - 1e-6) * true.minimum.weight_norm,
    )
    return true._replace(minimum=off)


def orthogonal_frame(problem):
    """Predict orthogonal rows of W instead of a simplex, of the same norm."""
    true = predict(problem)
    gram = true.minimum.weight_norm / problem.classes * jnp.eye(problem.classes)
    return true._replace(minimum=true.minimum._replace(gram_weights=gram))


def favoured(problem):
    """Predict b larger by 1e-6 for the first class."""
    true = predict(problem)
    return true._replace(minimum=true.minimum._replace(bias=jnp.where(jnp.arange(problem.classes) == 0, 1e-6, 0.0)))


def near(above):
    """Select the instances within 3 % of the onset, on one side."""
    return lambda instance: (
        abs(instance.parameters["relative"] - 1) < 0.04 and above == (instance.parameters["relative"] > 1)
    )


def several(instance):
    """Tell whether there is more than one multiplicity, and the minimiser is not zero."""
    return instance.parameters["multiplicities"] > 1 and instance.parameters["relative"] < 1


def more_than_one_tag(instance):
    """Tell whether some sample has more than one tag, and the minimiser is not zero."""
    return instance.parameters["relative"] < 1 and instance.parameters["most tags"] > 1
