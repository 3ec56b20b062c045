r"""Hard margins, imbalanced: simplex-encoded labels.

As the decay vanishes cross-entropy ends in a hard-margin problem. With classes of different sizes its solution is no
simplex, but it has a simple description: the logits are those of the balanced case, whatever the sizes, and only the
way in which they are split into classifiers and features depends on the number n of samples. Classifiers of small
classes turn from obtuse to acute angles as the imbalance grows, but never coincide: there is no minority collapse here,
at any K.

Problem:
    $\min_{W,H}\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ subject to $(w_{y_i}-w_c)^\top h_i\ge1$ for all
    samples i and $c\ne y_i$, over $W\in\mathbb R^{K\times d}$ and the features $H\in\mathbb R^{d\times N}$ of
    $N=\sum_kn_k$ samples.
Theorem (Thrampoulidis et al. 2022, Theorem 1; other fractions and any counts are our own):
    Let $d\ge K-1$, $D=\mathrm{diag}(n_k)$, $S=I-11^\top/K$, $SD^{1/2}=V\Lambda U^\top$. Every minimiser of
    $\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ subject to $(w_{y_i}-w_c)^\top h_i\ge1$ for $c\ne y_i$ has
    $WH=S\otimes$ repeats, all margins equal to 1, value $\sqrt{\lambda_W\lambda_H}\,|SD^{1/2}|_*$,
    $WW^\top=\sqrt{\lambda_H/\lambda_W}\,V\Lambda V^\top$, and per class
    $H^\top H=\sqrt{\lambda_W/\lambda_H}\,V\Lambda^{+}V^\top$. For $\lambda_W\lambda_H=1$ the multipliers of one sample
    are $a_{ck}=\frac1\pi\int_0^\infty t^{-1/2}[(t+n_c)(t+n_k)\sum_j(t+n_j)^{-1}]^{-1}dt>0$.

    STEP imbalance, $a$ classes of $Rn_{\min}$ and $b$ of $n_{\min}$ samples, in units of $\sqrt{n_{\min}}$: singular
    values $\sqrt R$ ($a-1$ times), $\sigma=\sqrt{(bR+a)/K}$, $1$ ($b-1$ times). For $\lambda_W=\lambda_H$ therefore
    $|w_{maj}|^2=\sqrt R(1-\frac1a)+\frac{b\sigma}{aK}$, $|w_{min}|^2=1-\frac1b+\frac{a\sigma}{bK}$,
    $w_{maj}^\top w_{min}=-\sigma/K$, and in units of $n_{\min}^{-1/2}$
    $|h_{maj}|^2=\frac{1-1/a}{\sqrt R}+\frac b{aK\sigma}$, $|h_{min}|^2=1-\frac1b+\frac a{bK\sigma}$. For $b\ge2$
    $w_{min}^\top w_{min}'$ has the sign of $R-(K^3/a^2-a)/b$; for $a=b=K/2$,
    $\cos(w_{min},w_{min}')=\frac{\sigma-2}{K-2+\sigma}$, which is 0 at $R=7$ and below 1 at every R.
Hypotheses:
    - hard margins, by their augmented Lagrangian
    - free features
    - d >= K-1
    - any class counts, K >= 2
    - all decays > 0
    - no bias
    - unscaled logits
Notation:
    Thrampoulidis et al.: lambda_W = lambda_H = 1, sums over samples as here, Z-hat = S repeated; rho is the share of
    minority classes. The problem solved is the augmented Lagrangian with the multipliers above, whose minimum bounds
    the program's from below for any multipliers and is attained at a feasible point.
Why:
    Averaging features within classes keeps the constraints, and balanced factors cost $\lambda|ZD^{1/2}|_*$, with Z the
    K x K class-mean logits. $VU^\top$ is a subgradient at $SD^{1/2}$, and $1^\top V=0$, so that
    $|ZD^{1/2}|_*-|SD^{1/2}|_*\ge\langle VU^\top D^{1/2},Z-S\rangle=\sum_kn_k\sum_{c\ne k}a_{ck}(z_{kk}-z_{ck}-1)$ with
    $a_{ck}=-(VU^\top)_{ck}/\sqrt{n_k}$. If all $a_{ck}>0$ this is at least 0, and 0 only where all margins are 1; then
    Z is S up to constants in its columns, and these only raise the nuclear norm. The $a_{ck}$ are positive because
    $VU^\top=SD^{1/2}(D-D^{1/2}11^\top D^{1/2}/K)^{-1/2}$ off the null vector, which as an integral of resolvents, each
    by the formula of Sherman and Morrison, becomes the stated one. Balanced factors of S give $WW^\top$ and
    $\bar H^\top\bar H$; for STEP imbalance $SDS$ has three eigenspaces, and the table follows.
Checked:
    Solved is an augmented Lagrangian with the multipliers of the theorem: its minimum is a lower bound for any
    multipliers, and an end with all margins 1 attains it, so that wrong ones would show. Random starts are followed
    along the gradient flow to their ends. A dual point bounds the minimum from below at each end, and the value must
    lie in the interval so certified. Logits, margins, the multipliers that an end implies (against the integral by
    quadrature) and the least of them, $WW^\top$, $H^\top H$, norms and angles are compared at the certified ends:
    certified to hold at every global minimiser where strict complementarity and the Hessian show that there is no
    other, sampled elsewhere. The ratio at which minority classifiers become acute is located by bisection between
    certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, a multiplier that is not positive, or a
    turn outside its last bracket. The same check must refute a simplex ETF, minority collapse, R in the place of its
    root, the table of equal shares for others, a turn 0.1 % too late, larger margins for small classes, the multipliers
    of equal classes, and Gram matrices, norms, angles, margins and multipliers off by 1e-6.
Example:
    At a ratio of 7 the classifiers of the two small classes are orthogonal: the value, and the inner product of these
    classifiers, by the theorem and at the ends of four random starts.

    >>> counts = (7, 7, 1, 1)
    >>> given = nct.closed_form.hard_margin_multipliers(np.array(counts))
    >>> problem = nct.support_vector_features(counts=counts, dim=3, multipliers=given)
    >>> told, ends = predict_with()(problem), nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 5) for value in (told.minimum.value, *ends.value)]
    [5.64575, 5.64575, 5.64575, 5.64575, 5.64575]
    >>> products = (ends.params.weights[0][:, 2] * ends.params.weights[0][:, 3]).sum(axis=1)
    >>> told.orthogonal_at, [round(abs(float(product)), 5) for product in (told.angles[0], *products)]
    (7.0, [0.0, 0.0, 0.0, 0.0, 0.0])
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import THRAMPOULIDIS_2022
from proofs_numeric.imbalanced.margins import (
    CLAIMS,
    HYPOTHESES,
    hard_margin_problem,
    margin_controls,
)
from proofs_numeric.imbalanced.seli_predictions import (
    balanced_multipliers,
    etf,
    larger_minority_margins,
    minority_collapse,
    predict_with,
)
from proofs_numeric.pool import log_uniform, near, pick

ID = "seli"
# A shape is (K, d, classes in the majority); d = K-1 several times.
SMALL = ((2, 1, 1), (2, 3, 1), (3, 2, 1), (3, 4, 2))
HALF = ((4, 5, 2), (4, 3, 2), (6, 5, 3))
LARGE = ((6, 6, 4), (5, 4, 1), (8, 7, 6), (10, 12, 2))
SAMPLES = (((3, 3, 1, 1), 4), ((1, 1), 1), ((20, 5, 1), 2))  # These are (counts, d), on full samples.


def draw_instances(key):
    """Draw STEP imbalance of several fractions, R from 1 to 1000 and near 7 on either side; any counts; full samples."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in pick(rng, SMALL):
        drawn += [step_instance(rng, *shape, 1, 1), step_instance(rng, *shape, *ratio(rng))]
    for shape in pick(rng, HALF):
        for large, small in ((1, 1), (7, 1), (1000, 1), ratio(rng)):
            drawn.append(step_instance(rng, *shape, large, small))
        for above in (False, True):
            drawn.append(reweighted(step_instance(rng, *shape, 7, 1), 7 * near(rng, above)))
    for shape in pick(rng, LARGE):
        drawn += [step_instance(rng, *shape, *ratio(rng)) for _ in range(2)]
        classes, dim, _ = shape
        for _ in range(2):
            counts = np.sort(np.exp(rng.uniform(0, np.log(1000), size=classes)).round().astype(int))[::-1]
            drawn.append(any_counts_instance(rng, tuple(counts.tolist()), dim, "any"))
    for counts, dim in pick(rng, SAMPLES):
        drawn.append(any_counts_instance(rng, counts, dim, "full samples"))
    return drawn


