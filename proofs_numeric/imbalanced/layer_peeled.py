"""The layer-peeled model: a simplex when balanced, and minority collapse at a finite imbalance ratio."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import FANG_2021
from proofs_numeric.imbalanced.groups import factor_pair, group_claims, within_class
from proofs_numeric.imbalanced.peeled_program import (
    means_energy,
    program,
    solve_multiplier,
    threshold_energy,
    threshold_ratio,
)

ID = "layer-peeled"


class Prediction(NamedTuple):
    """What the theorem says; vectors are over the groups of at least two classes."""

    value: Any
    logits: Any
    means: Any
    separation: Any
    weight_gaps: Any
    feature_gaps: Any
    gram_weights: Any
    gram_features: Any
    multiplier: Any


def draw_instances(key):
    """Balanced; R = 2 and R = 4 at one energy, with R_0 between them; within 3 % of both thresholds on either side."""
    rng = nct.generator(key)
    drawn = [make(rng, (5, 5, 5), 2, energy, "balanced") for energy in (0.2, 1.0, rng.uniform(1.5, 2.5))]
    common = float(np.sqrt(threshold_energy((4, 4, 2, 2)) * threshold_energy((8, 8, 2, 2))))
    for counts, dim in (((4, 4, 2, 2), 4), ((8, 8, 2, 2), 4), ((9, 3, 3), 3)):
        critical = threshold_energy(counts)
        drawn.append(make(rng, counts, dim, critical * (1 - rng.uniform(0.01, 0.03)), "merged, near apart"))
        drawn.append(make(rng, counts, dim, critical * (1 + rng.uniform(0.01, 0.03)), "apart, near merged"))
        if len(counts) == 4:
            drawn.append(make(rng, counts, dim, common, "apart" if common > critical else "merged"))
    drawn.append(make(rng, (4, 4, 2, 2), 4, rng.uniform(1.5, 2.5), "apart"))
    drawn.append(make(rng, (9, 3, 3), 3, rng.uniform(0.1, 0.3), "merged"))
    lower = means_energy((8, 8, 2, 2))
    drawn.append(make(rng, (8, 8, 2, 2), 4, lower * (1 - rng.uniform(0.01, 0.03)), "means zero"))
    drawn.append(make(rng, (8, 8, 2, 2), 4, lower * (1 + rng.uniform(0.01, 0.03)), "merged, means near zero"))
    return drawn


def make(rng, counts, dim, energy, regime):
    """The instance with sqrt(E_W E_H) = `energy` and E_W/E_H between 1/10 and 10, but not near 1."""
    ratio = 10 ** (rng.choice([-0.5, 0.5]) * rng.uniform(0.4, 1.0))
    energies = (float(energy * ratio), float(energy / ratio))
    problem = nct.layer_peeled(counts=counts, dim=dim, energies=energies)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "R": counts[0] / counts[-1]}
    shown.update({"E_W": energies[0], "E_H": energies[1], "regime": regime})
    if counts[0] > counts[-1]:
        sizes, _ = nct.count_groups(counts)
        shown["R_0"] = threshold_ratio(sizes[0], sizes[1], energy)
        shown["energy over threshold"] = energy / threshold_energy(counts)
    return nct.Instance(problem, shown)


def predict_with(radius_of=None, separation_of=None, edit=None):
    """The theorem; other rules for the nuclear norm allowed and for p_own - p_other, or an edited `Grouped`."""

    def predict(problem):
        counts = problem.counts
        sizes, values = (np.asarray(x) for x in nct.count_groups(counts))
        radius = float(problem.radius if radius_of is None else radius_of(problem))
        mu = solve_multiplier(counts, radius)
        found = program(counts, mu)
        if edit is not None:
            found = edit(found, problem)
        rule = separation_of or (lambda strength, n, problem: np.maximum(1 - strength / n, 0.0))
        apart, more = np.asarray(rule(mu * sum(counts), values * 1.0, problem)), sizes > 1
        labels = np.repeat(np.arange(len(counts)), counts)
        logits = np.asarray(found.logits(nct.count_groups(counts)[0]))
        left, singular, right = np.linalg.svd(logits)
        turn = float(np.sqrt(problem.energies[0] / problem.energies[1]))
        features = (right.T * singular) @ right / turn
        return Prediction(
            value=found.fit,
            logits=logits[:, labels],
            means=found.means,
            separation=apart[more],
            weight_gaps=2 * turn * found.gaps[more],
            feature_gaps=2 / turn * found.gaps[more],
            gram_weights=turn * (left * singular) @ left.T,
            gram_features=features[labels][:, labels],
            multiplier=mu,
        )

    return predict


def etf(found, problem):
    """A simplex ETF of the nuclear norm allowed."""
    sizes = np.asarray(nct.count_groups(problem.counts)[0], dtype=float)
    scale = float(problem.radius) / (problem.classes - 1)
    means = scale * (np.diag(1 / sizes) - 1 / problem.classes)
    return found._replace(gaps=np.full(sizes.size, scale) * (sizes > 1), means=means)


def merged_late(found, problem):
    """The minority's gap zero up to 1.03 times the threshold energy."""
    energy = float(problem.radius) / problem.classes
    zero = np.array([False] * (found.gaps.size - 1) + [energy < 1.03 * threshold_energy(problem.counts)])
    return found._replace(gaps=np.where(zero, 0.0, found.gaps))


def merged_in_the_limit(found, problem):
    """The minority's gap that of the majority over R: zero only for infinite R."""
    gaps = np.array(found.gaps)
    gaps[-1] = gaps[0] * min(problem.counts) / max(problem.counts)
    return found._replace(gaps=gaps)


