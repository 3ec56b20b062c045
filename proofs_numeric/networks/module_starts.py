"""Flax modules with samples in groups, some of which start where the bounds on their rank are equalities."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.networks.layers import of_kind
from proofs_numeric.networks.module_instances import IMAGE, drawn
from proofs_numeric.networks.module_layers import array_at, entering, replaced, sizes
from proofs_numeric.networks.tcv_rank import arranged_data

GROUPS, EACH, SIZE, POSITIONS = 2, 3, 0.8, 4


class Grouped(nct.networks.ModuleNetwork):
    """A module with the group of each sample, whose starts may be arranged."""

    groups: tuple[int, ...] = eqx.field(static=True)
    starts_at: str = eqx.field(static=True)

    def init(self, key, scale):
        """Draw a start, or arrange it."""
        point = super().init(key, scale)
        arranged = {"silent": self.silent, "critical": self.critical, "a channel each": self.channels}
        return arranged[self.starts_at](point, key) if self.starts_at in arranged else point

    def silent(self, point, key):
        """Return kernels whose singular values are all the same, with a head of zeros, so that the fit has no gradient."""
        for i, (path, (_, below, above)) in enumerate(sizes(self, point).items()):
            kernel = array_at(point, path)
            drawn_ = jax.random.normal(jax.random.fold_in(key, i), (max(below, above), min(below, above)), jnp.float64)
            turn = SIZE * jnp.linalg.qr(drawn_)[0]
            turn = turn if below >= above else turn.T
            point = replaced(point, path, jnp.zeros_like(kernel) if path == ("head",) else turn.reshape(kernel.shape))
        return point

    def channels(self, point, key):
        r"""Return, near a critical point, one convolution that has a channel for each position of each group.

        The patches of the images are s times orthonormal $q_{np}$. With $W=a\sum_{np}q_{np}e_{np}^\top$ and
        $V=a\sum_{np}e_ne_{np}^\top$ each channel is at work at its place alone, and the logits of group n are $a^2s\,e_n$.
        For K groups, P positions and squared error the gradients vanish for $a^2s=1-\lambda KP/s$. All other entries of W that
        patches see are slightly below zero, so that no neuron is at its kink, and the others are not decayed yet.
        """
        patches = entering(self, point)[0][:GROUPS].reshape(GROUPS * POSITIONS, -1)
        size = jnp.max(patches)
        value = jnp.sqrt((1.0 - self.weight_decay * GROUPS * POSITIONS / size) / size)
        kernel = array_at(point, ("convolutions", 0))
        order = jax.random.permutation(key, kernel.shape[-1])[: GROUPS * POSITIONS]
        below = -0.005 * jax.random.uniform(key, kernel.shape[-2:-1] + kernel.shape[-1:], jnp.float64, 0.5, 1.0)
        own = jnp.zeros((GROUPS * POSITIONS, kernel.shape[-1])).at[jnp.arange(GROUPS * POSITIONS), order].set(value)
        seen = patches.T / size @ own
        whole = seen.reshape(kernel.shape) + jnp.where(seen.reshape(kernel.shape) > 0, 0.0, below[None, None])
        point = replaced(point, ("convolutions", 0), whole)
        group = jnp.repeat(jnp.eye(GROUPS), POSITIONS, axis=0)
        return replaced(point, ("head",), own.T @ group)

    def critical(self, point, key):
        r"""Return residual blocks that put out nothing, with embedding and head at a critical point of two linear layers.

        It is that of `tcv_rank` for data of the form $X=\sqrt N\sum_ju_je_j^\top$, $Y=\sqrt N\sum_jc_jv_je_j^\top$:
        $\sum_jw_jq_ju_j^\top$ and $\sum_jw_jv_jq_j^\top$ with $w_j^2=c_j-\lambda$.
        """
        inputs, targets = jnp.asarray(self.inputs).T, jnp.asarray(self.targets)
        left, strengths, right = jnp.linalg.svd(targets @ inputs.T / inputs.shape[1], full_matrices=False)
        width = array_at(point, ("embedding",)).shape[1]
        turn = jnp.linalg.qr(jax.random.normal(key, (width, len(strengths)), jnp.float64))[0]
        values = jnp.sqrt(strengths - self.weight_decay)[None, :]
        point = replaced(point, ("embedding",), ((turn * values) @ right).T)
        point = replaced(point, ("head",), ((left * values) @ turn.T).T)
        for i in range(self.make.blocks):
            path = ("blocks", i, "down")
            point = replaced(point, path, jnp.zeros_like(array_at(point, path)))
        return point


def samples(rng, shape, groups, gathered):
    """Draw samples of a shape, those of a group the same where they are `gathered`."""
    labels = np.arange(GROUPS * EACH) % groups
    if gathered:
        return 1.5 * rng.normal(size=(groups, *shape))[labels], labels
    return rng.normal(size=(len(labels), *shape)), labels


def grouped(rng, make, shape, decay, starts="normal", gathered=False, **options):
    """Build a named instance."""
    inputs, labels = samples(rng, shape, GROUPS, gathered)
    instance = drawn(rng, make, decay, shape, data=nct.networks.Data(inputs, labels), **options)
    network = of_kind(Grouped, instance.problem, groups=tuple(labels.tolist()), starts_at=starts)
    within = "none" if gathered else "some"
    return nct.Instance(network, {**instance.parameters, "starts": starts, "variability": within})


def critical(rng, decay, normalised):
    """Build residual blocks on the data of `tcv_rank`, with more outputs than groups."""
    inputs, targets = arranged_data(rng, (5, 6, 4))
    make = nct.networks.ResidualMLP(6, 1, 5, 4, normalised, bias=False)
    labels = np.arange(inputs.shape[1]) % 4
    instance = drawn(rng, make, decay, (5,), data=nct.networks.Data(inputs.T, labels))
    groups = tuple(np.repeat(np.arange(GROUPS), inputs.shape[1] // GROUPS).tolist())
    network = of_kind(Grouped, instance.problem, groups=groups, starts_at="critical")
    network = eqx.tree_at(lambda x: x.targets, network, targets)
    return nct.Instance(network, {**instance.parameters, "starts": "critical", "variability": "some"})


def channels(rng, decay):
    """Build a convolution on images of one bright pixel, in another colour for each group."""
    labels = np.arange(GROUPS * EACH) % GROUPS
    images = np.zeros((len(labels), 2, 2, GROUPS))
    images[np.arange(len(labels)), 0, 0, labels] = rng.uniform(1.8, 2.2)
    make = nct.networks.ConvNet((GROUPS * POSITIONS + 1,), 1, (2, 2, GROUPS), GROUPS, bias=False)
    instance = drawn(rng, make, decay, images.shape[1:], data=nct.networks.Data(images, labels))
    network = of_kind(Grouped, instance.problem, groups=tuple(labels.tolist()), starts_at="a channel each")
    return nct.Instance(network, {**instance.parameters, "starts": "a channel each", "variability": "none"})


def draw_grouped(key):
    """Draw convolutions, residual blocks and transformers, with starts and data of every kind."""
    rng = nct.theorems.numpy_rng(key)
    level = (10.0 ** rng.uniform(-1.3, -1, size=12)).tolist()
    image, vectors = (IMAGE, (3, 4))
    conv = nct.networks.ConvNet((2, 9), 1, IMAGE, GROUPS)
    smooth = nct.networks.ConvNet((3, 9), 2, IMAGE, GROUPS, activation="tanh")
    reader = nct.networks.Transformer(8, 1, 2, length=3, features=4, classes=GROUPS)
    plain = nct.networks.ResidualMLP(4, 2, 4, GROUPS, False, activation="gelu")
    normed = nct.networks.ResidualMLP(4, 2, 4, GROUPS)
    return [
        channels(rng, level[0]),
        grouped(rng, conv, image, level[1], starts="silent"),
        grouped(rng, smooth, image, level[2], loss="cross_entropy"),
        grouped(rng, conv, image, level[3], starts="silent", gathered=True),
        critical(rng, level[4], False),
        critical(rng, level[5], True),
        grouped(rng, plain, (4,), level[6], gathered=True),
        grouped(rng, normed, (4,), level[7], loss="cross_entropy"),
        grouped(rng, reader, vectors, level[8], starts="silent"),
        grouped(rng, reader, vectors, level[9], starts="silent", gathered=True),
        grouped(rng, reader, vectors, level[10], loss="cross_entropy"),
        grouped(rng, reader, vectors, level[11], loss="cross_entropy"),
    ]
