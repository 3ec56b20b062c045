r"""Three classes on a circle: bad minima are born in a fold.

On spheres in as few dimensions as a simplex needs, the landscape of cross-entropy is not benign at every temperature. Three
classes on a circle show how it stops to be: up to a certain sharpness every descent ends in the simplex, and beyond it there
is a second kind of local minimum, in which two classifiers nearly coincide. It does not branch off the simplex, but appears
out of nothing, together with a saddle, in a fold.

Problem:
    $\min\frac13\sum_k\mathrm{CE}(Wh_k/T,k)$ over three classifiers of length $\omega$ and three features of length $\rho$ in
    the plane, $\tau=\rho\omega/T$.
Theorem (own; the landscape for d > K: Yaras et al. 2022, number unchecked):
    For K = 3, d = 2, n = 1 let $f=\frac13\sum_k\mathrm{CE}(Wh_k/T,k)$ on the product of circles. At $\tau^*=9.0724186$ there
    is a point at which the gradient vanishes, the Hessian has one eigenvalue 0 across the rotations, with a null vector v
    along which $\langle v,\partial_\tau\nabla f\rangle\ne0$ and the third derivative does not vanish: a fold. For
    $\tau^*<\tau\le40$ a branch of strict local minima $f_1(\tau)$ above the simplex begins there (0.46224909 at the fold,
    0.46113354 at 10, 0.40618900 at 40), whose lowest eigenvalue falls to zero as $\sqrt{\tau-\tau^*}$. For
    $\tau^*<\tau<20$ every other critical point of a value below 1 but the simplex has negative curvature, and for
    $2\le\tau<\tau^*$ every one.
Hypotheses:
    - cross-entropy of one-hot labels
    - every row of W on a sphere, features on a sphere
    - K = 3, d = 2, n = 1
    - 2 <= tau <= 40
Notation:
    As in ufm-sphere. Lengths are a symmetry here, and so are rotations.
Why:
    The gradient in the five angles that are left vanishes along curves in $(\alpha,\tau)$; where the Hessian has a simple
    zero and both numbers of the normal form do not vanish, such a curve turns back in $\tau$ as a parabola, and one of its
    sides has only positive eigenvalues if the other four are positive. That nothing else of the kind exists is seen, not
    proved. At the value $\log3$ it would be false at every $\tau$: where all classifiers are one w and all features one h,
    with $\langle w,h\rangle=0$, the gradient vanishes, and in the plane no direction has negative curvature.
Checked:
    Fold and branch are solved for in angles, by Newton's method. At the point so built the problem's own objective must have
    the predicted value, a zero gradient, and the predicted eigenvalues, five of them positive, to rounding. The curve of
    critical points is followed anew, with the problem's own gradient, at given distances of the two close classifiers, and
    the least $\tau$ on it must be $\tau^*$. A census lowers the norm of the gradient from random starts: of the critical
    points of a value below 1 only the simplex and the branch may lack negative curvature. That part is sampled.
Refuted by:
    Another value, gradient, eigenvalue or fold, or a critical point without negative curvature that is neither. The same check
    must refute a fold at 9.0544, values 1e-6 off, a point taken at another $\tau$, a benign landscape for every $\tau$,
    and bad minima below the fold.
Example:
    The fold, and the value and the lowest eigenvalue of the bad minimum at tau = 10, by angles and by the problem.

    >>> from proofs_numeric.spheres.fold_branch import placed
    >>> with jax.enable_x64(True):
    ...     problem, angles = build_instance(10.0).problem, branch(jnp.asarray(10.0))
    ...     report = nct.hessian_report(problem, placed(problem, angles))
    ...     print([round(float(x), 6) for x in (fold().tau, angle_value(angles, jnp.asarray(10.0)), report.smallest)])
    ...     print(round(float(problem.objective(placed(problem, angles))), 6), report.index, report.nullity)
    [9.072419, 0.461134, 0.001007]
    0.461134 0 0
"""

import dataclasses
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import YARAS_2022
from proofs_numeric.pool import log_uniform, near
from proofs_numeric.spheres.fold_branch import angle_value, branch, eigenvalues, fold
from proofs_numeric.spheres.fold_observed import built, observed_fold, observed_spectrum, rounded_spectrum, strength
from proofs_numeric.spheres.simplex import bound
from proofs_numeric.spheres.ufm_sphere import is_sphere

ID = "sphere-fold"
APART, BELOW = 0.1, 1.0
"""A value above the first is not the simplex's, which at tau = 2 and beyond is below it (derived); one below the second is
below log 3, at which there are critical points of zero curvature at every tau."""
WELL = 1.01
"""The tau over that of the fold from which on a census of some hundred starts meets the bad minima (measured)."""
FAR = 20.0
"""The tau below which the census tells all curvatures from zero: those of the simplex are of the size of exp(-3 tau/2)
(measured)."""


class Branch(NamedTuple):
    """What the theorem says of the branch."""

    value: jax.Array
    spectrum: jax.Array
    """The eigenvalues of the Hessian in all twelve entries: seven zeros of the gauge, then five."""
    fold: jax.Array
    minima: jax.Array
    """The values, above the simplex, at which critical points are minima: that of the branch."""
    simplex: jax.Array
    """The value of the simplex, at which they are minima below the fold."""


def build_instance(tau):
    """Build the instance of a given tau."""
    problem = nct.problems.spherical_features(counts=(1, 1, 1), dim=2, temperature=1.0 / tau, weight_radius=1.0)
    return nct.Instance(problem, {"K": 3, "d": 2, "tau": float(tau)})


