r"""Hard margins with class- and label-dependent temperatures.

Losses for imbalanced data scale the logits, by class or by label, so that small classes get larger margins. This
theorem says what geometry such scales lead to in the hard-margin limit: all margins are met exactly, and the logits are
the balanced ones projected and rescaled, for any K. Scaling by label with the root of the number n of samples makes the
classifiers a simplex again; scaling by class with the same numbers does not.

Problem:
    $\min_{W,H}\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ subject to
    $\gamma_y(\delta_yw_y-\delta_cw_c)^\top h_i\ge1$ for all samples i, $y=y_i$ and $c\ne y$, over
    $W\in\mathbb R^{K\times d}$ and the features $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples.
Theorem (Behnia et al. 2023, Theorem 1, for STEP counts and scales and one kind of scale; the rest is our own):
    Let $d\ge K-1$ and $\delta,\gamma>0$. Every minimiser of $\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ subject
    to $\gamma_y(\delta_yw_y-\delta_cw_c)^\top h_i\ge1$ ($y=y_i$, $c\ne y$) has all margins equal to 1 and
    $WH=\hat Z\otimes$ repeats with $\hat z_{yy}=t_y/(\gamma_y\delta_y)$, $\hat z_{cy}=(t_y-1)/(\gamma_y\delta_c)$,
    $t_y=1-\delta_y^{-2}/\sum_c\delta_c^{-2}$, that is $\hat Z=P\,\mathrm{diag}(\gamma\delta)^{-1}$ with P the projector
    off $\delta^{-1}$; value $\sqrt{\lambda_W\lambda_H}|\hat ZD^{1/2}|_*$; $W^\top\delta^{-1}=0$ at every critical
    point. CDT is $\gamma=1$, LDT $\delta=1$: there $\hat Z=S\,\mathrm{diag}(\gamma)^{-1}$, and $\gamma_y=\sqrt{n_y}$
    makes the classifiers a simplex ETF with $|h_k|^2\propto1/n_k$. The multipliers are positive for any counts and
    scales.
Hypotheses:
    - hard margins, by their augmented Lagrangian
    - free features
    - d >= K-1
    - any class counts, K >= 2
    - all decays > 0
    - no bias
    - positive scales delta, gamma
Notation:
    Behnia et al.: their Delta (CDT) and delta (LDT) are delta and gamma here; lambda_W = lambda_H = 1. The problem
    solved is the augmented Lagrangian with the multipliers of the optimum, as for seli.
Why:
    As for `seli`: averaging features within classes and balancing the factors leaves $\lambda|ZD^{1/2}|_*$, Z the
    class-mean logits. $\hat Z$ has all margins 1, as its entries show, and $\delta^{-1}$ is orthogonal to its columns,
    so also to those of the polar factor $VU^\top$ of $\hat ZD^{1/2}$. Hence
    $|ZD^{1/2}|_*-|\hat ZD^{1/2}|_*\ge\langle VU^\top D^{1/2},Z-\hat Z\rangle=\sum_kn_k\sum_{c\ne k}a_{ck}(m_{ck}-1)$
    with the margins m of Z and $a_{ck}=-(VU^\top)_{ck}/(\sqrt{n_k}\gamma_k\delta_c)$. With
    $\nu_k=n_k/(\gamma_k\delta_k)^2$ the Gram matrix of $\hat ZD^{1/2}$ is $\mathrm{diag}(\nu)$ minus a matrix of rank
    one, and its inverse root as an integral of resolvents shows $a_{ck}>0$. So $\hat Z$ is optimal, and any other
    optimum has margins 1, that is $\hat Z+\delta^{-1}v^\top$, which has a larger nuclear norm unless $v=0$. The
    gradient of every function of the margins in the logits is orthogonal to $\delta^{-1}$: at a critical point only the
    decay of W is left of $W^\top\delta^{-1}$, and it vanishes. For $\delta=1$ and $\gamma_k=\sqrt{n_k}$,
    $\hat ZD^{1/2}=S$, which gives the simplex.
Checked:
    Solved is an augmented Lagrangian with the multipliers of the theorem: its minimum is a lower bound for any
    multipliers, and an end with all margins 1 attains it, so that wrong ones would show. Random starts are followed
    along the gradient flow to their ends. A dual point bounds the minimum from below at each end, and the value must
    lie in the interval so certified. Logits (against the table of entries), margins, the multipliers that an end
    implies (against an integral by quadrature) and the least of them, $WW^\top$, $H^\top H$, norms and angles are
    compared at the certified ends: certified to hold at every global minimiser where strict complementarity and the
    Hessian show that there is no other, sampled elsewhere. $W^\top\delta^{-1}=0$ is compared at all converged ends, and
    sampled.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or a multiplier that is not positive.
    The same check must refute other powers of the class scales in the shares (1, and 1.94 in the place of 2), equal
    shares, the logits without scales, class and label scales exchanged, a simplex of classifiers for class scales, a
    null vector off by 1e-6, and Gram matrices, norms, angles, margins and multipliers off by 1e-6.
Example:
    Label scales of the root of the class sizes make the classifiers a simplex: the value, and the first row of
    $WW^\top$, by the theorem and at the ends of random starts.

    >>> counts, scale = (4, 1, 1), np.array([2.0, 1.0, 1.0])
    >>> given = nct.closed_form.hard_margin_multipliers(np.array(counts), label_scale=scale)
    >>> problem = nct.support_vector_features(counts=counts, dim=2, multipliers=given, label_scale=scale)
    >>> told, ends = predict(problem), nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 5) for value in (told.minimum.value, *ends.value)]
    [2.0, 2.0, 2.0, 2.0, 2.0]
    >>> weights = ends.params.weights[0][0]
    >>> [[round(float(entry), 5) for entry in row] for row in (told.minimum.gram_weights[0], weights @ weights[0])]
    [[0.66667, -0.33333, -0.33333], [0.66667, -0.33333, -0.33333]]
"""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import BEHNIA_2023
from proofs_numeric.imbalanced.margins import (
    CLAIMS,
    HYPOTHESES,
    HardMargin,
    data_of,
    describe,
    hard_margin_problem,
    margin_controls,
    with_product,
)
from proofs_numeric.pool import log_uniform, pick

