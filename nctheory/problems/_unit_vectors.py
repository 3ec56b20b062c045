"""Unit vectors under a convex energy of their inner products: codes, contrastive losses, normalised features."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64, whole_number
from nctheory.problems._base import Params, Problem
from nctheory.problems._energies import Energy
from nctheory.problems._gauge import skew_basis
from nctheory.problems._scales import Scales, nearest_scale


def unit_rows(vectors: Float[Array, "m d"]) -> Float[Array, "m d"]:
    """The rows of a matrix, each divided by its length."""
    return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)


def check_directions(name: str, vectors: Array) -> None:
    """Raise ValueError where some of the vectors, on the last axis, are zero or not finite: these have no direction."""
    lengths = np.linalg.norm(np.asarray(vectors), axis=-1)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        where = np.argwhere(~(np.isfinite(lengths) & (lengths > 0)))[0].tolist()
        raise ValueError(f"{name}: expected vectors that are not zero, which have a direction, got length "
                         f"{lengths[tuple(where)]:g} at index {where}")  # fmt: skip


class UnitVectors(Problem):
    r"""$\min F(UU^\top)$ over m unit vectors, the rows $u_i=v_i/|v_i|$ of U in $\mathbb R^d$, for an energy F.

    The rows $v_i$ are free: lengths are a symmetry, as rotations are, and the flow keeps them. Random starts have $|v_i|=1$,
    from which the flow in v is the Riemannian gradient flow on the product of spheres; at a critical point the Hessian in v,
    across the lengths, is the Riemannian one. With `nonnegative` the vectors lie in the positive orthant, as features behind
    a ReLU do: $u_i=v_i^{\circ2}/|v_i^{\circ2}|$, by entries. Lengths are still a symmetry, rotations are none.
    """

    dim: int = eqx.field(static=True)
    """The number d of coordinates."""
    nonnegative: bool = eqx.field(static=True)
    """Whether no entry may be negative."""
    energy: Energy
    """F, a function of the m x m Gram matrix."""

    @property
    def vectors(self) -> int:
        """m."""
        return self.energy.vectors

    def directions(self, params: Params) -> Float[Array, "m d"]:
        """The unit vectors of a point, one a row."""
        return unit_rows(params**2 if self.nonnegative else params)

    def gram(self, params: Params) -> Float[Array, "m m"]:
        """Their inner products."""
        units = self.directions(params)
        return units @ units.T

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        """Independent uniform directions, of length 1 whatever the scale: a direction has none."""
        draw = jax.random.normal(key, (self.vectors, self.dim), jnp.float64)
        return unit_rows(draw) + 0.0 * jnp.asarray(scale)

    def check_domain(self, params: Params, name: str) -> None:
        """Zero vectors have no direction."""
        check_directions(name, params)

    def characteristic_scales(self) -> Scales:
        """Lengths are 1, and the energy says how large it is."""
        return Scales(np.float64(1.0), nearest_scale(self.energy.size()))

    def objective(self, params: Params) -> Scalar:
        return self.energy.value(self.gram(params))

    def value_and_grad(self, params: Params) -> tuple[Scalar, Params]:
        units, pull = jax.vjp(self.directions, params)
        # dF = <C, dG> with symmetric C, and dG = dU U^T + U dU^T, so that dF/dU = 2 C U.
        value, slope = self.energy.value_and_gradient(units @ units.T)
        return value, pull(2.0 * slope @ units)[0]

    def value_terms(self, params: Params) -> Scalar:
        """The energy's terms, and the rounding of inner products relative to the terms of their sums."""
        units = self.directions(params)
        slope = self.energy.gradient(units @ units.T)
        return self.energy.terms(units @ units.T) + 2.0 * jnp.sum(jnp.abs(slope) * (jnp.abs(units) @ jnp.abs(units).T))

    def invariants(self, params: Params) -> Float[Array, "m m"]:
        return self.gram(params)

    def orbit_invariants(self, params: Params) -> Float[Array, " n"]:
        """The singular values of U, and the entries of the Gram matrix and of the energy's slope by size: no relabelling that
        the energy allows changes them."""
        units = self.directions(params)
        gram = units @ units.T
        slope = self.energy.gradient(gram)
        entries = [jnp.sort(matrix.ravel()) for matrix in (gram, slope / self.characteristic_scales().gradient)]
        return jnp.concatenate([jnp.linalg.svd(units, compute_uv=False), *entries])

    def canonical(self, params: Params) -> Params:
        """The vectors of length 1 in the same directions."""
        return unit_rows(params)

    def thinned(self, params: Params, key: PRNGKeyArray) -> Params:
        """The vectors in a random subspace of random dimension, and in half of the cases some of them made equal."""
        one, two, three, four = jax.random.split(key, 4)
        if not self.nonnegative:
            frame = jnp.linalg.qr(jax.random.normal(one, (self.dim, self.dim), jnp.float64))[0]
            rank = jax.random.randint(two, (), 1, self.dim + 1)
            params = params @ (jnp.where((jnp.arange(self.dim) < rank)[None, :], frame, 0.0) @ frame.T)
        # Some vectors take the direction of another one.
        other = jax.random.randint(three, (self.vectors,), 0, self.vectors)
        equal = jax.random.bernoulli(four, 0.5) & jax.random.bernoulli(three, 0.4, (self.vectors,))
        return unit_rows(jnp.where(equal[:, None], params[other], params))

    def gauge_tangents(self, params: Params) -> Params:
        """The lengths, and the rotations where there are any."""
        lengths = jnp.eye(self.vectors)[:, :, None] * params[None]
        if self.nonnegative:
            return lengths
        return jnp.concatenate([params[None] @ jnp.asarray(skew_basis(self.dim)), lengths])

    def gauge_penalty(self, params: Params, vector: Params) -> Params:
        """The forms of `radial_part` and `rotation_part`."""
        along = radial_part(params, vector)
        return along if self.nonnegative else along + rotation_part(params, vector)


