"""The Hessian at a point with the symmetry accounted for: index, nullity, and how far a gradient may mislead."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates._split import Split
from nctheory.engine import EPS, Array, UnsupportedKinks, fast_compile, float64, shown, untraced
from nctheory.problems import (
    Branches,
    Params,
    Problem,
    branches_at,
    hessian_on,
    kink_places,
    ravel,
    read_point,
    scales_of,
    size,
    unravel,
)

DENSE_LIMIT = 3000
"""The dense Hessian is limited to this many parameters."""
HESSIAN_CHANGE = 4.0
"""The factor on the change of the Hessian over a Newton step, for what the step leaves open of an eigenvalue."""
ROUNDING = 4.0
"""The factor on P eps |A|_2 for the rounding of an eigenvalue."""
MAX_ALONG_FAMILY = 1e-7
"""The part of an observable's Jacobian, relative to it and to the Hessian, that may lie along flat directions and still come
from the point's being critical only up to a small gradient."""


NOWHERE = np.zeros(0)
"""No direction."""


@shown("caveat")
class HessianReport(NamedTuple):
    """The spectrum of the Hessian at one point, off the gauge directions."""

    index: int
    """The number of eigenvalues below -`resolution`."""
    nullity: int
    """The number of eigenvalues within `resolution` of zero, off the gauge."""
    gauge_dimension: int
    """The dimension of the symmetry orbit through the point."""
    smallest: float
    """The smallest eigenvalue off the gauge."""
    resolution: float
    """An eigenvalue closer to zero than this is not told from zero."""
    eigenvalues: np.ndarray
    """All eigenvalues off the gauge, ascending."""
    eigenvectors: np.ndarray
    """The eigenvectors, as columns in the flat parameter space."""
    gauge_curvature: float = 0.0
    """The norm of the Hessian on the gauge directions, which at a critical point is zero, up to `resolution`, where they are
    those of a symmetry."""
    kinks: int = 0
    """The number of directions off the manifold of the kinks that the point meets; the spectrum is that along it."""
    loose: int = 0
    """The number of kinks met that have the slope of one side, or no weight: off these the second order is not looked at."""
    falling: int = 0
    """The number of kinks met off which the value falls at first order: the point is no minimum, whatever the index along the
    kinks' manifold; in Clarke's sense it may be stationary all the same."""
    fall: np.ndarray = NOWHERE
    """The unit direction of the steepest such fall in the flat parameter space; empty where there is none."""
    steepness: float = 0.0
    """How fast the value falls there, a unit of length."""
    told: float = 0.0
    """A fall off a kink that is slower than this is not told from none; 0 where there are no kinks."""
    met: int = 0
    """The number of kinks that the point meets, whatever their directions."""

    @property
    def saddle(self) -> bool:
        """Whether the value falls: at second order along an eigenvector, or at first order off a kink."""
        return self.index > 0 or self.falling > 0

    @property
    def caveat(self) -> str | None:
        """What the gauge leaves unexplained, or None: a flat direction that no tangent spans, or tangents of no symmetry."""
        if self.gauge_curvature > self.resolution:
            return (
                f"the Hessian is {self.gauge_curvature:.3g} on the directions of gauge_tangents, above the resolution "
                f"{self.resolution:.3g}: not all of them are directions of a symmetry of the objective, or the point is not "
                "critical"
            )
        if self.falling:
            return (
                f"the value falls at first order off {self.falling} of the kinks met: the point is stationary in Clarke's "
                "sense at most, and no minimum; the spectrum is that along the kinks"
            )
        if self.loose:
            return (
                f"{self.loose} kink{'s' * (self.loose > 1)} met with the slope of one side or without weight: whether the "
                "value falls off them at second order is not told"
            )
        if self.nullity:
            return (
                f"{self.nullity} flat direction{'s' * (self.nullity > 1)} off the gauge: a family of critical points, a "
                "degenerate one, or a symmetry that gauge_tangents leaves out"
            )
        return None

    @property
    def largest(self) -> float:
        """The largest size of an eigenvalue; 0 where there is none."""
        return float(np.max(np.abs(self.eigenvalues), initial=0.0))

    @property
    def softest(self) -> float:
        """The smallest size of an eigenvalue that is told from zero; infinite where there is none."""
        sizes = np.abs(self.eigenvalues)
        return float(np.min(sizes[sizes > self.resolution], initial=np.inf))


