"""Whether a certified minimiser is the only one, up to the gauge."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates._convexity import doubtful_convexity
from nctheory.certificates._hessian import HessianReport
from nctheory.certificates._unique_gram import first_order, gram_uniqueness, residual_slope
from nctheory.engine import Array, fast_compile, float64, map_in_blocks, shown
from nctheory.problems import (
    ChainParams,
    DeepLinear,
    FixedClassifier,
    Params,
    Problem,
    SphericalFeatures,
    UnitVectors,
    ravel,
    read_point,
    unravel,
)


@shown()
class Uniqueness(NamedTuple):
    """Whether there are other global minimisers than the one at hand, as far as this is known."""

    unique: bool
    """Whether every global minimiser is proved to lie on the symmetry orbit of this one."""
    reason: str | None
    """The reason why that cannot be said; None where it can."""
    rank: int
    """The rank r of the product of the factors, or the dimension of the kernel of the dual matrix of unit vectors, which
    bounds the rank of every minimiser; -1 where it was not looked at."""
    margin: float
    r"""$1-s_{r+1}(G)/\lambda$, by how much strict complementarity holds, or the least eigenvalue of the dual matrix after its
    kernel in units of the largest; infinite for one factor and where there is none, NaN where not looked at."""


class _Linearised(NamedTuple):
    """The dual matrix G and the product Z at a point, with their Jacobians and the objective's gradient."""

    dual: Array
    product: Array
    dual_jacobian: Array
    product_jacobian: Array
    gradient: Array
    targets: Array


@float64
def unique_minimiser(problem: Problem, params: Params, report: HessianReport) -> Uniqueness:
    r"""Whether the global minimiser is unique up to the gauge, told from one end state (no seeds axis) with its Hessian.

    `params` must be certified to be at the global minimum (`certify`), and `report` be its `hessian_report`. Let
    $\lambda=\sqrt{\lambda_W\lambda_H}>0$, $\tilde Z=WH\,\mathrm{diag}(m)^{1/2}$ of rank r, and G the gradient of the fit in
    $\tilde Z$. A minimiser of the chain that is certified by duality is one of the convex program
    $\min_{Z,b}F(Z,b)+\lambda|\tilde Z|_*$, and there the r leading singular values of G are $\lambda$. Suppose that

    1. the next one is smaller, $s_{r+1}(G)<\lambda$ (strict complementarity), and
    2. the Hessian of the chain is positive definite off the gauge.

    G is the same at all minimisers of the program, because F is convex. By 1 these are of the form $U_rMV_r^\top$ with M
    positive semidefinite and $U_r$, $V_r$ the leading singular vectors of -G. Were there a second one, the segment to it
    would consist of minimisers of rank at most r, which is at most the width, and with M positive definite near the first.
    It would lift, by the root of M, to a smooth path of global minimisers of the chain on which Z or b changes at once: a
    direction of no curvature off the gauge, against 2. So all global minimisers of the chain have one (Z, b), and its
    cheapest factorisations are one orbit. For r = 0 the first condition says that zero is the only minimiser.

    The singular values are compared to the resolution $2|J A^+|_2|g|$ (`sensitivity`, J the Jacobian of G) and rounding.
    Given inputs X, the same holds for $W_2W_1$ and $GX^\top$. With one factor the chain is convex, and 2 suffices.

    Certified unit vectors, and classifiers on features of fixed length, are minimisers of a convex program over Gram matrices,
    whose dual matrix $S=C+\mathrm{diag}\,\mu$ (`certify`) has the range of every minimiser in its kernel. If that has at most
    d dimensions, all Gram matrices between two minimisers are those of minimisers in $\mathbb R^d$, and again 2 forbids a
    second one. Decayed features before a given classifier with a convex loss have one minimiser, because their problem is
    strongly convex.

    `reason` says what is missing otherwise: no two-factor chain, no convex loss, no decay, a singular Hessian, no strict
    complementarity, a dual matrix with negative eigenvalues or too large a kernel. That the minimiser is not unique is never
    claimed. (Our own; the faces of the nuclear norm are Watson's, 1992, number unchecked.)

    >>> import jax, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> end = jax.tree.map(lambda x: x[0], nct.solve(model, seeds=1).params)
    >>> found = unique_minimiser(model, end, nct.hessian_report(model, end))
    >>> found.unique, found.rank, found.reason
    (True, 2, None)
    """
    missing = _not_covered(problem)
    if missing is not None:
        return Uniqueness(False, missing, -1, np.nan)
    params = read_point(problem, params)
    if isinstance(problem, FixedClassifier):
        return Uniqueness(True, None, -1, np.inf)
    if report.index or report.nullity or report.falling:
        kind = f"{report.index} negative and {report.nullity} zero eigenvalues off the gauge"
        kind += (
            f", {report.falling} kink{'s' * (report.falling > 1)} off which the value falls" if report.falling else ""
        )
        singular = (
            f"the Hessian is not positive definite off the gauge ({kind}): other minimisers may be next to this one"
        )
    else:
        singular = None
    if not isinstance(problem, DeepLinear):
        assert isinstance(problem, UnitVectors | SphericalFeatures)
        verdict = gram_uniqueness(problem, params, report)
        reason = verdict.reason if verdict.kernel < 0 else singular or verdict.reason
        return Uniqueness(reason is None, reason, verdict.kernel, verdict.margin)
    # G, Z and their Jacobians; singular values are told apart to the resolution 2 |J A^+|_2 |g| and rounding.
    at = _Linearised(*(np.asarray(x) for x in _linearised(problem, jax.tree.map(jnp.asarray, params))))
    norm = float(np.linalg.norm(ravel(jax.tree.map(np.asarray, params))))
    slope = residual_slope(problem, report, np.asarray(at.gradient), norm)

    def resolution(jacobian: np.ndarray, terms: float) -> float:
        return first_order(problem, report, jacobian, terms, slope, norm)

    # The rank r: the singular values of Z above their resolution.
    of_product = resolution(np.asarray(at.product_jacobian), float(np.linalg.norm(at.product)))
    rank = int(np.sum(np.linalg.svd(at.product, compute_uv=False) > of_product))
    if problem.factors == 1:
        return Uniqueness(singular is None, singular, rank, np.inf)
    # Strict complementarity: s_1..s_r of G are lambda, and s_{r+1} < lambda. The terms of G, a difference of probabilities (or
    # logits) and targets, are what it is rounded by.
    of_dual = resolution(np.asarray(at.dual_jacobian), float(np.linalg.norm(at.dual) + np.linalg.norm(at.targets)))
    decay = float(np.sqrt(np.prod(np.asarray(problem.weight_decay))))
    values = np.append(np.linalg.svd(at.dual, compute_uv=False), 0.0)
    margin = float(1.0 - values[rank] / decay)
    reason = singular or _not_strict(values, rank, decay, of_dual)
    return Uniqueness(reason is None, reason, rank, margin)


