r"""Learning curves of perceptrons from a perceptron: overlaps in the limit of many weights, and Hebb's error at every size.

A student of overlap R with the teacher errs on a new example with the probability $\arccos(R)/\pi$; $\alpha$ is the number of
examples a weight.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from scipy.special import wofz

LIMIT, POINTS = 12.0, 400
"""Ends and number of points of the rule for normal means: the integrands are entire, or nearly so, and the trapezoidal rule
is exact to rounding (measured: 200 points give the same digits)."""
HALVINGS = 100
"""Halvings of an interval of exponents: far more than float64 tells apart."""
CLOSEST = 60.0
"""The largest exponent y of 1 - R = exp(-y) that is looked at (conventional)."""
FREQUENCIES, ANGLES, HIGHEST = 600, 120, 9.5
"""Nodes of the rules for Hebb's error at finite size (measured: twice as many change it by less than 1e-12), and the highest
frequency, at which the characteristic function is below exp(-45)."""


def error(overlap):
    """Return the generalisation error of an overlap."""
    return jnp.arccos(overlap) / jnp.pi


def hebb_overlap(load, per_pi=0.5):
    r"""Return $1/\sqrt{1+\pi/(2\alpha)}$, Hebb's overlap; `per_pi` stands in for the 1/2."""
    return 1.0 / jnp.sqrt(1.0 + per_pi * jnp.pi / jnp.asarray(load))


def normal_mean(overlap):
    r"""Return $\int Dt\,e^{-Rt^2/2}/\Phi(-\sqrt Rt)$."""
    t = jnp.linspace(-LIMIT, LIMIT, POINTS + 1)
    exponents = -0.5 * (1.0 + overlap) * t**2 - log_ndtr(-jnp.sqrt(overlap) * t)
    return (2.0 * LIMIT / POINTS) * jnp.sum(jnp.exp(exponents)) / jnp.sqrt(2.0 * jnp.pi)


def solved(excess):
    """Return the overlap at which a function of R and the root of 1 - R passes zero from below, by halving y."""

    def halve(_, ends):
        middle = 0.5 * (ends[0] + ends[1])
        low = excess(-jnp.expm1(-middle), jnp.exp(-0.5 * middle)) < 0
        return jnp.where(low, middle, ends[0]), jnp.where(low, ends[1], middle)

    return -jnp.expm1(-jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros(()), jnp.asarray(CLOSEST)))[0])


def gibbs_overlap(load, factor=1.0):
    r"""Return the overlap of Gibbs learning: $R/\sqrt{1-R}=\frac\alpha\pi\int Dt\,e^{-Rt^2/2}/\Phi(-\sqrt Rt)$."""
    return solved(lambda r, root: r / root - factor * load / jnp.pi * normal_mean(r))


def annealed_overlap(load):
    r"""Return what the mean volume of the version space gives, in place of that of its logarithm.

    It is largest at $R/\sqrt{1-R^2}=\frac\alpha\pi/(1-\arccos(R)/\pi)$.
    """
    return solved(lambda r, root: r / (root * jnp.sqrt(1.0 + r)) - load / (jnp.pi - jnp.arccos(r)))


def committee_overlap(overlap, students):
    r"""Return $R\sqrt n/\sqrt{1+(n-1)R}$: of the sum of n students that overlap with each other as with the teacher."""
    return overlap * jnp.sqrt(students / (1.0 + (students - 1.0) * overlap))


def asymptote():
    r"""Return $\lim\alpha\epsilon=\sqrt2/\int Dt\,e^{-t^2/2}/\Phi(-t)$ of Gibbs learning."""
    return jnp.sqrt(2.0) / normal_mean(jnp.asarray(1.0))


@functools.lru_cache(maxsize=8)
def _nodes(number):
    """Return the nodes and weights of Gauss and Legendre, which cost an eigenvalue problem of that size."""
    return np.polynomial.legendre.leggauss(number)


@functools.lru_cache(maxsize=1024)
def hebb_error(examples, weights):
    r"""Return Hebb's mean error from P examples of d >= 3 weights, exactly.

    On a new example at the angle $\theta$ from the teacher, $\tau=\cot\theta$, the student errs where $\sqrt P\xi>\tau S$
    with a normal $\xi$ and the sum S of P moduli of normal variables, each with the characteristic function $w(t/\sqrt2)$, w
    being the Faddeeva function. Gil-Pelaez' formula is averaged over the density of $\theta$, which is
    $\propto\sin^{d-2}\theta$.
    """
    nodes, weight = _nodes(ANGLES)
    theta, density = 0.25 * np.pi * (nodes + 1.0), weight * np.sin(0.25 * np.pi * (nodes + 1.0)) ** (weights - 2)
    nodes, weight = _nodes(FREQUENCIES)
    # s = HIGHEST u^2, because a large tau has its oscillations at small s.
    u = 0.5 * (nodes + 1.0)
    s, step = HIGHEST * u**2, HIGHEST * u * weight
    powers = wofz(-s[None, :] / np.tan(theta)[:, None] / np.sqrt(2.0 * examples)) ** examples
    inner = np.sum(np.imag(np.exp(-0.5 * s**2)[None, :] * powers) / s[None, :] * step[None, :], axis=1)
    return 0.5 + np.sum(density * inner) / np.sum(density) / np.pi
