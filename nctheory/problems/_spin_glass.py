"""Spherical p-spin energies: one vector on a sphere in a random homogeneous polynomial."""

from itertools import permutations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64, whole_number
from nctheory.problems._base import Params, Problem
from nctheory.problems._scales import ORDINARY, Scales
from nctheory.problems._unit_vectors import check_directions

MOST_ENTRIES = 2**24
"""The largest number of entries of a tensor of couplings."""


class SphericalSpinGlass(Problem):
    r"""$\frac1NH(\sigma)=N^{-(p+1)/2}\sum J_{i_1\dots i_p}\sigma_{i_1}\cdots\sigma_{i_p}$ on $|\sigma|^2=N$.

    It is $N^{-1/2}J(u,\dots,u)$ with $u=\sigma/\sqrt N$ a unit vector.

    The parameters are a free vector v with $u=v/|v|$, whose length is a symmetry. The energy per spin has the sign of
    Auffinger, Ben Arous and Cerny: its minima lie near $-E_0$, and $-E_\infty=-2\sqrt{(p-1)/p}$ is where saddles of high index
    begin.
    """

    degree: int = eqx.field(static=True)
    """p."""
    couplings: Float[Array, "..."]
    """J, made symmetric, with p axes of length N."""

    @property
    def size(self) -> int:
        """N."""
        return self.couplings.shape[0]

    def direction(self, params: Params) -> Float[Array, " N"]:
        """u."""
        return params / jnp.linalg.norm(params)

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        """A uniform direction, of length 1 whatever the scale."""
        draw = jax.random.normal(key, (self.size,), jnp.float64)
        return draw / jnp.linalg.norm(draw) + 0.0 * jnp.asarray(scale)

    def check_domain(self, params: Params, name: str) -> None:
        """A zero vector has no direction."""
        check_directions(name, params)

    def characteristic_scales(self) -> Scales:
        """Lengths are 1, and energies per spin of the order of 1."""
        return ORDINARY

    def contracted(self, unit: Float[Array, " N"], times: int) -> Array:
        """J with `times` of its axes contracted with a vector."""
        found = jnp.asarray(self.couplings)
        for _ in range(times):
            found = found @ unit
        return found

    def objective(self, params: Params) -> Scalar:
        return self.contracted(self.direction(params), self.degree) / jnp.sqrt(self.size)

    def value_and_grad(self, params: Params) -> tuple[Scalar, Params]:
        length, unit = jnp.linalg.norm(params), self.direction(params)
        forward = self.contracted(unit, self.degree - 1) / jnp.sqrt(self.size)
        value = forward @ unit
        # The gradient of J(u, ..., u) is p J(u, ..., u, .), of which the sphere sees the part across u.
        return value, self.degree * (forward - value * unit) / length

    def riemannian_hessian(self, params: Params) -> Float[Array, "N N"]:
        r"""The Hessian on the unit sphere: $p(p-1)N^{-1/2}J(u,\dots,u,\cdot,\cdot)-p\,f\,I$ across u, and zero along it."""
        unit = self.direction(params)
        across = jnp.eye(self.size) - unit[:, None] * unit[None, :]
        bent = self.contracted(unit, self.degree - 2) / jnp.sqrt(self.size)
        level = unit @ bent @ unit
        return across @ (self.degree * (self.degree - 1) * bent) @ across - self.degree * level * across

    def value_terms(self, params: Params) -> Scalar:
        """The terms of the form, |J| contracted with |u|."""
        unit, terms = jnp.abs(self.direction(params)), jnp.abs(jnp.asarray(self.couplings))
        for _ in range(self.degree):
            terms = terms @ unit
        return self.degree * terms / jnp.sqrt(self.size)

    def invariants(self, params: Params) -> Array:
        """u, or for even p its products, which do not see its sign."""
        unit = self.direction(params)
        return unit if self.degree % 2 else unit[:, None] * unit[None, :]

    def canonical(self, params: Params) -> Params:
        """The vector of length 1."""
        return self.direction(params)

    def gauge_tangents(self, params: Params) -> Params:
        """The length."""
        return params[None]


@float64
def spin_glass(*, size: int, degree: int, seed: int = 0) -> SphericalSpinGlass:
    r"""The spherical p-spin energy per spin with independent standard normal couplings $J_{i_1\dots i_p}$.

    `size` is N, at least 2; `degree` is p, at least 2; `seed` is that of the couplings. Raises ValueError, naming the
    argument, otherwise, or for more couplings than fit.

    >>> import nctheory as nct
    >>> glass = spin_glass(size=6, degree=3)
    >>> ends = nct.solve(glass, seeds=8)
    >>> bool(ends.converged.all()), bool((ends.value < 0).all())
    (True, True)
    """
    spins, power = whole_number("size", size, least=2), whole_number("degree", degree, least=2)
    if float(spins) ** power > MOST_ENTRIES:
        raise ValueError(f"size, degree: expected at most {MOST_ENTRIES} couplings N^p, got {spins}^{power}")
    drawn = np.random.default_rng(seed).standard_normal((spins,) * power)
    return SphericalSpinGlass(power, symmetric_part(drawn))


def symmetric_part(tensor: Float[Array, "..."]) -> Array:
    """The mean of a tensor over all orders of its axes: of couplings only this part is seen.

    >>> import numpy as np
    >>> symmetric_part(np.array([[0.0, 2.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    # Added one by one: all at once would be p! tensors.
    first, *others = permutations(range(tensor.ndim))
    total = tensor.transpose(first)
    for order in others:
        total = total + tensor.transpose(order)
    return total / (len(others) + 1)
