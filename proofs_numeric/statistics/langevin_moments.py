"""Second moments of linear stochastic processes: by recursion from step to step, in closed form, and the bands of samples.

A process on a quadratic form is x <- M x + q with normal q of covariance Q. Nothing that is found here by recursion uses an
eigenvalue of the form, and nothing in closed form iterates a step.
"""

import math

import jax
import jax.numpy as jnp

from proofs_numeric.statistics.experiments import LEVEL

FIRST_ORDER = ("overdamped", "sgd", "sgld")
"""The kinds without momenta: with thermal noise, with that of the gradient, and with both."""
DOUBLINGS = 14
"""A recursion is followed for 2^14 steps (conventional: the slowest of the instances loses a factor of 0.8 in four)."""


def step_of(kind, matrix, size, temperature, friction, noise):
    """Return M and Q of one step; `kind` is a first-order one, or a splitting of the underdamped equation into A, B and O."""
    eye = jnp.eye(matrix.shape[0])
    if kind == "overdamped":
        return eye - size * matrix, 2.0 * size * temperature * eye
    if kind == "sgd":
        return eye - size * matrix, size**2 * noise
    if kind == "sgld":
        return eye - size * matrix, size**2 * noise + 2.0 * size * temperature * eye
    zero = jnp.zeros_like(eye)
    whole, covariance = jnp.eye(2 * len(eye)), jnp.zeros((2 * len(eye), 2 * len(eye)))
    for letter in kind:
        part, added = size / kind.count(letter), 0.0
        if letter == "A":
            factor = jnp.block([[eye, part * eye], [zero, eye]])
        elif letter == "B":
            factor = jnp.block([[eye, zero], [-part * matrix, eye]])
        else:
            kept = jnp.exp(-friction * part)
            factor = jnp.block([[eye, zero], [zero, kept * eye]])
            added = jnp.block([[zero, zero], [zero, (1.0 - kept**2) * temperature * eye]])
        whole, covariance = factor @ whole, factor @ covariance @ factor.T + added
    return whole, covariance


def settled(step, added, start):
    """Return the second moments after 2^14 steps from any others, by doubling the number of steps."""
    for _ in range(DOUBLINGS):
        added, step = added + step @ added @ step.T, step @ step
    return step @ start @ step.T + added


def powers(step, count):
    """Return the first `count` powers of a matrix, from the zeroth on."""
    _, found = jax.lax.scan(lambda power, _: (step @ power, power), jnp.eye(step.shape[0]), None, length=count)
    return found


def stationary(kind, curvature, size, temperature, noise):
    r"""Return the stationary covariance of positions, and of momenta, in the basis in which the form is diagonal.

    Overdamped: $T(a-\frac12\eta a^2)^{-1}$; with gradient noise $\eta C_{ij}/(a_i+a_j-\eta a_ia_j)$, where
    $2T\delta_{ij}$ is added to the numerator with both; of splittings with
    $\kappa=h^2a/4$ positions $\frac Ta$ and momenta $T(1-\kappa)$ (BAOAB) or $T/(1-\kappa)$ (ABOBA), and momenta T with
    positions $\frac Ta/(1-\kappa)$ (OBABO) or $\frac Ta(1-\kappa)$ (OABAO).
    """
    a, ones = curvature, jnp.ones_like(curvature)
    if kind == "overdamped":
        return jnp.diag(temperature / (a - 0.5 * size * a**2)), jnp.zeros_like(jnp.diag(a))
    if kind in ("sgd", "sgld"):
        thermal = 2.0 * temperature * jnp.diag(ones) if kind == "sgld" else 0.0
        found = (thermal + size * noise) / (a[:, None] + a[None, :] - size * a[:, None] * a[None, :])
        return found, jnp.zeros_like(found)
    left = 1.0 - 0.25 * size**2 * a
    positions = {"BAOAB": ones, "ABOBA": ones, "OBABO": 1.0 / left, "OABAO": left}[kind]
    momenta = {"BAOAB": left, "ABOBA": 1.0 / left, "OBABO": ones, "OABAO": ones}[kind]
    return jnp.diag(temperature / a * positions), jnp.diag(temperature * momenta)


def flow_displacement(curvature, start, temperature, wait, lag):
    r"""Return $\sum_i(1-e^{-a_it})^2v_i(t_w)+\frac T{a_i}(1-e^{-2a_it})$, of the process of Ornstein and Uhlenbeck.

    $v(t_w)=x_0^2e^{-2at_w}+\frac Ta(1-e^{-2at_w})$; waiting times and lags are axes of the result.
    """
    a, w, t = curvature[None, None, :], wait[:, None, None], lag[None, :, None]
    spread = temperature / a
    at_wait = start[None, None, :] ** 2 * jnp.exp(-2.0 * a * w) - spread * jnp.expm1(-2.0 * a * w)
    return jnp.sum(jnp.expm1(-a * t) ** 2 * at_wait - spread * jnp.expm1(-2.0 * a * t), axis=-1)


