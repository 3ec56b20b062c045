"""Where two-layer ReLU networks on orthogonally separable data end: the log-loss whose flow is followed, and the limit."""

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from proofs_numeric.nonlinear.separable_networks import SeparableNetwork

RADIUS = 50.0
"""From this squared norm R on time is slowed."""
LINEAR = 30.0
"""A log-loss below minus this is computed from its first-order form."""


class SlowedNetwork(SeparableNetwork):
    r"""The logarithm of the mean cross-entropy of $V\max(WX,0)$, with a flow on the path of that of the cross-entropy itself.

    Its time s is another one, in which the squared norm grows linearly in the end: $dt=ds/(f(1+|\theta|^2/R))$.
    """

    def objective(self, params):
        """Return the log of the mean of log(1 + sum exp(z_j - z_y)), also where the mean underflows."""
        logits = params.last @ self.hidden(params)
        mine = np.arange(self.classes)[:, None] == self.labels[None, :]
        own = jnp.sum(jnp.where(mine, logits, 0.0), axis=0)
        excess = jax.scipy.special.logsumexp(jnp.where(mine, -jnp.inf, logits - own[None, :]), axis=0)
        small = excess < -LINEAR
        log_loss = jnp.where(small, excess, jnp.log(jnp.log1p(jnp.exp(jnp.where(small, 0.0, excess)))))
        return jax.scipy.special.logsumexp(log_loss) - jnp.log(log_loss.size)

    def velocity(self, params):
        r"""Return $-\nabla\log f/(1+|\theta|^2/R)$."""
        slower = 1.0 / (1.0 + sum(jnp.sum(x**2) for x in params) / RADIUS)
        return jax.tree.map(lambda x: -slower * x, jax.grad(self.objective)(params))

    def conservation_defect(self, start, params, time):
        r"""Return the change of $V_k^\top V_k-W_kW_k^\top$, which is conserved, relative to its two terms."""
        same = self.owners[:, None] == self.owners[None, :]

        def sides(at):
            return jnp.where(same, at.last.T @ at.last, 0.0), jnp.where(same, at.first @ at.first.T, 0.0)

        (above, below), (first, second) = sides(params), sides(start)
        away = jnp.linalg.norm(above - below - first + second)
        return away / (jnp.linalg.norm(above) + jnp.linalg.norm(below))


def slowed(problem):
    """Return the network with the flow of the log-loss in the place of that of the loss."""
    fields = {name: getattr(problem, name) for name in ("inputs", "apart", "tilt", "classes", "samples", "group")}
    return SlowedNetwork(**fields)


def nearest_points(inputs, classes):
    r"""Return the point of least norm in the convex hull of each class's samples, d x K.

    It is the point of least norm of the affine hull of some face, with positive weights; all faces are tried. With the Gram
    matrix G of a face's samples the weights are $G^{-1}1$ over their sum, and the squared norm is $1/1^\top G^{-1}1$.
    """
    dim, total = inputs.shape
    each = total // classes
    faces = [face for size in range(1, min(each, dim) + 1) for face in combinations(range(each), size)]
    masks = jnp.asarray(np.array([[i in face for i in range(each)] for face in faces], float))

    def nearest(points):
        def on_face(mask):
            gram = mask[:, None] * (points.T @ points) * mask[None, :] + jnp.diag(1.0 - mask)
            weights = jnp.linalg.solve(gram, mask)
            inside = jnp.all(jnp.where(mask > 0, weights > 0, True))
            return jnp.where(inside, 1.0 / jnp.sum(weights), jnp.inf), weights / jnp.sum(weights)

        squares, weights = jax.vmap(on_face)(masks)
        return points @ weights[jnp.argmin(squares)]

    return jnp.stack([nearest(inputs[:, k * each : (k + 1) * each]) for k in range(classes)], axis=1)


class Limits(NamedTuple):
    """What is predicted of the limit of the direction."""

    margin: jax.Array
    sizes: jax.Array
    """The mean number of a class, weighted by the squared lengths of its neurons."""
    lengths: jax.Array
    """The mean number of a sample in its class, weighted by the length of its features; averaged over classes."""
    one: jax.Array
    """1, for what becomes exact in the limit."""


