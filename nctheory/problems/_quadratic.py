"""Quadratic forms: the problem whose processes have laws in closed form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64
from nctheory.problems._base import Params, Problem
from nctheory.problems._scales import ORDINARY, Scales


class Quadratic(Problem):
    r"""$\frac12(x-c)^\top A(x-c)$ of a vector x, with A symmetric."""

    matrix: Float[Array, "P P"]
    """A."""
    centre: Float[Array, " P"]
    """c."""

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        """The centre and a normal vector of that scale."""
        return jnp.asarray(self.centre) + scale * jax.random.normal(key, self.centre.shape, jnp.float64)

    def objective(self, params: Params) -> Scalar:
        return self.value_and_grad(params)[0]

    def value_and_grad(self, params: Params) -> tuple[Scalar, Params]:
        away = params - self.centre
        slope = jnp.asarray(self.matrix) @ away
        return 0.5 * jnp.sum(away * slope), slope

    def hessian(self, params: Params) -> Float[Array, "P P"]:
        return jnp.asarray(self.matrix)

    def characteristic_scales(self) -> Scales:
        """The scales of ordinary numbers."""
        return ORDINARY

    def value_terms(self, params: Params) -> Scalar:
        """The form with absolute values."""
        away = jnp.abs(params) + jnp.abs(jnp.asarray(self.centre))
        return away @ (jnp.abs(jnp.asarray(self.matrix)) @ away)

    def invariants(self, params: Params) -> Array:
        """All coordinates."""
        return params


@float64
def quadratic(matrix: Any, centre: Any = None) -> Quadratic:
    r"""The quadratic form $\frac12(x-c)^\top A(x-c)$; c is zero where it is not given.

    `matrix` is A, P x P and symmetric (its symmetric part is taken where it is so up to rounding); a vector is a diagonal.
    Raises ValueError, naming the argument, for what is not finite, not symmetric, or of another shape.

    >>> import nctheory as nct
    >>> ends = nct.solve(quadratic([[2.0, 1.0], [1.0, 3.0]], [1.0, -1.0]), seeds=2)
    >>> [round(float(x), 8) for x in ends.params[0]]
    [1.0, -1.0]
    """
    form = np.asarray(matrix, np.float64)
    form = np.diag(form) if form.ndim == 1 else form
    if form.ndim != 2 or form.shape[0] != form.shape[1] or form.size == 0 or not np.all(np.isfinite(form)):
        raise ValueError(f"matrix: expected a finite square matrix or a vector, got shape {np.shape(matrix)}")
    if np.max(np.abs(form - form.T)) > 1e-12 * np.max(np.abs(form)):
        raise ValueError(f"matrix: expected a symmetric one, got one off by {np.max(np.abs(form - form.T)):.3g}")
    middle = np.zeros(len(form)) if centre is None else np.asarray(centre, np.float64)
    if middle.shape != form.shape[:1] or not np.all(np.isfinite(middle)):
        raise ValueError(f"centre: expected {len(form)} finite numbers, got shape {middle.shape}")
    return Quadratic(0.5 * (form + form.T), middle)
