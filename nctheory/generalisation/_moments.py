"""The moments of class populations that bounds on nearest-mean errors are made of."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, is_traced, shown
from nctheory.measures import as_numpy, read_labels


@shown()
class PopulationMoments(NamedTuple):
    r"""Moments of K class populations in d dimensions: of f with $\mu_k=E_kf$ and $\xi=f-\mu_k$.

    The decision axis of a pair is $u_{ij}=(\mu_i-\mu_j)/D_{ij}$, and 0 where two means coincide. A row i is the class
    whose moment it is, a column j the other class of the pair.
    """

    means: Array
    r"""$\mu_k$, K x d."""
    distances: Array
    r"""$D_{ij}=|\mu_i-\mu_j|$, K x K."""
    variances: Array
    r"""$v_k=E_k|\xi|^2$."""
    along: Array
    r"""$E_i\langle\xi,u_{ij}\rangle^2$, the variance along the decision axis; directional CDNV times $D_{ij}^2$."""
    third: Array
    r"""$E_i\langle\xi,u_{ij}\rangle|\xi|^2$."""
    fourth: Array
    r"""$E_k|\xi|^4$."""
    products: Array
    r"""$\mathrm{tr}\,\Sigma_i\Sigma_j$."""

    @property
    def directional_cdnv(self) -> Array:
        r"""$\tilde V_{ij}=E_i\langle\xi,u_{ij}\rangle^2/D_{ij}^2$, K x K; NaN where means coincide."""
        xp = namespace(self.along)
        apart = self.distances > 0
        return xp.where(apart, self.along / xp.where(apart, self.distances, 1.0) ** 2, np.nan)


def namespace(array: Any) -> Any:
    """`jax.numpy` for what is traced, `numpy` for numbers."""
    return jnp if is_traced(array) else np


def root(x: Any) -> Any:
    """The square root, with derivative 0 where it is 0."""
    xp = namespace(x)
    return xp.where(x > 0, xp.sqrt(xp.where(x > 0, x, 1.0)), 0.0)


def read_population(features: Any, labels: Any, classes: int | None = None) -> tuple[Array, list[np.ndarray]]:
    """The features, N x d, and the rows of each class; those of a traced array are not looked at."""
    x: Any = features
    if not is_traced(features):
        x = as_numpy("features", features).astype(np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"features: expected N x d, one row a sample, got shape {x.shape}")
    if not is_traced(x) and not np.all(np.isfinite(x)):
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"features: expected finite numbers, got {x[row, column]} in row {row}")
    y = read_labels(labels, x.shape[0], classes)
    found = int(y.max()) + 1 if classes is None else int(classes)
    if found < 2:
        raise ValueError(f"labels: expected two classes or more, got {found}")
    rows = [np.flatnonzero(y == k) for k in range(found)]
    missing = [k for k, some in enumerate(rows) if some.size == 0]
    if missing:
        raise ValueError(f"labels: expected samples of all {found} classes, got none of class {missing[0]}")
    return x, rows


def population_moments(features: Any, labels: Any, classes: int | None = None) -> PopulationMoments:
    r"""The moments of the population in which each class is the uniform distribution on its own samples.

    `features` are N x d, samples first, and `labels` N whole numbers; the number of classes is the largest label plus
    one unless given. Averages are over $n_k$, not $n_k-1$: the samples *are* the population. Moments of a training set
    in the place of those of the population bound nothing. Features may be traced by JAX.

    Raises ValueError, naming the argument, for shapes that do not fit, numbers that are not finite, labels out of range,
    fewer than two classes and a class without samples.

    >>> found = population_moments([[0.0, 1.0], [0.0, -1.0], [2.0, 0.0]], [0, 0, 1])
    >>> found.distances[0, 1].item(), found.variances.tolist(), found.along[0, 1].item(), found.fourth.tolist()
    (2.0, [1.0, 0.0], 0.0, [1.0, 0.0])
    """
    x, rows = read_population(features, labels, classes)
    xp, samples = namespace(x), x.shape[0]
    # Features are taken about their mean, so that an offset costs no digits; the means get it back at the end.
    offset = xp.mean(x, axis=0)
    x = x - offset[None, :]
    means = xp.stack([xp.mean(x[some], axis=0) for some in rows])
    steps = means[:, None, :] - means[None, :, :]
    distances = root(xp.sum(steps**2, axis=2))
    units = steps / xp.where(distances > 0, distances, 1.0)[:, :, None]
    blocks = [x[some] - means[k][None, :] for k, some in enumerate(rows)]
    squares = [xp.sum(block**2, axis=1) for block in blocks]
    axes = [block @ unit.T for block, unit in zip(blocks, units, strict=True)]
    return PopulationMoments(
        means=means + offset[None, :],
        distances=distances,
        variances=xp.stack([xp.mean(square) for square in squares]),
        along=xp.stack([xp.mean(axis**2, axis=0) for axis in axes]),
        third=xp.stack([xp.mean(axis * q[:, None], axis=0) for axis, q in zip(axes, squares, strict=True)]),
        fourth=xp.stack([xp.mean(square**2) for square in squares]),
        products=_products(xp, blocks, samples),
    )


def _products(xp: Any, blocks: list[Any], samples: int) -> Any:
    r"""$\mathrm{tr}\,\Sigma_i\Sigma_j$ of all pairs, through covariances or through inner products, whichever are fewer."""
    if len(blocks) * blocks[0].shape[1] ** 2 <= samples**2:
        flat = xp.stack([xp.ravel(block.T @ block) / len(block) for block in blocks])
        return flat @ flat.T
    # tr(Sigma_i Sigma_j) is the mean of <x, y>^2 over x of class i and y of class j.
    return xp.stack([xp.stack([xp.mean((one @ other.T) ** 2) for other in blocks]) for one in blocks])