def draw_instances(key):
    """Draw tau from 2 to 40, on either side of the fold and close to it."""
    rng = nct.theorems.numpy_rng(key)
    turn = turning_point()
    below = [rng.uniform(2.0, 5.0), rng.uniform(5.0, 8.5), turn * near(rng, above=False), turn * (1 - 1e-4)]
    close = [turn * (1 + 1e-4), turn * near(rng, above=True)]
    above = [10.0, rng.uniform(10.0, 15.0), rng.uniform(15.0, FAR), log_uniform(rng, FAR, 40.0), 40.0]
    return [build_instance(tau) for tau in (*below, *close, *above)]


def beyond(instance):
    """Say whether tau lies beyond the fold."""
    return instance.parameters["tau"] > turning_point()


def well_beyond(instance):
    """Say whether tau lies so far beyond it that the bad minima are met, and not where curvatures are no longer told."""
    return WELL * turning_point() < instance.parameters["tau"] < FAR


@cache
def turning_point():
    """Return the fold as a number."""
    with jax.enable_x64(True):
        return float(fold().tau)


def predict(problem):
    """Solve for the fold and the branch in angles."""
    tau, at = strength(problem), fold()
    angles = branch(tau)
    value = angle_value(angles, tau)
    spectrum = jnp.concatenate([jnp.zeros(7), eigenvalues(angles, tau)])
    return Branch(value, spectrum, at.tau, value[None], bound(3, tau)[None])


def changed(**fields):
    """State some fields as functions of the true ones and of the problem."""

    def wrong(problem):
        true = predict(problem)
        return true._replace(**{name: rule(true, problem) for name, rule in fields.items()})

    return wrong


def gradient_claim(moved=1.0):
    """Claim that the gradient vanishes at the point."""
    return nct.Equality(
        "critical",
        r"\nabla f=0",
        lambda problem, params: nct.problems.ravel(problem.value_and_grad(built(problem, moved))[1]),
        lambda b: jnp.zeros(()),
        scope="any point",
        size=lambda problem, params: strength(problem),
        terms=lambda problem, params: strength(problem),
    )


def low(problem, params):
    """Return the objective where it is below log 3, of which the theorem speaks."""
    value = problem.objective(params)
    return jnp.where(value < BELOW, value, jnp.nan)


def low_above_simplex(problem, params):
    """Return the same where it is also far above the simplex's, of which another theorem speaks."""
    value = low(problem, params)
    return jnp.where(value > APART, value, jnp.nan)


def landscape_claims():
    """Claim which critical points are minima: beyond the fold the branch's, before it the simplex alone."""
    return (
        nct.Index(
            "minima",
            r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f\in\{\min f,f_1\}",
            low_above_simplex,
            lambda b: b.minima,
            applies=well_beyond,
        ),
        nct.Index(
            "benign",
            r"\lambda_{\min}(\nabla^2f)<0\mathrm{\ unless\ }f=\min f",
            low,
            lambda b: b.simplex,
            applies=lambda instance: not beyond(instance),
        ),
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: nct.losses.is_loss(i.problem.loss, "cross_entropy"),
            is_sphere,
            lambda i: i.problem.counts == (1, 1, 1) and i.problem.dim == 2,
            lambda i: 2.0 <= float(strength(i.problem)) <= 40.0 * (1 + 1e-12),
        ),
        sources=(
            YARAS_2022.remark("They assume K < d and a bound on tau; d = K-1 is outside of it. Read was the abstract."),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Census(),
        claims=(
            *landscape_claims(),
            nct.Equality(
                "value",
                r"f_1(\tau)",
                lambda problem, params: problem.objective(built(problem)),
                lambda b: b.value,
                scope="any point",
                terms=lambda problem, params: problem.value_terms(built(problem)),
                applies=beyond,
            ),
            dataclasses.replace(gradient_claim(), applies=beyond),
            nct.Equality(
                "spectrum",
                r"\mathrm{eig}\,\nabla^2f",
                observed_spectrum,
                lambda b: b.spectrum,
                scope="any point",
                terms=rounded_spectrum,
                applies=beyond,
            ),
            nct.Equality(
                "fold",
                r"\tau^*",
                observed_fold,
                lambda b: b.fold,
                scope="any point",
                terms=lambda problem, params: 10.0 * strength(problem),
            ),
        ),
        controls=(
            nct.Control("9.0544", "the fold at 9.0544", changed(fold=lambda b, p: jnp.asarray(9.0544)), ("fold",)),
            nct.Control(
                "1e-6 off",
                "f_1 larger by a relative 1e-6",
                changed(value=lambda b, p: (1 + 1e-6) * b.value),
                ("value",),
                beyond,
            ),
            nct.Control(
                "another tau",
                "the point of a tau larger by a relative 1e-6",
                versions=(dataclasses.replace(gradient_claim(1 + 1e-6), applies=beyond),),
                applies=beyond,
            ),
            nct.Control(
                "lowest zero",
                "the lowest eigenvalue of the branch is zero",
                changed(spectrum=lambda b, p: b.spectrum.at[7].set(0.0)),
                ("spectrum",),
                beyond,
            ),
            nct.Control(
                "benign at any tau",
                "no minimum but the simplex beyond the fold",
                changed(minima=lambda b, p: jnp.full((1,), jnp.nan)),
                ("minima",),
                well_beyond,
            ),
            nct.Control(
                "bad before the fold",
                "the only minima before the fold are bad ones of the value at the fold",
                changed(simplex=lambda b, p: angle_value(fold().angles, fold().tau)[None]),
                ("benign",),
                lambda instance: not beyond(instance),
            ),
        ),
        several_basins=True,
        seeds=2048,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
