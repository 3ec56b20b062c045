"""What theorems on balanced free features share: the strength c of the decays, problems at a given c, an onset."""

import dataclasses
from collections import namedtuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform, near

CLOSEST_ZERO = 1e-3
"""No instance lies closer beyond an onset: the flow slows down there as 1/(c - 1), and some seeds would not arrive."""

Located = namedtuple("Located", (*nct.Minimum._fields, "onset"))
"""`Located` is a minimum together with the strength from which on it is zero."""


def located(minimum, onset):
    """Put a minimum and its onset together."""
    return Located(*minimum, onset)


def decays(classes, n, strength, ratio):
    """Return (lambda_W, lambda_H) with K sqrt(n lambda_W lambda_H) = `strength` and lambda_W / lambda_H = `ratio`."""
    product = (strength / classes) ** 2 / n
    return float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio))


def decay_ratio(rng, relative=0.0):
    """Draw a ratio of decays between 1/30 and 30, log-uniform; beyond an onset (`relative` > 1) between 1/10 and 10."""
    return 10.0 ** (rng.uniform(-1.5, 1.5) if relative < 1 else rng.uniform(-1.0, 1.0))


def strengths(rng):
    """Draw strengths relative to an onset: very weak, weak, moderate, close to it on either side, and far beyond."""
    return [
        log_uniform(rng, 1e-3, 1e-2),
        log_uniform(rng, 1e-2, 0.2),
        rng.uniform(0.2, 0.8),
        near(rng, above=False),
        near(rng, above=True, closest=CLOSEST_ZERO),
        log_uniform(rng, 1.5, 30.0),
    ]


def at_strength(problem, strength):
    """Return the problem with c = `strength` and the same ratio of the decays."""
    factor = strength / nct.closed_form.collapse_strength(problem)
    return dataclasses.replace(problem, weight_decay=np.asarray(factor * problem.weight_decay))


def logit_size(problem, params):
    """Measure |W H|, which is zero from the onset on."""
    return jnp.sqrt(jnp.sum(problem.product(params) ** 2))


def around_one(problem):
    """Name strengths well on either side of an onset at c = 1."""
    return 0.2, 8.0


def onset_at_one(predicted=1.0):
    """Claim that zero is the minimiser exactly from c = 1 on, or from another strength."""
    return nct.Threshold("onset", r"WH=0\iff c\ge1", at_strength, logit_size, lambda minimum: predicted, around_one)
