"""N20: with logits bounded sample by sample, imbalance does not touch the simplex."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import E_2022

RADIUS, PER_CLASS = 3.0, 2
SKEWED, COUNTS = (0.97, 0.01, 0.01, 0.01), (8, 8, 1, 1)


class BallLogits(nct.Problem):
    r"""$\min\sum_iq_i\mathrm{CE}(z_i,y_i)$ over logits with $|z_i|\le R$, for any weights q_i > 0.

    Searched on the spheres $z_i=Rv_i/|v_i|$: the gradient of cross-entropy in z is never zero, so that its minimum over the
    ball lies on the boundary.
    """

    weights: jax.Array
    targets: jax.Array
    radius: jax.Array
    loss: nct.Loss
    number: int = eqx.field(static=True)

    def init(self, key, scale):
        """Draw uniformly on the spheres."""
        draw = jax.random.normal(key, self.targets.shape, jnp.float64)
        return scale * draw / jnp.linalg.norm(draw, axis=0, keepdims=True)

    def logits(self, params):
        """Compute z, with one column for each sample."""
        return self.radius * params / jnp.linalg.norm(params, axis=0, keepdims=True)

    def objective(self, params):
        """Compute the weighted cross-entropy."""
        return self.weights @ self.loss.value(self.logits(params), self.targets)

    def invariants(self, params):
        """Return the logits."""
        return self.logits(params)

    def gauge_tangents(self, params):
        """Return the scaling of every column."""
        return params[None] * jnp.eye(self.number)[:, None, :]

    def lower_bound(self, params):
        """Bound the problem of every sample, which is convex over its ball.

        With g = grad f(z) it says f(z') >= f(z) + <g, z' - z> >= f(z) - <g, z> - R|g|. The last is f(z) exactly where
        z = -R g/|g|, the KKT condition; a bound on rounding is subtracted.
        """
        logits = self.logits(params)
        values, slopes = self.loss.value(logits, self.targets), self.loss.gradient(logits, self.targets)
        decrease = jnp.sum(slopes * logits, axis=0) + self.radius * jnp.linalg.norm(slopes, axis=0)
        return self.weights @ (values - decrease) - 1e-14 * jnp.sum(self.weights * (1.0 + self.radius + values))


def ball_problem(weights, radius=RADIUS, per_class=PER_CLASS, rng=None):
    """Build the problem with class weights p_k, split over the samples of a class, and unevenly with `rng`."""
    classes = len(weights)
    share = np.ones((classes, per_class)) if rng is None else rng.uniform(0.2, 1.0, size=(classes, per_class))
    split = np.asarray(weights)[:, None] * share / share.sum(axis=1, keepdims=True)
    targets = np.repeat(np.eye(classes), per_class, axis=1)
    with jax.enable_x64(True):
        arrays = (jnp.asarray(split.ravel()), jnp.asarray(targets), jnp.asarray(radius))
        return BallLogits(*arrays, nct.losses.label_smoothing(0.0), classes * per_class)


def simplex_point(classes, radius):
    """Build the columns alpha e_k + beta sum_{j != k} e_j, alpha = R sqrt((K-1)/K), beta = -R/sqrt(K(K-1))."""
    beta = -radius / np.sqrt(classes * (classes - 1))
    return np.full((classes, classes), beta) + np.eye(classes) * (radius * np.sqrt((classes - 1) / classes) - beta)


def reproduce(seeds, key):
    """Measure the distance of every certified minimiser to the simplex for equal, skewed and random class weights."""
    rng = np.random.default_rng(key)
    drawn = {"equal": (0.25,) * 4, "97 % in one class": SKEWED}
    drawn.update({f"random {i}": tuple(rng.dirichlet(np.full(4, 0.7)) * 0.98 + 0.005) for i in range(1, 4)})
    expected = np.repeat(simplex_point(4, RADIUS), PER_CLASS, axis=1)
    figures, same = [], True
    for name, weights in drawn.items():
        params = certified_points(ball_problem(weights, rng=rng), seeds, key)
        logits = RADIUS * params / np.linalg.norm(params, axis=1, keepdims=True)
        farthest = np.max(np.linalg.norm(logits - expected, axis=(1, 2)), initial=0.0) / np.linalg.norm(expected)
        shown = ", ".join(f"{p:.3f}" for p in weights)
        found = f"{len(params)} of {seeds} seeds certified, distance at most {farthest:.1e}"
        figures.append((f"{name} weights ({shown})", found))
        same = same and len(params) == seeds and bool(farthest < 1e-6)
    apart, certified = contrast(seeds, key)
    figures.append(
        (
            f"mean energies bounded instead (layer-peeled, counts {COUNTS}): distance of W W^T to the simplex",
            f"at least {apart:.6f} on {certified} of {seeds} certified seeds",
        )
    )
    return nct.theorems.ErratumResult(same and apart > 0.1, "certified", tuple(figures))


def certified_points(problem, seeds, key):
    """Find end states at the certified global minimum."""
    ensemble = nct.solve(problem, seeds, key)
    good = ensemble.converged & nct.certify(problem, ensemble.params).closed(ensemble.value)
    return jax.tree.map(lambda leaf: leaf[good], ensemble.params)


def contrast(seeds, key):
    """Find the least distance of a certified W W^T of the layer-peeled model to the simplex, and count these seeds."""
    params = certified_points(nct.layer_peeled(counts=COUNTS, dim=4, energies=(1.0, 1.0)), seeds, key)
    gram = params.weights[0] @ np.swapaxes(params.weights[0], 1, 2)
    with jax.enable_x64(True):
        frame = np.asarray(nct.closed_form.simplex_etf(4))
    unit = gram / np.linalg.norm(gram, axis=(1, 2), keepdims=True)
    distances = np.linalg.norm(unit - frame / np.linalg.norm(frame), axis=(1, 2))
    return float(np.min(distances, initial=2.0)) if distances.size else 0.0, distances.size


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N20",
        title="Imbalance always distorts the geometry",
        published="With unequal numbers of samples the minimisers of cross-entropy are no longer simplices: imbalance, as "
        "such, distorts the geometry.",
        why="It is the shared budget that distorts: one decay, or one energy, for all classes and samples. Where the logits "
        "of every sample are bounded on their own, |z_i| <= R, the problem falls apart into one convex problem per sample, "
        "and the weights drop out.",
        instead="Over |z_i| <= R and for any positive weights the only minimiser has z_i = alpha e_k + beta sum_{j != k} e_j "
        "with alpha = R sqrt((K-1)/K), beta = -R/sqrt(K(K-1)): the simplex of radius R, for every imbalance. Under weight "
        "decay or mean energies the claim is right, see hong-ling-ce and layer-peeled.",
        convention="Cross-entropy of logits z in R^K, weights p_k of the classes split over their samples in any way; K is k "
        "in the paper.",
        sources=(
            E_2022.remark(
                "The theorem about logits in a ball, and for features with |f| <= R under a linear map of norm at most 1. The "
                "claim is a summary met around the subject, not a sentence of theirs."
            ),
        ),
        reproduce=reproduce,
        theorem="layer-peeled",
    )
)
