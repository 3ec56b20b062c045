r"""The few-shot error in directional variance.

With m labelled samples of every class, new samples are assigned to the nearest of the means of these. Their error has two
parts: the spread of a class along the line between the means, which more samples do not help against, and what the sampled
means miss of the true ones, which dies out as 1/m whatever the directions are. Both are known from the first four moments
of the classes.

Problem:
    Any features with classes, here those of an unconstrained-feature model at any point of its training, each class the
    uniform distribution on its features. Of a pair of classes x and m samples with mean a are drawn from class i, and m
    with mean b from class j, all with replacement; an error is $S=|x-b|^2-|x-a|^2\le0$.
Theorem (Luthra, Salunkhe and Galanti 2026, Theorem 4.1 as their blog has it; moments and one-sided form our own):
    With $\mu,\Sigma,v,M$ the mean, covariance, its trace and the fourth absolute moment about the mean of a class,
    $D=|\mu_i-\mu_j|$, $u=(\mu_i-\mu_j)/D$: $ES=D^2+\frac{v_j-v_i}m$ and
    $\mathrm{Var}S=4D^2(u^\top\Sigma_iu+\frac1mu^\top\Sigma_ju)+\frac4m\mathrm{tr}\,\Sigma_i(\Sigma_i+\Sigma_j)+q_i+q_j
    -\frac{4D}{m^2}E_j\langle\xi,u\rangle|\xi|^2$, where $q=\frac1{m^3}(M-v^2+2(m-1)\mathrm{tr}\,\Sigma^2)$. The error is at
    most $\frac{\mathrm{Var}S}{\mathrm{Var}S+(ES)^2}$ where $ES>0$, and at most
    $[4\tilde V+(\sqrt{E_1}+\sqrt{E_2}+\sqrt{E_3})^2]/(1+\frac{v_j-v_i}{mD^2})^2$ with $\tilde V=u^\top\Sigma_iu/D^2$,
    $E_1=\frac4m(V^2+\frac V4)$, $E_2=\frac Vm$, $E_3=\frac{\Theta+2(m-1)V^2}{m^3}$, $V=\frac{v_i+v_j}{D^2}$,
    $\Theta=\frac{M_i+M_j}{D^4}$. The error among K classes is at most the sum of the bounds of the pairs.
Hypotheses:
    - at least two classes, with at least one feature each
    - at least one sample of each class is drawn
Notation:
    Luthra et al.: d for D; they sum over both orders of a pair and divide by the number of classes.
Why:
    With $x=\mu_i+\xi$, $a=\mu_i+\alpha$, $b=\mu_j+\beta$, $\delta=\mu_i-\mu_j$:
    $S=D^2+2\langle\delta,\xi\rangle-2\langle\delta,\beta\rangle+2\langle\xi,\alpha-\beta\rangle+|\beta|^2-|\alpha|^2$. All
    are uncorrelated but $\langle\delta,\beta\rangle$ and $|\beta|^2$, which gives the moments; Cantelli's inequality is the
    first bound. For the second the terms but the first have the variances $\le4V/m$ and $\le4V^2/m$, together at most
    $(\sqrt{E_1}+\sqrt{E_2})^2$, and $\le E_3$, in units of $D^4$, and Chebyshev's inequality is used; where $ES\le0$ it is
    at least 4m. Corners of an equilateral triangle, two of one class and one of the other, attain the first with one shot.
Checked:
    At random starts and after 30 and 300 steps of gradient descent all draws are gone through, with their probabilities:
    the error of every ordered pair and of every class, ties counted as errors, and mean and variance of S, are exact.
Refuted by:
    One point at which the variance differs, or an error exceeds its bound, by more than rounding. The same check must
    refute the variance without fourth or third moments or with 1/m^2 for 1/m, bounds without fourth moments, without what
    the shots add or without the directional part, V for 4V, and the mean of the pairs' bounds for their sum.
Example:
    An equilateral triangle with one shot: the error, and both bounds.

    >>> import jax
    >>> problem = next(i.problem for i in draw_instances(jax.random.key(0)) if i.parameters["starts"] == "triangle")
    >>> with jax.enable_x64(True):
    ...     point = problem.init(jax.random.key(0), 1.0)
    ...     figures = [f(problem, point)[0, 1] for f in (pair_errors, pair_bounds, chebyshev_bounds)]
    >>> [round(float(one), 4) for one in figures]
    [0.5, 0.5, 7.2302]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import LUTHRA_2026
from proofs_numeric.conserved.vector_field import TINY, one, relative, rounding_unit, zero
from proofs_numeric.generalisation.populations import (
    SEEDS,
    extent,
    labels_of,
    off_diagonal,
    outlier,
    population,
    share,
    star,
    started,
    triangle,
    two_point,
)

ID = "directional-cdnv"
WEIGHTS = 26.0
"""The variance of S is a sum of means of products of four differences of features, whose weights add to at most this."""


def draw_instances(key):
    """Draw populations and numbers of shots with normal starts, and arranged ones at which bounds are nearly attained."""
    rng = nct.theorems.numpy_rng(key)
    return [
        population(rng, (8, 1), 2, "normal", shots=1),
        population(rng, (8, 1), 2, "triangle", triangle(2, 4), shots=1),
        population(rng, (8, 1), 2, "outlier", outlier(8, 2), shots=1),
        population(rng, (6, 1), 2, "normal", shots=8),
        population(rng, (6, 1), 2, "two points", two_point(6, 2, 0.03), shots=8),
        population(rng, (6, 1, 1), 3, "normal", shots=5),
        population(rng, (6, 1, 1), 3, "star", star(6, 3, 2, 0.05), shots=5),
        population(rng, (4, 4), 1, "normal", shots=3, loss="cross_entropy"),
        population(rng, (4, 4), 1, "normal", shots=3, loss="cross_entropy"),
        population(rng, (3, 2, 4), 2, "normal", shots=2, loss="cross_entropy"),
        population(rng, (3, 2, 4), 2, "normal", shots=2, loss="cross_entropy"),
    ]


def exactly(problem, params):
    """Return exact errors and moments of scores, by going through all draws."""
    return nct.generalisation.finite_few_shot_error(params.features.T, labels_of(problem), problem.shots)


def pair_errors(problem, params):
    """Return the error of each ordered pair of classes."""
    return exactly(problem, params).pairs


def class_errors(problem, params):
    """Return the error of each class among all."""
    return exactly(problem, params).classes


def score_moments(problem, params, power=1, third=1.0, fourth=1.0, shot=1.0):
    """Return ES and Var S of each ordered pair; `shot` times what the shots add, 1/m^power for 1/m."""
    f = nct.generalisation.population_moments(params.features.T, labels_of(problem))
    m, own = float(problem.shots), jnp.diagonal(f.products)
    centres = (fourth * f.fourth - f.variances**2 + 2.0 * (m - 1.0) * own) / m**3
    added = (4.0 * f.distances**2 * f.along.T + 4.0 * (own[:, None] + f.products)) / m**power
    added = added + centres[:, None] + centres[None, :]
    added = added + third * 4.0 / m**2 * f.distances * f.third.T
    mean = f.distances**2 + shot * (f.variances[None, :] - f.variances[:, None]) / m
    return off_diagonal(mean), off_diagonal(4.0 * f.distances**2 * f.along + shot * added)


def pair_bounds(problem, params, **change):
    """Return Var/(Var + mean^2), and 1 where the mean is not positive."""
    mean, variance = score_moments(problem, params, **change)
    return off_diagonal(nct.generalisation.one_sided(mean, jnp.maximum(variance, 0.0)))


def chebyshev_bounds(problem, params, leading=4.0, shot=1.0):
    """Return the bound in V, with its leading constant and `shot` times what the shots add."""
    f = nct.generalisation.population_moments(params.features.T, labels_of(problem))
    m, square = float(problem.shots), f.distances**2 + jnp.eye(problem.classes)
    cdnv = (f.variances[:, None] + f.variances[None, :]) / square
    spread = (f.fourth[:, None] + f.fourth[None, :]) / square**2
    parts = (4.0 / m * (cdnv**2 + cdnv / 4.0), cdnv / m, (spread + 2.0 * (m - 1.0) * cdnv**2) / m**3)
    above = leading * f.along / square + shot * sum(map(jnp.sqrt, parts)) ** 2
    below = (1.0 + shot * (f.variances[None, :] - f.variances[:, None]) / (m * square)) ** 2
    return off_diagonal(above / (below + TINY))


def slips(problem, params):
    """Return the rounding of the mean and of the variance of a score, those of their formulas and of computed scores.

    Differences of features, of size G at most, are known to the rounding e of the largest feature. The mean is made of
    products of two of them with weights of at most 5, the variance of four: off by 10 e G and 4 WEIGHTS e G^3.
    """
    largest, extreme = extent(params.features)
    slip = rounding_unit(params) * largest
    return 10.0 * slip * extreme, 4.0 * WEIGHTS * slip * extreme**3


def rounding_of_pairs(problem, params):
    """Return the rounding of Var/(Var + mean^2), which covers that of the scores whose signs make the errors."""
    mean, variance = score_moments(problem, params)
    first, second = slips(problem, params)
    moved = second + 2.0 * first * jnp.abs(mean) + first**2
    return off_diagonal(rounding_unit(params) + moved / (jnp.maximum(variance, 0.0) + mean**2 + moved + TINY))


def rounding_of_chebyshev(problem, params):
    """Return the rounding of the bound in V: relative to it where the mean is known, and of errors of at most 1."""
    bound, mean = chebyshev_bounds(problem, params), score_moments(problem, params)[0]
    first, second = slips(problem, params)
    square = jnp.maximum(mean**2, first**2) + TINY
    return off_diagonal(rounding_unit(params) + second / square + 2.0 * bound * first / jnp.sqrt(square))


def rounding_of_classes(problem, params):
    """Return the rounding of sums of bounds."""
    return jnp.sum(rounding_of_pairs(problem, params), axis=1)


def union(problem, params):
    """Return the sum of the bounds of each row."""
    return jnp.sum(pair_bounds(problem, params), axis=1)


def average(problem, params):
    """Return the mean of the bounds of each row in the place of their sum."""
    return union(problem, params) / (problem.classes - 1.0)


def ones(prediction):
    """Predict that an error is at most the whole of its bound."""
    return jnp.ones(())


def moments(**change):
    """State mean and variance of the scores, or a wrong version of them."""

    def parts(problem, params):
        found = exactly(problem, params)
        told = score_moments(problem, params, **change)
        # The formula and the enumeration are both off by as much.
        errors = [2.0 * slip / rounding_unit(params) for slip in slips(problem, params)]
        return [
            (a - b, jnp.linalg.norm(a), error)
            for a, b, error in zip((found.score_mean, found.score_variance), told, errors, strict=True)
        ]

    def off(problem, params):
        return jnp.stack([relative(*each, params) for each in parts(problem, params)])

    def rounded(problem, params):
        squares = [relative(error, size, error, params) ** 2 for _, size, error in parts(problem, params)]
        return jnp.sqrt(jnp.sum(jnp.stack(squares)))

    return nct.Equality("moments", r"ES,\ \mathrm{Var}S", off, zero, scope="any point", terms=rounded, size=one)


def pairs(**change):
    """State the one-sided bound of pairs, or a wrong version of it."""
    observed, rounded = share(pair_errors, lambda p, x: pair_bounds(p, x, **change), rounding_of_pairs)
    statement = r"P(S\le0)\le\frac{\mathrm{Var}S}{\mathrm{Var}S+(ES)^2}"
    return nct.UpperBound("pairs", statement, observed, ones, scope="any point", terms=rounded, size=one)


def in_cdnv(**change):
    """State the bound in directional CDNV, or a wrong version of it."""
    observed, rounded = share(pair_errors, lambda p, x: chebyshev_bounds(p, x, **change), rounding_of_chebyshev)
    statement = r"P(S\le0)\le\frac{4\tilde V+(\sqrt{E_1}+\sqrt{E_2}+\sqrt{E_3})^2}{(1+(v_j-v_i)/(mD^2))^2}"
    return nct.UpperBound(
        "in CDNV",
        statement,
        observed,
        ones,
        scope="any point",
        terms=rounded,
        size=one,
        resolution=0.5,
        because="its variance is bounded term by term, so that no population with few shots comes near to it; a half of it is "
        "refuted by two points with eight shots",
    )


def classes(bounds=union):
    """State the bound of classes, or a wrong version of it."""
    observed, rounded = share(class_errors, bounds, rounding_of_classes)
    statement = r"P(\min_{j\ne i}S_j\le0)\le\sum_{j\ne i}\frac{\mathrm{Var}S_j}{\mathrm{Var}S_j+(ES_j)^2}"
    return nct.UpperBound("classes", statement, observed, ones, scope="any point", terms=rounded, size=one)


def wrong(name, text, versions, applies):
    """Make a control."""
    return nct.Control(name, text, versions=versions, applies=applies)


def several(instance):
    """Tell the instances with normal starts and more than one shot."""
    return instance.problem.shots > 1 and instance.parameters["starts"] == "normal"


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: len(i.problem.counts) >= 2 and min(i.problem.counts) >= 1,
            lambda i: i.problem.shots >= 1,
        ),
        sources=(
            LUTHRA_2026.remark(
                "The bound in directional CDNV, read in the authors' blog; moments and one-sided form are our own.",
                "Theorem 4.1 of the authors' blog",
            ),
        ),
        instances=draw_instances,
        predict=lambda problem: None,
        seeds=SEEDS,
        method=nct.theorems.Train(steps=(0, 30, 300), rate=0.1),
        claims=(moments(), pairs(), in_cdnv(), classes()),
        controls=(
            wrong(
                "fourth moments left out",
                "q without M",
                (moments(fourth=0.0), pairs(fourth=0.0)),
                started("outlier"),
            ),
            wrong("third moment left out", "Var S without it", (moments(third=0.0),), several),
            wrong("1/m^2 for 1/m", "what sampled means add falls as 1/m^2", (moments(power=2),), several),
            wrong(
                "as if means were known",
                "the directional part alone, whatever the shots",
                (pairs(shot=0.0), in_cdnv(shot=0.0)),
                started("triangle"),
            ),
            wrong("directional part left out", "the shots alone", (in_cdnv(leading=0.0),), started("two points")),
            wrong("V for 4 V", "V in the place of 4 V", (in_cdnv(leading=1.0),), started("two points")),
            wrong(
                "mean for the sum", "the mean of the pairs' bounds for their sum", (classes(average),), started("star")
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
