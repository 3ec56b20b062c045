"""What acts between two layers, number by number."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, depends_on

Activation = str | Callable[[Array], Array]
"""An activation by its name, or as a function of one real number."""
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "absolute": jnp.abs,
    "gelu": jax.nn.gelu,
    "identity": lambda x: x,
    "leaky_relu": jax.nn.leaky_relu,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
}
depends_on(lambda: ACTIVATIONS)  # which anyone may add to
HOMOGENEOUS = frozenset({"absolute", "identity", "leaky_relu", "relu"})
r"""Activations with $\sigma(cx)=c\,\sigma(x)$ for $c>0$, and so $x\,\sigma'(x)=\sigma(x)$."""
_SAMPLE = np.array([[-2.0, -0.3], [0.7, 1.9]])
"""Numbers at which a function of a user's own is tried."""


def check_activation(name: str, activation: Any) -> Activation:
    """An activation that is known by its name, or a function of one real number that arrays go through entry by entry.

    Raises ValueError, with `name` as that of the argument, for anything else.

    >>> check_activation("activation", "relu")
    'relu'
    >>> check_activation("activation", lambda x: x / jnp.sum(x))
    Traceback (most recent call last):
    ...
    ValueError: activation: expected a function of one real number, applied entry by entry; at (-2.0, -0.3) together it gives \
other numbers than at each of them alone
    """
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return activation
    function: Any = activation
    if isinstance(activation, str) or not callable(activation):
        raise ValueError(
            f"{name}: expected one of {', '.join(ACTIVATIONS)} or a function of one number, got {activation!r}"
        )
    with jax.enable_x64(True):
        try:
            together = function(jnp.asarray(_SAMPLE))
            alone = [[function(jnp.asarray(x)) for x in row] for row in _SAMPLE]
        except Exception as error:
            raise ValueError(
                f"{name}: expected a function of one real number, got one that fails on float64 arrays: "
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            ) from error
    if np.shape(together) != _SAMPLE.shape or not np.issubdtype(np.asarray(together).dtype, np.floating):
        raise ValueError(
            f"{name}: expected a function of one real number, applied entry by entry; of shape {_SAMPLE.shape} it makes "
            f"{np.asarray(together).dtype} of shape {np.shape(together)}"
        )
    if not np.allclose(np.asarray(together), np.asarray(alone, dtype=np.float64), rtol=1e-12, atol=1e-12):
        raise ValueError(
            f"{name}: expected a function of one real number, applied entry by entry; at (-2.0, -0.3) together it gives "
            "other numbers than at each of them alone"
        )
    return function


def activation_of(kind: Activation) -> Callable[[Array], Array]:
    """The function that an activation's name stands for, or the function itself."""
    return ACTIVATIONS[kind] if isinstance(kind, str) else kind
