"""Hard margins, imbalanced: the simplex-encoded-labels interpolation, for STEP imbalance and any other."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import THRAMPOULIDIS_2022
from proofs_numeric.imbalanced.margins import CLAIMS, describe, hard_margin_problem, with_product

ID = "seli"
HALF = ((4, 5), (6, 5))  # (K, d) of STEP imbalance with half the classes in the majority; d = K-1 once


def draw_instances(key):
    """STEP with R from 1 to 100, within 2 % of R = 7 on either side, other fractions; arbitrary counts; full samples."""
    rng = nct.generator(key)
    drawn = []
    for large, small in ((1, 1), (2, 1), (7, 1), (343, 50), (357, 50), (100, 1)):
        drawn.append(step(rng, *HALF[0], 2, large, small))
    for large, small in ((3, 1), (7, 1), (int(rng.integers(20, 60)), 1)):
        drawn.append(step(rng, *HALF[1], 3, large, small))
    drawn.append(step(rng, *HALF[1], 4, int(rng.integers(4, 40)), 1))
    drawn.append(step(rng, *HALF[1], 1, 10, int(rng.integers(2, 5))))
    for _ in range(3):
        counts = tuple(sorted(np.exp(rng.uniform(0, np.log(300), size=6)).round().astype(int).tolist(), reverse=True))
        problem = hard_margin_problem(rng, counts, 5)
        drawn.append(nct.Instance(problem, {"K": 6, "d": 5, "counts": "-".join(map(str, counts)), "kind": "any"}))
    samples = hard_margin_problem(rng, (3, 3, 1, 1), 4, reduced=False)
    drawn.append(nct.Instance(samples, {"K": 4, "d": 4, "counts": "3-3-1-1", "kind": "full samples"}))
    return drawn


def step(rng, classes, dim, majority, large, small):
    """`majority` classes of `large` samples, the rest of `small`."""
    counts = (large,) * majority + (small,) * (classes - majority)
    problem = hard_margin_problem(rng, counts, dim)
    shown = {"K": classes, "d": dim, "majority": majority, "n_maj": large, "n_min": small, "R": large / small}
    return nct.Instance(problem, {**shown, "kind": "STEP"})


def predict_with(root=np.sqrt, mixed=lambda a, b, r: np.sqrt((r * b + a) / (a + b)), fraction=None):
    """The theorem; on STEP counts norms and angles from its table, in which `root` and `mixed` give the singular values.

    In units of sqrt(n_min): root(R) for differences within the majority (a classes), mixed(a, b, R) between the groups, 1
    within the minority (b classes). `fraction` puts another share of majority classes into the table.
    """

    def predict(problem):
        prediction = describe(problem, nct.seli_minimum(problem))
        counts = np.asarray(nct.class_counts(problem))
        large, small, classes = counts[0], counts[-1], len(counts)
        a = int(np.sum(counts == large))
        b = classes - a
        if np.sum(counts == small) != b or large == small:
            return prediction
        share_a, share_b = (a, b) if fraction is None else (fraction * classes, (1 - fraction) * classes)
        ratio = large / small
        top, mid = root(ratio), mixed(share_a, share_b, ratio)
        # Squared entries of the direction between the groups, on a majority and on a minority class.
        on_a, on_b = share_b / (classes * share_a), share_a / (classes * share_b)
        unit = np.sqrt(small) * np.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
        weights = [unit * (top * (1 - 1 / share_a) + mid * on_a), unit * ((1 - 1 / share_b) + mid * on_b)]
        turn = 1.0 / unit  # H^T H is the pseudo-inverse of W W^T
        features = [turn * ((1 - 1 / share_a) / top + on_a / mid), turn * ((1 - 1 / share_b) + on_b / mid)]
        within = (-1 / share_b + mid * on_b) / ((1 - 1 / share_b) + mid * on_b) if b > 1 else prediction.angles[0]
        return prediction._replace(
            weight_norms=np.repeat(weights, (a, b)),
            feature_norms=np.repeat(features, (a, b)),
            angles=np.array([within, -unit * mid / classes]),
        )

    return predict


def etf(problem):
    """A simplex ETF of classifiers, of the right total size, whatever the imbalance."""
    prediction = predict_with()(problem)
    gram = np.asarray(nct.simplex_etf(problem.classes)) * np.trace(prediction.minimum.gram_weights)
    return prediction._replace(
        minimum=prediction.minimum._replace(gram_weights=gram / (problem.classes - 1)),
        weight_norms=np.full(problem.classes, np.trace(gram) / (problem.classes - 1) / problem.classes),
    )


def minority_collapse(problem):
    """Coinciding minority classifiers, all else as it is."""
    prediction = predict_with()(problem)
    return prediction._replace(angles=prediction.angles * np.array([0.0, 1.0]) + np.array([1.0, 0.0]))


def larger_minority_margins(problem):
    """Margins that grow as 1/sqrt(n_k), as those of label-dependent temperatures."""
    counts = np.asarray(nct.class_counts(problem))
    return with_product(problem, nct.hard_margin_logits(problem.classes, None, np.sqrt(counts / counts.mean())))


def balanced_multipliers(problem):
    """Multipliers as if all classes were as large as the largest: 1/(K sqrt(n_max)) throughout."""
    prediction = predict_with()(problem)
    counts = np.asarray(nct.class_counts(problem))
    strength = jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay)))
    equal = strength / (problem.classes * np.sqrt(counts.max()))
    return prediction._replace(smallest=equal, multipliers=equal * (1.0 - np.asarray(problem.targets)))


def has_two_groups(instance):
    """STEP with R > 1."""
    return instance.parameters["kind"] == "STEP" and instance.parameters["R"] > 1


def has_minority(instance):
    """STEP with R > 1 and at least two minority classes."""
    return has_two_groups(instance) and instance.parameters["K"] - instance.parameters["majority"] > 1


def imbalanced(instance):
    """Not all counts equal."""
    return instance.parameters["kind"] != "STEP" or instance.parameters["R"] > 1


def has_majority(instance):
    """STEP with R > 1 and at least two majority classes."""
    return has_two_groups(instance) and instance.parameters["majority"] > 1


def uneven(instance):
    """STEP with another majority than half the classes."""
    return has_two_groups(instance) and 2 * instance.parameters["majority"] != instance.parameters["K"]


def near_seven(instance):
    """Whether R lies within 3 % of 7, where the minority classifiers turn from obtuse to acute."""
    return has_minority(instance) and abs(instance.parameters["R"] / 7 - 1) < 0.03


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Hard margins, imbalanced: simplex-encoded labels",
        statement=r"""Let $d\ge K-1$, $D=\mathrm{diag}(n_k)$, $S=I-11^\top/K$, $SD^{1/2}=V\Lambda U^\top$. Every minimiser of
