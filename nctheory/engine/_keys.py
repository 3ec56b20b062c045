"""Random keys as they come from a caller: whole numbers, and keys of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

LARGEST_KEY = 2**63 - 1
"""The largest whole number that JAX takes for a key."""


def as_key(key: int | np.integer | np.ndarray | PRNGKeyArray) -> PRNGKeyArray:
    """A typed JAX key from a whole number from 0 to 2^63 - 1, a typed key, or an old one of two uint32.

    Raises ValueError, naming the argument, for anything else.

    >>> import numpy as np
    >>> [int(jax.random.key_data(as_key(one))[1]) for one in (3, np.int64(3), jax.random.key(3), jax.random.PRNGKey(3))]
    [3, 3, 3, 3]
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and 0 <= key <= LARGEST_KEY:
        return jax.random.key(int(key))
    if isinstance(key, jax.Array | np.ndarray):
        if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ():
            return key  # pyright: ignore[reportReturnType]
        if key.dtype == np.uint32 and key.shape == jax.eval_shape(jax.random.PRNGKey, 0).shape:
            return jax.random.wrap_key_data(jnp.asarray(key))
    said = f"{key.dtype} of shape {key.shape}" if isinstance(key, jax.Array | np.ndarray) else repr(key)
    raise ValueError(f"key: expected a whole number from 0 to 2^63 - 1 or one JAX key, got {said}")
