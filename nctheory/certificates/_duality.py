"""Weak duality for chains of at most two factors: a lower bound that any point whatever yields."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from nctheory.certificates._spectra import by_products_where_larger, contraction_by_products, largest_by_products
from nctheory.engine import EPS, Array, Scalar, only_in_float64
from nctheory.problems import ChainParams, DeepLinear, DeepNonlinear, Loss

Norm = Callable[[Float[Array, "K M"]], Scalar]
"""What the constraint of the dual bounds."""
SHRINKS = (1.0, 0.5, 0.0)
"""The dual is evaluated at these multiples of the largest feasible scaling; 0 is always feasible and finite."""


@only_in_float64
def duality_bound(problem: DeepLinear, params: ChainParams) -> Scalar:
    r"""A lower bound on the global minimum from the dual of the nuclear-norm program.

    With $\lambda=\sqrt{\lambda_W\lambda_H}$ and $\tilde Z = Z\,\mathrm{diag}(m)^{1/2}$ every pair (W, H) costs at least
    $\lambda|\tilde Z|_*$, so the minimum is at least that of the convex program
    $\min_{Z,b}\sum_j q_j\ell(z_j+b,y_j)+\lambda|\tilde Z|_*+\tfrac{\lambda_b}2|b|^2$. Its dual: for any U with columns in
    the domain of $\ell^*$ and $G=U\,\mathrm{diag}(q)$,

    $$ -\sum_j q_j\,\ell^*(u_j,y_j)-\tfrac1{2\lambda_b}|G1|^2\quad\text{subject to}\quad
       |G\,\mathrm{diag}(m)^{-1/2}|_2\le\lambda, $$

    with $G1=0$ in place of the second term where the bias is free. Given inputs X, the constraint of the two-factor
    chain is $|GX^\top|_2\le\sqrt{\lambda_1\lambda_2}$, and one factor pays $|GX^\top|_F^2/(2\lambda_1)$ instead.

    U is the loss gradient at `params`, recentred and shrunk until it is feasible; shrinking stays in the (convex)
    domain, because 0 and every loss gradient lie in it. Where the domain is known (`Loss.into_domain`), U is also the
    aligned point of `aligned_dual`, whose gap is of second order in the distance of `params` from a minimiser. At a minimiser
    nothing needs shrinking and the bound is tight.
    The rounding error of the sum is bounded and subtracted; traced in single precision it raises ValueError. (Weak duality as
    in Haeffele and Vidal 2015, number unchecked; this form is our own.)
    """
    return rounded_duality_bound(problem, params)[0]


def rounded_duality_bound(problem: DeepLinear, params: ChainParams, norm: Norm | None = None) -> tuple[Scalar, Scalar]:
    """`duality_bound`, and the rounding error that was subtracted from it; `norm` takes the place of the spectral norm in the
    constraint of two factors."""
    norm = spectral_norm if norm is None else norm
    # Two dual directions: the loss gradient at the point, and the aligned point made of it and of the product.
    loss, q = problem.loss, jnp.asarray(problem.column_weight)
    plain = loss.gradient(problem.logits(params), problem.targets)
    plain = into_domain(problem, jnp.where(jnp.all(jnp.isfinite(plain)), plain, 0.0))
    directions = [plain]
    if problem.factors == 2 and problem.inputs is None and loss.into_domain(plain, problem.targets) is not None:
        product = problem.product(params)
        if loss.shift_invariant:  # whose dual columns sum to zero
            product = product - jnp.mean(product, axis=0, keepdims=True)
        directions.append(aligned_dual(problem, product, plain))
    if problem.bias_decay is None:
        duals = [into_domain(problem, dual) for dual in directions]
        return _best_multiple(problem, jnp.stack(duals), jnp.zeros(()), jnp.zeros(len(duals), bool), norm)
    # With a bias each direction is taken as it is, and moved to G1 = 0; what is left of G1 costs |G1|^2/(2 lambda_b).
    row = jnp.ones_like(q) if problem.bias_row is None else jnp.asarray(problem.bias_row)
    duals, centred = [], []
    for index, dual in enumerate(directions):
        # The aligned point is of second order off G1 = 0 by an orthogonal projection, which keeps it feasible.
        near = dual if index == 0 else orthogonal_dual(problem, dual, row)
        duals.append(into_domain(problem, dual))
        centred.append(False)
        if problem.bias_row is not None:
            duals.append(orthogonal_dual(problem, near, row))
            centred.append(True)
        elif recentres(loss):
            # Only from within the domain: brought there afterwards, a point would be off G1 = 0 again.
            moved = loss.recentre(into_domain(problem, near), problem.targets, q)
            duals.append(into_domain(problem, moved))
            centred.append(True)
    price = bias_price(jnp.asarray(problem.bias_decay))
    return _best_multiple(problem, jnp.stack(duals), price, jnp.asarray(centred), norm)


def recentres(loss: Loss) -> bool:
    """Whether the loss defines `recentre`."""
    return type(loss).recentre is not Loss.recentre


def bias_price(decay: Scalar) -> Scalar:
    r"""What $|\sum_jg_j|^2$ costs a dual point where there is a bias of this decay: $1/(2\lambda_b)$."""
    return jnp.where(decay > 0, 0.5 / jnp.where(decay > 0, decay, 1.0), jnp.inf)


def charged(
    weighted: Float[Array, "K M"],
    targets: Float[Array, "K M"],
    row: Float[Array, " M"],
    price: Scalar,
    centred: Bool[Array, ""],
) -> Scalar:
    r"""What the bias makes a dual point G pay, `price` times $|G\,\mathrm{row}|^2$; nothing for one that was moved to where
    this is zero (`centred`), if what is left is rounding.

    `targets` have the weights of the columns, as G has: the dual point is a difference from them, and rounded as such.
    """
    drift = weighted @ row
    unit = (jnp.abs(weighted) + jnp.abs(targets)) @ jnp.abs(row)
    rounded = jnp.abs(drift) <= jnp.where(centred, 8 * sum(weighted.shape) * EPS * unit, 0.0)
    return jnp.where(jnp.all(rounded), 0.0, price * jnp.sum(drift**2))


def into_domain(problem: DeepLinear | DeepNonlinear, dual: Float[Array, "K M"]) -> Float[Array, "K M"]:
    """The dual point brought into the domain of the conjugate, where the loss says how."""
    inside = problem.loss.into_domain(dual, jnp.asarray(problem.targets))
    return dual if inside is None else inside


def orthogonal_dual(problem: DeepLinear, dual: Float[Array, "K M"], row: Float[Array, " M"]) -> Float[Array, "K M"]:
    r"""The nearest dual point with $\sum_jq_ju_jr_j=0$: G times a projection of the columns, because $q\propto m$."""
    q = jnp.asarray(problem.column_weight)
    return dual - (dual @ (q * row))[:, None] * row[None, :] / (q @ row**2)


def aligned_dual(problem: DeepLinear, product: Float[Array, "K M"], dual: Float[Array, "K M"]) -> Float[Array, "K M"]:
    r"""A dual point whose gap is of second order in the distance of a point, of this `product` WH, from a minimiser.

    A minimiser has $-\tilde G\in\lambda\,\partial|\tilde Z|_*$, that is, $-\tilde G$ is the projection of
    $-\tilde G+t\tilde Z$ onto the ball $|\cdot|_2\le\lambda$, whatever t > 0. This projection is the point returned, with
    $t=\lambda/|\tilde Z|_F$: it is feasible, and it does not expand distances, so that it is off the dual optimum by
    what G and Z are. Scaling G into the ball instead costs the whole relative excess of its norm over lambda, which at a
    weak decay is far more than what the point's value is off the minimum.
    """
    q, root = jnp.asarray(problem.column_weight), jnp.sqrt(jnp.asarray(problem.multiplicity))
    radius = jnp.sqrt(jnp.prod(jnp.asarray(problem.weight_decay)))
    product = product * root[None, :]
    length = jnp.sqrt(jnp.sum(product**2))
    # M = -G~ + t Z~ with t = lambda/|Z~|_F.
    moved = radius / jnp.where(length > 0, length, 1.0) * product - dual * (q / root)[None, :]
    # Singular values above the radius are cut by the eigenvectors of the smaller Gram matrix, scaled against overflow.
    top = jnp.max(jnp.abs(moved))
    unit = moved / jnp.where(top > 0, top, 1.0)
    wide = unit.shape[0] <= unit.shape[1]

    def factorised(gram: Float[Array, "M M"]) -> Float[Array, "M M"]:
        squares, vectors = jnp.linalg.eigh(gram)
        singular = jnp.sqrt(jnp.maximum(squares, 0.0)) * top
        cut = jnp.where(singular > radius, radius / jnp.where(singular > 0, singular, 1.0), 1.0)
        return (vectors * cut[None, :]) @ vectors.T

    clip = by_products_where_larger(
        unit @ unit.T if wide else unit.T @ unit,
        factorised,
        lambda gram: contraction_by_products(gram * (top / jnp.where(radius > 0, radius, jnp.nan)) ** 2),
    )
    return -(clip @ moved if wide else moved @ clip) * (root / q)[None, :]


def _best_multiple(
    problem: DeepLinear, duals: Float[Array, "C K M"], price: Scalar, centred: Bool[Array, " C"], norm: Norm
) -> tuple[Scalar, Scalar]:
    """The best bound over several dual directions, each at several feasible scales, and its rounding error."""

    def valued(dual: Float[Array, "K M"], moved: Bool[Array, ""], shrink: Scalar) -> tuple[Scalar, Scalar]:
        return _scaled(problem, dual, (price, moved), shrink, norm)

    values, errors = jax.vmap(jax.vmap(valued, (None, None, 0)), (0, 0, None))(duals, centred, jnp.asarray(SHRINKS))
    best = jnp.max(values)
    return best, jnp.min(jnp.where(values == best, errors, jnp.inf))


def _scaled(
    problem: DeepLinear, dual: Float[Array, "K M"], bias: tuple[Scalar, Bool[Array, ""]], shrink: Scalar, norm: Norm
) -> tuple[Scalar, Scalar]:
    """The dual value at `shrink` times the largest feasible multiple of one direction; `bias` is the price of |G1|^2, and
    whether the direction was moved to where that is zero."""
    # The matrix whose spectral norm is bounded: G diag(m)^(-1/2), or G X^T.
    q = jnp.asarray(problem.column_weight)
    weighted = dual * q[None, :]
    decay = jnp.asarray(problem.weight_decay)
    if problem.inputs is None:
        matrix = weighted / jnp.sqrt(jnp.asarray(problem.multiplicity))[None, :]
    else:
        matrix = weighted @ jnp.asarray(problem.inputs).T
    # One factor pays |G X^T|_F^2/(2 lambda) and has no constraint; two factors ask for a norm of at most lambda.
    ridge = jnp.asarray(0.0)
    if problem.factors == 1:
        ridge = jnp.where(decay[0] > 0, 0.5 * jnp.sum(matrix**2) / jnp.where(decay[0] > 0, decay[0], 1.0), jnp.inf)
        largest = jnp.asarray(1.0)
    else:
        radius = jnp.sqrt(decay[0] * decay[1])
        length = norm(matrix)
        largest = jnp.minimum(1.0, jnp.where(length > 0, radius / jnp.where(length > 0, length, 1.0), 1.0))
    row = jnp.ones_like(q) if problem.bias_row is None else jnp.asarray(problem.bias_row)
    drift = charged(weighted, jnp.asarray(problem.targets) * q[None, :], row, *bias)

    scale = largest * shrink
    conjugate = problem.loss.conjugate(scale * dual, problem.targets)
    terms = problem.loss.conjugate_terms(scale * dual, problem.targets)
    # At scale 0 neither the bias nor the ridge term costs anything, even where its price is infinite.
    extra = jnp.where(scale > 0, scale**2 * (drift + ridge), 0.0)
    # The dual value less its rounding; the sums are over the classes and over the columns, whose errors are of either sign.
    rounding = 8 * (problem.classes + len(q) ** 0.5) * EPS * (q @ terms + extra)
    total = -jnp.sum(q * conjugate) - extra - rounding
    return jnp.where(jnp.isnan(total), -jnp.inf, total), rounding


@only_in_float64
def spectral_norm(matrix: Float[Array, "K M"]) -> Scalar:
    """An upper bound on the largest singular value, from the smaller Gram matrix; it exceeds it by rounding only. Raises
    ValueError where it is traced in single precision."""
    rows, cols = matrix.shape
    scale = jnp.max(jnp.abs(matrix))
    unit = matrix / jnp.where(scale > 0, scale, 1.0)
    gram = unit @ unit.T if rows <= cols else unit.T @ unit
    top = by_products_where_larger(gram, lambda x: jnp.linalg.eigvalsh(x)[-1], largest_by_products)
    return scale * jnp.sqrt(jnp.maximum(top, 0.0)) * (1.0 + 4 * (rows + cols) * EPS)
