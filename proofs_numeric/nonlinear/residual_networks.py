r"""Deep linear residual networks with normalised features on orthonormal inputs: the problem, symmetric networks, bounds."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

POINTS, HALVINGS = 4001, 46
"""The least value over w is looked for at so many points, and where the slope vanishes next to the best of them by so many
halvings (derived: $2^{-46}$ of the distance of four points is below rounding)."""


class Blocks(NamedTuple):
    """The parameters."""

    branches: nct.engine.Array
    """W_1, ..., W_L, an array L x d x d."""
    last: nct.engine.Array
    """V, K x d."""


class ResidualNetwork(nct.Problem):
    r"""$\frac1{2N}|VH-Y|_F^2+\frac\lambda2\sum_l|W_l|_F^2+\frac\mu2|V|_F^2$, $h_i=\rho Tx_i/|Tx_i|$, $T=\prod_l(I+W_l)$.

    Classes have `samples` columns of the inputs X each, one class after the other.
    """

    inputs: nct.engine.Array
    weight_decay: nct.engine.Array
    """lambda and mu."""
    radius: nct.engine.Array
    """rho."""
    classes: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)

    @property
    def labels(self):
        """The class of each sample."""
        return np.repeat(np.arange(self.classes), self.samples)

    def init(self, key, scale):
        """Draw branches that are small beside the identity, and a last layer of the size that features ask for."""
        dim = self.inputs.shape[0]
        one, other = jax.random.split(key)
        return Blocks(
            scale / (dim * self.depth) ** 0.5 * jax.random.normal(one, (self.depth, dim, dim), jnp.float64),
            scale / dim**0.5 * jax.random.normal(other, (self.classes, dim), jnp.float64),
        )

    def features(self, params):
        """Compute H, d x N."""
        reached = jax.lax.scan(lambda x, w: (x + w @ x, None), jnp.asarray(self.inputs), params.branches)[0]
        return self.radius * reached / jnp.linalg.norm(reached, axis=0, keepdims=True)

    def regulariser(self, params):
        """Compute what the decays add to the objective."""
        squares = jnp.stack([jnp.sum(params.branches**2), jnp.sum(params.last**2)])
        return 0.5 * jnp.asarray(self.weight_decay) @ squares

    def objective(self, params):
        """Compute half the mean squared error and the decays."""
        targets = np.eye(self.classes)[:, self.labels]
        error = params.last @ self.features(params) - targets
        return 0.5 * jnp.sum(error**2) / len(self.labels) + self.regulariser(params)

    def invariants(self, params):
        """Return the logits."""
        return params.last @ self.features(params)


def drawn_network(rng, classes, samples, extra, depth, decays, radius):
    """Draw orthonormal inputs in N + `extra` dimensions, and return the network."""
    total = classes * samples
    inputs = np.linalg.qr(rng.normal(size=(total + extra, total)))[0]
    return ResidualNetwork(inputs, np.asarray(decays, float), np.asarray(float(radius)), classes, samples, depth)


def variability(problem, params):
    r"""Compute the mean squared distance of features from their class means, over $\rho^2$."""
    features = problem.features(params)
    grouped = features.reshape(features.shape[0], problem.classes, problem.samples)
    away = grouped - jnp.mean(grouped, axis=2, keepdims=True)
    return jnp.sum(away**2) / (len(problem.labels) * problem.radius**2)


def fit(problem, variability):
    r"""Return $\frac{\mu nK/2}{n\rho^2(1-\nu)+N\mu}$, which fit and decay of V come to at least at a variability."""
    n, classes, mu = problem.samples, problem.classes, problem.weight_decay[1]
    return 0.5 * mu * n * classes / (n * problem.radius**2 * (1 - variability) + n * classes * mu)


class Least(NamedTuple):
    """The least value of a family of networks, and the network."""

    value: nct.engine.Scalar
    shrink: nct.engine.Scalar
    """w: every block multiplies differences within classes by 1 - w."""
    grow: nct.engine.Scalar
    """a: every block multiplies class means by this."""
    variability: nct.engine.Scalar


def least(problem, up, spread, xp=np):
    r"""Return the least of the fit at a variability and $\frac{\lambda L}2(u(a-1)^2+(N-K)w^2)$.

    u is `up`, the number of directions that grow; `spread` gives the variability at $\epsilon=((1-w)/a)^L$, and its derivative
    by $\log\epsilon$. At a minimum a
    step of $\log\epsilon$ costs as much either way, $u\,a(a-1)=(N-K)w(1-w)$; one number w is left, from 0 to 1/2. `xp` is
    NumPy, or `jax.numpy` where the problem's numbers are traced.
    """
    depth, down = problem.depth, len(problem.labels) - problem.classes
    lam, mu = problem.weight_decay[0], problem.weight_decay[1]
    long, weight = problem.samples * problem.radius**2, 0.5 * mu * len(problem.labels)

    def at(w):
        grow = 0.5 * (1 + xp.sqrt(1 + 4 * down / up * w * (1 - w)))
        found, rise = spread(((1 - w) / grow) ** depth)
        return grow, found, rise

    def value(w):
        grow, found, _ = at(w)
        return fit(problem, found) + 0.5 * lam * depth * (up * (grow - 1) ** 2 + down * w**2)

    def slope(w):
        # What a step of -log epsilon costs in the branches, less what it saves in the fit.
        grow, found, rise = at(w)
        return (
            lam * up * grow * (grow - 1) - weight * long / (long * (1 - found) + len(problem.labels) * mu) ** 2 * rise
        )

    grid = 0.5 * xp.linspace(0.0, 1.0, POINTS)
    best = xp.argmin(value(grid))
    low, high = (grid[xp.clip(best + i, 0, POINTS - 1)] for i in (-2, 2))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        falls = slope(middle) < 0
        low, high = xp.where(falls, middle, low), xp.where(falls, high, middle)
    shrink = 0.5 * (low + high)
    grow, found, _ = at(shrink)
    return Least(value(shrink), shrink, grow, found)


def symmetric(problem, xp=np):
    r"""Return the best network whose blocks are alike and treat samples and classes alike, $F_L$.

    Inputs are $x_i=m_k/\sqrt n+\delta_i$ with orthonormal $m_k$ and $|\delta_i|^2=1-1/n$: of the squared length of $Tx_i$
    the part $(n-1)\epsilon^2/(1+(n-1)\epsilon^2)$ is not that of its class.
    """
    return least(problem, problem.classes, symmetric_spread(problem.samples), xp)


def symmetric_spread(n):
    r"""Return the function $\frac{(n-1)\epsilon^2}{1+(n-1)\epsilon^2}$ and its derivative by $\log\epsilon$."""

    def spread(e):
        away = (n - 1) * e**2
        return away / (1 + away), 2 * away / (1 + away) ** 2

    return spread


def bounded_spread(n):
    r"""Return the function $\frac{n-1}n\epsilon^2$ and its derivative by $\log\epsilon$."""
    return lambda e: ((n - 1) / n * e**2, 2 * (n - 1) / n * e**2)


def bound(problem):
    r"""Return the number below which no network comes, the lower of two.

    Either a block has a singular value of $I+W_l$ below 1/2, then $|W_l|^2\ge\frac14$; or $\log\sigma(T)$ is majorised by the
    sum of the $\log\sigma(I+W_l)$, where $(e^x-1)^2$ is convex, and $N\nu\ge\sum_{i>K}(\sigma_i/\sigma_1)^2$.
    """
    spread = bounded_spread(problem.samples)
    return min(least(problem, 1, spread).value, fit(problem, 0.0) + problem.weight_decay[0] / 8)


def network(problem, params):
    """Return the parameters of the best symmetric network; only the shapes of `params` count."""
    best, labels = symmetric(problem, jnp), problem.labels
    inputs = jnp.asarray(problem.inputs)
    middle = jnp.asarray((labels[:, None] == labels[None, :]) / problem.samples)
    block = inputs @ ((best.grow - 1 + best.shrink) * middle - best.shrink * jnp.eye(len(labels))) @ inputs.T
    branches = jnp.broadcast_to(block, params.branches.shape)
    features = problem.features(Blocks(branches, params.last))
    targets = jnp.asarray(np.eye(problem.classes)[:, labels])
    gram = features @ features.T + len(labels) * problem.weight_decay[1] * jnp.eye(features.shape[0])
    return Blocks(branches, jnp.linalg.solve(gram, features @ targets.T).T)