def _not_covered(problem: Problem) -> str | None:
    """Why the argument does not apply to this kind of problem, or None."""
    if isinstance(problem, UnitVectors | SphericalFeatures):
        return None
    if not isinstance(problem, DeepLinear | FixedClassifier):
        return f"{type(problem).__name__} is neither a chain of factors nor made of unit vectors"
    if isinstance(problem, DeepLinear) and problem.factors > 2:
        return (
            f"three or more factors: the product of {problem.factors} pays a Schatten quasi-norm, which is not convex, so "
            "that two minimisers need not be joined by a segment of minimisers"
        )
    loss = problem.loss
    if not loss.convex and not loss.has_conjugate:
        return f"the loss {loss.name} is not known to be convex"
    if (doubt := doubtful_convexity(problem)) is not None:
        return doubt
    if isinstance(problem, DeepLinear) and problem.factors == 2 and not np.all(np.asarray(problem.weight_decay) > 0):
        return "a factor without decay: the product pays no nuclear norm, and the factors are scaled freely"
    return None


def _not_strict(values: np.ndarray, rank: int, decay: float, resolution: float) -> str | None:
    """Why the leading singular values of G are not the decay with a gap after them, or None."""
    shown = f"(resolution {resolution:.1e}, decay {decay:.6g})"
    if not np.isfinite(resolution):
        return "the resolution of the dual singular values is not finite: the Hessian does not bound how far the point is off"
    if np.any(np.abs(values[:rank] - decay) > resolution):
        off = values[:rank][np.argmax(np.abs(values[:rank] - decay))]
        return (
            f"a leading singular value of the dual matrix is {off:.6g}, not the decay {shown}: the point is not a minimiser "
            "of the convex program, as where the chain is narrower than the program's minimiser has rank"
        )
    if values[rank] > decay + resolution:
        return f"the dual singular value {values[rank]:.6g} after the {rank} leading ones exceeds the decay {shown}"
    if values[rank] >= decay - resolution:
        return (
            f"no strict complementarity: after the {rank} leading singular values of the dual matrix, which are the decay, "
            f"comes {values[rank]:.6g} {shown}"
        )
    return None


@fast_compile
def _linearised(problem: DeepLinear, params: ChainParams) -> tuple[Array, ...]:
    """The fields of `_Linearised`."""
    q = jnp.asarray(problem.column_weight)

    def scaled(matrix: Array) -> Array:
        """A gradient in the logits as one in the product that pays the nuclear norm."""
        if problem.inputs is None:
            return matrix * (q / jnp.sqrt(jnp.asarray(problem.multiplicity)))[None, :]
        return (matrix * q[None, :]) @ jnp.asarray(problem.inputs).T

    def observed(vector: Array) -> tuple[Array, Array]:
        point = unravel(problem, vector)
        if problem.inputs is None:
            product = problem.product(point) * jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]
        else:
            product = point.weights[0] if problem.factors == 1 else point.weights[1] @ point.weights[0]
        return scaled(problem.loss.gradient(problem.logits(point), problem.targets)), product

    # The Jacobians column by column, by products with the unit vectors.
    vector = ravel(params)
    (dual, product), push = jax.linearize(observed, vector)
    pushed = map_in_blocks(push, jnp.eye(vector.size))
    jacobians = [x.reshape(vector.size, -1).T for x in pushed]
    return dual, product, *jacobians, ravel(problem.value_and_grad(params)[1]), scaled(jnp.asarray(problem.targets))
