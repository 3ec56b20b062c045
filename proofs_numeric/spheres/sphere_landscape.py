r"""Features and classifiers on spheres: no bad minima where there is room.

On spheres with more dimensions than classes cross-entropy has the landscape that it has with decays: descents end in the
simplex, and every other critical point has a way down that the curvature shows. With fewer dimensions this stops to be true:
three classes in the plane have bad minima from a certain sharpness on.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i/T,y_i)$ over rows of W of length $\omega$ and features of length $\rho$ in
    $\mathbb R^d$, $\tau=\rho\omega/T$.
Theorem (Yaras et al. 2022, number unchecked; the range of tau is what was seen):
    For $d>K$, balanced classes and $\frac12\le\tau\le3$ every critical point of $f=\frac1N\sum_i\mathrm{CE}(Wh_i/T,y_i)$ on
    the product of spheres is a global minimiser, $f=\log(1+(K-1)e^{-\tau K/(K-1)})$, or has a direction of negative curvature.
Hypotheses:
    - cross-entropy of one-hot labels
    - every row of W on a sphere, features on a sphere
    - balanced classes, K >= 2
    - d > K
    - 1/2 <= tau <= 3
Notation:
    As in ufm-sphere. The paper's condition on tau was not read; larger tau make curvatures too small to be told from zero.
Why:
    See the paper. Where all classifiers are one w and all features one h, a move of the classifiers and one of the features in
    a direction orthogonal to both lower f at second order, which takes three dimensions; in the plane there is none if
    $\langle w,h\rangle=0$, so that such points at $f=\log K$ have no negative curvature there.
Checked:
    A census lowers the norm of the gradient from random starts, and so ends at critical points of every index. For each type
    of end the least eigenvalue of the Hessian across lengths and rotations must be negative unless the value is the minimum's.
    That one is certified; the rest is sampled, because critical points that no start reached are not excluded.
Refuted by:
    A critical point above the minimum without negative curvature, or one at the minimum with some. The same check must refute
    that points at $\log K$ are minima too, or the only ones; a minimum lower by 1e-8; and the same for three classes in
    the plane at $\tau$ from 10 to 14.
Example:
    Three classes in four dimensions at tau = 1: the least values of critical points, and their negative eigenvalues.

    >>> problem = build_instance(3, 4, 1, 1.0).problem
    >>> rows = nct.census(problem, starts=40).rows
    >>> sorted({(round(float(row.value), 5), row.index) for row in rows})[0]
    (0.36898, 0)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import YARAS_2022
from proofs_numeric.hypotheses import BALANCED
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.simplex import bound
from proofs_numeric.spheres.sphere_fold import low
from proofs_numeric.spheres.ufm_sphere import build_instance, is_sphere

ID = "sphere-landscape"
# A shape is (K, d, n).
POOLS = (((2, 3, 1), (2, 4, 2)), ((3, 4, 1), (3, 5, 1)), ((4, 5, 1), (3, 4, 2)))


class Minima(NamedTuple):
    """The minimum, and the values at which critical points are minima."""

    value: jax.Array
    values: jax.Array


def draw_instances(key):
    """Draw a shape of each pool, with tau in each part of the range."""
    rng = nct.theorems.numpy_rng(key)
    return [
        build_instance(*shape, log_uniform(rng, *ends), rng)
        for pool in POOLS
        for shape in pick(rng, pool)
        for ends in ((0.5, 0.8), (0.8, 1.2), (1.2, 2.0), (2.0, 3.0))
    ]


def in_the_plane(key):
    """Build three classes in the plane beyond the fold."""
    return [build_instance(3, 2, 1, tau) for tau in (10.0, 11.0, 12.0, 13.0, 14.0)]


def minima_at(listed):
    """State the minimum, and the values that `listed(value, problem)` returns."""

    def predict(problem):
        value = bound(problem.classes, problem.size * problem.radius)
        return Minima(value, jnp.stack(listed(value, problem)))

    return predict


predict = minima_at(lambda value, problem: [value])


def benign_claim(observe):
    """Claim that only points at the listed values lack negative curvature, of points at which `observe` is finite."""
    return nct.Index("benign", r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f=\min f", observe, lambda m: m.values)


def lower(problem):
    """State a minimum that is lower by a relative 1e-8."""
    found = predict(problem)
    return found._replace(value=(1 - 1e-8) * found.value)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy"),
            is_sphere,
            BALANCED,
            lambda i: i.problem.dim > i.problem.classes,
            lambda i: 0.5 <= (1 + 1e-12) * float(i.problem.radius * i.problem.size) <= 3.0 * (1 + 1e-11),
        ),
        sources=(YARAS_2022.remark("The abstract was read, with d > K from memory; the range of tau is our own."),),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Census(),
        claims=(
            nct.GlobalValue("value", r"\min f", lambda m: m.value),
            benign_claim(lambda problem, params: problem.objective(params)),
        ),
        controls=(
            nct.Control(
                "log K too",
                "points at log K are minima as well",
                minima_at(lambda value, problem: [value, jnp.log(1.0 * problem.classes)]),
                ("benign",),
            ),
            nct.Control(
                "log K only",
                "the only minima are at log K",
                minima_at(lambda value, problem: [jnp.log(1.0 * problem.classes)]),
                ("benign",),
            ),
            nct.Control("1e-8 lower", "the minimum lower by a relative 1e-8", lower, ("value",)),
            nct.Control(
                "in the plane",
                "of values below 1, benign for d = K-1 and tau from 10 to 14 too",
                outside=in_the_plane,
                versions=(benign_claim(low),),
            ),
        ),
        several_basins=True,
        seeds=1024,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
