"""Array types of annotations: verbs take and return NumPy arrays, and work on JAX arrays and tracers inside."""

import jax
import numpy as np
from jaxtyping import Float

Array = jax.Array | np.ndarray
Scalar = Float[Array, ""] | np.floating | float | int
