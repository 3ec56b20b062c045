"""This diagram shows which code five classes in three dimensions take: label smoothing against inverse temperature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import ALCALA_2026
from proofs_numeric.imbalanced.groups import bracketed_root
from proofs_numeric.spheres.orthoplex import OpenSpheres, bipyramid, pyramid

CLASSES, DIM = 5, 3
SPREAD = 0.3
"""The size of the noise of a start near a code (conventional)."""
HEIGHT = -0.15
"""The height of the square of the pyramid near which starts are drawn (measured: -0.151 at the transition without smoothing).
"""
HALFWAY = 0.25
"""The order between 0, of the bipyramid, and nearly 1/2, of the pyramids (conventional)."""
RANGE = (5.0, 8.0)
"""The tau between which the transition lies for all smoothings of the axis (measured)."""
SMOOTHEST, COLDEST = 1e-3, 7.5
"""The ends of both axes (measured: at more smoothing and larger tau codes of another kind cost less than both)."""


class FiveClasses(OpenSpheres):
    """One half of the starts are random, and one quarter each near the bipyramid and near a pyramid.

    Which code costs least does not depend on the starts, but next to the end of its range a code is met by few random ones.
    """

    def init(self, key, scale):
        """Draw directions, and add a code to them in half of the cases."""
        drawn, chosen = jax.random.split(key)
        start = super().init(drawn, scale)
        which = jax.random.randint(chosen, (), 0, 4)
        code = jnp.stack([jnp.asarray(one) for one in (0 * bipyramid(), 0 * bipyramid(), bipyramid(), pyramid(HEIGHT))])
        part = jnp.where(which < 2, 1.0, SPREAD)
        return self.canonical(
            nct.problems.ChainParams(
                (code[which] + part * start.weights[0],), code[which].T + part * jnp.asarray(start.features), None
            )
        )


def model(smoothing, strength):
    """Build five classes on spheres, with tau = `strength` and labels smoothed by alpha."""
    told = nct.problems.spherical_features(
        counts=(1,) * CLASSES, dim=DIM, weight_radius=strength, loss=nct.problems.label_smoothing(smoothing)
    )
    return FiveClasses(told.counts, told.dim, told.classifier, told.loss, told.radius, told.size, None)


def square(problem, params):
    r"""Measure the second eigenvalue of $\sum_kw_kw_k^\top/\omega^2$ less 3/2: 0 for the bipyramid, $\frac12-2u^2$ for a
    pyramid whose square lies at the height u."""
    weights = problem.factor_pair(params)[0] / problem.size
    return jnp.linalg.eigvalsh(weights.T @ weights)[1] - 1.5


def loss_at(weights, features, smoothing, strength):
    """Return the objective at codes, a class a row."""
    logits = strength * jnp.asarray(weights) @ jnp.asarray(features).T
    own, mean = jnp.diagonal(logits), jnp.mean(logits, axis=0)
    return jnp.mean(jax.nn.logsumexp(logits, axis=0) - (1 - smoothing) * own - smoothing * mean)


def ring(height):
    """Return a pyramid as a function that can be derived."""
    across = jnp.sqrt(1 - height**2) * jnp.asarray(pyramid(0.0))[1:, :2]
    top = jnp.asarray([[0.0, 0.0, 1.0]])
    return jnp.concatenate([top, jnp.concatenate([across, jnp.full((4, 1), height)], axis=1)])


@jax.jit
def of_heights(heights, smoothing, strength):
    """Return the objective of pyramids whose squares lie at two heights, and its gradient."""
    return jax.value_and_grad(lambda x: loss_at(ring(x[0]), ring(x[1]), smoothing, strength))(heights)


def advantage(smoothing, strength):
    """Return the logarithm of the bipyramid's value over that of the best pyramid."""
    from scipy.optimize import minimize

    with jax.enable_x64(True):
        found = minimize(
            lambda x: tuple(np.asarray(one) for one in of_heights(jnp.asarray(x), smoothing, strength)),
            np.full(2, HEIGHT), jac=True, bounds=[(-0.9, 0.9)] * 2, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-12},
        )  # fmt: skip
        flat = loss_at(bipyramid(), bipyramid(), smoothing, strength)
    return float(np.log(flat / found.fun))


@functools.lru_cache(maxsize=1024)
def transition_at(smoothing):
    """Return the tau at which both codes cost the same, for one smoothing."""
    return bracketed_root(lambda strength: advantage(smoothing, strength), *RANGE)


def transition(smoothing):
    """Predict the tau at which both codes cost the same."""
    return np.array([transition_at(float(one)) for one in np.atleast_1d(smoothing)])


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="five-codes",
        title="Bipyramid or pyramid: five classes in three dimensions, inverse temperature against label smoothing",
        statement=r"The minimum is the triangular bipyramid up to the $\tau$ at which the best square pyramid costs the same, "
        "6.88507 without smoothing, and that pyramid beyond it: a jump, which smoothing brings forward.",
        along=nct.phase.Axis("smoothing", r"label smoothing $\alpha$", 1e-5, SMOOTHEST, log=True),
        across=nct.phase.Axis("strength", r"$\tau$", 5.0, COLDEST),
        model=model,
        measures={"square": square},
        boundaries=(nct.phase.Boundary("bipyramid to pyramid", "square", transition, level=HALFWAY, ordered="above"),),
        hypotheses=(
            "classifier and features on spheres, cross-entropy of smoothed labels",
            "K = 5, d = 3, balanced classes",
        ),
        sources=(
            ALCALA_2026.remark(
                "Codes in the limit of low temperature. That temperature and smoothing choose one is our own, seen and not "
                "proved: no certificate is known, and the best of many starts stands for the minimum."
            ),
        ),
        certified=False,
        seeds=32,
    )
)
