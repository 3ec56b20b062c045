r"""The nearest-mean error in directional variance.

Classes are told apart by the nearest class mean. Of a class only its spread along the line to the other mean matters: the
other spread moves samples along the boundary, not across it. Chebyshev's inequality in its one-sided form gives the sharp
bound for any distribution whatever, and a class that sits on two points attains it.

Problem:
    Any features $f_i$ with classes, here those of an unconstrained-feature model at any point of its training; the
    population of a class is the uniform distribution on its features, $\mu_k$ its mean, and a sample is assigned to the
    nearest mean.
Theorem (Cantelli 1928 and Luthra, Salunkhe and Galanti 2026, number unchecked; form with the denominator our own):
    With $D=|\mu_i-\mu_j|$, $u=(\mu_i-\mu_j)/D$ and $\tilde V_{ij}=\mathrm{Var}_i\langle f,u\rangle/D^2$, a sample of class
    i is as near to $\mu_j$ as to $\mu_i$, or nearer, with a probability of at most $4\tilde V_{ij}/(1+4\tilde V_{ij})$; it
    is not nearest to $\mu_i$ alone with a probability of at most the sum of these over $j\ne i$.
Hypotheses:
    - at least two classes, with at least one feature each
Notation:
    Galanti, György and Hutter: the variability $(\mathrm{Var}_i+\mathrm{Var}_j)/(2D^2)$ of all directions; Luthra, Salunkhe
    and Galanti: the same $\tilde V$, with leading term $4\tilde V$.
Why:
    $|f-\mu_j|^2-|f-\mu_i|^2=D^2+2D\langle f-\mu_i,u\rangle$ has the mean $D^2$ and the variance $4D^2\mathrm{Var}_i\langle
    f,u\rangle$, and Cantelli's inequality says $P(S\le0)\le\frac{\mathrm{Var}S}{\mathrm{Var}S+(ES)^2}$. A share p of the
    class on the boundary and the rest on one point has $4\tilde V=p/(1-p)$, and so equality. The sum is the union bound; a
    class with one point on each of several boundaries whose directions are orthogonal attains it.
Checked:
    At random starts and after 30 and 300 steps of gradient descent the share of features for which another mean is as near
    or nearer, ties counted as errors, is held against the bound, of each ordered pair and of each class. Some starts attain
    it to a millionth.
Refuted by:
    One point at which a share exceeds its bound by more than rounding. The same check must refute a constant of 3.9, a
    larger denominator, the mean variance of the two classes, the error of Gaussians, and the largest term for the sum.
Example:
    A class of four features, one of them beyond the boundary, at its start: error and bound.

    >>> problem = next(i.problem for i in draw_instances(jax.random.key(0)) if i.parameters["starts"] == "one-sided")
    >>> with jax.enable_x64(True):
    ...     point = problem.init(jax.random.key(0), 1.0)
    ...     found, bound = pair_errors(problem, point)[0, 1], pair_bounds(problem, point)[0, 1]
    >>> float(found), round(float(bound), 5)
    (0.25, 0.25)
"""

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import GALANTI_2022, LUTHRA_2026
from proofs_numeric.conserved.vector_field import TINY, one, rounding_unit
from proofs_numeric.generalisation.populations import (
    SEEDS,
    extent,
    facing,
    labels_of,
    off_diagonal,
    population,
    share,
    star,
    started,
    two_point,
)

ID = "nearest-mean-cantelli"


def draw_instances(key):
    """Draw populations of several shapes with normal starts, and arranged ones that attain the bounds."""
    rng = nct.theorems.numpy_rng(key)
    return [
        population(rng, (4, 4), 2, "normal"),
        population(rng, (4, 4), 2, "two points", facing(4, 2)),
        population(rng, (5, 5), 1, "normal", loss="cross_entropy"),
        population(rng, (5, 5), 1, "two points", facing(5, 1), loss="cross_entropy"),
        population(rng, (8, 8), 6, "normal"),
        population(rng, (8, 8), 6, "two points", facing(8, 6)),
        population(rng, (4, 3), 2, "normal", loss="cross_entropy"),
        population(rng, (4, 3), 2, "one-sided", two_point(4, 2, others=3), loss="cross_entropy"),
        population(rng, (4, 1, 1), 3, "normal"),
        population(rng, (4, 1, 1), 3, "star", star(4, 3, 2)),
        population(rng, (6, 1, 1, 1), 3, "normal", loss="cross_entropy"),
        population(rng, (6, 1, 1, 1), 3, "star", star(6, 3, 3), loss="cross_entropy"),
    ]


def measured(problem, params):
    """Return exact errors of the nearest population mean, and the moments."""
    x, y = params.features.T, labels_of(problem)
    return nct.generalisation.finite_few_shot_error(x, y, problem.shots), nct.generalisation.population_moments(x, y)


