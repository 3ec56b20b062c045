r"""Cross-entropy, deep linear: the best of many starts (unproved).

Where pairing the classes is proved to beat neural collapse, it is not proved to be the best, and for fewer classes or
layers nothing is proved at all. A search from many starts says, where decay is not strong: neural collapse for K up to
three; for four classes and two layers neural collapse at weak decay and pairing at stronger decay, for any number n of
samples; pairing for four classes and three layers, and for six and two. This file makes the observation precise enough
to be refuted by one better point.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(W_L\cdots W_1h_i,y_i)+\sum_l\frac{\lambda_l}2|W_l|_F^2 +\frac{\lambda_H}2|H|_F^2$ over
    $W_l\in\mathbb R^{d_l\times d_{l-1}}$ with $d_L=K$ and the features $H\in\mathbb R^{d_0\times N}$ of $N=nK$ samples.
Theorem (our own, from searches and unproved; the structures are those of Garrod and Keating 2025):
    For the chain of `gk-deep-ce-linear` the best point that many starts find is neural collapse for $K\le3$; for $K=4$,
    $L=2$ it is neural collapse below a decay at which both structures cost the same, and the low-rank structure above
    it; for $K=4$, $L=3$ and $K=6$, $L=2$ it is the low-rank structure: with its value, its logits up to a permutation
    of the classes, and the singular values of every factor.
Hypotheses:
    - cross-entropy of one-hot labels
    - free features
    - balanced classes, K >= 2
    - no bias
    - every width >= K
    - all decays > 0
    - decays small enough for a stationary alpha and beta
    - a geometric mean of the decays of at most 0.03
    - K <= 3, or (K, L) one of (4, 2), (4, 3), (6, 2)
Notation:
    As in gk-deep-ce-linear.
Why:
    There is no proof that a point is the best; what follows only compares the two structures of `gk-deep-ce-linear`.
    For $K=2$ they are the same matrices, and for $K=3$ only neural collapse is critical. For even $K=2m$ the paired
    structure has the better fit at equal scale, and its decay is $m2^{2/F}/(K-1)$ times that of neural collapse,
    $F=L+1$. For $(K,L)=(4,3)$ and $(6,2)$ this is below 1, and pairing wins at every decay. For $(4,2)$ it is 1.058: as
    the decays vanish both scales grow like the logarithm of their inverse, the fit becomes negligible beside the decay,
    and neural collapse wins; that it loses at stronger decays, and that the order changes once, is computed. At decays
    beyond those looked at a third structure takes over: for K = 3 a single pair, next to where zero does (`deep-ce-pairs`).
Checked:
    Random starts are followed along the gradient flow, at least 128 of them, of which one in five or more meets each
    structure. The best end stands for the minimum; no certificate is known, and all is sampled. Value, the traces of
    three powers of $ZZ^\top$, three sums over the logits that do not see which classes are paired, and the singular
    values of every factor are compared at the ends of least value, the balance of neighbouring factors at all converged
    ends. Decays are drawn on both sides of the crossing, as close as 1e-4.
Refuted by:
    An end below the better structure, or none at it, or one of least value at which anything differs by more than its
    tolerance. The same check must refute the other structure in the place of the better one, a crossing moved by a
    relative 1e-3, value, logits and singular values off by 1e-6, decays off by 1e-6 in the balance, and a flat spectrum
    in every layer.
Example:
    Four classes, two weight layers and a decay below the crossing (at 0.01176): the values of neural collapse, of the
    low-rank structure, and of the best end of eight random starts.

    >>> problem = chain(classes=4, depth=2, n=1, decay=6e-3).problem
    >>> ends = nct.solve(problem, seeds=8, scale=START, light=True)
    >>> [round(float(value), 6) for value in (predict(problem).value, other_structure(problem).value, ends.value.min())]
    [0.096142, 0.096765, 0.096142]
"""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025
from proofs_numeric.deep.gk_deep_ce import CROSS_ENTROPY, START, STATIONARY_SCALE, WIDE, chains
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.pool import log_uniform, near, pick
from proofs_numeric.thresholds import SEARCH_OF_STRUCTURES

