r"""The mean numbers of critical points of spherical spin glasses.

How many minima, saddles and maxima a random homogeneous polynomial has on a sphere is known exactly on average, by index and
by energy, at every dimension: it is a mean over one eigenvalue of a random symmetric matrix. Low energies belong to low
indices, in layers; the loss surfaces of networks were compared with this.

Problem:
    $H(\sigma)=N^{-(p-1)/2}\sum J_{i_1\dots i_p}\sigma_{i_1}\cdots\sigma_{i_p}$ on $|\sigma|^2=N$, with independent standard
    normal J. $\mathrm{Crt}_k(u)$ is the number of critical points of index k at which $H\le Nu$.
Theorem (Auffinger, Ben Arous and Cerny 2013, Theorem 2.1, from memory, number unchecked):
    $E\,\mathrm{Crt}_k(u)=2\sqrt{2/p}\,(p-1)^{N/2}\,E\,e^{-N\frac{p-2}{2p}\lambda_k^2}
    1\{\lambda_k\le\sqrt{\tfrac p{2(p-1)}}\,u\}$, where $\lambda_0\le\dots\le\lambda_{N-1}$ are the eigenvalues of a symmetric
    N x N matrix with independent centred normal entries of variance $(1+\delta_{ij})/(2N)$.
Hypotheses:
    - p is at least 3
    - N is at least 2
Notation:
    k = 0 are minima. ABC: Crt_{N,k}(B) with B the interval up to u.
Why:
    Kac and Rice: at a point the gradient is independent of energy and Hessian, which is a matrix of that kind in N-1
    dimensions less p times the energy. The determinant's modulus and the normal density of the energy together make the
    joint density of N eigenvalues, of which the energy is one.
Checked:
    In each of thousands of disorders Newton's method is started from many points, and the distinct critical points are counted
    by index and energy. Where a point was met once only, or the numbers with alternating signs do not add up to the Euler
    characteristic of the sphere, all points that are possible and were not found may be missing.
    The mean has the band of the empirical Bernstein inequality, which fails with probability 1e-12 at most. The prediction is
    a quadrature over the gaps of the eigenvalues.
Refuted by:
    One mean outside its band. The same check must refute the numbers of maxima for those of minima, N-1 in the place of N in
    the power, the factor 2 left out, 2/p for 1/(2p) in the exponent, and the level without its factor.
Example:
    Three spins, p = 3: the mean numbers of minima, saddles and maxima.

    >>> from proofs_numeric.glasses.census import GlassCensus
    >>> with jax.enable_x64(True):
    ...     glass = GlassCensus(blocks=1, block=1, size=3, degree=3, starts=1, level=jnp.zeros(()))
    ...     numbers = predict(glass).numbers
    >>> [round(float(number), 4) for number in numbers]
    [3.1381, 4.2762, 3.1381]
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_glasses import AUFFINGER_2013, CARTWRIGHT_2013
from proofs_numeric.bibliography_of_statistics import MAURER_PONTIL_2009
from proofs_numeric.glasses.census import GlassCensus
from proofs_numeric.glasses.goe import order_statistics
from proofs_numeric.statistics.experiments import bernstein, in_terms, sampled

ID = "abc-complexity"
SHAPES = ((2, 3, 96, 24), (2, 4, 128, 24), (2, 5, 160, 24), (3, 3, 128, 16))
"""N, p, starts of each disorder, and blocks of 256 disorders."""


def draw_instances(key):
    """Draw for each shape two low levels of energy and a higher one."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for size, degree, starts, blocks in SHAPES:
        for level in (rng.uniform(-0.4, -0.3), rng.uniform(-0.3, -0.2), rng.uniform(0.2, 0.45)):
            problem = GlassCensus(
                blocks=blocks, block=256, size=size, degree=degree, starts=starts, level=jnp.asarray(level)
            )
            drawn.append(nct.Instance(problem, {"N": size, "p": degree, "level": float(level)}))
    return drawn


class Prediction(NamedTuple):
    """Mean numbers by index, of all critical points and of those up to the level."""

    numbers: jax.Array
    below: jax.Array


def predict_with(factor=2.0, power=0.0, sharper=1.0, reach=1.0, reverse=False):
    """Predict by the formula, or by a wrong version of it."""

    def predict(problem):
        size, p = problem.size, problem.degree
        front = factor * math.sqrt(2.0 / p) * (p - 1.0) ** (0.5 * size + power)
        sharpness = sharper * size * (p - 2.0) / (2.0 * p)
        cut = reach * math.sqrt(p / (2.0 * (p - 1.0))) * problem.level
        numbers, below = front * order_statistics(size, sharpness, jnp.stack([jnp.asarray(jnp.inf), cut]))
        return Prediction(numbers, below[::-1] if reverse else below)

    return predict


predict = predict_with()


def counted(part):
    """Observe the mean numbers by index, all or those up to the level, and their band."""

    def places(problem):
        return slice(part * problem.size, (part + 1) * problem.size)

    def observed(problem, params):
        return params.mean[places(problem)]

    def terms(problem, params):
        # Numbers lie between 0 and the most that are possible, and so many may be missing.
        band = bernstein(problem, params.variance[places(problem)], float(problem.most))
        missing = params.mean[-1] + bernstein(problem, params.variance[-1], float(problem.most))
        return in_terms(params, band + missing)

    return observed, terms


def means(name, statement, part, predicted, resolution):
    """State that a record has these means."""
    return sampled(name, statement, *counted(part), predicted, resolution=resolution, of="thousands of disorders")


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: i.problem.degree >= 3, lambda i: i.problem.size >= 2),
        sources=(AUFFINGER_2013, CARTWRIGHT_2013, MAURER_PONTIL_2009),
        instances=draw_instances,
        predict=predict,
        seeds=2,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            means("numbers", r"E\,\mathrm{Crt}_k", 0, lambda p: p.numbers, 0.3),
            means("numbers below", r"E\,\mathrm{Crt}_k(u)", 1, lambda p: p.below, 0.6),
        ),
        controls=(
            nct.Control("reversed", "minima for maxima", predict_with(reverse=True), claims=("numbers below",)),
            nct.Control("power", "(p-1)^{(N-1)/2}", predict_with(power=-0.5)),
            nct.Control("once", "without the factor 2", predict_with(factor=1.0)),
            nct.Control("exponent", "2/p for 1/(2p)", predict_with(sharper=4.0)),
            nct.Control("level", "the level u itself", predict_with(reach=2.0), claims=("numbers below",)),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