def pair_errors(problem, params):
    """Return the share of class i that is as near to the mean of j, or nearer."""
    return measured(problem, params)[0].pairs


def class_errors(problem, params):
    """Return the share of each class to which another mean is as near, or nearer."""
    return measured(problem, params)[0].classes


def pair_bounds(problem, params, above=4.0, below=4.0, both=0.0):
    """Return V a/(1 + V b), with a share `both` of the other class's variance in V."""
    moments = measured(problem, params)[1]
    spread = (1.0 - both) * moments.along + both * moments.along.T
    square = moments.distances**2
    # Where nothing is spread and the means coincide every sample is a tie.
    whole = square + below * spread
    return off_diagonal(jnp.where(whole > 0, above * spread / jnp.where(whole > 0, whole, 1.0), 1.0))


def gaussian_bounds(problem, params):
    """Return the error of Gaussians with these moments."""
    moments = measured(problem, params)[1]
    spread = jnp.sqrt(moments.along) + TINY
    return off_diagonal(jax.scipy.special.ndtr(-0.5 * moments.distances / spread))


def rounding_of_pairs(problem, params):
    """Return the rounding of the bounds, which covers that of the scores whose signs make the errors.

    Errors are counted of computed scores S/(2D), for whose own mean and variance the inequality holds exactly. These are
    differences of features along an axis and so known to the rounding e of the largest feature: the variance s^2 to
    2es + e^2 and D/2 to e.
    """
    moments = measured(problem, params)[1]
    largest, _ = extent(params.features)
    unit = rounding_unit(params)
    slip, spread, half = unit * largest, jnp.sqrt(moments.along), 0.5 * moments.distances
    whole = spread**2 + half**2
    moved = 2.0 * slip * (spread + half) + slip**2
    return off_diagonal(unit + moved / (whole + moved + TINY))


def rounding_of_classes(problem, params):
    """Return the rounding of sums of bounds."""
    return jnp.sum(rounding_of_pairs(problem, params), axis=1)


def largest(problem, params):
    """Return the largest bound of a row in the place of the sum."""
    return jnp.max(pair_bounds(problem, params), axis=1)


def union(problem, params):
    """Return the sum of each row."""
    return jnp.sum(pair_bounds(problem, params), axis=1)


def pairs(bounds=pair_bounds):
    """State the bound of pairs, or a wrong version of it."""
    observed, rounded = share(pair_errors, bounds, rounding_of_pairs)
    statement = r"P_i(|f-\mu_j|\le|f-\mu_i|)\le\frac{4\tilde V_{ij}}{1+4\tilde V_{ij}}"
    return nct.UpperBound("pairs", statement, observed, ones, scope="any point", terms=rounded, size=one)


def classes(bounds=union):
    """State the bound of classes, or a wrong version of it."""
    observed, rounded = share(class_errors, bounds, rounding_of_classes)
    statement = r"P_i(\min_{j\ne i}|f-\mu_j|\le|f-\mu_i|)\le\sum_{j\ne i}\frac{4\tilde V_{ij}}{1+4\tilde V_{ij}}"
    return nct.UpperBound("classes", statement, observed, ones, scope="any point", terms=rounded, size=one)


def ones(prediction):
    """Predict that an error is at most the whole of its bound."""
    return jnp.ones(())


def wrong(name, text, bounds, *arrangements):
    """Make a control of the bound of pairs, for instances whose starts are arranged so."""
    return nct.Control(name, text, versions=(pairs(bounds),), applies=started(*arrangements))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: len(i.problem.counts) >= 2 and min(i.problem.counts) >= 1,),
        sources=(
            LUTHRA_2026.remark("The leading term 4V; the one-sided form is a textbook inequality."),
            GALANTI_2022.remark("Class-distance normalized variance; their constants are larger."),
        ),
        instances=draw_instances,
        predict=lambda problem: None,
        seeds=SEEDS,
        method=nct.theorems.Train(steps=(0, 30, 300), rate=0.1),
        claims=(pairs(), classes()),
        controls=(
            wrong(
                "constant 3.9", "3.9 V/(1 + 3.9 V)", lambda p, x: pair_bounds(p, x, 3.9, 3.9), "two points", "one-sided"
            ),
            wrong("larger denominator", "4 V/(1 + 5 V)", lambda p, x: pair_bounds(p, x, 4.0, 5.0), "two points"),
            wrong(
                "mean variance of the pair",
                "the mean of both variances for that of the sample's class",
                lambda p, x: pair_bounds(p, x, both=0.5),
                "one-sided",
            ),
            wrong(
                "as if Gaussian", "the error of Gaussians with the same V", gaussian_bounds, "two points", "one-sided"
            ),
            nct.Control(
                "largest for the sum",
                "the largest bound of the pairs for their sum",
                versions=(classes(largest),),
                applies=started("star"),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
