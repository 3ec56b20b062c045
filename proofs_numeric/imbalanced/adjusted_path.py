r"""Additive logit adjustment changes the ridge path, not its limit.

Logit adjustment adds a constant to each logit, usually the logarithm of the number n of samples of its class, and is
said not to change the geometry that training ends in. In the limit of vanishing decay that is true, for any K. At any
decay that occurs it is not: the offsets change the second term of the path, which is smaller than the first by a
logarithm only.

Problem:
    $\min_{W,H}\sum_i\log(1+\sum_{c\ne y_i}e^{z_{ci}+\iota_c-z_{yi}-\iota_y})+\frac\lambda2(|W|_F^2+|H|_F^2)$, $y=y_i$
    and $Z=WH$, over $W\in\mathbb R^{K\times d}$ and the features $H\in\mathbb R^{d\times N}$ of $N=\sum_kn_k$ samples,
    for $\lambda\to0$.
Theorem (our own, after Behnia et al. 2023, Proposition 1, which is for two classes and fixed features):
    For $\lambda>0$, $d\ge K-1$ and offsets $\iota$ let $Z_\lambda$ be the class-mean logits of the minimiser of
    $\sum_i\log(1+\sum_{c\ne y_i}e^{z_{ci}+\iota_c-z_{yi}-\iota_y})+\frac\lambda2(|W|_F^2+|H|_F^2)$,
    $L=\log(1/\lambda)$. Then $Z_\lambda=LS+Z_1+Z_2/L+\dots$, where the margins of $Z_1$ are
    $-\log a_{ck}+\iota_c-\iota_k$ with the multipliers $a$ of the hard margin: the limit direction is that without
    offsets, and offsets change the path by terms of relative order $1/L$.
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
Why:
    As for `seli-ridge-path`: stationarity of the class-mean program says that the wrong class c has the probability
    $\lambda a_{ck}(Z)$ on samples of class k, with $a_{ck}=-(VU^\top)_{ck}/\sqrt{n_k}$ from the polar factor of
    $ZD^{1/2}$. The loss sees $z_{kk}-z_{ck}$ only after the offsets are added, so that this margin is
    $\log\frac{1-\lambda\sum_ja_{jk}}{\lambda a_{ck}}+\iota_c-\iota_k$. Since a does not change with the length of Z,
    the margins of $Z_\lambda/L$ are $1+\frac1L(\iota_c-\iota_k-\log a_{ck})$ but for a term of order $\lambda$. At
    order 0 the offsets have no part: the limit is $Z_0=S$ as without them. At order $1/L$ they are added to the margins
    of $Z_1$.
Checked:
    The minimisers for five decays, from 1e-2 to 1e-6, are found side by side from random starts, by the polish alone
    without the flow. Dual points of their nuclear-norm programs bound the sum of the minima from below, which certifies
    the ends. There the logits are compared with those of the margin equation, found by iteration from the limit; for
    $K>2$ the distances from the limit direction; and at the three weakest decays $Z_\lambda-LZ_0$, entry by entry, with
    three terms of the expansion, up to the size of the fourth. Uniqueness is not certified here, and all claims are
    sampled.
Refuted by:
    One certified end at which logits or distance differ by more than their tolerance, or an entry outside the bounds of
    the expansion. The same check must refute offsets without effect, of the wrong sign, or off by 5 % (in the logits by
    1e-5); a second term off by 3 %; a limit slightly bent by the offsets; the probability of the right class left out;
    and a distance that falls as a power of the decay, or is its first-order term alone.
Example:
    One class of ten samples and two of one: the distance from the limit direction for decays from 1e-2 to 1e-6, without
    offsets and with them by the margin equation, and with them at the end of a random start.

    >>> offset = np.array([0.5, 0.0, -0.5])
    >>> without, problem = (build_instance((10, 1, 1), 2, factor * offset, "given").problem for factor in (0, 1))
    >>> ends = nct.solve(problem, seeds=1, method="polish", light=True)
    >>> weights, features = ends.params.weights[0][0], ends.params.features[0]
    >>> limit = np.array(nct.closed_form.simplex_etf(3)) / 2**0.5
    >>> [[round(float(distance), 5) for distance in predict_path(path).distance] for path in (without, problem)]
    [[0.13412, 0.10001, 0.07989, 0.06656, 0.05706], [0.18605, 0.14421, 0.11783, 0.09964, 0.08632]]
    >>> [round(float(np.linalg.norm(z / np.linalg.norm(z) - limit)), 5) for z in np.asarray(weights @ features)]
    [0.18605, 0.14421, 0.11783, 0.09964, 0.08632]
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
SMALL = ((2, 1), (2, 3), (3, 2))  # A shape is (K, d); d = K-1 several times.
MIDDLE = ((4, 4), (4, 3), (5, 4))


def draw_instances(key):
    """Draw random offsets within 1 of each other or so, offsets tau log(n_k/N), balanced and other counts."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE)):
        balanced = (int(rng.integers(1, 6)),) * classes
        for counts in (balanced, draw_counts(rng, classes), draw_counts(rng, classes)):
            drawn.append(build_instance(counts, dim, rng.uniform(-0.7, 0.7, size=classes), "random"))
        for tau in (0.25, -0.25):
            counts = draw_counts(rng, classes)
            drawn.append(build_instance(counts, dim, tau * np.log(np.asarray(counts) / sum(counts)), f"tau = {tau}"))
    return drawn


def draw_counts(rng, classes):
    """Draw counts between 1 and 30 (up to 300 for two classes), the largest at least five times the smallest."""
    counts = np.exp(rng.uniform(0, np.log(300 if classes == 2 else 30), size=classes)).round().astype(int)
    counts[:2] = (max(int(counts[0]), 10), 2)
    return tuple(counts.tolist())


def build_instance(counts, dim, offset, kind):
    """Build the path with one offset."""
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
                "That additive adjustment leaves the implicit bias alone is stated there for two classes and fixed features, "
                "and credited to Kini et al. 2021 (read in the proceedings, PMLR 206). For free features, and the "
                "expansion, which shows where it is not so, the statement is our own.",
                number="Proposition 1",
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
