r"""Langevin dynamics of a quadratic energy on a sphere at a temperature T, through its second moments.

The flow is $\dot x=Mx-z(t)x+\sqrt{2T}\xi$ with M symmetric and z(t) such that $\frac1NE|x|^2=1$. With eigenvalues $\mu_i$
that have weights $w_i$ (1/N each at finite size; at infinite size the nodes of a quadrature of their law), the moments $p_i$
of x along the eigenvectors obey $\dot p_i=2(\mu_i-z)p_i+2T$ with $z=\sum w_i\mu_ip_i+T$. Without z they obey a linear
equation, $\dot y_i=2\mu_iy_i+2T\sum_jw_jy_j$, whose matrix has rank one beside $\mathrm{diag}(\mu)$.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float


class Modes(NamedTuple):
    r"""Eigenvalues and eigenvectors of $\mathrm{diag}(\mu)+T\sqrt w\sqrt w^\top$, with what they belong to."""

    values: jax.Array
    root: jax.Array
    growth: jax.Array
    vectors: jax.Array


def modes(values, weights, temperature) -> Modes:
    """Diagonalise the linear equation of the moments."""
    root = jnp.sqrt(weights)
    growth, vectors = jnp.linalg.eigh(jnp.diag(values) + temperature * root[:, None] * root[None, :])
    return Modes(values, root, growth, vectors)


def correlation(system: Modes, late, early, begun=1.0) -> Float[jax.Array, ""]:
    r"""Return $C(t,s)=\sum_iw_ie^{\mu_i(t-s)}y_i(s)/\sqrt{\Gamma(t)\Gamma(s)}$ for t >= s, with $\Gamma=\sum_iw_iy_i$.

    All exponents are taken relative to the largest growth rate, and all terms are positive.
    """
    top = system.growth[-1]
    start = system.vectors.T @ (system.root * begun)
    # sqrt(w) y = exp(2 A s) sqrt(w) y(0), by the modes of A.
    y = system.vectors @ (jnp.exp(2.0 * (system.growth - top) * early) * start)
    volume = [
        jnp.sum((system.vectors.T @ system.root) * jnp.exp(2.0 * (system.growth - top) * t) * start)
        for t in (late, early)
    ]
    moved = jnp.sum(system.root * jnp.exp((system.values - top) * (late - early)) * y)
    return moved / jnp.sqrt(volume[0] * volume[1])


def integrated(values, weights, temperature, begun, times, steps):
    """Return C(t, s) for all pairs of consecutive `times` t > s by integrating the moments, with z, by Runge and Kutta.

    `steps` is the number of steps from one time to the next.
    """

    def velocity(state):
        moments, moved = state
        z = jnp.sum(weights * values * moments) / jnp.sum(weights * moments) + temperature / jnp.sum(weights * moments)
        return 2.0 * (values - z) * moments + 2.0 * temperature, (values - z) * moved

    def step(state, size):
        shift = lambda by, slope: jax.tree.map(lambda x, v: x + by * v, state, slope)  # noqa: E731
        first = velocity(state)
        second = velocity(shift(0.5 * size, first))
        third = velocity(shift(0.5 * size, second))
        fourth = velocity(shift(size, third))
        add = lambda x, a, b, c, d: x + size / 6.0 * (a + 2.0 * b + 2.0 * c + d)  # noqa: E731
        return jax.tree.map(add, state, first, second, third, fourth)

    moments, found = begun / jnp.sum(weights * begun), []
    for k, time in enumerate(times):
        # The factor by which x moves along each eigenvector is 1 at the earlier time.
        size = (time - (times[k - 1] if k else 0.0)) / steps
        state = (moments, jnp.ones_like(moments))
        moments_then = moments
        moments, moved = jax.lax.fori_loop(0, steps, lambda _, now, size=size: step(now, size), state)
        found.append(jnp.sum(weights * moved * moments_then))
    return jnp.stack(found)


def equilibrium(values, weights, temperature, lag, halvings=100):
    r"""Return $T\sum_iw_i\frac{e^{-(z-\mu_i)\tau}}{z-\mu_i}$ with $T\sum_iw_i/(z-\mu_i)=1$, z above all eigenvalues."""
    top = jnp.max(values)

    def halve(_, ends):
        middle = 0.5 * (ends[0] + ends[1])
        low = temperature * jnp.sum(weights / (middle + top - values)) > 1.0
        return jnp.where(low, middle, ends[0]), jnp.where(low, ends[1], middle)

    above = jax.lax.fori_loop(0, halvings, halve, (jnp.zeros(()), jnp.asarray(temperature, jnp.float64)))[1]
    away = above + top - values
    return temperature * jnp.sum(weights * jnp.exp(-away * lag) / away)


def doubled(system: Modes, time):
    """Return log2 of C(4t, 2t)/C(2t, t): how the correlation over a doubling of the age falls as the age doubles."""
    return jnp.log2(correlation(system, 4.0 * time, 2.0 * time) / correlation(system, 2.0 * time, time))


def crossing(values, weights, time, ends, halvings=30):
    """Return the temperature at which `doubled` is the same at t and at 2t, by halving the interval, and its value there."""

    def excess(temperature):
        system = modes(values, weights, temperature)
        later = doubled(system, 2.0 * time)
        return later - doubled(system, time), later

    def halve(_, now):
        middle = 0.5 * (now[0] + now[1])
        cold = excess(middle)[0] > 0
        return jnp.where(cold, middle, now[0]), jnp.where(cold, now[1], middle)

    low, high = jax.lax.fori_loop(0, halvings, halve, tuple(jnp.asarray(x, jnp.float64) for x in ends))
    return 0.5 * (low + high), excess(0.5 * (low + high))[1]


__all__ = ["Modes", "correlation", "crossing", "doubled", "equilibrium", "integrated", "modes"]
