r"""Sharp codes minimise every absolutely monotone energy.

Points on a sphere repel each other, and where they come to rest depends on the force. For a few arrangements it does not:
simplices, cross-polytopes, regular polygons and the icosahedron are the minimum for every potential that is absolutely
monotone in the inner product, exponentials of any sharpness among them, from the mean field of contrastive losses to hard
packing. Most numbers of points, seven or eight in three dimensions for instance, have no such arrangement.

Problem:
    $\min\sum_{i\ne j}e^{\beta\langle u_i,u_j\rangle}$ over N unit vectors in $\mathbb R^d$.
Theorem (Cohn and Kumar 2007, number unchecked):
    For $f=\sum_{i\ne j}e^{\beta\langle u_i,u_j\rangle}$, any $\beta>0$, the minimisers have the inner products of a simplex
    for $N\le d+1$, a regular polygon for $d=2$, a cross-polytope for $N=2d$, the icosahedron for $N=12$, $d=3$; $\min f$ is
    the sum over these. For each there is a polynomial $h=\sum_kh_kP_k\le e^{\beta t}$ on $[-1,1]$ in the Gegenbauer
    polynomials with $h_k\ge0$ for $k\ge1$ and $N^2h_0-Nh(1)=\min f$.
Hypotheses:
    - unit vectors under an exponential energy
    - N <= d+1, or d = 2, or N = 2d, or N = 12 and d = 3
Notation:
    Cohn and Kumar: potentials of squared distances $2-2t$, of which $e^{\beta t}$ is completely monotone.
Why:
    The matrices $P_k(UU^\top)$ are positive semidefinite, so that $\sum_{i\ne j}f\ge\sum_{i,j}h-Nh(1)\ge N^2h_0-Nh(1)$ for
    every code. At a sharp code, of m inner products and of strength $2m-1$, take for h the Hermite interpolant at these, to
    first order at -1. Interpolation leaves a remainder $f^{(n)}(\xi)\prod(t-t_j)^2/n!\ge0$, all sums of $P_k$ up to its
    degree vanish, and that its coefficients are not negative is the theorem's main step.
Checked:
    Random starts are followed along the gradient flow to their ends. The bound of the polynomial, which no formula for the
    minimum enters and of which rounding and any excess over the potential are taken off, must be met at each end; sharpness
    goes from 0.1 to 10. Sorted inner products are compared at the ends. At every start and end the energy must lie above
    the bound.
Refuted by:
    A code below the bound, a certified end with another value or with other inner products. The same check must refute the
    bound without the diagonal, values 1e-6 off, orthogonal vectors, and that seven or eight points in three dimensions meet
    theirs.
Example:
    Six and twelve points in three dimensions: the octahedron and the icosahedron, their polynomials' bounds and a start's end.

    >>> for number in (6, 12):
    ...     problem = nct.problems.unit_vectors(nct.problems.exponential_energy(vectors=number, sharpness=4.0), dim=3)
    ...     bound = nct.certificates.delsarte_bound(number, 3, 4.0)
    ...     ends = nct.solve(problem, seeds=1, light=True)
    ...     [round(float(x), 8) for x in (THEOREM.predict(problem).value, bound.lower_bound, ends.value[0])]
    [24.10989383, 24.10989383, 24.10989383]
    [369.20456702, 369.20456702, 369.20456702]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_codes import COHN_2007, DELSARTE_1977
from proofs_numeric.pool import log_uniform, pick

ID = "cohn-kumar"
# A shape is (N, d).
SIMPLICES = ((4, 3), (5, 4), (4, 5))
POLYGONS = ((5, 2), (7, 2), (8, 2))
CROSS = ((6, 3), (8, 4))
NOT_SHARP = ((7, 3), (8, 3))


class Bounded(nct.problems.UnitVectors):
    """Unit vectors with the bound of linear programming for their number and dimension."""

    least: Float[np.ndarray | jax.Array, ""]
    """N^2 h_0 - N h(1), with rounding taken off."""
    diagonal: Float[np.ndarray | jax.Array, ""]
    """N h(1)."""
    taken: Float[np.ndarray | jax.Array, ""]
    """What was taken off the bound."""

    def invariants(self, params):
        """Sort the inner products: codes that differ by a relabelling only are of one type."""
        return jnp.sort(self.gram(params).ravel())


class Prediction(NamedTuple):
    """What the theorem says of the minimiser."""

    value: jax.Array
    products: jax.Array
    """The inner products of all pairs, sorted, each pair twice and the diagonal once."""
    tight: jax.Array


def draw_instances(key):
    """Draw a simplex, a polygon, a cross-polytope and the icosahedron, each soft, middle and hard."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for number, dim in (*pick(rng, CROSS), (12, 3), *pick(rng, SIMPLICES), *pick(rng, POLYGONS)):
        drawn += [
            build_instance(number, dim, log_uniform(rng, *ends)) for ends in ((0.1, 0.5), (0.5, 3.0), (3.0, 10.0))
        ]
    return drawn


