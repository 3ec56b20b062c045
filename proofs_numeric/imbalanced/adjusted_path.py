r"""Additive logit adjustment changes the ridge path, not its limit.

Additive logit adjustment: the same limit of the ridge path, another way to it.

Theorem:
    For $\lambda>0$, $d\ge K-1$ and offsets $\iota$ let $Z_\lambda$ be the class-mean logits of the minimiser
    of $\sum_i\log(1+\sum_{c\ne y_i}e^{z_{ci}+\iota_c-z_{yi}-\iota_y})+\frac\lambda2(|W|_F^2+|H|_F^2)$, $L=\log(1/\lambda)$.
    Then $Z_\lambda=LS+Z_1+Z_2/L+\dots$, where the margins of $Z_1$ are $-\log a_{ck}+\iota_c-\iota_k$ with the multipliers
    $a$ of the hard margin: the limit direction is that without offsets, and offsets change the path by terms of relative
    order $1/L$.
Hypotheses:
    - cross-entropy with scaled or adjusted logits
    - free features
    - d >= K-1, K >= 2
    - lambda_W = lambda_H = lambda -> 0
    - no bias
    - no scales
    - offsets iota within 2 of each other
Notation:
    Behnia et al.: iota is the additive parameter of their loss. Lambda and bounds as in seli-ridge-path.
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import BEHNIA_2023
from proofs_numeric.imbalanced.path_controls import first_order, power_law, with_limit, with_logits, with_second_term
from proofs_numeric.imbalanced.paths import (
    CLAIMS,
    HYPOTHESES,
    SECOND_CLAIMS,
    expansion,
    path_data,
    path_problem,
    predict_path,
)
from proofs_numeric.pool import pick

ID = "la-ridge-path"
SMALL = ((2, 1), (2, 3), (3, 2))  # (K, d); d = K-1 several times
MIDDLE = ((4, 4), (4, 3), (5, 4))


def draw_instances(key):
    """Random offsets within 1 of each other or so, offsets tau log(n_k/N), balanced and other counts."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE)):
        balanced = (int(rng.integers(1, 6)),) * classes
        for counts in (balanced, draw_counts(rng, classes), draw_counts(rng, classes)):
            drawn.append(make(counts, dim, rng.uniform(-0.7, 0.7, size=classes), "random"))
        for tau in (0.25, -0.25):
            counts = draw_counts(rng, classes)
            drawn.append(make(counts, dim, tau * np.log(np.asarray(counts) / sum(counts)), f"tau = {tau}"))
    return drawn


def draw_counts(rng, classes):
    """Between 1 and 30 (up to 300 for two classes), the largest at least five times the smallest."""
    counts = np.exp(rng.uniform(0, np.log(300 if classes == 2 else 30), size=classes)).round().astype(int)
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
        docstring=__doc__,
        hypotheses=(
            *HYPOTHESES,
            lambda i: set(sum(path_data(i.problem)[1:3], ())) == {1.0},
            lambda i: np.ptp(path_data(i.problem)[3]) <= 2,
        ),
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
                "offset 5 % off",
                "the second term with 1.05 iota",
                with_second_term(lambda z1, n, delta, gamma, iota: expansion(n, delta, gamma, 1.05 * iota)[1]),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "second term 3 % off",
                "Z_1 larger by 3 %",
                with_second_term(lambda z1, n, delta, gamma, iota: 1.03 * z1),
                SECOND_CLAIMS,
            ),
            nct.Control(
                "other limit",
                "the limit of class scales exp(0.01 iota)",
                with_limit(
                    lambda n, delta, gamma, iota: nct.closed_form.hard_margin_logits(len(n), np.exp(0.01 * iota))
                ),
                SECOND_CLAIMS,
            ),
            nct.Control("offset turned", "the path of -iota", with_logits(turn=-1.0), ("logits",)),
            nct.Control(
                "offset 1e-5 off",
                "the path of offsets larger by a relative 1e-5",
                with_logits(turn=1.00001),
                ("logits",),
            ),
            nct.Control("hard probabilities", "margins log(1/(lambda a))", with_logits(hard=True), ("logits",)),
            nct.Control("power law", "d falls as lambda^(1/8)", power_law(1 / 8), ("distance",)),
            nct.Control("first order only", "d equal to its first-order term", first_order, ("distance",)),
        ),
        method=nct.Solve(flow=False),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
