"""Additive logit adjustment: the same limit of the ridge path, another way to it."""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import BEHNIA_2023
from proofs_numeric.imbalanced.paths import (
    CLAIMS,
    LIMIT_CLAIMS,
    SECOND_CLAIMS,
    expansion,
    larger_distance,
    path_problem,
    power_law,
    predict_path,
    with_limit,
    with_second_term,
)

ID = "la-ridge-path"
SHAPES = ((4, 4), (5, 4))  # (K, d); d = K-1 once


def draw_instances(key):
    """Random offsets within 1 of each other or so, offsets tau log(n_k/N), balanced and other counts."""
    rng = nct.generator(key)
    drawn = []
    for classes, dim in SHAPES:
        balanced = (2,) * classes
        for counts in (balanced, draw_counts(rng, classes), draw_counts(rng, classes)):
            drawn.append(make(counts, dim, rng.uniform(-0.7, 0.7, size=classes), "random"))
        for tau in (0.25, -0.25):
            counts = draw_counts(rng, classes)
            drawn.append(make(counts, dim, tau * np.log(np.asarray(counts) / sum(counts)), f"tau = {tau}"))
    return drawn


def draw_counts(rng, classes):
    """Between 1 and 30, the largest at least five times the smallest."""
    counts = np.exp(rng.uniform(0, np.log(30), size=classes)).round().astype(int)
    counts[:2] = (max(int(counts[0]), 10), 2)
    return tuple(counts.tolist())


def make(counts, dim, offset, kind):
    """The path with one offset."""
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "offset": kind}
    shown.update({f"iota_{k}": float(v) for k, v in enumerate(offset)})
    return nct.Instance(path_problem(counts, dim, offset=offset), shown)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Additive logit adjustment changes the ridge path, not its limit",
        statement=r"""For $\lambda>0$, $d\ge K-1$ and offsets $\iota$ let $Z_\lambda$ be the class-mean logits of the minimiser
of $\sum_i\log(1+\sum_{c\ne y_i}e^{z_{ci}+\iota_c-z_{yi}-\iota_y})+\frac\lambda2(|W|_F^2+|H|_F^2)$, $L=\log(1/\lambda)$.
Then $Z_\lambda=LS+Z_1+Z_2/L+\dots$, where the margins of $Z_1$ are $-\log a_{ck}+\iota_c-\iota_k$ with the multipliers $a$ of
the hard margin: the limit direction is that without offsets, and offsets change the path by terms of relative order $1/L$.""",
        hypotheses=("d >= K-1", "offsets iota of moderate size", "lambda_W = lambda_H = lambda -> 0", "no bias"),
        notation="Behnia et al.: iota is the additive parameter of their loss. Lambda and bounds as in seli-ridge-path.",
        sources=(
            BEHNIA_2023.remark(
                "The claim that additive adjustment leaves the implicit geometry alone; its wording there is unchecked. "
                "The expansion, which shows where it does not, is our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_path,
        claims=CLAIMS,
        controls=(
            nct.Control(
                "adjustment without effect",
                "the second term without offsets",
                with_second_term(lambda z1, n, delta, gamma, iota: expansion(n, delta, gamma, 0.0 * iota)[1]),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "wrong sign",
                "the second term with -iota",
                with_second_term(lambda z1, n, delta, gamma, iota: expansion(n, delta, gamma, -iota)[1]),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "offset 3 % off",
                "the second term with 1.03 iota",
                with_second_term(lambda z1, n, delta, gamma, iota: expansion(n, delta, gamma, 1.03 * iota)[1]),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "other limit",
                "the limit of class scales exp(0.05 iota)",
                with_limit(lambda n, delta, gamma, iota: nct.hard_margin_logits(len(n), np.exp(0.05 * iota))),
                LIMIT_CLAIMS,
            ),
            nct.Control("power law", "d falls as lambda^(1/8)", power_law(1 / 8), ("falls",)),
            nct.Control("larger distance", "d at least 1.1 of its first order", larger_distance, ("not reached",)),
        ),
        method="polish",
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
