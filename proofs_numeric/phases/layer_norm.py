"""This diagram shows where two small classes share one feature on a sphere: imbalance ratio against classifier decay."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_codes import SUKENIK_2025
from proofs_numeric.spheres.ln_program import Group, merging_excess

MAJORITY, MINORITY = 2, 2
CLASSES = MAJORITY + MINORITY
RADIUS = 1.0
"""The length of all features (conventional: decays are in units of its square)."""

RANGE = (CLASSES - 1.0, 200.0)
"""The ratios between which the boundary lies: it is above K-1 at every decay, and below 70 at the decays shown (measured)."""
ACCURACY = 1e-9
"""Far below the tolerance of a boundary (conventional)."""
STRONGEST = 2.0
"""The largest decay (measured: at larger ones the minimum is so flat that ends next to the boundary are not told apart)."""


class ClassFeatures(nct.problems.SphericalFeatures):
    """One feature stands for each class, as at a minimiser, and a class counts by its size, which need not be whole."""

    keeps_bound = True  # which reads the classes' shares
    sizes: Float[np.ndarray | jax.Array, " K"]

    @property
    def class_shares(self):
        """Return n_k/N."""
        return jnp.asarray(self.sizes) / jnp.sum(jnp.asarray(self.sizes))

    def objective(self, params):
        """Return the fit, weighted by sizes, and the decay."""
        weights, features = self.factor_pair(params)
        return self.class_shares @ self.loss.value(weights @ features, self.targets) + self.penalty(weights)

    def value_and_grad(self, params):
        """Return the objective and its gradient."""
        (weights, features), pull = jax.vjp(self.factor_pair, params)
        logits = weights @ features
        slope = self.loss.gradient(logits, self.targets) * self.class_shares[None, :]
        value = self.class_shares @ self.loss.value(logits, self.targets) + self.penalty(weights)
        return value, pull((slope @ features.T + self.size * weights, weights.T @ slope))[0]

    def value_terms(self, params):
        """Return the sum of the sizes of the terms, as for one feature a sample."""
        weights, features = self.factor_pair(params)
        logits = weights @ features
        slope, size = jnp.abs(self.loss.gradient(logits, self.targets)), jnp.abs(weights) @ jnp.abs(features)
        terms = self.loss.value_terms(logits, self.targets) + jnp.sum(slope * size, axis=0)
        return self.class_shares @ terms + 3.0 * self.penalty(weights)


def model(decay, ratio):
    """Build two classes of R samples for each one of the two others, in as many dimensions as a simplex takes."""
    told = nct.problems.spherical_features(counts=(1,) * CLASSES, dim=CLASSES - 1, radius=RADIUS, weight_decay=decay)
    sizes = np.array([ratio] * MAJORITY + [1.0] * MINORITY)
    return ClassFeatures(told.counts, told.dim, told.classifier, told.loss, told.radius, told.size, None, sizes)


def minority_angle(problem, params):
    """Measure one minus the cosine of both minority features, which is 0 where they coincide."""
    features = problem.factor_pair(params)[1] / problem.radius
    return 1.0 - features[:, -1] @ features[:, -2]


@functools.lru_cache(maxsize=1024)
def ratio_at(decay):
    """Return the ratio at which the minority merges, for one decay, to a relative `ACCURACY`."""
    from scipy.optimize import brentq

    def excess(log):
        return merging_excess(Group((MAJORITY, MINORITY), (float(np.exp(log)), 1.0), decay, RADIUS))

    return float(np.exp(np.asarray(brentq(excess, *np.log(RANGE), xtol=ACCURACY))))


def critical_ratio(decay):
    """Predict the ratio at which the minority merges."""
    return np.array([ratio_at(float(one)) for one in np.atleast_1d(decay)])


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="layer-norm-minority",
        title="Minority collapse on a sphere: imbalance ratio against classifier decay, cross-entropy",
        statement=r"Two small classes share classifier and feature iff $\lambda_W\gamma/\rho^2\ge n_b/N$, $\gamma$ the "
        r"force on a minority sample at the best merged point; at no decay if $n_a\le(K-1)n_b$.",
        along=nct.phase.Axis("decay", r"$\lambda_W/\rho^2$", 0.03, STRONGEST, log=True),
        across=nct.phase.Axis("ratio", "$R=n_a/n_b$", 1.5, 100.0, log=True),
        model=model,
        measures={"minority angle": minority_angle},
        boundaries=(nct.phase.Boundary("minority collapse", "minority angle", critical_ratio),),
        hypotheses=(
            "features of fixed length, a decayed classifier, no bias",
            "two classes of either size",
            "d >= K-1",
        ),
        sources=(SUKENIK_2025.remark("The model, with classes of equal size; two sizes are our own."),),
    )
)