def step_displacement(curvature, start, temperature, size, wait, lag, waited=True, noise=2.0):
    r"""Return the same of the chain of step $\eta$, whose factor per step is $m=1-\eta a$; times are numbers of steps.

    $\sum_i(1-m_i^l)^2v_i(w)+2\eta T\frac{1-m_i^{2l}}{1-m_i^2}$, $v(w)=x_0^2m^{2w}+2\eta T\frac{1-m^{2w}}{1-m^2}$; without
    `waited` v is the stationary one, and `noise` stands in for the 2.
    """
    m, w, t = 1.0 - size * curvature[None, None, :], wait[:, None, None], lag[None, :, None]
    spread = noise * size * temperature / (1.0 - m**2)
    left = m ** (2 * w) if waited else 0.0 * m**w
    at_wait = start[None, None, :] ** 2 * left + spread * (1.0 - left)
    return jnp.sum((1.0 - m**t) ** 2 * at_wait + spread * (1.0 - m ** (2 * t)), axis=-1)


def recursive_displacement(step, added, moments, wait, lag):
    """Return the displacement at waits and lags, by recursion from the second moments of the start."""

    def go(carry, _):
        mean_product, own, since = carry
        # E x x^T of now; M^k; and the covariance of what noise has added since the waiting time.
        return (step @ mean_product @ step.T + added, step @ own, step @ since @ step.T + added), carry

    eye, nothing = jnp.eye(step.shape[0]), jnp.zeros_like(step)
    longest = int(max(wait[-1], lag[-1])) + 1
    _, (products, moved, gathered) = jax.lax.scan(go, (moments, eye, nothing), None, length=longest)
    rows = []
    for w in wait:
        off = [moved[t] - eye for t in lag]
        rows.append([jnp.trace(d @ products[w] @ d.T + gathered[t]) for d, t in zip(off, lag, strict=True)])
    return jnp.stack([jnp.stack(row) for row in rows])


def quadratic_band(squares, largest, chains):
    r"""Return the half-width of the band of a mean over chains of quadratic forms of normal vectors, with `LEVEL`.

    For $\sum_ka_k((y_k+\mu_k)^2-1-\mu_k^2)$ with standard normal y, $v=\sum_ka_k^2(1+2\mu_k^2)$ (`squares`) and a the
    `largest` $|a_k|$ both tails beyond $2\sqrt{vx}+2ax$ have a probability of at most $e^{-x}$, for
    $\log E e^{sa(y^2-1)}\le s^2a^2/(1-2s\,a)$ (Laurent and Massart 2000; the step with $\mu$ is Birgé's). Of n chains both are
    divided by n.
    """
    x = math.log(2.0 / LEVEL)
    return 2.0 * jnp.sqrt(squares * x / chains) + 2.0 * largest * x / chains


def product_bands(correlations, times, chains):
    r"""Return the bands of all entries of $\frac1{nK}\sum zz^\top$ over K times of a stationary normal z in n chains.

    `correlations` are $R_m=E\,z_{s+m}z_s^\top$ for m = 0, …, K - 1. The form of an entry has the matrix
    $B=\frac12(e_ie_j^\top+e_je_i^\top)/K$ at each time, and $v=\frac1K\sum_{|m|<K}(1-\frac{|m|}K)
    \frac12(R_{m,ii}R_{m,jj}+R_{m,ij}R_{m,ji})$; its largest weight is at most that of $\sum_m|R_m|$ over K.
    """
    weights = (1.0 - jnp.arange(times) / times) * jnp.where(jnp.arange(times) > 0, 2.0, 1.0)
    diagonal = jnp.diagonal(correlations, axis1=1, axis2=2)
    pairs = diagonal[:, :, None] * diagonal[:, None, :] + correlations * jnp.swapaxes(correlations, 1, 2)
    squares = jnp.sum(weights[:, None, None] * 0.5 * pairs, axis=0) / times
    sizes = jnp.sqrt(jnp.sum(correlations**2, axis=(1, 2)))
    largest = (2.0 * jnp.sum(sizes) - sizes[0]) / times
    # Rounding may leave a sum of squares that is zero below it.
    return quadratic_band(jnp.maximum(squares, 0.0), largest, chains)