ID = "deep-ce-best"
# A shape is (K, L, n), with all widths K. In those of CROSSING the better structure changes with the decay.
COLLAPSED = ((3, 2, 2), (3, 4, 1), (2, 2, 1), (2, 3, 4))
LOW_RANK = ((4, 3, 1), (6, 2, 2), (4, 3, 3))
CROSSING = ((4, 2, 1), (4, 2, 3))


def draw_instances(key):
    """Draw decays from 1e-3 to 3e-2, unequal from layer to layer; for CROSSING some within 5e-4 of it on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = chains(rng, pick(rng, COLLAPSED, 2), 2) + chains(rng, pick(rng, LOW_RANK), 3)
    ((classes, depth, n),) = pick(rng, CROSSING)
    crossing = crossing_decay(classes, depth, n)
    for relative in (
        log_uniform(rng, 0.05, 0.5),
        1 - log_uniform(rng, 1e-4, 5e-4),
        near(rng, above=False),
        1 + log_uniform(rng, 1e-4, 5e-4),
        near(rng, above=True),
        rng.uniform(1.3, 2.5),
    ):
        drawn.append(chain(classes, depth, n, float(relative * crossing), relative=float(relative)))
    return drawn


def chain(classes, depth, n, decay, **shown):
    """Build the instance with one decay for all factors."""
    problem = network(classes, depth, n, decay)
    return nct.Instance(problem, {"K": classes, "L": depth, "n": n, "lambda": decay, **shown}, scale=START)


def network(classes, depth, n, decay):
    """Build the problem with one decay for all factors."""
    return nct.deep_linear(
        widths=(classes,) * (depth + 1),
        counts=(n,) * classes,
        loss="cross_entropy",
        weight_decay=(decay,) * (depth + 1),
    )


def crossing_decay(classes, depth, n):
    """Find the decay at which both structures cost the same, by a bracketed root."""
    from scipy.optimize import brentq

    def gain(log_decay):
        problem = network(classes, depth, n, float(np.exp(log_decay)))
        return float(nct.closed_form.deep_collapse(problem).value - nct.closed_form.low_rank(problem).value)

    found = brentq(gain, np.log(1e-3), np.log(5e-2), xtol=1e-10)
    assert isinstance(found, float)
    return float(np.exp(found))


def collapse_is_best(problem):
    """Tell whether neural collapse costs less; for K = 3 it alone of the two is critical, for K = 2 they agree."""
    if problem.classes <= 3:
        return True
    return float(nct.closed_form.deep_collapse(problem).value) < float(nct.closed_form.low_rank(problem).value)


def as_minimum(problem, structure):
    """Turn a structure into a prediction of the minimum."""
    return nct.closed_form.minimum_from_product(problem, structure.product, structure.value, None, ID)


def predict(problem):
    """Predict the better of the two structures."""
    return as_minimum(
        problem, (nct.closed_form.deep_collapse if collapse_is_best(problem) else nct.closed_form.low_rank)(problem)
    )


def other_structure(problem):
    """Predict the other structure, which costs more or is not critical."""
    return as_minimum(
        problem, (nct.closed_form.low_rank if collapse_is_best(problem) else nct.closed_form.deep_collapse)(problem)
    )


def crossing_moved(problem):
    """State the observation with its crossing moved by a relative 1e-3, up or down, so that points next to it change sides."""
    crossing = crossing_decay(problem.classes, problem.depth, problem.counts[0])
    relative = float(problem.weight_decay[0]) / crossing
    return other_structure(problem) if abs(relative - 1.0) < 1e-3 else predict(problem)


def off_by(relative):
    """State it with value, logits and all singular values larger by a relative error."""

    def wrong(problem):
        true = predict(problem)
        return true._replace(
            value=(1 + relative) * true.value,
            logits=(1 + relative) * jnp.asarray(true.logits),
            singular_values=(1 + relative) * jnp.asarray(true.singular_values),
            layer_singular_values=(1 + relative) * jnp.asarray(true.layer_singular_values),
        )

    return wrong


def crosses(instance):
    """Tell whether the better structure changes with the decay."""
    return instance.parameters["K"] == 4 and instance.parameters["L"] == 2


def weakly_decayed(instance):
    """Tell whether the decays lie where the searches were."""
    return float(np.mean(np.log(np.asarray(instance.problem.weight_decay)))) <= np.log(0.03) + 1e-12


def covered(instance):
    """Tell whether K and L are among those of which the observation speaks."""
    sizes = (instance.problem.classes, instance.problem.depth)
    return sizes[0] <= 3 or sizes in ((4, 2), (4, 3), (6, 2))


def flattened(problem):
    """Predict a structure of the right value whose layers have all squared singular values at their mean."""
    true = predict(problem)
    layers = jnp.asarray(true.layer_singular_values)
    squares = jnp.mean(layers**2, axis=1, keepdims=True)
    return true._replace(layer_singular_values=jnp.sqrt(jnp.broadcast_to(squares, layers.shape)))


def product_spectrum(problem, params):
    """Return tr (Z Z^T)^p for p = 1, 2, 3."""
    logits = problem.logits(params)
    gram = logits @ logits.T
    return jnp.stack([jnp.trace(jnp.linalg.matrix_power(gram, p)) for p in (1, 2, 3)])


def predicted_spectrum(minimum):
    """Return the same from the predicted singular values."""
    squares = jnp.asarray(minimum.singular_values) ** 2
    return jnp.stack([jnp.sum(squares**p) for p in (1, 2, 3)])


def label_free_sums(problem, params):
    """Return sums over the logits that do not depend on which classes the low-rank structure pairs."""
    logits = problem.logits(params)
    targets = jnp.asarray(problem.targets)
    samples = targets.shape[1]
    return jnp.stack([jnp.sum(targets * logits), jnp.sum(logits), jnp.sum(logits**4)]) / samples


def predicted_label_free_sums(minimum):
    """Return the same from the predicted logits."""
    logits = jnp.asarray(minimum.logits)
    classes, samples = logits.shape
    labels = np.repeat(np.arange(classes), samples // classes)
    right: jax.Array = jnp.sum(logits[labels, np.arange(samples)])
    return jnp.stack([right, jnp.sum(logits), jnp.sum(logits**4)]) / samples


CLAIMS = {claim.name: claim for claim in nct.theorems.chain_claims()}

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            CROSS_ENTROPY,
            FREE_FEATURES,
            BALANCED,
            NO_BIAS,
            WIDE,
            POSITIVE_DECAYS,
            STATIONARY_SCALE,
            weakly_decayed,
            covered,
        ),
        sources=(
            GARROD_2025.remark(
                "The structures are theirs; that they are globally best is not proved there for these sizes."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            CLAIMS["value"],
            nct.Equality(
                "spectrum",
                r"\mathrm{tr}(ZZ^\top)^p",
                product_spectrum,
                predicted_spectrum,
            ),
            nct.Equality(
                "logits",
                r"\sum z_{y_ii},\ \sum z,\ \sum z^4",
                label_free_sums,
                predicted_label_free_sums,
            ),
            CLAIMS["layer_spectra"],
            CLAIMS["balance"],
        ),
        controls=(
            nct.Control("the other structure", "low rank where collapse is best, and the reverse", other_structure),
            nct.Control(
                "crossing 1e-3 off",
                "the decay of equal cost moved by a relative 1e-3",
                crossing_moved,
                claims=("value",),
                applies=crosses,
            ),
            nct.Control(
                "1e-6 off",
                "value, logits and singular values larger by a relative 1e-6",
                off_by(1e-6),
                claims=("value", "spectrum", "logits", "layer_spectra"),
            ),
            nct.theorems.balance_control(),
            nct.Control("flat spectrum", "all singular values of a layer equal", flattened, claims=("layer_spectra",)),
        ),
        several_basins=True,
        method=nct.Solve(search=SEARCH_OF_STRUCTURES),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
