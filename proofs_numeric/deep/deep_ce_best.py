"""Cross-entropy, a linear chain of three and more factors: what the best of many starts is (sampled, not proved)."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025
from proofs_numeric.deep.gk_deep_ce import START
from proofs_numeric.deep.gk_deep_ce import draw_instances as draw

ID = "deep-ce-best"
COLLAPSED = ((3, 2, 2), (3, 4, 1))
LOW_RANK = ((4, 3, 1), (6, 2, 2))
CROSSING = (4, 2, 1)
"""(K, L, n), widths all K; in the last the better structure changes with the decay."""


def draw_instances(key):
    """Decays from 1e-3 to 3e-2, unequal from layer to layer; at K = 4, L = 2 within 3 % of the crossing on either side."""
    rng = nct.generator(key)
    drawn = draw(key, COLLAPSED) + draw(key, LOW_RANK)[::2]
    crossing = crossing_decay(*CROSSING)
    for relative in (
        rng.uniform(0.05, 0.3),
        1 - rng.uniform(0.01, 0.03),
        1 + rng.uniform(0.01, 0.03),
        rng.uniform(1.5, 2.5),
    ):
        drawn.append(chain(*CROSSING, float(relative * crossing), relative=float(relative)))
    return drawn


def chain(classes, depth, n, decay, **shown):
    """A chain with one decay for all factors."""
    problem = nct.deep_linear(
        widths=(classes,) * (depth + 1),
        counts=(n,) * classes,
        loss="cross_entropy",
        weight_decay=(decay,) * (depth + 1),
    )
    return nct.Instance(problem, {"K": classes, "L": depth, "n": n, "lambda": decay, **shown}, scale=START)


def crossing_decay(classes, depth, n):
    """The decay at which both structures cost the same, by bisection."""
    from scipy.optimize import brentq

    def gain(log_decay):
        problem = chain(classes, depth, n, float(np.exp(log_decay))).problem
        return float(nct.deep_collapse(problem).value - nct.low_rank(problem).value)

    return float(np.exp(brentq(gain, np.log(1e-3), np.log(5e-2), xtol=1e-10)))


def collapse_is_best(problem):
    """Whether neural collapse costs less; for K = 3 it is the only one of the two that is critical."""
    if problem.classes == 3:
        return True
    return float(nct.deep_collapse(problem).value) < float(nct.low_rank(problem).value)


def as_minimum(problem, structure):
    """A structure as a prediction of the minimum."""
    return nct.minimum_from_product(problem, structure.product, structure.value, None, ID)


def predict(problem):
    """The better of the two structures."""
    return as_minimum(problem, (nct.deep_collapse if collapse_is_best(problem) else nct.low_rank)(problem))


def other(problem):
    """The other one."""
    return as_minimum(problem, (nct.low_rank if collapse_is_best(problem) else nct.deep_collapse)(problem))


def flattened(problem):
    """A structure of the right value whose singular values are all equal to their mean."""
    true = predict(problem)
    layers = jnp.asarray(true.layer_singular_values)
    squares = jnp.mean(layers**2, axis=1, keepdims=True)
    return true._replace(layer_singular_values=jnp.sqrt(jnp.broadcast_to(squares, layers.shape)))


def product_spectrum(problem, params):
    """tr (Z Z^T)^p for p = 1, 2, 3."""
    logits = problem.logits(params)
    gram = logits @ logits.T
    return jnp.stack([jnp.trace(jnp.linalg.matrix_power(gram, p)) for p in (1, 2, 3)])


def predicted_spectrum(minimum):
    """The same from the singular values."""
    squares = jnp.asarray(minimum.singular_values) ** 2
    return jnp.stack([jnp.sum(squares**p) for p in (1, 2, 3)])


def margins(problem, params):
    """Sums over the logits that do not depend on which classes the low-rank structure pairs."""
    logits = problem.logits(params)
    targets = jnp.asarray(problem.targets)
    samples = targets.shape[1]
    return jnp.stack([jnp.sum(targets * logits), jnp.sum(logits), jnp.sum(logits**4)]) / samples


def predicted_margins(minimum):
    """The same from the predicted logits."""
    logits = jnp.asarray(minimum.logits)
    classes, samples = logits.shape
    labels = np.repeat(np.arange(classes), samples // classes)
    right: jax.Array = jnp.sum(logits[labels, np.arange(samples)])
    return jnp.stack([right, jnp.sum(logits), jnp.sum(logits**4)]) / samples


CLAIMS = {claim.name: claim for claim in nct.chain_claims()}

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Cross-entropy, deep linear: the best of many starts (unproved)",
        statement=r"""For the chain of `gk-deep-ce-linear` the best point that many starts find is neural collapse for $K=3$;
for $K=4$, $L=2$ it is neural collapse below a decay at which both structures cost the same, and the low-rank structure
above it; for $K=4$, $L=3$ and $K=6$, $L=2$ it is the low-rank structure: with its value, its logits up to a permutation of the
classes, and the singular values of every factor.""",
        hypotheses=("balanced classes, no bias", "every width >= K", "decays > 0, small enough for a stationary scale"),
        notation="As in gk-deep-ce-linear.",
        sources=(
            GARROD_2025.remark(
                "The structures are theirs; that they are globally best is not proved there for these sizes."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            CLAIMS["value"],
            nct.Claim("spectrum", r"\mathrm{tr}(ZZ^\top)^p", product_spectrum, predicted_spectrum),
            nct.Claim("logits", r"\sum z_{y_ii},\ \sum z,\ \sum z^4", margins, predicted_margins),
            CLAIMS["layer_spectra"],
            CLAIMS["balance"],
        ),
        controls=(
            nct.Control("the other structure", "low rank where collapse is best, and the reverse", other),
            nct.Control("flat spectrum", "all singular values of a layer equal", flattened, claims=("layer_spectra",)),
            nct.Control(
                "3 % lower",
                "a minimum 3 % below the better structure",
                lambda problem: predict(problem)._replace(value=0.97 * predict(problem).value),
                claims=("value",),
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