def radial_part(vectors: Float[Array, "m d"], moved: Float[Array, "m d"]) -> Float[Array, "m d"]:
    r"""$\langle v_i,x_i\rangle v_i/|v_i|^2$ in every row: positive semidefinite, zero across the lengths."""
    products, squares = (jnp.sum(vectors * other, axis=1, keepdims=True) for other in (moved, vectors))
    return vectors * products / jnp.where(squares > 0, squares, 1.0)


def rotation_part(vectors: Float[Array, "m d"], moved: Float[Array, "m d"]) -> Float[Array, "m d"]:
    r"""$V(M-M^\top)$ with $M=V^\top X$, whose product with X is $\tfrac12|M-M^\top|^2$: zero across the rotations $VA$."""
    product = vectors.T @ moved
    return vectors @ (product - product.T)


@float64
def unit_vectors(energy: Energy, *, dim: int, nonnegative: bool = False) -> UnitVectors:
    r"""$\min F(UU^\top)$ over unit vectors in $\mathbb R^d$, as many as the energy F has, with `nonnegative` in the positive
    orthant.

    `energy` is one of `nctheory.problems` (`PairEnergy`, `SupervisedContrastive`, `TiedCrossEntropy`, `PairedSigmoid`) or a
    subclass of `Energy`; `dim` is d, at least 2. Raises ValueError, naming the argument, otherwise.

    >>> import nctheory as nct
    >>> simplex = nct.problems.unit_vectors(nct.problems.exponential_energy(vectors=4, sharpness=1.0), dim=3)
    >>> ends = nct.solve(simplex, seeds=4)
    >>> bound = nct.certify(simplex, ends.params)
    >>> [round(float(x), 9) for x in (ends.value.min(), 12 * 2.718281828459045 ** (-1 / 3))]
    [8.598375727, 8.598375727]
    >>> bool(bound.closed(ends.value).all())
    True
    """
    if not isinstance(energy, Energy):
        raise ValueError(f"energy: expected an Energy, got {type(energy).__name__}")
    return UnitVectors(dim=whole_number("dim", dim, least=2), nonnegative=bool(nonnegative), energy=energy)
