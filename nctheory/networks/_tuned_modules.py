"""A flax module of which some layers are trained, on a frozen trunk, with a head of its own: as a problem."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, as_array, shown, when_forgotten
from nctheory.networks._modules import Make, ModuleNetwork, nnx_shapes
from nctheory.problems import Params


@shown()
class TunedModuleParams(NamedTuple):
    """What is trained of a module: some of its arrays, the head's kernel d x K and bias, and a skip connection, or None.

    >>> TunedModuleParams((), np.zeros((4, 3)), None, None).skip is None
    True
    """

    arrays: tuple[Array, ...]
    kernel: Array
    bias: Array | None
    skip: Array | None


class TunedModule(ModuleNetwork):
    r"""A module whose trained parameters are those of the layers `tuned`, of a new head, and of a skip connection.

    $$z=W_Lz_{L-1}+b_L+S\,z_s,\qquad\frac1N\sum_i\ell(z_i,y_i)+\frac\lambda2\sum_p|\theta_p|^2$$

    over what is trained. A layer of a module is what one output needs and none before it does (`layer_arrays`). All other
    parameters are constants of the problem, which no step can move. It starts at the trunk's own parameters, with S = 0 and a
    head drawn at random.
    """

    trunk: Params
    """All parameters of the module after pretraining."""
    tuned: tuple[int, ...] = eqx.field(static=True)
    """Increasing numbers from 1 to L-1."""
    skip: int | None = eqx.field(static=True)
    """s, from 0 to L-2."""
    layers_arrays: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    """`layer_arrays` of the module."""

    @property
    def depth(self) -> int:
        """The number of layers L, the head included."""
        return len(self.layers_arrays)

    @property
    def moved(self) -> tuple[int, ...]:
        """The numbers of the arrays that are trained, without the head."""
        return tuple(i for layer in self.tuned for i in self.layers_arrays[layer - 1])

    def init(self, key: PRNGKeyArray, scale: Scalar) -> TunedModuleParams:
        """The trunk's parameters; a head of normal entries of variance scale^2/d, the same whatever is tuned."""
        leaves = jax.tree.leaves(self.trunk)
        width, classes = self.trunk[self.head_name]["kernel"].shape[0], self.classes
        kernel = scale / width**0.5 * jax.random.normal(key, (classes, width), jnp.float64).T
        bias = jnp.zeros(classes) if "bias" in self.trunk[self.head_name] else None
        across = None if self.skip is None else jnp.zeros((classes, self._width(self.skip)))
        return TunedModuleParams(tuple(jnp.asarray(leaves[i]) for i in self.moved), kernel, bias, across)

    def _width(self, layer: int) -> int:
        """The numbers of what a layer gives for a sample."""
        return jax.eval_shape(self.outputs, nnx_shapes(self.make), jnp.asarray(self.inputs[:1]))[layer].shape[0]

    def _held(self, params: TunedModuleParams) -> Params:
        """The module's parameters, with the head that it had."""
        leaves, structure = jax.tree.flatten(self.trunk)
        for i, array in zip(self.moved, params.arrays, strict=True):
            leaves[i] = array
        return jax.tree.unflatten(structure, leaves)

    def whole(self, params: TunedModuleParams) -> Params:
        """All parameters of the module with the new head, without the skip connection."""
        new = {"kernel": params.kernel} | ({} if params.bias is None else {"bias": params.bias})
        held = self._held(params)
        return {**held, self.head_name: {**held[self.head_name], **new}}

    def skip_weights(self, params: TunedModuleParams) -> Array | None:
        """S, where there is a skip connection."""
        return params.skip

    def layers_of(self, params: TunedModuleParams, inputs: Float[Array, "M *sample"]) -> list[Float[Array, "d_l M"]]:
        found = self.outputs(self._held(params), inputs)
        logits = params.kernel.T @ found[-2]
        if params.bias is not None:
            logits = logits + params.bias[:, None]
        if self.skip is not None and params.skip is not None:
            logits = logits + params.skip @ found[self.skip]
        return [*found[:-1], logits]

    def decays(self) -> TunedModuleParams:
        """The decay of each trained array; a skip connection has that of the head's kernel."""
        decay, leaves = jnp.asarray(self.weight_decay), jax.tree.leaves(self.trunk)
        light = jnp.zeros_like(decay) if self.matrices_only else decay
        return TunedModuleParams(
            tuple(decay if leaves[i].ndim > 1 else light for i in self.moved),
            decay,
            light if "bias" in self.trunk[self.head_name] else None,
            None if self.skip is None else decay,
        )

    def head(self, params: TunedModuleParams) -> tuple[Array, Array | None] | None:
        """The new kernel, as K x d, and bias; None where a skip connection stands beside them."""
        return None if self.skip is not None else (params.kernel.T, params.bias)


