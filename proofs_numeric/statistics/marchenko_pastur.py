"""Integrals over the law of the eigenvalues of large sample covariances, and the losses of a linear student by them."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

NODES = 4000
"""Nodes of the trapezoidal rule in the angle (measured: with twice as many the losses up to time 2,000 change by rounding
alone, 9e-15, at aspect ratios from 1/2 to 2)."""


def marchenko_pastur(gamma: float) -> tuple[np.ndarray, np.ndarray, float]:
    r"""Return eigenvalues, their weights and the weight of the eigenvalue 0 of the law at the aspect ratio d/n.

    With $\nu=1+\gamma+2\sqrt\gamma\cos\theta$ the density is $\frac2\pi\frac{\sin^2\theta}\nu d\theta$ on $[0,\pi]$, to which
    for $\gamma>1$ the weight $1-\frac1\gamma$ at 0 is added.

    >>> eigenvalues, weights, atom = marchenko_pastur(2.0)
    >>> round(float(weights.sum() + atom), 12), round(float(weights @ eigenvalues), 12), atom
    (1.0, 1.0, 0.5)
    """
    angle = (np.arange(NODES) + 0.5) * math.pi / NODES
    # 1 + gamma + 2 sqrt(gamma) cos = (1 - sqrt gamma)^2 + 4 sqrt(gamma) cos^2(theta/2), whose digits are all kept at the edge.
    eigenvalues = (1.0 - math.sqrt(gamma)) ** 2 + 4.0 * math.sqrt(gamma) * np.cos(0.5 * angle) ** 2
    weights = 2.0 / NODES * np.sin(angle) ** 2 / eigenvalues
    return eigenvalues, weights, max(0.0, 1.0 - 1.0 / gamma)


def limiting_losses(gamma: float, times: np.ndarray, rate: float = 2.0, atom: float = 1.0) -> np.ndarray:
    r"""Return $E\nu e^{-2\nu t}$ and $Ee^{-2\nu t}$ at all times, 2 x times; `atom` times the part of the eigenvalue 0.

    >>> limiting_losses(0.5, np.array([0.0])).round(12).tolist()
    [[1.0], [1.0]]
    """
    eigenvalues, weights, rest = marchenko_pastur(gamma)
    fall = np.exp(-rate * eigenvalues[None, :] * np.asarray(times)[:, None]) * weights[None, :]
    return np.stack([fall @ eigenvalues, np.sum(fall, axis=1) + atom * rest])


def slowest(gamma: float, time: float, orders: int) -> tuple[float, float]:
    r"""Return the limit of $L_{tr}/L_{gen}$ at late times, extrapolated from quadratures, and the change of the last step.

    By the lemma of Watson the ratio has an expansion in powers of 1/t, as the density is $\sqrt{\nu-\nu_-}$ times an analytic
    function: from the times t, 2t, 4t, … one power after another is extrapolated away (Richardson).
    """
    eigenvalues, weights, _ = marchenko_pastur(gamma)
    table = []
    for step in range(orders + 1):
        fall = weights * np.exp(-2.0 * (eigenvalues - eigenvalues.min()) * time * 2.0**step)
        table.append(float(fall @ eigenvalues / np.sum(fall)))
    change = math.inf
    for order in range(1, orders + 1):
        last = table[-1]
        table = [(2.0**order * b - a) / (2.0**order - 1.0) for a, b in itertools.pairwise(table)]
        change = abs(table[-1] - last)
    return table[-1], change


def sampled_losses(data: jax.Array, times: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return both losses of a data set, n x d, at all times, averaged over the start's direction, and its covariance."""
    n, d = data.shape
    covariance = data.T @ data / n
    values = jnp.maximum(jnp.linalg.eigvalsh(covariance), 0.0)
    fall = jnp.exp(-2.0 * values[None, :] * times[:, None])
    return fall @ values / d, jnp.sum(fall, axis=1) / d, covariance
