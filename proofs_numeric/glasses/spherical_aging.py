r"""Ageing of the spherical two-spin model at zero temperature, at finite size.

The flow down a random quadratic form on a sphere is solved by the form's eigenvalues and the start's components. It never
arrives in the limit of many spins: the longer it has run, the longer it takes to move on, so that the correlation of two times
depends on their ratio. At finite size the same formula holds with the sampled spectrum, and ends at the lowest eigenvector.

Problem:
    $f=\frac1NH$, $H=N^{-1/2}\sum J_{ij}\sigma_i\sigma_j$ on $|\sigma|^2=N$, independent standard normal J; the flow
    $\dot u=-\nabla f$ of $u=\sigma/\sqrt N$ on the unit sphere, from a random start.
Theorem (Cugliandolo and Dean 1995, number unchecked; at finite size in our own form):
    With the eigenvalues $a_i$ of the symmetric part of $2N^{-1/2}J$ and the start's components $c_i$ along its eigenvectors,
    $u(t)=\sum_ic_ie^{-a_it}v_i/\sqrt{\Gamma(t)}$, $\Gamma(t)=\sum_ic_i^2e^{-2a_it}$. So the correlation of two times is
    $C(t,s)=\Gamma(\frac{t+s}2)/\sqrt{\Gamma(t)\Gamma(s)}$ and the energy $f=-\frac{1}{4}\frac{d}{dt}\log\Gamma$. In the limit
    $\Gamma(t)=I_1(4\sqrt2t)/(2\sqrt2t)$, and $C\to[4x/(1+x)^2]^{3/4}$ with $x=s/t$ fixed.
Hypotheses:
    - p = 2
    - at least two spins
Notation:
    Cugliandolo and Dean: couplings whose semicircle has the radius 2; their time is $\sqrt2t$.
Why:
    $f=\frac12u^\top Au$ with A that matrix, so that $\dot u=-(A-u^\top Au)u$: the linear flow $\dot x=-Ax$ divided by its
    length solves it. Its length squared is $\Gamma$, whose logarithm has the derivative $-2u^\top Au$. The limit is the
    integral over the semicircle of A, of radius $2\sqrt2$.
Checked:
    The vector is integrated along the gradient flow from random starts, twice with different tolerances; their difference
    bounds the error. All its components, the correlation with the start and the energy are held against the formula at thirty
    times. All this is sampled. The limits are not checked.
Refuted by:
    One path that leaves the formula by more than twice the integrator's error and rounding. The same check must refute times
    or couplings larger by 1e-6, the flow of another disorder, and a degree of three.
Example:
    The correlation with the start at time 1 for eight spins, by the formula and along a fresh flow.

    >>> glass = nct.problems.spin_glass(size=8, degree=2)
    >>> start = nct.starts(glass, 1)
    >>> with jax.enable_x64(True):
    ...     told = float(predict_with()(glass, jnp.asarray(start[0]), jnp.asarray([1.0])).overlap[0, 0])
    ...     end = nct.gradient_flow(glass, start, [1.0], light=True).values[0, 0]
    >>> round(told, 6) == round(float(start[0] @ end), 6)
    True
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_glasses import CUGLIANDOLO_1995

ID = "sk-spherical-aging"
SIZES = (4, 8, 12)


class Curve(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    direction: jax.Array
    overlap: jax.Array
    energy: jax.Array


def draw_instances(degree=2, sizes=SIZES, seed=0):
    """Draw for each size four disorders, followed for twelve times the inverse width of the spectrum."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for size in sizes:
            for _ in range(4):
                disorder = int(rng.integers(2**31))
                problem = nct.problems.spin_glass(size=size, degree=degree, seed=disorder)
                spec = nct.theorems.TrajectorySpec(tuple((np.arange(1, 31) * 0.1).tolist()), tolerance=1e-12)
                drawn.append(nct.Instance(problem, {"N": size, "p": degree, "disorder": disorder}, 1.0, spec))
        return drawn

    return draw


def direction(problem, params, start):
    """Return u."""
    return problem.direction(params)


def overlap(problem, params, start):
    """Return the correlation of u with the start."""
    return jnp.sum(problem.direction(params) * problem.direction(start))[None]


def energy(problem, params, start):
    """Return the energy per spin."""
    return problem.objective(params)[None]


def predict_with(strength=1.0, time=1.0, other=False):
    """Predict for couplings or times multiplied by a number, or for another disorder."""

    def predict(problem, start, times):
        matrix = 2.0 * strength * jnp.asarray(problem.couplings) / jnp.sqrt(problem.size)
        if problem.degree != 2:
            matrix = matrix[0]  # what a formula for p = 2 makes of another degree
        if other:
            matrix = matrix[::-1, ::-1]
        values, vectors = jnp.linalg.eigh(matrix)
        begun = vectors.T @ (start / jnp.linalg.norm(start))
        # Relative to the lowest eigenvalue, so that nothing overflows.
        faded = begun[None, :] * jnp.exp(-(values - values[0])[None, :] * time * jnp.asarray(times)[:, None])
        units = faded / jnp.linalg.norm(faded, axis=1, keepdims=True)
        return Curve(units @ vectors.T, (units @ begun)[:, None], 0.5 * (units**2 @ values)[:, None])

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: i.problem.degree == 2, lambda i: i.problem.size >= 2),
        sources=(CUGLIANDOLO_1995.remark("The limit; at finite size in our own form."),),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory("direction", "u(t)", direction, lambda c: c.direction),
            nct.Trajectory("correlation", "C(t,0)", overlap, lambda c: c.overlap),
            nct.Trajectory("energy", "f(t)", energy, lambda c: c.energy),
        ),
        controls=(
            nct.Control("1e-6 strong", "couplings larger by a relative 1e-6", predict_with(strength=1 + 1e-6)),
            nct.Control("1e-6 late", "times longer by a relative 1e-6", predict_with(time=1 + 1e-6)),
            nct.Control("another disorder", "the couplings in reverse order", predict_with(other=True)),
            nct.Control(
                "three spins", "the formula for p = 2 at p = 3", predict_with(), outside=draw_instances(3, SIZES[:1], 1)
            ),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