class _SecondOrder(NamedTuple):
    """What a report is made of; along the manifold of the kinks met, if there are any."""

    gradient: np.ndarray
    hessian: np.ndarray
    tangents: np.ndarray
    normals: np.ndarray
    met: int
    loose: int
    branches: Branches | None
    ahead: Callable[[np.ndarray], np.ndarray]
    """The Hessian of the same branches at another flat point."""


def _second_order(problem: Problem, params: Params) -> _SecondOrder:
    try:
        smooth = not kink_places(problem)
    except UnsupportedKinks:
        smooth = True

    def elsewhere(point: np.ndarray) -> np.ndarray:
        return np.asarray(_dense(problem, unravel(problem, point))[1])

    arrays = jax.tree.map(jnp.asarray, params)
    if smooth:
        gradient, hessian, tangents = (np.asarray(x) for x in _dense(problem, arrays))
        return _SecondOrder(gradient, hessian, tangents, np.zeros((0, len(gradient))), 0, 0, None, elsewhere)
    here, tangents = branches_at(problem, params), np.asarray(_tangents(problem, arrays))
    met, loose = int(np.sum(here.met)), int(np.sum(here.loose & ~here.falling))
    ahead = partial(hessian_on, problem, here.slopes)
    return _SecondOrder(here.gradient, here.hessian, tangents, here.normals, met, loose, here, ahead)


@fast_compile
def _tangents(problem: Problem, params: Params) -> Array:
    return jax.vmap(ravel)(problem.gauge_tangents(params))


@fast_compile
def _dense(problem: Problem, params: Params) -> tuple[Array, Array, Array]:
    tangents = jax.vmap(ravel)(problem.gauge_tangents(params))
    return ravel(problem.value_and_grad(params)[1]), problem.hessian(params), tangents


@untraced("`jax.hessian` of the problem's `objective` can be traced")
@float64
def hessian_report(problem: Problem, params: Params) -> HessianReport:
    """The index, nullity and spectrum of the Hessian at one point (no seeds axis), with the gauge directions projected out.

    Dense, so limited to a few thousand parameters; ValueError above, and for what is not one finite point of this problem. The
    gauge dimension is the numerical rank of `problem.gauge_tangents`. An eigenvalue counts as zero within `resolution`, the
    largest of 4 P eps |A|_2 (rounding), sqrt(|g||A|_2/|y|) (what the gradient g leaves open) and four times the norm of the
    Hessian's change over a Newton step (what is open next to a point of no curvature).

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> ends = nct.solve(model, seeds=1).params
    >>> report = hessian_report(model, jax.tree.map(lambda x: x[0], ends))
    >>> report.index, report.nullity, report.gauge_dimension, report.caveat
    (0, 0, 1, None)
    """
    params = read_point(problem, params)
    parameters = size(problem)
    if parameters > DENSE_LIMIT:
        raise ValueError(
            f"problem: the dense Hessian is limited to {DENSE_LIMIT} parameters, got {parameters}; lowest_curvature finds the "
            "lowest eigenvalues of larger ones"
        )
    gradient, hessian, tangents, normals, met, loose, branches, elsewhere = _second_order(problem, params)
    hessian = 0.5 * (hessian + hessian.T)
    norm = float(np.linalg.norm(np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])))
    slope, extent = float(np.linalg.norm(gradient)), max(norm, float(scales_of(problem).length))
    # Q^T A Q with an orthogonal Q whose first columns span the tangents; the block after them is the Hessian off the gauge.
    # The normals of the kinks met go with the tangents: off them nothing is smooth, and at a stationary point they are steep.
    split, orbit = Split(np.concatenate([tangents, _unit(normals, extent)])), Split(tangents)
    turned, gauge = split.turned(hessian), split.rank(EPS * norm)
    eigenvalues, vectors = np.linalg.eigh(turned[gauge:, gauge:])
    # The point is only known to |g|/c, c the softest curvature. Tangents shorter than ten times that are those of a point that
    # the symmetry fixes (zero, say), and are not gauge directions of the critical point nearby. Flat directions besides the
    # gauge (families of minimisers) do not tell how far off the point is.
    sizes = np.abs(eigenvalues)
    curved = sizes[sizes > _resolution(sizes, slope, extent, parameters)]
    floor = 10.0 * slope / float(np.min(curved, initial=np.inf))
    if split.rank(floor) < gauge:
        gauge = split.rank(floor)
        eigenvalues, vectors = np.linalg.eigh(turned[gauge:, gauge:])
    resolution = _resolution(np.abs(eigenvalues), slope, extent, parameters)
    # The change of the Hessian over a Newton step p = -A^+ g, along the directions told from zero, is open in all of them:
    # next to a point of no curvature at all the step halves the distance, and all curvature with it.
    nonzero = np.abs(eigenvalues) > resolution
    directions = split.lifted(vectors, gauge)
    basis = directions[:, nonzero]
    step = basis @ ((basis.T @ gradient) / eigenvalues[nonzero])
    ahead = elsewhere(np.asarray(ravel(jax.tree.map(np.asarray, params))) - step)
    change = 0.5 * (ahead + ahead.T) - hessian
    open_change = float(np.linalg.norm(split.turned(change)[gauge:, gauge:])) if np.all(np.isfinite(change)) else np.inf
    resolution = max(resolution, HESSIAN_CHANGE * open_change)
    dimension = min(orbit.rank(max(floor, EPS * norm)), gauge)
    along = orbit.turned(hessian)[:dimension]
    report = HessianReport(
        index=int(np.sum(eigenvalues < -resolution)),
        nullity=int(np.sum(np.abs(eigenvalues) <= resolution)),
        gauge_dimension=dimension,
        smallest=float(eigenvalues[0]) if eigenvalues.size else np.inf,
        resolution=resolution,
        eigenvalues=eigenvalues,
        eigenvectors=directions,
        gauge_curvature=float(np.linalg.norm(along, 2)) if dimension else 0.0,
        kinks=gauge - dimension,
        loose=loose,
        met=met,
        told=0.0 if branches is None else branches.told,
    )
    if branches is None or not np.any(branches.falling):
        return report
    most = int(np.argmax(branches.steepness))
    return report._replace(
        falling=int(np.sum(branches.falling)),
        fall=branches.falls[most],
        steepness=float(branches.steepness[most]),
    )