def without_limit(strength, n, problem):
    """The formula for p_own - p_other continued to 0.97 times the threshold energy."""
    near = float(problem.radius) / problem.classes > 0.97 * threshold_energy(problem.counts)
    return 1 - strength / n if near else np.maximum(1 - strength / n, 0.0)


def means_gone(found, problem):
    """Group means zero for every merged minority."""
    return found._replace(means=0.0 * found.means)


def multiplier(problem, params):
    """-<G, Z>/(K sqrt(E_W E_H)) with G the gradient of the mean cross-entropy in the logits."""
    logits = problem.logits(params)
    gradient = problem.loss.gradient(logits, problem.targets) / logits.shape[1]
    return -jnp.sum(gradient * logits) / problem.radius


def gram(index):
    """W W^T or H^T H."""

    def observe(problem, params):
        factor = factor_pair(problem, params)[index]
        return factor @ factor.T if index == 0 else factor.T @ factor

    return observe


def regime(*words):
    """Instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


MERGED = ("merged", "merged, near apart", "merged, means near zero")

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="The layer-peeled model: simplex ETF, and minority collapse at a finite ratio",
        statement=r"""Minimise $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ subject to $\frac1K\sum_k|w_k|^2\le E_W$ and
$\frac1K\sum_k\frac1{n_k}\sum_i|h_{k,i}|^2\le E_H$. Every minimiser repeats its class means, and $\bar Z=W\bar H$ is the unique
minimiser of the cross-entropy subject to $|\bar Z|_*\le K\sqrt{E_WE_H}$, with multiplier $\mu=|(P-I)D/N|_2>0$;
$WW^\top=\sqrt{E_W/E_H}(\bar Z\bar Z^\top)^{1/2}$, $\bar H^\top\bar H=\sqrt{E_H/E_W}(\bar Z^\top\bar Z)^{1/2}$. Balanced:
$\bar Z=\frac{K\sqrt{E_WE_H}}{K-1}S$, a simplex ETF. Two groups, $n_A>n_B$: within a group
$p_{own}-p_{other}=(1-\mu N/n_g)_+$, so that the minority's classifiers and means coincide iff $n_B/N\le\mu$, that is iff
$R=n_A/n_B$ is at least a finite $R_0(K_A,K_B,E_WE_H)$, or for given counts iff $\sqrt{E_WE_H}$ is at most $|\bar Z|_*/K$ at
$\mu=n_B/N$. Below a second, smaller energy (for $K_A\ge2$) all group means are zero, and with them all that belongs to the
minority.""",
        hypotheses=("d >= K-1", "E_W, E_H > 0", "no bias", "balanced, or two groups of classes of equal size"),
        notation="Fang et al.: E_W, E_H as here, sums over n_k samples of class k; their R is n_A/n_B. P are the softmax "
        "probabilities of the class means, columns classes; D = diag(n_k).",
        sources=(
            FANG_2021.remark(
                "The model, the balanced ETF, and coinciding minority classifiers as R grows (in their theorem in the limit). "
                "The convex program, the exact condition and R_0 are our own; that |Z|_* at mu = n_B/N grows with R, as "
                "log R in the end, so that R_0 is finite and one, was seen numerically."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.minimum_value(lambda p: p.value),
            nct.Claim("within_class", r"h_{k,i}-\bar h_k=0", within_class, lambda p: jnp.zeros(())),
            *group_claims(r"p_{own}-p_{other}=(1-\mu N/n_g)_+"),
            nct.Claim("logits", r"WH", lambda p, x: p.logits(x), lambda p: p.logits),
            nct.Claim("gram_weights", r"WW^\top", gram(0), lambda p: p.gram_weights),
            nct.Claim("gram_features", r"H^\top H", gram(1), lambda p: p.gram_features),
            nct.Claim("multiplier", r"\mu", multiplier, lambda p: p.multiplier),
        ),
        controls=(
            nct.Control(
                "threshold high",
                "minority merged up to 1.03 times the threshold energy",
                predict_with(edit=merged_late),
                ("weight_gaps", "feature_gaps"),
                regime("apart, near merged"),
            ),
            nct.Control(
                "threshold low",
                "minority apart, by the formula continued, down to 0.97 times the threshold energy",
                predict_with(separation_of=without_limit),
                ("separation",),
                regime("merged, near apart"),
            ),
            nct.Control(
                "only in the limit",
                "minority classifiers coincide as R tends to infinity, at no finite R",
                predict_with(edit=merged_in_the_limit),
                ("weight_gaps",),
                lambda instance: regime(*MERGED)(instance) and instance.parameters["counts"] != "9-3-3",
            ),
            nct.Control(
                "ETF under imbalance",
                "a simplex ETF whatever the counts",
                predict_with(edit=etf),
                ("logits", "weight_gaps"),
                lambda instance: not regime("balanced")(instance),
            ),
            nct.Control(
                "all or nothing",
                "group means zero wherever the minority is merged",
                predict_with(edit=means_gone),
                ("group_means",),
                regime(*MERGED),
            ),
            nct.Control(
                "arithmetic mean",
                "nuclear norm K (E_W + E_H)/2",
                predict_with(radius_of=lambda problem: problem.classes * float(np.mean(problem.energies))),
            ),
            nct.Control(
                "root of n",
                "p_own - p_other = 1 - mu N/sqrt(n_g), as with weight decay",
                predict_with(separation_of=lambda strength, n, problem: np.maximum(1 - strength / np.sqrt(n), 0.0)),
                ("separation",),
            ),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