def build_instance(number, dim, beta):
    """Build the instance of N vectors in d dimensions."""
    bound = nct.certificates.delsarte_bound(number, dim, beta)
    energy = nct.problems.exponential_energy(vectors=number, sharpness=beta)
    problem = Bounded(
        dim=dim,
        nonnegative=False,
        energy=energy,
        least=np.asarray(bound.lower_bound),
        diagonal=np.asarray(number * np.sum(bound.coefficients)),
        taken=np.asarray(bound.rounding),
    )
    return nct.Instance(problem, {"N": number, "d": dim, "beta": beta})


def not_sharp(key):
    """Draw seven and eight points in three dimensions."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(number, dim, log_uniform(rng, 1.0, 3.0)) for number, dim in NOT_SHARP]


def sharp_products(number, dim):
    """Return the inner products of one vector of the sharp code with all others."""
    if number <= dim + 1:
        return np.full(number - 1, -1 / (number - 1))
    if dim == 2:
        return np.cos(2 * np.pi * np.arange(1, number) / number)
    if number == 2 * dim:
        return np.append(np.zeros(number - 2), -1.0)
    if (number, dim) == (12, 3):
        return np.concatenate([np.full(5, 5**-0.5), np.full(5, -(5**-0.5)), [-1.0]])
    raise ValueError(f"number: expected the size of a sharp code in dimension {dim}, got {number}")


def stated(problem, products):
    """State a code each of whose vectors has the same inner products with the others."""
    number = problem.vectors
    value = number * jnp.sum(jnp.exp(problem.energy.sharpness * (jnp.asarray(products) - problem.energy.origin)))
    repeated = np.sort(np.concatenate([np.repeat(products, number), np.ones(number)]))
    return Prediction(value, jnp.asarray(repeated), jnp.ones(()))


def predict(problem):
    """State the sharp code."""
    return stated(problem, sharp_products(problem.vectors, problem.dim))


def predict_any(problem):
    """State the sharp code where there is one, and elsewhere that the bound is met."""
    if is_sharp(problem.vectors, problem.dim):
        return predict(problem)
    number = problem.vectors
    return Prediction(jnp.asarray(problem.least), jnp.zeros(number**2), jnp.ones(()))


def is_sharp(number, dim):
    """Tell whether the theorem has a code of N points in dimension d."""
    return number <= dim + 1 or dim == 2 or number == 2 * dim or (number, dim) == (12, 3)


def products(problem, params):
    """Return all inner products, sorted."""
    return jnp.sort(problem.gram(params).ravel())


def relative_energy(problem, params):
    """Return the energy over the bound."""
    return problem.objective(params) / problem.least


def above(diagonal=1.0):
    """Claim that the energy is nowhere below the bound, in which N h(1) is taken off `diagonal` times."""

    def ratio(problem, params):
        return problem.objective(params) / (problem.least + (1.0 - diagonal) * problem.diagonal)

    return nct.LowerBound(
        "bound",
        r"\sum_{i\ne j}f\ge N^2h_0-Nh(1)",
        ratio,
        lambda p: p.tight,
        scope="any point",
        terms=lambda problem, params: problem.value_terms(params) / problem.least,
    )


def tight(factor=1.0):
    """Claim that every end meets `factor` times the bound, to rounding of the energy and what was taken off the bound."""

    def terms(problem, params):
        return (problem.value_terms(params) + problem.taken / nct.engine.EPS) / problem.least

    return nct.Equality(
        "tight",
        r"\min f=N^2h_0-Nh(1)",
        relative_energy,
        lambda p: factor * p.tight,
        scope="critical points",
        of_value=True,
        terms=terms,
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: (
                isinstance(i.problem, nct.problems.UnitVectors)
                and isinstance(i.problem.energy, nct.problems.PairEnergy)
                and not i.problem.nonnegative
            ),
            lambda i: is_sharp(i.problem.vectors, i.problem.dim),
        ),
        sources=(
            COHN_2007.remark("Universal optimality of sharp codes. The bound's polynomial is computed anew here."),
            DELSARTE_1977.remark("Designs and codes by linear programming."),
        ),
        instances=draw_instances,
        predict=predict_any,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality(
                "inner_products",
                r"\langle u_i,u_j\rangle\text{ sorted}",
                products,
                lambda p: p.products,
            ),
            tight(),
            above(),
        ),
        controls=(
            nct.Control(
                "without the diagonal", "the bound N^2 h_0 for distinct pairs", versions=(above(diagonal=0.0),)
            ),
            nct.Control(
                "1e-6 off",
                "values larger by a relative 1e-6",
                lambda problem: predict_any(problem)._replace(value=(1 + 1e-6) * predict_any(problem).value),
                ("value",),
            ),
            nct.Control("bound 1e-6 off", "the bound larger by a relative 1e-6", versions=(tight(1 + 1e-6),)),
            nct.Control(
                "orthogonal vectors",
                "all inner products zero",
                lambda problem: stated(problem, np.zeros(problem.vectors - 1)),
                ("inner_products", "value"),
            ),
            nct.Control("seven and eight points", "the bound is met there too", claims=("tight",), outside=not_sharp),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
