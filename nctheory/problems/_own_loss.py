"""What a user's own loss must be, tried once on a small sample before it is used."""

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import EPS, Array, is_traced, narrow_type, traced_hint
from nctheory.problems._losses import Loss

COLUMNS = 4
"""The number of columns of the sample."""
GRADIENT_ERROR = np.sqrt(EPS)
"""The relative difference from which on a gradient is another function than the derivative of the value (conventional)."""


def check_loss(loss: Loss, targets: Array) -> None:
    """Raise ValueError, naming what is wrong, for a loss of a user's own that is not one number a column, or whose own
    `gradient` is not that of its `value` at random logits with the first of these targets.

    The library's losses, and what is traced, are taken as they are.

    >>> import types
    >>> each = lambda self, logits, targets: jnp.maximum(0.0, 1.0 - logits * targets)  # one number an entry
    >>> Hinge = types.new_class("Hinge", (Loss,), exec_body=lambda space: space.update(__module__="mine", value=each))
    >>> check_loss(Hinge(), np.ones((2, 3)))
    Traceback (most recent call last):
    ...
    ValueError: loss: Hinge.value must return one number a column, shape (M,) = (4,), got shape (2, 4)
    """
    if type(loss).__module__.startswith("nctheory."):
        return
    if any(is_traced(leaf) for leaf in (*jax.tree.leaves(loss), targets)):
        return
    given = np.asarray(targets, np.float64)
    which = np.resize(np.arange(given.shape[1]), COLUMNS)
    logits: np.ndarray = np.random.default_rng(0).normal(size=(given.shape[0], COLUMNS))
    name = type(loss).__name__
    try:
        if any(np.shape(leaf)[-1:] == given.shape[1:] for leaf in jax.tree.leaves(loss)):
            # It holds data of every column, and the sample must be of them all.
            which, logits = np.arange(given.shape[1]), np.resize(logits, given.shape)
        z, y = jnp.asarray(logits), jnp.asarray(given[:, which])
        value, slope = _value_and_slope(loss, z, y)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(
            f"loss: {name} cannot be evaluated on logits and targets of K x M = {logits.shape[0]} x {logits.shape[1]}: "
            f"{type(error).__name__}: {str(error).splitlines()[0]}{traced_hint(error)}"
        ) from error
    columns = np.shape(logits)[1]
    if np.shape(value) != (columns,):
        raise ValueError(
            f"loss: {name}.value must return one number a column, shape (M,) = ({columns},), got shape {np.shape(value)}"
        )
    narrow = narrow_type(jax.make_jaxpr(lambda z: loss.value(z, y))(z).jaxpr)
    if narrow is not None:
        raise ValueError(f"loss: {name}.value must compute in float64, got {narrow[0]} from {narrow[1]}")
    if np.shape(slope) != logits.shape:
        raise ValueError(
            f"loss: {name}.gradient must return K x M = {logits.shape[0]} x {columns} numbers, got shape {np.shape(slope)}"
        )
    # A gradient that is the derived one is off by rounding, and another function by a part of its size.
    derived = np.asarray(_derived_slope(loss, z, y))
    apart, size = np.linalg.norm(slope - derived), np.linalg.norm(derived)
    if np.isfinite(size) and not apart <= GRADIENT_ERROR * size:
        raise ValueError(
            f"loss: {name}.gradient is not the gradient of {name}.value: at random logits they differ by a relative "
            f"{apart / size if size else np.inf:.2g}; leave `gradient` out and it is derived from `value`"
        )


# One program for all losses of a kind and targets of a shape, in place of one for every operation.
@jax.jit
def _value_and_slope(loss: Loss, z: Array, y: Array) -> tuple[Array, Array]:
    return loss.value(z, y), loss.gradient(z, y)


@jax.jit
def _derived_slope(loss: Loss, z: Array, y: Array) -> Array:
    return jax.grad(lambda z: jnp.sum(loss.value(z, y)))(z)


__all__ = ["check_loss"]