ID = "cdt-ldt-la"
SMALL = ((2, 1), (2, 3), (3, 2))  # A shape is (K, d); d = K-1 several times.
MIDDLE = ((4, 5), (4, 3), (5, 4))
LARGE = ((6, 6), (7, 8), (8, 7))


def draw_instances(key):
    """Draw CDT, LDT and both with scales over a factor of about 8, scales next to 1, and scales sqrt(n_k)."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, LARGE)):
        ones, counts = np.ones(classes), draw_counts(rng, classes)
        drawn.append(build_instance(rng, "CDT", counts, dim, draw_scales(rng, classes), ones))
        drawn.append(build_instance(rng, "LDT", counts, dim, ones, draw_scales(rng, classes)))
        drawn.append(
            build_instance(
                rng, "both", draw_counts(rng, classes), dim, draw_scales(rng, classes), draw_scales(rng, classes)
            )
        )
        drawn.append(build_instance(rng, "CDT sqrt", counts, dim, np.sqrt(counts), ones))
        drawn.append(build_instance(rng, "LDT sqrt", counts, dim, ones, np.sqrt(counts)))
        nearly_one = 1 + log_uniform(rng, 1e-4, 3e-2) * np.where(np.arange(classes) % 2, -1, 1)
        alike = (int(rng.integers(1, 20)),) * classes
        drawn.append(build_instance(rng, "CDT", alike, dim, nearly_one, ones))
        drawn.append(build_instance(rng, "LDT", alike, dim, ones, nearly_one))
    return drawn


def draw_counts(rng, classes):
    """Draw counts log-uniformly between 1 and 1000, not all equal."""
    counts = np.exp(rng.uniform(0, np.log(1000), size=classes)).round().astype(int)
    counts[:2] = (max(int(counts[0]), 30), 2)
    return tuple(counts.tolist())


def draw_scales(rng, classes):
    """Draw positive scales, the largest about eight times the smallest."""
    return np.exp(rng.uniform(-1, 1, size=classes))


def build_instance(rng, kind, counts, dim, class_scale, label_scale):
    """Build the instance with these scales."""
    problem = hard_margin_problem(rng, counts, dim, class_scale, label_scale)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "kind": kind}
    scales = {f"delta_{k}": float(s) for k, s in enumerate(class_scale)}
    return nct.Instance(problem, {**shown, **scales, **{f"gamma_{k}": float(s) for k, s in enumerate(label_scale)}})


def table(class_scale, label_scale, share):
    """Return logits t_y/(gamma_y delta_y) for the label and (t_y - 1)/(gamma_y delta_c) for the rest, t = 1 - share."""
    classes = len(class_scale)
    return (np.eye(classes) - np.asarray(share)[None, :]) / (class_scale[:, None] * label_scale[None, :])


def predict(problem):
    """State the theorem, its logits from the table of the paper; for LDT with gamma = sqrt(n) the ETF by itself."""
    counts, class_scale, label_scale = data_of(problem)
    prediction = describe(problem, nct.closed_form.scaled_margin_minimum(problem))
    squares = class_scale**-2.0
    logits = table(class_scale, label_scale, squares / squares.sum()) @ np.asarray(problem.targets)
    minimum = prediction.minimum._replace(logits=logits)
    if np.ptp(class_scale) == 0 and np.allclose(label_scale, np.sqrt(counts), rtol=1e-14):
        ratio = np.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
        minimum = minimum._replace(gram_weights=ratio * np.asarray(nct.closed_form.simplex_etf(problem.classes)))
        prediction = prediction._replace(feature_norms=(1 - 1 / problem.classes) / counts / ratio)
    return prediction._replace(minimum=minimum)


def with_share(rule):
    """State the table with another rule for 1 - t, which leaves all margins at 1."""

    def wrong(problem):
        _, class_scale, label_scale = data_of(problem)
        return with_product(problem, table(class_scale, label_scale, rule(class_scale)))

    return wrong


def power_share(power):
    """Return 1 - t_y = delta_y^-p / sum delta^-p."""
    return lambda scale: scale**-power / np.sum(scale**-power)


def unscaled(problem):
    """Predict simplex-encoded labels, whatever the scales."""
    return with_product(problem, nct.closed_form.simplex_etf(problem.classes))


def swapped(problem):
    """Predict the logits with class and label scales exchanged."""
    _, class_scale, label_scale = data_of(problem)
    return with_product(problem, nct.closed_form.hard_margin_logits(problem.classes, label_scale, class_scale))


def etf_for_both(problem) -> HardMargin:
    """Predict classifiers that form a simplex ETF for delta = sqrt(n) in CDT too."""
    prediction = predict(problem)
    ratio = jnp.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
    gram = ratio * np.asarray(nct.closed_form.simplex_etf(problem.classes))
    return prediction._replace(minimum=prediction.minimum._replace(gram_weights=gram))


def of_kind(*kinds):
    """Select instances of the given kinds."""
    return lambda instance: instance.parameters["kind"] in kinds


SCALED = of_kind("CDT", "CDT sqrt", "both")


def orthogonal_to(tilt):
    """Claim that W^T is zero on 1/delta, its first entry larger by a relative `tilt`."""

    def vector(problem):
        null = 1.0 / jnp.asarray(problem.loss.class_scale)
        return jnp.where(jnp.arange(null.size) == 0, (1.0 + tilt) * null, null)

    return nct.Equality(
        "null vector",
        r"W^\top\delta^{-1}",
        lambda problem, params: params.weights[0].T @ vector(problem),
        lambda p: jnp.zeros(()),
        scope="critical points",
        size=lambda problem, params: jnp.linalg.norm(params.weights[0]) * jnp.linalg.norm(vector(problem)),
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            *HYPOTHESES,
            lambda i: min(map(np.min, data_of(i.problem)[1:])) > 0,
        ),
        sources=(
            BEHNIA_2023.remark(
                "The two parametrisations and their geometry, proved there for counts and scales of two values, and for "
                "rational ratios of label scales (read in the proceedings, PMLR 206). Any counts and scales, both kinds at "
                "once, the table, the projection and the positive multipliers (see hard_margin_multipliers) are our own.",
                number="Theorem 1",
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            *CLAIMS,
            orthogonal_to(0.0),
        ),
        controls=(
            nct.Control(
                "power 1", "1 - t_y = delta_y^-1 / sum delta^-1", with_share(power_share(1.0)), ("logits",), SCALED
            ),
            nct.Control(
                "power 1.94", "1 - t_y from delta^-1.94, 3 % off", with_share(power_share(1.94)), ("logits",), SCALED
            ),
            nct.Control(
                "equal shares",
                "1 - t_y = 1/K: margins 1, but logits not orthogonal to 1/delta",
                with_share(lambda scale: np.full(scale.shape, 1 / len(scale))),
                ("logits", "value"),
                SCALED,
            ),
            nct.Control("unscaled", "simplex-encoded labels whatever the scales", unscaled, ("logits", "margins")),
            nct.Control(
                "CDT for LDT", "class and label scales exchanged", swapped, ("logits",), of_kind("CDT", "LDT", "both")
            ),
            nct.Control(
                "ETF for CDT",
                "an ETF of classifiers for delta = sqrt(n) in CDT",
                etf_for_both,
                ("gram_weights",),
                of_kind("CDT sqrt"),
            ),
            nct.Control("null vector 1e-6 off", "1/delta_1 larger by a relative 1e-6", versions=(orthogonal_to(1e-6),)),
            *margin_controls(predict),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
