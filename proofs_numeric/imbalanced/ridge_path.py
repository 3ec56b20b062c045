r"""Ridge paths of cross-entropy: logarithmically towards the hard margin.

The ridge path of cross-entropy tends to the hard-margin geometry, but only logarithmically.

Theorem:
    For $\lambda>0$, $d\ge K-1$ let $Z_\lambda$ be the class-mean logits of the minimiser of
    $\sum_i\log(1+\sum_{c\ne y_i}e^{-m_{ci}})+\frac\lambda2(|W|_F^2+|H|_F^2)$ with
    $m_{ci}=\gamma_y(\delta_yz_{yi}-\delta_cz_{ci})$ (cross-entropy for $\gamma=\delta=1$), $L=\log(1/\lambda)$, and
    $a_{ck}(Z)=-(VU^\top)_{ck}/(\sqrt{n_k}\gamma_k\delta_c)$ with $VU^\top$ the polar factor of $ZD^{1/2}$. Then
    $Z_\lambda$ is orthogonal to $\delta^{-1}$ and has the margins
    $m_{ck}=\log\frac{1-\lambda\sum_ja_{jk}(Z_\lambda)}{\lambda a_{ck}(Z_\lambda)}$, so that
    $Z_\lambda=LZ_0+Z_1+Z_2/L+\dots$ with all margins of $Z_0$ equal to 1 (SELI: $Z_0=S$) and those of $Z_1$ equal to
    $-\log a_{ck}(Z_0)$. The distance $d=|Z/|Z|-Z_0/|Z_0||_F$ is of order $1/L$ (zero for $K=2$, $\gamma=1$), with
    first-order term $d^{(1)}=|Z_1-\langle Z_1,Z_0\rangle Z_0/|Z_0|^2|_F/(L|Z_0|)$. With $1/L$ for variable the expansion is
    analytic.
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
SMALL = ((2, 1), (2, 3), (3, 2))  # (K, d); d = K-1 several times
MIDDLE = ((4, 4), (4, 3), (5, 4))


def draw_instances(key):
    """STEP and arbitrary counts, R up to 100 or 300; class and label scales over a factor of about 3."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE)):
        half = classes // 2
        for large in (3, 10, 100):
            drawn.append(make((large,) * half + (1,) * (classes - half), dim, "CE"))
        drawn.append(make(draw_counts(rng, classes), dim, "CE"))
        scale = np.exp(rng.uniform(-0.5, 0.5, size=classes))
        drawn.append(make(draw_counts(rng, classes), dim, "CDT", class_scale=scale))
        drawn.append(make(draw_counts(rng, classes), dim, "LDT", label_scale=scale))
    return drawn


def draw_counts(rng, classes):
    """Between 1 and 100 (up to 300 for two or three classes), the largest at least five times the smallest."""
    top = 300 if classes < 4 else 100
    counts = np.exp(rng.uniform(0, np.log(top), size=classes)).round().astype(int)
    counts[:2] = (max(int(counts[0]), 10), 2)
    return tuple(counts.tolist())


def make(counts, dim, kind, **scales):
    """The path of one loss."""
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "loss": kind}
    for name, values in scales.items():
        shown.update({f"{name}_{k}": float(v) for k, v in enumerate(values)})
    return nct.Instance(path_problem(counts, dim, **scales), shown)


def plain(instance):
    """Cross-entropy with no scales."""
    return instance.parameters["loss"] == "CE"


def scaled(instance):
    """CDT or LDT."""
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
            THRAMPOULIDIS_2022.remark("The limit. The margin equation, the expansion and the rate are our own."),
            BEHNIA_2023.remark("The limit for scaled logits."),
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