def ratio(rng):
    """Draw two counts up to 3000, of a ratio between 1 and 1000 but not 1."""
    small = int(rng.integers(1, 20))
    return min(max(small + 1, round(small * log_uniform(rng, 1.1, 1000.0))), 3000), small


def step_instance(rng, classes, dim, majority, large, small):
    """Build the instance with `majority` classes of `large` samples, the rest of `small`."""
    counts = (large,) * majority + (small,) * (classes - majority)
    problem = hard_margin_problem(rng, counts, dim)
    shown = {"K": classes, "d": dim, "majority": majority, "n_maj": large, "n_min": small, "R": large / small}
    return nct.Instance(problem, {**shown, "kind": "STEP"})


def reweighted(instance, value):
    """Return the instance in which class means of the majority weigh `value` times as much as the minority's."""
    shown = {**instance.parameters, "n_maj": value, "R": value}
    return nct.Instance(at_ratio(instance.problem, value), shown)


def any_counts_instance(rng, counts, dim, kind):
    """Build the instance with any counts: class means, or full samples."""
    problem = hard_margin_problem(rng, counts, dim, reduced=kind != "full samples")
    return nct.Instance(problem, {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "kind": kind})


def at_ratio(problem, value):
    """Return the problem with `value` times as many samples in each class of the majority as in one of the minority."""
    before = np.asarray(nct.closed_form.class_counts(problem))
    counts = np.where(before == before.max(), value, 1.0) * before.min()
    strength = np.sqrt(np.prod(np.asarray(problem.weight_decay)))
    multipliers = counts.sum() * strength * np.asarray(nct.closed_form.hard_margin_multipliers(counts))
    eye = np.eye(counts.size)
    penalty = multipliers + eye * multipliers.sum() / (counts.size * (counts.size - 1))
    loss = dataclasses.replace(problem.loss, multipliers=multipliers, penalty=penalty)
    return dataclasses.replace(problem, loss=loss, multiplicity=counts, column_weight=counts / counts.sum())