@functools.lru_cache(maxsize=32)
def _layer_arrays(make: Make, head: str | None, sample: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """`layer_arrays` of a module by what makes it."""
    outputs: Any = ModuleNetwork.outputs  # it reads of a network what makes it, and nothing else
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), nnx_shapes(make))
    few = jax.ShapeDtypeStruct((2, *sample), jnp.float64)
    form = _Form(make)
    program = jax.make_jaxpr(lambda held, x: outputs(form, held, x))(shapes, few).jaxpr
    number = len(jax.tree.leaves(shapes))
    known: dict[Any, frozenset[int]] = {var: frozenset({i}) for i, var in enumerate(program.invars[:number])}

    def needed(atoms: Sequence[Any]) -> frozenset[int]:
        # Literals cannot be hashed, and need nothing.
        return frozenset().union(*(known.get(a, frozenset()) for a in atoms if not hasattr(a, "val")))

    for equation in program.eqns:
        found = needed(equation.invars)
        known |= dict.fromkeys(equation.outvars, found)
    layers, below = [], frozenset[int]()
    for output in program.outvars[1:]:
        own = needed([output]) - below
        below |= own
        layers.append(tuple(sorted(own)))
    return tuple(layers)


when_forgotten(_layer_arrays.cache_clear)


class _Form(NamedTuple):
    """All of a network that its outputs need beside the parameters."""

    make: Make


def layer_arrays(network: ModuleNetwork) -> tuple[tuple[int, ...], ...]:
    """The numbers of the parameter arrays, in the order of `jax.tree.leaves`, of each layer of a module up to the logits.

    An array belongs to the first layer whose output needs it, which is read off the module's program: so embedding and
    positions of a transformer are parts of layer 1. Every array counts that an operation on the way is given.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(2, 2), dim=3, spread=0.1)
    >>> form = nct.networks.ResidualMLP(width=4, blocks=2, features=3, classes=2, normalised=False)
    >>> [len(arrays) for arrays in layer_arrays(nct.networks.module_on(mixture, form))]
    [6, 4, 2]
    """
    return _layer_arrays(network.make, network.head_name, network.sample_shape)


def tuned_module(
    network: ModuleNetwork, point: Params, inputs: np.ndarray, labels: np.ndarray, classes: int, *,
    tuned: Sequence[int], skip: int | None, weight_decay: Any,
) -> TunedModule:  # fmt: skip
    """The problem of fine-tuning one pretrained module on samples, first axis N.

    Raises ValueError, naming the argument, for a layer without parameters of its own.
    """
    arrays = layer_arrays(network)
    for layer in tuned:
        if not arrays[layer - 1]:
            raise ValueError(f"layers: expected layers with parameters of their own, got {layer}, which has none")
    decay = network.weight_decay if weight_decay is None else weight_decay
    if np.ndim(decay) != 0 or not (np.isfinite(decay) and decay >= 0):
        raise ValueError(f"weight_decay: expected one finite number of at least 0 for a module, got {weight_decay!r}")
    return TunedModule(
        make=network.make, head_name=network.head_name, sample_shape=network.sample_shape,
        matrices_only=network.matrices_only, loss=network.loss, inputs=network.read_inputs(inputs),
        targets=np.asarray(network.loss.encode(np.eye(classes)[:, labels])), weight_decay=as_array(float(decay)), trunk=point,
        tuned=tuple(tuned), skip=skip, layers_arrays=arrays,
    )  # fmt: skip
