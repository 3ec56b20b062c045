"""The spaces between the layers of convolutional and residual networks, what writes into them and what reads them."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.networks.layers import backward_scale


class Part(NamedTuple):
    """An array of the parameters, by its path, and the axis of it that is the space."""

    path: tuple[str | int, ...]
    axis: int


class Space(NamedTuple):
    """The channels or features between layers.

    Where it is `linear` nothing but linear maps write and read it, and they add up; else an activation or a norm acts on every
    channel alone.
    """

    written: tuple[Part, ...]
    read: tuple[Part, ...]
    linear: bool
    kind: str


def at(tree, path):
    """Return what stands at a path."""
    for name in path:
        tree = tree[name]
    return tree


def matrix(tree, part):
    """Return an array as the space x everything else: of a kernel its positions and its other channels."""
    array = jnp.moveaxis(at(tree, part.path), part.axis, 0)
    return array.reshape(array.shape[0], -1)


def gram(tree, parts, weights=None, taps=None):
    """Return the sum of the products of channels over all arrays, each times a weight; `taps` keeps some of each kernel."""
    found = []
    for i, part in enumerate(parts):
        rows = matrix(tree, part)
        kernel = at(tree, part.path)
        if taps is not None and kernel.ndim == 4:
            rows = matrix(tree_with(part.path, kernel[taps]), part._replace(axis=part.axis - 2))
        found.append((1.0 if weights is None else weights[i]) * rows @ rows.T)
    return sum(found[1:], found[0])


def tree_with(path, array):
    """Return a tree with one array at a path."""
    for name in reversed(path):
        array = {name: array}
    return array


def layer(*path, low, up):
    """Return how a layer reads the space below, and how it writes the one above, with its bias."""
    return Part((*path, "kernel"), low), (Part((*path, "kernel"), up), Part((*path, "bias"), 0))


def spaces(problem):
    """Return all spaces of a `ConvNet` or a `ResidualMLP`."""
    form = problem.make
    return present(form, convolutional(form) if isinstance(form, nct.networks.ConvNet) else residual(form))


def present(form, found):
    """Leave out the biases of layers where a form has none; norms have their shifts all the same."""
    if form.bias:
        return found
    return [
        space._replace(written=tuple(p for p in space.written if p.path[-1] != "bias" or p.path[-2] == "norm"))
        for space in found
    ]


def convolutional(form):
    """Return the channels behind each convolution, and the spaces of the tail.

    The mean over positions is linear, and the same in every channel.
    """
    layers = [(*layer("convolutions", i, low=2, up=3), form.activation) for i in range(len(form.channels))]
    layers += [(*layer("tail", i, low=0, up=1), "identity") for i in range(form.linear - 1)]
    readers = [read for read, _, _ in layers[1:]] + [Part(("head", "kernel"), 0)]
    return [
        Space(written, (reader,), name == "identity", "neighbours")
        for (_, written, name), reader in zip(layers, readers, strict=True)
    ]


def residual(form):
    """Return the spaces within the blocks, those behind their norms, and the stream past all of them.

    The stream is linear where there are no norms.
    """
    found, blocks = [], range(form.blocks)
    for i in blocks:
        block = ("blocks", i)
        reads, writes = layer(*block, "up", low=0, up=1)
        found.append(
            Space(writes, (Part((*block, "down", "kernel"), 0),), form.activation == "identity", "within a block")
        )
        if form.normalised:
            norm = (Part((*block, "norm", "scale"), 0), Part((*block, "norm", "bias"), 0))
            found.append(Space(norm, (reads,), False, "behind a norm"))
    return found if form.normalised else [*found, stream(form)]


def stream(form):
    """Return the space that the embedding and all blocks write, and all blocks and the head read."""
    written = layer("embedding", low=0, up=1)[1]
    for i in range(form.blocks):
        written += layer("blocks", i, "down", low=0, up=1)[1]
    read = tuple(Part(("blocks", i, "up", "kernel"), 0) for i in range(form.blocks))
    (space,) = present(form, [Space(written, (*read, Part(("head", "kernel"), 0)), True, "stream")])
    return space


def block_pairs(form):
    """Return, as if there were no connection past the blocks, what each block writes and the next one reads."""
    readers = [Part(("blocks", i, "up", "kernel"), 0) for i in range(1, form.blocks)] + [Part(("head", "kernel"), 0)]
    pairs = [
        Space(layer("blocks", i, "down", low=0, up=1)[1], (reader,), True, "block and block")
        for i, reader in enumerate(readers)
    ]
    return present(form, pairs)


def without_biases(space):
    """Leave out of a space what biases write, of norms their shifts."""
    return space._replace(written=tuple(part for part in space.written if part.path[-1] != "bias"))


def decays_of(problem, parts):
    """Return the decay of each array."""
    decays = problem.decays()
    return [at(decays, part.path) for part in parts]


def reach(problem, params):
    r"""Bound the sum over samples and classes of the absolute values of all products that a logit is a sum of.

    Without norms that is the network of the absolute values of all its numbers: $|\sigma(x)|\le|x|$ and no term cancels. A
    norm is replaced by a positive linear map that bounds it and its derivative,
    $\gamma_i(\delta_{ij}+1/d+|\hat x_i\hat x_j|/d)/s$ with the centred features and their deviation s as they are.
    """
    positive = jax.tree.map(jnp.abs, params)
    form, inputs = problem.make, jnp.abs(jnp.asarray(problem.inputs))
    if not getattr(form, "normalised", False):
        plain = "identity" if form.activation == "identity" else "relu"
        absolute = dataclasses.replace(problem, make=dataclasses.replace(form, activation=plain))
        return jnp.abs(absolute.layers_of(positive, inputs)[-1])

    def through(held, x):
        return x @ held["kernel"] + (held["bias"][None, :] if form.bias else 0.0)

    entering = [through(params["embedding"], jnp.asarray(problem.inputs).reshape(len(inputs), -1))]
    entering += [features.T for features in problem.layers(params)[1 : form.blocks]]
    reached = through(positive["embedding"], inputs.reshape(len(inputs), -1))
    for i, h in enumerate(entering):
        block = positive["blocks"][i]
        deviation = jnp.sqrt(jnp.var(h, axis=1, keepdims=True) + 1e-6)
        centred = jnp.abs(h - jnp.mean(h, axis=1, keepdims=True)) / deviation
        along = centred * jnp.mean(centred * reached, axis=1, keepdims=True)
        seen = (reached + jnp.mean(reached, axis=1, keepdims=True) + along) / deviation
        seen = seen * block["norm"]["scale"][None, :] + block["norm"]["bias"][None, :]
        reached = reached + through(block["down"], through(block["up"], seen))
    return through(positive["head"], reached).T


def product_size(problem, params):
    r"""Bound the terms of $\langle W,\partial\mathrm{fit}/\partial W\rangle$ over all arrays that read or write a space.

    A path from an input to a logit passes each such array at most once, so that the absolute products sum to the reach of the
    logits, times the slope of the loss. A stream has as many arrays on either side as there are blocks, and one more.
    """
    arrays = getattr(problem.make, "blocks", 0) + 1.0
    return arrays * backward_scale(problem, problem.logits(params), reach(problem, params))
