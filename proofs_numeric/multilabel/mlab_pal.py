"""Multi-label classification with the pick-all-label loss: a simplex ETF, features that are scaled sums over tags."""

from itertools import combinations
from math import comb
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import LI_2024

ID = "mlab-pal"
# (K, d, copies of every set of m tags, bias), in groups of equal K, d, number of samples and kind of bias.
SHAPES = (
    (4, 3, ({1: 2, 2: 1}, {1: 1, 2: 1, 3: 1}), None),
    (4, 5, ({2: 2}, {1: 1, 3: 2}, {1: 3}), 0.0),
    (5, 5, ({1: 2, 3: 1},), 0.1),
)


class Prediction(NamedTuple):
    """The minimum, and for every sample <h, sum of its tags' classifiers>."""

    minimum: nct.Minimum
    products: jax.Array


def draw_instances(key):
    """For each set of multiplicities: weak and moderate decay, within 3 % of the onset on either side; one far beyond."""
    rng = nct.generator(key)
    drawn = []
    for classes, dim, copies, bias in SHAPES:
        for chosen in copies:
            weak, moderate = np.exp(rng.uniform(np.log(0.02), np.log(0.15))), rng.uniform(0.2, 0.8)
            near = rng.choice([1 - rng.uniform(0.01, 0.03), 1 + rng.uniform(0.01, 0.03)], size=2, replace=False)
            relative = [weak, moderate, *near] if len(chosen) > 1 else [moderate, *near]
            drawn += [make(rng, classes, dim, chosen, x, bias) for x in relative]
    drawn.append(make(rng, 4, 5, SHAPES[1][2][0], rng.uniform(1.5, 3.0), 0.0))
    return drawn


def make(rng, classes, dim, copies, relative, bias):
    """The instance with lambda = `relative` times the onset and decays of a ratio between 1/4 and 4, but not near 1."""
    samples = {m: n * comb(classes, m) for m, n in copies.items()}
    squared = sum(number * m * (classes - m) for m, number in samples.items()) / (classes * (classes - 1))
    lam = relative * np.sqrt(squared) / sum(samples.values())
    ratio = 10 ** (rng.choice([-1.0, 1.0]) * rng.uniform(0.1, 0.3))
    decay = (float(lam * ratio), float(lam / ratio))
    tags = [one for m, n in copies.items() for one in combinations(range(classes), m) for _ in range(n)]
    problem = nct.multi_label_features(tags=tags, dim=dim, weight_decay=decay, bias=bias)
    shown = {"K": classes, "d": dim, "copies": ", ".join(f"{n} x {m} tags" for m, n in copies.items())}
    shown |= {"lambda_W": decay[0], "lambda_H": decay[1], "bias": "none" if bias is None else bias}
    return nct.Instance(problem, {**shown, "multiplicities": len(copies), "relative": float(relative)})


def with_scales(rule=lambda problem, found: found.scales):
    """The theorem with other scales a_m; the value is the objective's at them, all else follows as in the theorem."""

    def predict(problem):
        found = nct.tag_scales(problem)
        scales = jnp.where(found.samples > 0, rule(problem, found), 0.0)
        minimum = nct.tag_frame_minimum(problem, found.samples, scales, program(problem, found.samples, scales), ID)
        targets = jnp.asarray(problem.targets)
        products = jnp.sum(minimum.product * targets, axis=0)
        return Prediction(minimum, products)

    return predict


def program(problem, samples, scales):
    """The value at scales a_m."""
    classes = problem.classes
    m = np.arange(1, classes)
    fit = jnp.sum(samples / jnp.sum(samples) * m * jnp.log(m + (classes - m) * jnp.exp(-scales)))
    norm = jnp.sqrt((classes - 1) * jnp.sum(samples * m * (classes - m) / classes * scales**2))
    return fit + nct.decay_strength(problem) * norm


def first_scale(scales):
    """The scale of the least multiplicity that occurs."""
    return scales[jnp.argmax(scales > 0)]


def common(problem, found):
    """One C for all multiplicities: that of the least."""
    return jnp.where(found.scales > 0, first_scale(found.scales), 0.0)


def averaged(problem, found):
    """Plain averages: h_S the mean of its tags' single-label features, C_m falling as 1/m."""
    m = jnp.arange(1, problem.classes)
    return common(problem, found) * m[jnp.argmax(found.scales > 0)] / m


def single_label(problem, found):
    """a = log(1/kappa - K + 1) with kappa = sqrt(N/K) lambda, the formula of one tag a sample, for every m."""
    kappa = jnp.sqrt(jnp.sum(found.samples) / problem.classes) * nct.decay_strength(problem)
    scale = jnp.log(jnp.maximum(1 / kappa - problem.classes + 1, 1.0))
    return jnp.full(found.scales.shape, scale)


def moved_onset(factor):
    """Zero from `factor` times the onset on; between the two what stands on the other side of it at equal distance."""

    def rule(problem, found):
        lam = nct.decay_strength(problem)
        other = _with_strength(problem, jnp.minimum(lam, found.onset**2 / lam))
        return jnp.where(lam < factor * found.onset, nct.tag_scales(other).scales, 0.0)

    return rule


def _with_strength(problem, lam):
    """The problem at another lambda."""
    return nct.deep_linear(
        widths=problem.widths,
        targets=problem.targets,
        loss=problem.loss,
        weight_decay=(float(lam), float(lam)),
        bias=problem.bias_decay,
    )


def centred_logits(problem, params):
    """Logits without the constant of each column, which the loss ignores."""
    logits = problem.logits(params)
    return logits - jnp.mean(logits, axis=0, keepdims=True)


