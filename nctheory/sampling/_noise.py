r"""Normal variables by counter: those of a chain depend on its words, the step and the place alone.

The generator is Threefry-2x32 with twenty rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
which is JAX's own, written out so that the compiler makes one vector loop of it; the transform is that of Box and Muller. The
words of JAX's key are encrypted with the number of the chain, and the counter is (step, place). JAX's normal variables take
three to five times as long on a CPU (measured).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nctheory.engine import Array

WORDS = 6
"""The words of a chain: a pair for its noise, one for its minibatches, one for its acceptances."""
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""The rotations of Threefry-2x32, in turns of four rounds (source: Salmon et al. 2011)."""
PARITY = 0x1BD11BDA
"""The constant of its key schedule (source: the same)."""
START = 0xFFFFFFFF
"""The step under which momenta of the start are drawn; no chain has so many."""
SINE = (6.283185307, -41.34170212, 81.60522617, -76.70427942, 42.00976654, -14.39385668)
r"""Coefficients of $s,s^3,\dots,s^{11}$ whose sum is $\sin2\pi s$ for $|s|\le1/4$, up to 3e-11 (derived: least squares at the
Chebyshev points, relative to s)."""


@functools.partial(jax.jit, static_argnames="count")
def _words(key: PRNGKeyArray, numbers: Array, count: int) -> Array:
    return jax.vmap(lambda number: jax.random.bits(jax.random.fold_in(key, number), (count,), jnp.uint32))(numbers)


def chain_words(key: PRNGKeyArray, numbers: Array) -> Array:
    """The words of the chains of these numbers, a row each: they depend on the key and on the number alone.

    >>> import jax
    >>> two, one = chain_words(jax.random.key(0), np.arange(2)), chain_words(jax.random.key(0), np.array([1]))
    >>> two.shape, bool((two[1] == one[0]).all())
    ((2, 6), True)
    """
    return _words(key, np.asarray(numbers, np.uint32), WORDS)


def threefry(words: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """The two words that Threefry-2x32-20 makes of a counter of two words.

    >>> import jax.numpy as jnp
    >>> zero = jnp.zeros((), jnp.uint32)
    >>> [hex(int(x)) for x in threefry(jnp.zeros(2, jnp.uint32), zero, zero)]
    ['0x6b200159', '0x99ba4efe']
    """
    keys = (words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(PARITY))
    x, y = first + keys[0], second + keys[1]
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << jnp.uint32(turn)) | (y >> jnp.uint32(32 - turn))) ^ x
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return x, y


def uniform(words: Array, step: Array, stream: int = 0) -> Array:
    """One uniform number of (0, 1), a multiple of 2^-33, in float64."""
    first, _ = threefry(words, step.astype(jnp.uint32), jnp.uint32(stream))
    return (first.astype(jnp.float64) + 0.5) * 2.0**-32


def standard_normal(words: Array, step: Array, count: int, stream: int = 0) -> Array:
    r"""`count` standard normal numbers of a chain at a step, in float64; each stream of a step has others.

    $\sqrt{-2\ln u}\cos2\pi t$ with independent u and t, computed in float32 from 32 bits each: u is a half-integer times
    $2^{-32}$, so that numbers of up to 6.7 occur. Symmetric about 0; variance and kurtosis are those of the normal law up to
    1e-7 (derived from the grid of u, and from the rounding unit of float32).
    """
    places = jnp.arange(count, dtype=jnp.uint32) + jnp.uint32(stream * count)
    first, second = threefry(words, step.astype(jnp.uint32), places)
    single = jnp.float32
    radius = jnp.sqrt(single(-2.0) * jnp.log((first.astype(single) + single(0.5)) * single(2.0**-32)))
    # cos 2 pi t = sin 2 pi s with s = 1/4 - |t|, for t in [-1/2, 1/2).
    turn = jax.lax.bitcast_convert_type(second, jnp.int32).astype(single) * single(2.0**-32)
    s = single(0.25) - jnp.abs(turn)
    series = single(SINE[-1])
    for coefficient in SINE[-2::-1]:
        series = series * (s * s) + single(coefficient)
    return (radius * (series * s)).astype(jnp.float64)
