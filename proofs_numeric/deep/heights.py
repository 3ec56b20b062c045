r"""The height of a chain of one output over its signal, in closed form: thresholds, jumps and metastable heights.

D is the number of hidden layers, `a` the variance of white inputs, `gamma` the geometric mean of the decays; a height is the
norm s of the end-to-end vector, whose cost is $\frac12(as^2-2es+(D+1)\gamma s^{2/(D+1)})$ at the signal e.
"""

import jax
import jax.numpy as jnp

HALVINGS = 100
"""Halvings of an interval of heights: far more than float64 tells apart."""


def jump(hidden, a, gamma):
    """Return the height of the jump, s_c; it is zero with one hidden layer."""
    return ((hidden - 1.0) * gamma / a) ** ((hidden + 1.0) / (2.0 * hidden))


def threshold(hidden, a, gamma):
    """Return the signal from which on zero is no global minimum."""
    return gamma if hidden == 1 else a * jump(hidden, a, gamma) * hidden / (hidden - 1.0)


def signal_at(hidden, a, gamma, height):
    """Return the signal at which a height is stationary."""
    return a * height + gamma * height ** ((1.0 - hidden) / (1.0 + hidden))


def metastable(hidden, a, gamma):
    """Return the least height of a local minimum off zero, for two and more hidden layers."""
    return ((hidden - 1.0) * gamma / (a * (hidden + 1.0))) ** ((hidden + 1.0) / (2.0 * hidden))


def height_at(hidden, a, gamma, signal):
    """Return the height of the local minimum off zero, by halving: the signal of a height increases above the least one."""
    if hidden == 1:
        return jnp.maximum(signal - gamma, 0.0) / a
    ends = jnp.asarray(metastable(hidden, a, gamma)), jnp.asarray(signal / a)

    def halve(_, now):
        middle = 0.5 * (now[0] + now[1])
        low = signal_at(hidden, a, gamma, middle) < signal
        return jnp.where(low, middle, now[0]), jnp.where(low, now[1], middle)

    return jax.lax.fori_loop(0, HALVINGS, halve, ends)[0]