def centred_bias(problem, params):
    """b, without its mean where that is free."""
    if params.bias is None:
        return jnp.zeros(problem.classes)
    return params.bias - jnp.where(jnp.asarray(problem.bias_decay) == 0.0, jnp.mean(params.bias), 0.0)


def tag_sums(problem, params):
    """Of every sample the sum of its tags' rows of W: d x N."""
    return params.weights[0].T @ jnp.asarray(problem.targets)


def off_tag_sum(problem, params):
    """|v|^2 h - <h, v> v for every sample, v the sum over its tags; zero where they are parallel."""
    v, h = tag_sums(problem, params), params.features
    return jnp.sum(v**2, axis=0)[None, :] * h - jnp.sum(v * h, axis=0)[None, :] * v


def near(above):
    """Instances within 3 % of the onset, on one side."""
    return lambda instance: (
        abs(instance.parameters["relative"] - 1) < 0.04 and above == (instance.parameters["relative"] > 1)
    )


def several(instance):
    """More than one multiplicity, and not zero."""
    return instance.parameters["multiplicities"] > 1 and instance.parameters["relative"] < 1


def more_than_one_tag(instance):
    """Whether some sample has more than one tag, and the minimiser is not zero."""
    return instance.parameters["relative"] < 1 and "2 tags" in instance.parameters["copies"]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Multi-label, pick-all-label loss: simplex ETF and tag-wise averages",
        statement=r"""For $f=\frac1N\sum_i\sum_{k\in S_i}\mathrm{CE}(Wh_i+b,k)+\frac{\lambda_W}2|W|_F^2
+\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$, where for every $m$ all sets of $m$ tags occur equally often (for some $m$
perhaps never), $N_m$ samples with $m$ tags, let $\lambda=\sqrt{\lambda_W\lambda_H}$. Every global minimiser has
$WW^\top=w^2(I-11^\top/K)$, $h_i=C_m\sum_{k\in S_i}w_k$ for $|S_i|=m$, so that $Wh_i=a_m(1_{S_i}-m/K)$ with
$a_m=C_mw^2$, and $b$ constant (zero if $\lambda_b>0$). The $a_m\ge0$ are the unique minimiser of
$\sum_m\frac{N_m}Nm\log(m+(K-m)e^{-a_m})+\lambda((K-1)\sum_mN_m\frac{m(K-m)}Ka_m^2)^{1/2}$, whose value is $\min f$, and
$w^4=\frac{\lambda_H}{\lambda_W}\sum_mN_ma_m^2\frac{m(K-m)}{K(K-1)}$. All $a_m$ are positive if
$N^2\lambda_W\lambda_H<\sum_mN_m\frac{m(K-m)}{K(K-1)}$, and all are zero otherwise.""",
        hypotheses=(
            "all sets of m tags equally often, for each m that occurs; 1 <= m < K",
            "d >= K-1",
            "lambda_W, lambda_H > 0, bias none, free or decayed",
        ),
        notation="The fit is a mean over samples, each with the sum over its tags; w_k are the rows of W, m is the number of "
        "tags of a sample (its multiplicity), N the number of samples, not of tags.",
        sources=(
            LI_2024.remark(
                "For the geometry: simplex ETF, h_S a scaled sum over tags. The scalar program, its uniqueness and the "
                "common threshold are our own: averaging over the permutations of the classes leaves the convex program in "
                "the logits with one singular value, so that its nuclear norm is a Euclidean norm of the a_m."
            ),
        ),
        instances=draw_instances,
        predict=with_scales(),
        claims=(
            nct.minimum_value(lambda p: p.minimum.value),
            nct.Claim("logits", r"WH+b1^\top", centred_logits, lambda p: p.minimum.logits),
            nct.Claim(
                "gram_weights", r"WW^\top", lambda p, x: x.weights[0] @ x.weights[0].T, lambda p: p.minimum.gram_weights
            ),
            nct.Claim(
                "gram_features", r"H^\top H", lambda p, x: x.features.T @ x.features, lambda p: p.minimum.gram_features
            ),
            nct.Claim("tag_direction", r"h_i\parallel\sum_{k\in S_i}w_k", off_tag_sum, lambda p: jnp.zeros(())),
            nct.Claim(
                "tag_scale",
                r"\langle h_i,\sum_{k\in S_i}w_k\rangle=a_mm(K-m)/K",
                lambda problem, params: jnp.sum(tag_sums(problem, params) * params.features, axis=0),
                lambda p: p.products,
            ),
            nct.Claim(
                "weight_norm", r"|W|_F^2", lambda p, x: jnp.sum(x.weights[0] ** 2), lambda p: p.minimum.weight_norm
            ),
            nct.Claim(
                "feature_norm", r"|H|_F^2", lambda p, x: jnp.sum(x.features**2), lambda p: p.minimum.feature_norm
            ),
            nct.Claim("bias", r"b", centred_bias, lambda p: jnp.zeros(())),
        ),
        controls=(
            nct.Control(
                "threshold low",
                "zero from 0.97 of the onset on",
                with_scales(moved_onset(0.97)),
                applies=near(above=False),
            ),
            nct.Control(
                "threshold high", "not zero up to 1.03", with_scales(moved_onset(1.03)), applies=near(above=True)
            ),
            nct.Control(
                "one scale",
                "the same C_m for all multiplicities",
                with_scales(common),
                claims=("logits", "tag_scale", "gram_features"),
                applies=several,
            ),
            nct.Control(
                "plain averages",
                "h_S the plain average of its tags' features, C_m proportional to 1/m",
                with_scales(averaged),
                claims=("logits", "tag_scale", "gram_features"),
                applies=several,
            ),
            nct.Control(
                "single-label formula",
                "a_m = log(1/kappa - K + 1) for every m",
                with_scales(single_label),
                claims=("logits", "value"),
                applies=more_than_one_tag,
            ),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