$\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ subject to $(w_{y_i}-w_c)^\top h_i\ge1$ for $c\ne y_i$ has
$WH=S\otimes$ repeats, all margins equal to 1, value $\sqrt{\lambda_W\lambda_H}\,|SD^{1/2}|_*$,
$WW^\top=\sqrt{\lambda_H/\lambda_W}\,V\Lambda V^\top$, and per class $H^\top H=\sqrt{\lambda_W/\lambda_H}\,V\Lambda^{+}V^\top$.
For $\lambda_W\lambda_H=1$ the multipliers of one sample are
$a_{ck}=\frac1\pi\int_0^\infty t^{-1/2}[(t+n_c)(t+n_k)\sum_j(t+n_j)^{-1}]^{-1}dt>0$.

STEP imbalance, $a$ classes of $Rn_{\min}$ and $b$ of $n_{\min}$ samples, in units of $\sqrt{n_{\min}}$: singular values
$\sqrt R$ ($a-1$ times), $\sigma=\sqrt{(bR+a)/K}$, $1$ ($b-1$ times). For $\lambda_W=\lambda_H$ therefore
$|w_{maj}|^2=\sqrt R(1-\frac1a)+\frac{b\sigma}{aK}$, $|w_{min}|^2=1-\frac1b+\frac{a\sigma}{bK}$,
$w_{maj}^\top w_{min}=-\sigma/K$, and in units of $n_{\min}^{-1/2}$
$|h_{maj}|^2=\frac{1-1/a}{\sqrt R}+\frac b{aK\sigma}$, $|h_{min}|^2=1-\frac1b+\frac a{bK\sigma}$. For $a=b=K/2$,
$\cos(w_{min},w_{min}')=\frac{\sigma-2}{K-2+\sigma}$, which is 0 at $R=7$ and below 1 at every R.""",
        hypotheses=("d >= K-1", "any class counts", "lambda_W, lambda_H > 0", "no bias"),
        notation="Thrampoulidis et al.: lambda_W = lambda_H = 1, sums over samples as here, Z-hat = S repeated; rho is the "
        "share of minority classes. The problem solved is the augmented Lagrangian with the multipliers above, whose minimum "
        "bounds the program's from below for any multipliers and is attained at a feasible point.",
        sources=(
            THRAMPOULIDIS_2022.remark(
                "The theorem on the UF-SVM and its STEP corollaries. The fractions a, b other than K/2 and the integral "
                "for the multipliers, by which the result holds for any counts, are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=CLAIMS,
        controls=(
            nct.Control(
                "ETF", "W W^T a simplex ETF under imbalance", etf, ("gram_weights", "weight_norms"), imbalanced
            ),
            nct.Control(
                "minority collapse", "w_min = w_min' at finite R", minority_collapse, ("angles",), has_minority
            ),
            nct.Control(
                "R for sqrt(R)",
                "singular value R in place of sqrt(R)",
                predict_with(root=lambda ratio: ratio),
                ("weight_norms", "feature_norms"),
                has_majority,
            ),
            nct.Control(
                "half of the classes",
                "the table of rho = 1/2 for another share of minority classes",
                predict_with(fraction=0.5),
                ("weight_norms", "feature_norms", "angles"),
                uneven,
            ),
            nct.Control(
                "sign changes at 7.2",
                "minority classifiers orthogonal at R = 7.2 instead of 7",
                predict_with(mixed=lambda a, b, r: np.sqrt((r * 7 / 7.2 * b + a) / (a + b))),
                ("angles",),
                near_seven,
            ),
            nct.Control(
                "larger minority margins",
                "margins proportional to 1/sqrt(n_k), with the same mean",
                larger_minority_margins,
                ("logits", "margins", "value"),
                imbalanced,
            ),
            nct.Control(
                "balanced multipliers",
                "all multipliers 1/(K sqrt(n_max)), as for equal classes",
                balanced_multipliers,
                ("smallest multiplier", "multipliers"),
                imbalanced,
            ),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