def _unit(normals: np.ndarray, length: float) -> np.ndarray:
    """The normals as long as the point, so that the same floor tells which of them count."""
    norms = np.linalg.norm(normals, axis=1, keepdims=True)
    return length * normals / np.where(norms > 0, norms, 1.0)


def _resolution(sizes: np.ndarray, slope: float, extent: float, parameters: int) -> float:
    """The size from which on an eigenvalue is told from zero: rounding, and the Newton-Kantorovich condition T |g| < c^2 under
    which a curvature c at a point of gradient g is that of a critical point nearby, with |A|/|y| for the third derivative T;
    next to zero the problem's unit of parameters stands for |y|.
    """
    spread = float(np.max(sizes, initial=0.0))
    return max(ROUNDING * parameters * EPS * spread, float(np.sqrt(slope * spread / extent)))


def sensitivity(report: HessianReport, jacobian: np.ndarray, gradient: float = 1.0) -> float:
    r"""$|J A^+|_2$: the first-order change of an observable per unit of residual gradient, off the gauge.

    At a point with gradient g the nearest critical point is $-A^+g$ away to first order, so an observable with
    Jacobian J (m x P) is off its critical value by at most this times |g|. Where A is singular off the gauge the critical
    points may form a family: an observable that does not change along it to first order is bounded off it, and the
    result is infinite for any other. Infinite also where J is not finite. `gradient` is the problem's unit of gradients.
    """
    if not np.all(np.isfinite(jacobian)):
        return np.inf
    if jacobian.size == 0 or report.eigenvalues.size == 0:
        return 0.0
    # In the eigenbasis, J A^+ is J v_i / c_i over the directions told from zero; along the flat ones J must vanish.
    flat = np.abs(report.eigenvalues) <= report.resolution
    along = jacobian @ report.eigenvectors
    if np.linalg.norm(along[:, flat]) > MAX_ALONG_FAMILY * (np.linalg.norm(along) + report.largest / gradient):
        return np.inf
    if np.all(flat):
        return 0.0
    # The spectral norm by the smaller Gram matrix.
    scaled = along[:, ~flat] / report.eigenvalues[~flat]
    gram = scaled @ scaled.T if scaled.shape[0] <= scaled.shape[1] else scaled.T @ scaled
    return float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))