def limits(inputs, classes, points, factor):
    r"""Return the limits where `points` (d x K) stand for the nearest ones and `factor` for (K-1)/K.

    Class k has the part $c_k=\sqrt{(K-1)/K}/|\hat x_k|$ of $\frac12|W|^2+\frac12|V|^2$ at a margin of 1, and features of the
    lengths $\langle\hat x_k,x_i\rangle$ but for a factor.
    """
    parts = jnp.sqrt(factor) / jnp.linalg.norm(points, axis=0)
    each = inputs.shape[1] // classes
    lengths = jnp.sum(points.T[:, :, None] * inputs.reshape(-1, classes, each).transpose(1, 0, 2), axis=1)
    places = jnp.arange(1.0, each + 1.0)
    return Limits(
        1.0 / jnp.sum(parts),
        jnp.sum(jnp.arange(1.0, classes + 1.0) * parts) / jnp.sum(parts),
        jnp.mean(lengths @ places / jnp.sum(lengths, axis=1)),
        jnp.ones(()),
    )


def margin(problem, params, start):
    r"""Return the least $z_y-z_j$, over $\frac12|W|^2+\frac12|V|^2$."""
    logits = params.last @ problem.hidden(params)
    mine = np.arange(problem.classes)[:, None] == problem.labels[None, :]
    own = jnp.sum(jnp.where(mine, logits, 0.0), axis=0)
    return jnp.min(jnp.where(mine, jnp.inf, own[None, :] - logits)) / (0.5 * sum(jnp.sum(x**2) for x in params))


def sizes(problem, params, start):
    r"""Return $\sum_kk|W_k|^2/\sum_k|W_k|^2$."""
    squares = jnp.sum(params.first**2, axis=1)
    return (problem.owners + 1.0) @ squares / jnp.sum(squares)


def by_class(problem, features):
    """Return the features as an array of classes, neurons and samples; those of other classes' neurons vanish."""
    return features.reshape(-1, problem.classes, problem.samples).transpose(1, 0, 2)


def lengths(problem, params, start):
    """Return the mean number of a sample in its class, weighted by the length of its features, averaged over classes."""
    long = jnp.linalg.norm(by_class(problem, problem.hidden(params)), axis=1)
    return jnp.mean(long @ jnp.arange(1.0, problem.samples + 1.0) / jnp.sum(long, axis=1))


def one_direction(problem, params, start):
    r"""Return the mean over classes of $|H_k^\top H_k|_F^2/|H_k|_F^4$, which is 1 where the features are on one ray."""
    hidden = by_class(problem, problem.hidden(params))
    grams = jnp.swapaxes(hidden, 1, 2) @ hidden
    return jnp.mean(jnp.sum(grams**2, axis=(1, 2)) / jnp.trace(grams, axis1=1, axis2=2) ** 2)


def vertices(middle=1.0):
    r"""Return the observable: the part of $|V|^2$ along $e_k-\frac1K1$ (or e_k) at the neurons of each class k."""

    def observe(problem, params, start):
        vertex = (jnp.eye(problem.classes) - middle / problem.classes)[:, problem.owners]
        along = jnp.sum(vertex * params.last, axis=0) ** 2 / jnp.sum(vertex**2, axis=0)
        return jnp.sum(along) / jnp.sum(params.last**2)

    return observe


def duality(centred=1.0):
    r"""Return the observable: the cosine between V and the class means of the features, centred globally.

    The means have the lengths $|W_k|$ of their classes' neurons.
    """

    def observe(problem, params, start):
        means = jnp.mean(by_class(problem, problem.hidden(params)), axis=2)
        mine = problem.owners[None, :] == np.arange(problem.classes)[:, None]
        long = jnp.sqrt(jnp.sum(jnp.where(mine, jnp.sum(params.first**2, axis=1)[None, :], 0.0), axis=1))
        means = long[:, None] * means / jnp.linalg.norm(means, axis=1, keepdims=True)
        means = means - centred * jnp.mean(means, axis=0, keepdims=True)
        return jnp.sum(means * params.last) / (jnp.linalg.norm(means) * jnp.linalg.norm(params.last))

    return observe
