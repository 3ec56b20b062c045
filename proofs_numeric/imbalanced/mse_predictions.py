"""What the theorem on imbalanced squared error predicts, and the wrong versions of it."""

import collections

import jax.numpy as jnp
import numpy as np

import nctheory as nct

Prediction = collections.namedtuple("Prediction", (*nct.Minimum._fields, "sigma", "rank"))
Prediction.__doc__ = "A `Minimum`, all singular values of the centred targets, and how many of them fit into d."


def spectrum(counts):
    """Return the singular values of the centred targets, the largest first."""
    return nct.closed_form.class_target_spectrum(tuple(counts), reduced=True)[1]


def with_spectrum(problem, minimum, sigma=None):
    """Return the prediction that has this minimum, and the sigma of the theorem or others."""
    sigma = spectrum(problem.counts) if sigma is None else sigma
    return Prediction(*minimum, sigma=sigma, rank=min(problem.widths[0], sigma.size))


def predict(problem):
    """State the theorem."""
    return with_spectrum(problem, nct.closed_form.imbalanced_squared_error_minimum(problem))


def variant(
    on=lambda sigma, threshold: sigma > threshold, strength=nct.closed_form.decay_strength, centred=True, rank=True
):
    """State the theorem with another rule for which directions are on, another lambda, or targets that are not centred."""

    def wrong(problem):
        counts = np.asarray(problem.counts, dtype=float)
        samples, lam = counts.sum(), strength(problem)
        if centred:
            left, sigma, right = nct.closed_form.class_target_spectrum(problem.counts, reduced=False)
        else:
            order = np.argsort(-counts, kind="stable")
            left, sigma = np.eye(counts.size)[:, order], np.sqrt(counts[order])
            right = np.asarray(problem.targets)[order] / sigma[:, None]
        alive = on(sigma, samples * lam) & (np.arange(sigma.size) < (problem.widths[0] if rank else sigma.size))
        singular = jnp.where(alive, sigma - samples * lam, 0.0)
        value = jnp.sum(jnp.where(alive, samples * lam**2 / 2 + lam * singular, sigma**2 / (2 * samples)))
        product = (left * singular[None, :]) @ right
        minimum = nct.closed_form.minimum_from_product(
            problem, product, value, jnp.asarray(counts / samples), "ufm-mse-bias-imbalanced"
        )
        return with_spectrum(problem, minimum, sigma[: counts.size - 1])

    return wrong


def arithmetic(problem):
    """Return (lambda_W + lambda_H)/2 in the place of the geometric mean."""
    return 0.5 * jnp.sum(jnp.asarray(problem.weight_decay))


def uniform_bias(problem):
    """Predict b = 1/K, as for balanced counts."""
    return predict(problem)._replace(bias=jnp.full((problem.classes,), 1.0 / problem.classes))
