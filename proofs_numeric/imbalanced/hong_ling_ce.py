"""Cross-entropy under imbalance: block structure, minority collapse at a sharp threshold, and the value."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HONG_2024
from proofs_numeric.imbalanced.groups import group_claims, means_onset, within_class, zero_onset

ID = "hong-ling-ce"


class Prediction(NamedTuple):
    """What the theorem says, as vectors over the groups of at least two classes where not said otherwise."""

    minimum: nct.Minimum
    means: Any
    separation: Any
    weight_gaps: Any
    feature_gaps: Any
    regulariser: Any


def draw_instances(key):
    """Two groups, three, and a majority of one class; within 3 % of every threshold on either side."""
    rng = nct.generator(key)
    drawn = []
    for counts, dim in (((6, 6, 2, 2), 4), ((8, 8, 3, 3, 3), 5)):
        small, between, large = np.sqrt(counts[-1]), means_onset(counts, counts), np.sqrt(counts[0])
        drawn.append(make(rng, counts, dim, small * 10 ** rng.uniform(-1.3, -0.5), "all apart"))
        for at, name in ((small, "minority"), (between, "group means"), (large, "majority")):
            drawn.append(make(rng, counts, dim, at * (1 - rng.uniform(0.01, 0.03)), f"below {name}"))
            drawn.append(make(rng, counts, dim, at * (1 + rng.uniform(0.01, 0.03)), f"above {name}"))
    three, dim = (5, 5, 3, 3, 1), 4
    for at in (rng.uniform(0.1, 0.5), np.sqrt(3) * (1 - rng.uniform(0.01, 0.03)), np.sqrt(3) * 1.02, 2.1):
        drawn.append(make(rng, three, dim, at, "three groups"))
    single, dim = (9, 2, 2, 2), 3
    total = zero_onset(single, single)
    drawn.append(make(rng, single, dim, rng.uniform(0.2, 1.0), "single majority"))
    drawn.append(make(rng, single, dim, total * (1 - rng.uniform(0.01, 0.03)), "single majority, below zero"))
    drawn.append(make(rng, single, dim, total * (1 + rng.uniform(0.01, 0.03)), "single majority, above zero"))
    return drawn


def make(rng, counts, dim, strength, regime):
    """The instance with N lambda = `strength` and decays of a ratio between 1/3 and 3, but not near 1."""
    ratio = 10 ** (rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.5))
    product = (strength / sum(counts)) ** 2
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(counts=counts, dim=dim, loss="cross_entropy", weight_decay=decay)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "N lambda": float(strength)}
    shown.update({"lambda_W": decay[0], "lambda_H": decay[1], "regime": regime})
    return nct.Instance(problem, shown)


def predict_with(strength=None, separation_of=None, shrink=None):
    """The theorem; `strength` replaces N lambda, `separation_of` the rule for p_own - p_other, `shrink` edits `Grouped`."""

    def predict(problem):
        sizes, counts = nct.count_groups(problem.counts)
        total = sum(problem.counts)
        true = nct.decay_strength(problem)
        lam = true if strength is None else strength(problem)
        minimum = nct.imbalanced_cross_entropy_minimum(problem)
        found = nct.grouped_cross_entropy(sizes, [float(n) for n in counts], lam)
        if shrink is not None:
            found = shrink(found, total * true, np.asarray(counts))
        if strength is not None or shrink is not None:
            labels = np.repeat(np.arange(problem.classes), problem.counts)
            product = np.asarray(found.logits(sizes))[:, labels]
            minimum = nct.minimum_from_product(problem, product, found.value, None, ID)
        n, more = np.asarray(counts, dtype=float), np.asarray(sizes) > 1
        rule = separation_of or (lambda strength, n: jnp.maximum(1 - strength / jnp.sqrt(n), 0.0))
        ratio = jnp.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
        scale = ratio * np.sqrt(n)
        return Prediction(
            minimum=minimum,
            means=found.means,
            separation=rule(total * lam, n)[more],
            weight_gaps=(2 * scale * found.gaps)[more],
            feature_gaps=(2 * found.gaps / scale)[more],
            regulariser=lam * found.norm,
        )

    return predict


def moved(factor):
    """Groups collapse when N lambda reaches `factor` sqrt(n_g)."""
    return lambda strength, n: jnp.where(strength < factor * jnp.sqrt(n), 1 - strength / jnp.sqrt(n), 0.0)


def merged_early(found, strength, counts):
    """Gaps zero already for N lambda >= 0.97 sqrt(n_g)."""
    return found._replace(gaps=np.where(strength < 0.97 * np.sqrt(counts), found.gaps, 0.0))


def means_merged(found, strength, counts):
    """Group means zero as soon as the minority has collapsed."""
    return found._replace(means=np.where(strength < np.sqrt(counts[-1]), found.means, 0.0))


def zero_early(factor):
    """The zero solution from `factor` times the true threshold on."""

    def predict(problem):
        prediction = predict_with()(problem)
        total = sum(problem.counts) * nct.decay_strength(problem)
        if total < factor * zero_onset(problem.counts, problem.counts):
            return prediction
        return jax.tree.map(lambda x: 0.0 * x if isinstance(x, np.ndarray | jax.Array) else x, prediction)

    return predict


def etf(problem):
    """W W^T a simplex ETF of the right trace."""
    prediction = predict_with()(problem)
    frame = np.asarray(nct.simplex_etf(problem.classes)) / (problem.classes - 1)
    gram = frame * np.trace(prediction.minimum.gram_weights)
    return prediction._replace(minimum=prediction.minimum._replace(gram_weights=gram))


def arithmetic(problem):
    """(lambda_W + lambda_H)/2 in the place of the geometric mean."""
    return 0.5 * jnp.sum(jnp.asarray(problem.weight_decay))


def regime(*words):
    """Instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Cross-entropy, imbalanced: blocks and minority collapse",
        statement=r"""For $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with groups
of $K_g$ classes of $n_g$ samples let $\lambda=\sqrt{\lambda_W\lambda_H}$, $D=\mathrm{diag}(n_k)$. Every global minimiser
repeats its class means ($H=\bar H\otimes$ repeats), and $\bar Z=W\bar H$, which is unique, does not change when classes of
one group are permuted: $\bar z_{kl}=B_{gh}+\delta_g1[k=l]$ for k in group g, l in group h. Within a group
$p_{own}-p_{other}=(1-N\lambda/\sqrt{n_g})_+$, so that its classes share one classifier and one mean iff
$n_g\le N^2\lambda_W\lambda_H$ (minority collapse, for $K_g\ge2$);
$|w_k-w_l|^2=2\sqrt{\lambda_Hn_g/\lambda_W}\,\delta_g$ and $|\bar h_k-\bar h_l|^2=2\sqrt{\lambda_W/(\lambda_Hn_g)}\,\delta_g$.
The minimiser is zero iff $N\lambda\ge|(11^\top/K-I)D^{1/2}|_2$. The value is
$\sum_k\frac{n_k}N\mathrm{CE}(\bar z_k,k)+\lambda|\bar ZD^{1/2}|_*$ at the minimiser of that convex program, which groups
reduce to $\delta$ and the $G\times G$ group means. Of two groups with at least two classes in the majority, all group means
are zero from a further threshold on, which lies below that of zero: there the majority's classes are still apart.""",
        hypotheses=("any counts, K >= 2", "d >= K-1", "lambda_W, lambda_H > 0", "no bias"),
        notation="Hong and Ling treat classes in clusters of equal size; lambda_W, lambda_H belong to a mean over samples. "
        "p are the softmax probabilities on samples of a class: of the class itself and of another class of its group.",
        sources=(
            HONG_2024.remark(
                "Their abstract: features collapse to class means, angles depend on the sizes, and the threshold of minority "
                "collapse is sharp. All formulas here, the third threshold and the proof by duality are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.minimum_value(lambda p: p.minimum.value),
            nct.Claim("within_class", r"h_i-\bar h_{y_i}=0", within_class, lambda p: jnp.zeros(())),
            *group_claims(r"p_{own}-p_{other}=(1-N\lambda/\sqrt{n_g})_+"),
            nct.Claim("logits", r"WH", lambda p, x: p.logits(x), lambda p: p.minimum.logits),
            nct.Claim(
                "regulariser",
                r"\frac{\lambda_W}2|W|^2+\frac{\lambda_H}2|H|^2=\lambda|\bar ZD^{1/2}|_*",
                lambda problem, params: problem.regulariser(params),
                lambda p: p.regulariser,
            ),
            nct.Claim(
                "gram_weights", r"WW^\top", lambda p, x: x.weights[0] @ x.weights[0].T, lambda p: p.minimum.gram_weights
            ),
            nct.Claim(
                "gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda p: p.minimum.gram_features
            ),
        ),
        controls=(
            nct.Control(
                "minority threshold low",
                "the minority collapses from N lambda = 0.97 sqrt(n_g) on",
                predict_with(separation_of=moved(0.97), shrink=merged_early),
                ("separation", "weight_gaps"),
                regime("below minority"),
            ),
            nct.Control(
                "minority threshold high",
                "the formula holds up to N lambda = 1.03 sqrt(n_g)",
                predict_with(separation_of=moved(1.03)),
                ("separation",),
                regime("above minority"),
            ),
            nct.Control(
                "majority threshold low",
                "the majority collapses from N lambda = 0.97 sqrt(n_g) on",
                predict_with(separation_of=moved(0.97), shrink=merged_early),
                ("separation", "weight_gaps"),
                regime("below majority"),
            ),
            nct.Control(
                "majority threshold high",
                "the formula holds up to N lambda = 1.03 sqrt(n_g)",
                predict_with(separation_of=moved(1.03)),
                ("separation",),
                regime("above majority"),
            ),
            nct.Control(
                "zero early",
                "zero from 0.97 times the spectral norm on",
                zero_early(0.97),
                ("logits", "value"),
                regime("single majority, below zero"),
            ),
            nct.Control(
                "one collapse for all",
                "group means vanish where the minority collapses",
                predict_with(shrink=means_merged),
                ("group_means",),
                regime("above minority", "below group means"),
            ),
            nct.Control(
                "n for root n",
                "p_own - p_other = 1 - N lambda/n_g",
                predict_with(separation_of=lambda strength, n: jnp.maximum(1 - strength / n, 0.0)),
                ("separation",),
            ),
            nct.Control(
                "arithmetic mean", "(lambda_W + lambda_H)/2 instead of lambda", predict_with(strength=arithmetic)
            ),
            nct.Control("ETF", "W W^T a simplex ETF", etf, ("gram_weights",), regime("all apart", "below minority")),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