def minority_cosine(problem, params):
    """Return the cosine between the last two classifiers."""
    first, second = params.weights[0][-2], params.weights[0][-1]
    return jnp.dot(first, second) / jnp.sqrt(jnp.sum(first**2) * jnp.sum(second**2))


def far_around(problem):
    """Name ratios of counts on either side of any turn."""
    return 1.1, 2000.0


def turning(predicted):
    """Claim that minority classifiers turn from obtuse to acute at a predicted ratio."""
    return nct.Threshold(
        "orthogonal minority",
        r"\cos(w_{min},w_{min}')>0\iff R>(K^3/a^2-a)/b",
        at_ratio,
        minority_cosine,
        predicted,
        far_around,
        level=0.0,
        applies=has_minority,
    )


def has_two_groups(instance):
    """Tell whether the counts are STEP with R > 1."""
    return instance.parameters["kind"] == "STEP" and instance.parameters["R"] > 1


def has_minority(instance):
    """Tell whether the counts are STEP with R > 1, with at least two minority classes."""
    return has_two_groups(instance) and instance.parameters["K"] - instance.parameters["majority"] > 1


def imbalanced(instance):
    """Tell whether not all counts are equal."""
    return instance.parameters["kind"] != "STEP" or instance.parameters["R"] > 1


def has_majority(instance):
    """Tell whether the counts are STEP with R > 1, with at least two majority classes."""
    return has_two_groups(instance) and instance.parameters["majority"] > 1


def uneven(instance):
    """Tell whether the counts are STEP with R > 1 and another majority than half the classes."""
    return has_two_groups(instance) and 2 * instance.parameters["majority"] != instance.parameters["K"]


def near_turn(instance):
    """Tell whether R lies within 4 % of 7 in STEP imbalance with equal shares."""
    return has_minority(instance) and abs(instance.parameters["R"] / 7 - 1) < 0.04 and not uneven(instance)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            *HYPOTHESES,
            lambda i: bool(
                np.all(np.asarray(i.problem.loss.class_scale) == 1)
                and np.all(np.asarray(i.problem.loss.label_scale) == 1)
            ),
        ),
        sources=(
            THRAMPOULIDIS_2022.remark(
                "The theorem on the UF-SVM and its STEP corollaries. The fractions a, b other than K/2 and the integral "
                "for the multipliers, by which the result holds for any counts, are our own. The number is as Behnia et "
                "al. 2023 cite it.",
                number="Theorem 1",
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(*CLAIMS, turning(lambda p: p.orthogonal_at)),
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
                ("weight_norms", "feature_norms", "angles", "orthogonal minority"),
                uneven,
            ),
            nct.Control(
                "sign changes at 7.007",
                "minority classifiers orthogonal at R = 7.007 instead of 7",
                predict_with(mixed=lambda a, b, r: np.sqrt((r * 7 / 7.007 * b + a) / (a + b))),
                ("angles",),
                near_turn,
            ),
            nct.Control(
                "turn at 1.001",
                "minority classifiers orthogonal at an R larger by 0.1 %",
                versions=(turning(lambda p: 1.001 * p.orthogonal_at),),
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
            *margin_controls(predict_with()),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
