r"""Ridge paths of cross-entropy: logarithmically towards the hard margin.

Weakly decayed cross-entropy is said to have the geometry of the hard margin. It has, in the limit; but the way there is
so slow that no practical decay is near the end of it. The distance falls as one over the logarithm of the inverse
decay: at a decay of a millionth the geometry may still be off by several per cent. This theorem gives the whole
expansion, for any K and any number n of samples of each class, from an equation that holds at every decay.

Problem:
    $\min_{W,H}\sum_i\log(1+\sum_{c\ne y_i}e^{-m_{ci}})+\frac\lambda2(|W|_F^2+|H|_F^2)$ with the margins
    $m_{ci}=\gamma_y(\delta_yz_{yi}-\delta_cz_{ci})$, $y=y_i$, of $Z=WH$, over $W\in\mathbb R^{K\times d}$ and the
    features $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples, for $\lambda\to0$.
Theorem (Thrampoulidis et al. 2022, Proposition 2, for the limit with equal scales; the expansion is our own):
    For $\lambda>0$, $d\ge K-1$ let $Z_\lambda$ be the class-mean logits of the minimiser of
    $\sum_i\log(1+\sum_{c\ne y_i}e^{-m_{ci}})+\frac\lambda2(|W|_F^2+|H|_F^2)$ with
    $m_{ci}=\gamma_y(\delta_yz_{yi}-\delta_cz_{ci})$ (cross-entropy for $\gamma=\delta=1$), $L=\log(1/\lambda)$, and
    $a_{ck}(Z)=-(VU^\top)_{ck}/(\sqrt{n_k}\gamma_k\delta_c)$ with $VU^\top$ the polar factor of $ZD^{1/2}$. Then
    $Z_\lambda$ is orthogonal to $\delta^{-1}$ and has the margins
    $m_{ck}=\log\frac{1-\lambda\sum_ja_{jk}(Z_\lambda)}{\lambda a_{ck}(Z_\lambda)}$, so that
    $Z_\lambda=LZ_0+Z_1+Z_2/L+\dots$ with all margins of $Z_0$ equal to 1 (SELI: $Z_0=S$) and those of $Z_1$ equal to
    $-\log a_{ck}(Z_0)$. The distance $d=|Z/|Z|-Z_0/|Z_0||_F$ is of order $1/L$ (zero for $K=2$, $\gamma=1$), with
    first-order term $d^{(1)}=|Z_1-\langle Z_1,Z_0\rangle Z_0/|Z_0|^2|_F/(L|Z_0|)$. With $1/L$ for variable the
    expansion is analytic.
Hypotheses:
    - cross-entropy with scaled or adjusted logits
    - free features
    - d >= K-1, K >= 2
    - lambda_W = lambda_H = lambda -> 0
    - no bias
    - counts not all equal
    - no offsets
Notation:
    Class means, one column per class without weights. lambda belongs to the sum over samples; a mean over N has
    lambda/N. Bounds of the expansion, entrywise at the last three lambda: the largest entry of |Z_4|/L^3 after three
    terms, plus lambda times the sum of the multipliers.
Why:
    Averaging features within classes and balancing the factors leaves the fit of the class means plus
    $\lambda|ZD^{1/2}|_*$. The loss sees margins only, so that its gradient is orthogonal to $\delta^{-1}$, and so is Z.
    Where Z has rank $K-1$, $VU^\top$ is the only such subgradient, and stationarity says that the wrong class c has the
    probability $\lambda a_{ck}(Z)$ on samples of class k. With the probabilities known the margins are the stated
    logarithms. Now $a_{ck}$ is the same for all multiples of Z: with $e=1/L$ and $Y=eZ_\lambda$ the margins of Y are
    $1-e\log a_{ck}(Y)$, but for a term of order $\lambda=e^{-1/e}$, which no power of e sees. At $e=0$ all margins are
    1, and $a_{ck}(Z_0)>0$ (see `cdt-ldt-la`), so that $\log a$ is analytic about $Z_0$; the implicit function theorem
    gives Y without that term as a power series in e. Its first coefficients are $Z_0$ and $Z_1$, and normalising
    $Z_0+Z_1/L$ gives $d^{(1)}$. For $K=2$ and $\gamma=1$ both columns of $Z_0$ are equally long, all $a_{ck}(Z_0)$ are
    equal, and all $Z_j$ are multiples of $Z_0$.
Checked:
    The minimisers for five decays, from 1e-2 to 1e-6, are found side by side from random starts, by the polish alone
    without the flow. Dual points of their nuclear-norm programs bound the sum of the minima from below, which certifies
    the ends. There the logits are compared with those of the margin equation, found by iteration from the limit; for
    $K>2$ the distances from the limit direction; and at the three weakest decays $Z_\lambda-LZ_0$, entry by entry, with
    three terms of the expansion, up to the size of the fourth. Uniqueness is not certified here, and all claims are
    sampled.
Refuted by:
    One certified end at which logits or distance differ by more than their tolerance, or an entry outside the bounds of
    the expansion. The same check must refute a limit with the roots of the sizes in it, one with slightly unequal
    sizes, and one without the scales; the probability of the right class left out; a distance that falls as a power of
    the decay, or is its first-order term alone; a direction that is the limit's already; and a second term turned or
    off by 3 %.
Example:
    One class of ten samples and two of one: the distance from the limit direction for decays from 1e-2 to 1e-6, by the
    margin equation and at the end of a random start, and its first-order term.

    >>> problem = build_instance(counts=(10, 1, 1), dim=2, kind="CE").problem
    >>> told = predict_path(problem)
    >>> ends = nct.solve(problem, seeds=1, method="polish", light=True)
    >>> weights, features = ends.params.weights[0][0], ends.params.features[0]
    >>> limit = np.array(nct.closed_form.simplex_etf(3)) / 2**0.5
    >>> [round(float(distance), 5) for distance in told.distance]
    [0.13412, 0.10001, 0.07989, 0.06656, 0.05706]
    >>> [round(float(np.linalg.norm(z / np.linalg.norm(z) - limit)), 5) for z in np.asarray(weights @ features)]
    [0.13412, 0.10001, 0.07989, 0.06656, 0.05706]
    >>> [round(float(term), 5) for term in told.first_order]
    [0.2013, 0.1342, 0.10065, 0.08052, 0.0671]
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import BEHNIA_2023, THRAMPOULIDIS_2022
from proofs_numeric.imbalanced.path_controls import first_order, power_law, with_limit, with_logits, with_second_term
from proofs_numeric.imbalanced.paths import (
    CLAIMS,
    HYPOTHESES,
    SECOND_CLAIMS,
    path_data,
    path_problem,
    predict_path,
)
from proofs_numeric.pool import pick

ID = "seli-ridge-path"
SMALL = ((2, 1), (2, 3), (3, 2))  # A shape is (K, d); d = K-1 several times.
MIDDLE = ((4, 4), (4, 3), (5, 4))


def draw_instances(key):
    """Draw STEP and arbitrary counts, R up to 100 or 300; class and label scales over a factor of about 3."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE)):
        half = classes // 2
        for large in (3, 10, 100):
            drawn.append(build_instance((large,) * half + (1,) * (classes - half), dim, "CE"))
        drawn.append(build_instance(draw_counts(rng, classes), dim, "CE"))
        scale = np.exp(rng.uniform(-0.5, 0.5, size=classes))
        drawn.append(build_instance(draw_counts(rng, classes), dim, "CDT", class_scale=scale))
        drawn.append(build_instance(draw_counts(rng, classes), dim, "LDT", label_scale=scale))
    return drawn


