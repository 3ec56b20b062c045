"""Two-layer ReLU networks on orthogonally separable data, started with each neuron on one class: problem, data, and flow."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

# A shape is (K, d, n, neurons a class).
SHAPES = (((2, 3, 3, 2), (2, 2, 4, 3)), ((3, 4, 3, 2), (4, 5, 2, 2), (3, 6, 2, 3)))
SPREAD = 0.2
"""The largest entry of what is added to the direction of a simplex vertex, with entries that differ by 1."""


class Layers(NamedTuple):
    """The parameters."""

    first: nct.engine.Array
    """W, m x d."""
    last: nct.engine.Array
    """V, K x m."""


class SeparableNetwork(nct.Problem):
    r"""The mean cross-entropy of $V\max(WX,0)$, without decay or bias.

    Classes have `samples` columns each and as many neurons as `group` says. A start is in the set S of `min-zhu-vidal`: its
    neurons are positive combinations of a class's samples, its outgoing weights largest at that class.
    """

    inputs: nct.engine.Array
    apart: nct.engine.Array
    """How much the neurons of a class differ in direction, from 0 to 1."""
    tilt: nct.engine.Array
    """How far the outgoing weights of a class are from the direction of a simplex vertex, from 0 to 1."""
    classes: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    group: int = eqx.field(static=True)

    @property
    def labels(self):
        """The class of each sample."""
        return np.repeat(np.arange(self.classes), self.samples)

    @property
    def owners(self):
        """The class of each neuron."""
        return np.repeat(np.arange(self.classes), self.group)

    def init(self, key, scale):
        """Draw a start in S, with |w_j| = |v_j|."""
        keys = jax.random.split(key, 5)
        mine = self.owners[:, None] == self.labels[None, :]
        common = jax.random.uniform(keys[0], (1, len(self.labels)), jnp.float64, 0.5, 1.5)
        own = jax.random.uniform(keys[1], mine.shape, jnp.float64, -0.9, 0.9)
        towards = jnp.where(mine, common * (1.0 + self.apart * own), 0.0) @ jnp.asarray(self.inputs).T
        vertex = jnp.eye(self.classes) - 1.0 / self.classes
        bent = jax.random.uniform(keys[2], vertex.shape, jnp.float64, -SPREAD, SPREAD)
        alone = jax.random.uniform(keys[3], (self.classes, len(self.owners)), jnp.float64, -SPREAD, SPREAD)
        out = (vertex + self.tilt * bent)[:, self.owners] + self.apart * alone
        sizes = scale * jax.random.uniform(keys[4], (len(self.owners),), jnp.float64, 0.5, 1.5)
        return Layers(
            sizes[:, None] * towards / jnp.linalg.norm(towards, axis=1, keepdims=True),
            sizes[None, :] * out / jnp.linalg.norm(out, axis=0, keepdims=True),
        )

    def hidden(self, params):
        """Compute the hidden features, m x N."""
        return jax.nn.relu(params.first @ jnp.asarray(self.inputs))

    def objective(self, params):
        """Compute the mean cross-entropy."""
        logits = params.last @ self.hidden(params)
        mine = np.arange(self.classes)[:, None] == self.labels[None, :]
        right = jnp.sum(jnp.where(mine, logits, 0.0), axis=0)
        return jnp.mean(jax.nn.logsumexp(logits, axis=0) - right)


def separable(inputs, classes):
    """Tell whether samples of a class have positive inner products, and those of different classes negative ones."""
    labels = np.repeat(np.arange(classes), inputs.shape[1] // classes)
    gram, same = np.asarray(inputs).T @ np.asarray(inputs), labels[:, None] == labels[None, :]
    return bool(np.all(gram[same] > 0) and np.all(gram[~same] < 0))


def drawn_inputs(rng, classes, dim, samples, spread=0.15):
    """Draw inputs around the vertices of a simplex, turned, and of lengths that differ; up to the first that are separable."""
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:, :classes]
    vertices = np.sqrt(classes / (classes - 1)) * (np.eye(classes) - 1 / classes)
    while True:
        centres = np.repeat(turn @ vertices, samples, axis=1)
        noise = rng.normal(size=centres.shape)
        inputs = rng.uniform(0.7, 1.5, size=samples * classes) * (centres + spread / np.sqrt(dim) * noise)
        if separable(inputs, classes):
            return inputs
        spread *= 0.8


def one_neuron_each(problem, start):
    r"""Return the start as one neuron for each class, $\omega_k$ and $\beta_k$, and the unit vectors $\phi_k$ (m x K)."""
    sizes = jnp.linalg.norm(start.first, axis=1)
    groups = jnp.asarray(problem.owners[:, None] == np.arange(problem.classes)[None, :], float)
    frame = sizes[:, None] * groups / jnp.sqrt((sizes**2) @ groups)[None, :]
    return Layers(frame.T @ start.first, start.last @ frame), frame


def velocity(inputs, labels, seen, at):
    r"""Return the flow of a network whose neurons see some samples, linearly, and are blind to the others.

    With the mask M of what they see, $\dot W=\frac1N(M\odot V^\top(Y-P))X^\top$ and
    $\dot V=\frac1N(Y-P)(M\odot WX)^\top$, P the softmax of $V(M\odot WX)$.
    """
    hidden = seen * (at.first @ inputs)
    targets = jnp.asarray(np.arange(at.last.shape[0]))[:, None] == labels[None, :]
    missing = (jnp.where(targets, 1.0, 0.0) - jax.nn.softmax(at.last @ hidden, axis=0)) / inputs.shape[1]
    return Layers((seen * (at.last.T @ missing)) @ inputs.T, missing @ hidden.T)


@partial(jax.jit, static_argnames=("pieces", "steps"))
def path_of(inputs, labels, seen, start, last, pieces, steps):
    """Return that flow at `pieces` equidistant times up to `last`, by Runge and Kutta's method, extrapolated."""

    def moved(at, part, slope):
        return jax.tree.map(lambda x, y: x + part * y, at, slope)

    def path(count):
        step = last / (pieces * count)

        def one(at, _):
            k1 = velocity(inputs, labels, seen, at)
            k2 = velocity(inputs, labels, seen, moved(at, 0.5 * step, k1))
            k3 = velocity(inputs, labels, seen, moved(at, 0.5 * step, k2))
            k4 = velocity(inputs, labels, seen, moved(at, step, k3))
            slopes = jax.tree.map(lambda a, b, c, d: (a + 2.0 * b + 2.0 * c + d) / 6.0, k1, k2, k3, k4)
            return moved(at, step, slopes), None

        def piece(at, _):
            reached = jax.lax.scan(one, at, None, length=count)[0]
            return reached, reached

        return jax.lax.scan(piece, start, None, length=pieces)[1]

    # The error of the fourth order falls to a sixteenth with steps of half the size.
    later = jax.tree.map(lambda whole, half: half + (half - whole) / 15.0, path(steps), path(2 * steps))
    return jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), start, later)
