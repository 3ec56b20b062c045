"""What enters each kernel of a flax module and the gradient in what it puts out, for any module made of flax's own layers."""

import contextlib
import contextvars
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Passage(NamedTuple):
    """A kernel as a matrix, what enters it, and the fit's gradients.

    With N samples, P positions at which it is applied, `below` numbers that enter at each and `above` that leave.
    """

    kernel: Any
    """below x above."""
    slope: Any
    r"""$\partial\mathrm{fit}/\partial W$, below x above."""
    entering: Any
    """N x P x below."""
    backward: Any
    """The fit's gradient in what leaves, N x P x above."""


class Look(NamedTuple):
    """What is added to what each kernel puts out, and what was seen: both by the kernel's path."""

    shifts: dict | None
    entering: dict
    leaving: dict


LOOK: contextvars.ContextVar = contextvars.ContextVar("look")


def seen(layer, entering, put_out):
    """Note what enters a layer, N x P x below, and add to what it puts out."""
    look = LOOK.get(None)
    if look is None:
        return put_out
    if layer.place in look.entering:
        raise ValueError(f"a kernel that is applied once in a pass is expected, got {layer.place} a second time")
    look.entering[layer.place] = entering
    look.leaving[layer.place] = put_out.shape
    # The barrier keeps one copy of the gradient in what is put out: that in the kernel is a product with the same numbers.
    return put_out if look.shifts is None else jax.lax.optimization_barrier(put_out) + look.shifts[layer.place]


@functools.cache
def kinds():
    """Return flax's layers with a kernel, and the same layers that note what enters them."""
    from flax import nnx

    class Linear(nnx.Linear):
        def __call__(self, inputs, **options):
            return seen(self, rows(inputs, 1), super().__call__(inputs, **options))

    class LinearGeneral(nnx.LinearGeneral):
        def __call__(self, inputs, **options):
            taken = len(self.axis) if isinstance(self.axis, tuple) else 1
            return seen(self, rows(inputs, taken), super().__call__(inputs, **options))

    class Conv(nnx.Conv):
        def __call__(self, inputs, **options):
            return seen(self, patches(self, inputs), super().__call__(inputs, **options))

    return {nnx.Linear: Linear, nnx.LinearGeneral: LinearGeneral, nnx.Conv: Conv}


def rows(inputs, taken):
    """Return inputs as N x P x below, the last `taken` axes of which are those that enter together."""
    below = math.prod(inputs.shape[inputs.ndim - taken :])
    return inputs.reshape(inputs.shape[0], -1, below)


def patches(layer, inputs):
    """Return what a convolution reads at each position, its numbers in the order of the kernel's entries."""
    size = layer.kernel_size
    found = jax.lax.conv_general_dilated_patches(
        inputs, size, layer.strides, layer.padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    channels = inputs.shape[-1]
    found = found.reshape(inputs.shape[0], -1, channels, math.prod(size))
    return jnp.swapaxes(found, 2, 3).reshape(inputs.shape[0], -1, channels * math.prod(size))


@dataclasses.dataclass(frozen=True)
class Watched:
    """What makes the same module with layers that note what enters them."""

    make: Any

    def __call__(self, rngs):
        """Make it."""
        from flax import nnx

        module = self.make(rngs)
        layer: Any
        for path, layer in nnx.iter_modules(module):
            kind = kinds().get(type(layer))
            if kind is not None:
                object.__setattr__(layer, "__class__", kind)
                layer.place = path
        return module


@contextlib.contextmanager
def looking(shifts=None):
    """Note what layers see within a block."""
    look = Look(shifts, {}, {})
    token = LOOK.set(look)
    try:
        yield look
    finally:
        LOOK.reset(token)


def watched(problem):
    """Return the network with layers that note what enters them."""
    return dataclasses.replace(problem, make=Watched(problem.make))


def traced(problem, params):
    """Return the shapes of what enters kernels and of what they put out, by path, in the order in which they are applied."""
    with looking() as look:
        jax.eval_shape(watched(problem).layers_of, params, jnp.asarray(problem.inputs))
    return look.entering, look.leaving


def sizes(problem, params=None):
    """Return P, below and above of each kernel by its path, in the order in which they are applied."""
    shapes = jax.eval_shape(problem.init, jax.random.key(0), 1.0) if params is None else params
    into, _ = traced(problem, shapes)
    return {
        path: (x.shape[1], x.shape[2], math.prod(array_at(shapes, path).shape) // x.shape[2])
        for path, x in into.items()
    }


def array_at(tree, path, name="kernel"):
    """Return the kernel of a layer, or another of its arrays."""
    for part in path:
        tree = tree[part]
    return tree[name]


def replaced(tree, path, array, name="kernel"):
    """Return a tree of parameters with another kernel in a layer."""
    first, *rest = (*path, name) if path else (name,)
    return {**tree, first: replaced(tree[first], rest[:-1], array, name) if rest else array}


@jax.jit  # one program within all observations
def entering(problem, params):
    """Return what enters each kernel, N x P x below, by its path."""
    with looking() as look:
        watched(problem).layers_of(params, jnp.asarray(problem.inputs))
    return list(look.entering.values())


@jax.jit  # one program within all observations
def sweep(problem, params):
    """Return a `Passage` for each kernel, in the order in which they are applied.

    All gradients are those of one backward pass.
    """
    network, inputs = watched(problem), jnp.asarray(problem.inputs)
    shifts = {path: jnp.zeros(shape) for path, shape in traced(problem, params)[1].items()}

    def fit(held, added):
        with looking(added) as look:
            logits = network.layers_of(held, inputs)[-1]
        return jnp.mean(problem.loss.value(logits, problem.targets)), list(look.entering.values())

    (slopes, backward), into = jax.grad(fit, argnums=(0, 1), has_aux=True)(params, shifts)
    found = []
    for path, x in zip(shifts, into, strict=True):
        kernel, slope = (array_at(tree, path).reshape(x.shape[-1], -1) for tree in (params, slopes))
        found.append(Passage(kernel, slope, x, backward[path].reshape(*x.shape[:2], -1)))
    return found
