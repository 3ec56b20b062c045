"""The Gaussian orthogonal ensemble at finite size, by quadrature over its gaps, and by its density."""

import math

import jax
import jax.numpy as jnp
import numpy as np

NODES = {2: 120, 3: 64, 4: 40, 5: 26}
"""Nodes of Gauss and Legendre in each gap, by the number of eigenvalues."""
WIDEST = 13.0
"""The widest gap that counts, in units of N^(-1/2)."""


def order_statistics(size, sharpness, levels):
    r"""Return $E\,e^{-c\lambda_k^2}1\{\lambda_k\le t\}$ for k = 0, ..., N-1 and every level t, shape levels x N.

    The eigenvalues $\lambda_0\le\dots\le\lambda_{N-1}$ are those of a symmetric matrix with independent normal entries of
    variance $(1+\delta_{ij})/(2N)$, whose density is $\prod_{i<j}|\lambda_i-\lambda_j|e^{-\frac N2\sum\lambda_i^2}$ up to a
    factor. Their mean is integrated out exactly, the gaps by Gauss and Legendre's rule.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES[size])
    half = 0.5 * WIDEST / math.sqrt(size)
    # Without negative gaps the integrand is smooth.
    gaps = np.stack(np.meshgrid(*[half * (1 + nodes)] * (size - 1), indexing="ij"), axis=-1).reshape(-1, size - 1)
    share = np.prod(np.stack(np.meshgrid(*[half * weights] * (size - 1), indexing="ij")), axis=0).ravel()
    places = np.concatenate([np.zeros((len(gaps), 1)), np.cumsum(gaps, axis=1)], axis=1)
    places -= places.mean(axis=1, keepdims=True)
    rows, columns = np.triu_indices(size, 1)
    density = share * np.prod(places[:, columns] - places[:, rows], axis=1)
    density = density * np.exp(-0.5 * size * np.sum(places**2, axis=1))
    total, y = jnp.asarray(density / density.sum()), jnp.asarray(places)
    # With x = lambda_k the mean is x - y_k: a normal density of precision N^2 times e^{-c x^2}, up to the level.
    precision = size**2 + 2.0 * sharpness
    centre, spread = size**2 * y / precision, 1.0 / jnp.sqrt(precision)
    whole = size * spread * jnp.exp(-0.5 * y**2 * size**2 * (1.0 - size**2 / precision))
    cut = jax.vmap(lambda t: jax.scipy.special.ndtr((t - centre) / spread))(jnp.asarray(levels))
    return jnp.sum(total[None, :, None] * whole[None] * cut, axis=1)


def density(size, places):
    r"""Return the density of the eigenvalues, with integral N, for even N; entries of variance $(1+\delta_{ij})/(2N)$.

    $S(x,x)=\sum_{j<N}\varphi_j(x)^2+\sqrt{N/2}\,\varphi_{N-1}(x)\,\tfrac12\int\mathrm{sign}(x-y)\varphi_N(y)\,dy$ with the
    Hermite functions $\varphi_j$ of the weight $e^{-x^2}$, in $x=\sqrt N\,\lambda$ (Mehta, number unchecked).
    """
    assert size % 2 == 0
    x = np.sqrt(size) * np.asarray(places, float)

    def functions(at):
        found = [np.pi**-0.25 * np.exp(-(at**2) / 2)]
        found.append(np.sqrt(2.0) * at * found[0])
        for j in range(1, size):
            found.append(np.sqrt(2.0 / (j + 1)) * at * found[-1] - np.sqrt(j / (j + 1)) * found[-2])
        return found

    own = functions(x)
    # The function of even order N is even: half the integral of sign(x - y) is that from 0 to x.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    inner = 0.5 * x[:, None] * (1 + nodes)
    integral = 0.5 * x * (functions(inner)[size] @ weights)
    level = sum(one**2 for one in own[:size]) + np.sqrt(size / 2) * own[size - 1] * integral
    return np.sqrt(size) * level