def draw_counts(rng, classes):
    """Draw counts between 1 and 100 (300 for two or three classes), the largest at least five times the smallest."""
    top = 300 if classes < 4 else 100
    counts = np.exp(rng.uniform(0, np.log(top), size=classes)).round().astype(int)
    counts[:2] = (max(int(counts[0]), 10), 2)
    return tuple(counts.tolist())


def build_instance(counts, dim, kind, **scales):
    """Build the path of one loss."""
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "loss": kind}
    for name, values in scales.items():
        shown.update({f"{name}_{k}": float(v) for k, v in enumerate(values)})
    return nct.Instance(path_problem(counts, dim, **scales), shown)


def plain(instance):
    """Tell whether the loss is cross-entropy without scales."""
    return instance.parameters["loss"] == "CE"


def scaled(instance):
    """Tell whether the loss has scales: CDT or LDT."""
    return not plain(instance)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            *HYPOTHESES,
            lambda i: len(set(path_data(i.problem)[0])) > 1,
            lambda i: not any(path_data(i.problem)[3]),
        ),
        sources=(
            THRAMPOULIDIS_2022.remark(
                "The limit. The margin equation, the expansion and the rate are our own. The number is as Garrod and "
                "Keating 2025 cite it.",
                number="Proposition 2",
            ),
            BEHNIA_2023.remark(
                "The minimisers with hard margins for scaled logits, which are the limit; they have no theorem about the "
                "path of the decay.",
                number="Theorem 1",
            ),
        ),
        instances=draw_instances,
        predict=predict_path,
        claims=CLAIMS,
        controls=(
            nct.Control(
                "square-root limit",
                "limit S D^(-1/2), as for label scales sqrt(n)",
                with_limit(lambda n, delta, gamma, iota: np.asarray(nct.closed_form.simplex_etf(len(n))) / np.sqrt(n)),
                SECOND_CLAIMS,
                plain,
            ),
            nct.Control(
                "weighted limit",
                "limit Z D^(1/2) proportional to S with slightly unequal sizes: S D^(-0.003)",
                with_limit(lambda n, delta, gamma, iota: np.asarray(nct.closed_form.simplex_etf(len(n))) * n**-0.003),
                SECOND_CLAIMS,
                plain,
            ),
            nct.Control(
                "unscaled limit",
                "limit S whatever the scales",
                with_limit(lambda n, delta, gamma, iota: nct.closed_form.simplex_etf(len(n))),
                SECOND_CLAIMS,
                scaled,
            ),
            nct.Control("hard probabilities", "margins log(1/(lambda a))", with_logits(hard=True), ("logits",)),
            nct.Control("power law", "d falls as lambda^(1/8)", power_law(1 / 8), ("distance",)),
            nct.Control("first order only", "d equal to its first-order term", first_order, ("distance",)),
            nct.Control(
                "reached at finite lambda",
                "Z = L Z_0 + const Z_0: the direction is the limit already",
                with_second_term(lambda z1, n, delta, gamma, iota: 0.0 * z1),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "second term turned",
                "Z_1 with the other sign",
                with_second_term(lambda z1, n, delta, gamma, iota: -z1),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "second term 3 % off",
                "Z_1 larger by 3 %",
                with_second_term(lambda z1, n, delta, gamma, iota: 1.03 * z1),
                SECOND_CLAIMS,
            ),
        ),
        method=nct.Solve(flow=False),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
