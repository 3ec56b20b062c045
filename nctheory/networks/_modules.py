"""Networks that are modules of flax: any of one's own, as a problem for every verb of the library."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, as_array, float64, is_finite, narrow_type, when_forgotten
from nctheory.networks._data import Data
from nctheory.networks._network import Network, on_samples
from nctheory.problems import Loss, Params, as_loss, check_loss

Make = Callable[[Any], Any]
"""A function of `flax.nnx.Rngs` that makes a module."""


def applied(make: Make, held: Params, use: Callable[[Any], Any]) -> Any:
    """What `use` makes of a module when it holds these parameters."""
    nnx = _nnx()
    blank, state = nnx.split(_blank(make))
    nnx.replace_by_pure_dict(state, held)
    # Modules rely on broadcasting and on the promotion of constants.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return use(nnx.merge(blank, state))


class ModuleNetwork(Network):
    r"""A flax module as a network: $\frac1N\sum_i\ell(z_i,y_i)+\frac\lambda2\sum_p|\theta_p|^2$ over its parameters.

    Build it with `module_on`, which says what a module must be.
    """

    make: Make = eqx.field(static=True)
    head_name: str | None = eqx.field(static=True)
    sample_shape: tuple[int, ...] = eqx.field(static=True)
    matrices_only: bool = eqx.field(static=True)
    loss: Loss
    inputs: Float[Array, "N *sample"]
    targets: Float[Array, "K N"]
    weight_decay: Float[Array, ""]

    def init(self, key: PRNGKeyArray, scale: Scalar) -> Params:
        """The module's own random start, in double precision, times `scale`."""
        nnx = _nnx()
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            state = nnx.state(self.make(nnx.Rngs(key)), nnx.Param)
        return jax.tree.map(lambda x: scale * x.astype(jnp.float64), nnx.to_pure_dict(state))

    def layers_of(self, params: Params, inputs: Float[Array, "M *sample"]) -> list[Float[Array, "d_l M"]]:
        """Z_0, …, Z_L of inputs with the samples first: what the module gives, as columns."""
        return self.outputs(params, inputs)

    def outputs(self, held: Params, inputs: Float[Array, "M *sample"]) -> list[Float[Array, "d_l M"]]:
        """What the module gives when it holds these parameters, as columns."""
        given = applied(self.make, held, lambda module: module(jnp.asarray(inputs)))
        found = given if isinstance(given, tuple | list) else (given,)
        return [x.reshape(x.shape[0], -1).T for x in (jnp.asarray(inputs), *found)]

    def read_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Samples first, each of the shape of the training samples."""
        if inputs.shape[1:] != self.sample_shape:
            raise ValueError(f"inputs: expected shape {self.sample_shape} a sample, got {inputs.shape[1:]}")
        return inputs

    def samples(self, which: Any) -> "ModuleNetwork":
        """The same network on the samples of these numbers."""
        return on_samples(self, which, 0)

    def decays(self) -> Params:
        """The one decay, of all parameters or of matrices and kernels alone."""
        decay = jnp.asarray(self.weight_decay)
        shapes = nnx_shapes(self.make)
        return jax.tree.map(lambda x: decay if x.ndim > 1 or not self.matrices_only else jnp.zeros_like(decay), shapes)

    def head(self, params: Params) -> tuple[Array, Array | None] | None:
        """Kernel, as K x d, and bias of the module's head."""
        if self.head_name is None:
            return None
        held = params[self.head_name]
        return held["kernel"].T, held.get("bias")

    @property
    def side_by_side(self) -> int:
        """One: a convolution with other kernels for each seed is slow."""
        return 1

    @property
    def layer_names(self) -> tuple[str, ...]:
        """`inputs`, and the numbers of what the module gives."""
        count = len(jax.eval_shape(self.outputs, nnx_shapes(self.make), jnp.asarray(self.inputs[:1])))
        return ("inputs", *(f"layer {i}" for i in range(1, count - 1)))

    @property
    def described(self) -> str:
        """The name of what makes the module."""
        return str(getattr(self.make, "described", getattr(self.make, "__name__", type(self.make).__name__)))


@float64
def module_on(
    data: Data,
    make: Make,
    *,
    loss: str | Loss = "mse",
    weight_decay: float = 1e-3,
    matrices_only: bool = False,
    head: str | None = "head",
) -> ModuleNetwork:
    """A flax module on the training set of `data`, as a problem for every verb of the library.

    `make` is a function of `flax.nnx.Rngs` that makes the module, and it must be the same object wherever the network is to be
    the same. The module maps N x (shape of a sample) to logits N x K, or to a tuple of what its layers give, of any shapes
    with the samples first, whose last two are the features and the logits; `head` names its attribute that is the linear map
    between these (None if there is none). It has no parameters but `nnx.Param`, nothing random and no running averages, and
    is computed in double precision. The decay is of all parameters, or with `matrices_only` of those with two axes or more.

    Raises ValueError, naming the argument, for any other module, for data with tags and for a negative decay; ImportError
    where flax is not installed.

    >>> import nctheory as nct
    >>> from flax import nnx
    >>> class Small(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.first, self.head = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)
    ...     def __call__(self, x):
    ...         features = nnx.relu(self.first(x))
    ...         return features, self.head(features)
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> network = module_on(mixture, Small)
    >>> network.layer_names, nct.problems.size(network)
    (('inputs', 'layer 1'), 26)
    """
    if data.labels.ndim != 1:
        raise ValueError("data: expected one label a sample, got tags")
    if not callable(make):
        raise ValueError(f"make: expected a function of flax.nnx.Rngs, got {make!r}")
    try:
        hash(make)
    except TypeError:
        raise ValueError(f"make: expected what can be hashed, as a frozen dataclass, got {make!r}") from None
    if not (is_finite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"weight_decay: expected a finite number of at least 0, got {weight_decay!r}")
    resolved = as_loss(loss)
    targets = np.asarray(resolved.encode(np.eye(data.classes)[:, data.labels]))
    check_loss(resolved, targets)
    network = ModuleNetwork(
        make=make, head_name=head, sample_shape=data.inputs.shape[1:], matrices_only=matrices_only, loss=resolved,
        inputs=data.inputs, targets=targets, weight_decay=as_array(float(weight_decay)),
    )  # fmt: skip
    _check_module(make)
    _check_layers(network)
    return network


def _check_module(make: Make) -> None:
    """ValueError for a module whose state is not parameters alone."""
    nnx = _nnx()
    state = nnx.state(_blank(make))
    others = [
        f"{'.'.join(map(str, path))} ({type(leaf).__name__})"
        for path, leaf in nnx.to_flat_state(state)
        if not isinstance(leaf, nnx.Param)
    ]
    if others:
        raise ValueError(
            f"make: expected a module whose state is parameters alone, got {', '.join(others)}: running averages and random "
            "numbers are no function of the parameters"
        )


def _check_layers(network: ModuleNetwork) -> None:
    """ValueError for a module whose logits, precision or head are not what is asked for."""
    params = nnx_shapes(network.make)
    wide = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), params)
    few = jnp.asarray(network.inputs[:2])
    shapes = jax.eval_shape(network.layers_of, wide, few)
    wanted = (network.classes, len(few))
    if shapes[-1].shape != wanted:
        raise ValueError(
            f"make: expected logits N x K with K = {wanted[0]}, got {shapes[-1].shape[::-1]} for N = {wanted[1]}"
        )
    single = narrow_type(jax.make_jaxpr(network.layers_of)(wide, few).jaxpr)
    if single is not None:
        raise ValueError(f"make: expected a module that computes in double precision, got {single[0]} from {single[1]}")
    if network.head_name is None:
        return
    if network.head_name not in params or "kernel" not in params[network.head_name]:
        raise ValueError(
            f"head: expected a linear layer of the module (of {', '.join(params)}), got {network.head_name!r}"
        )
    again, logits = jax.tree.map(np.asarray, _head_and_logits(network, few))
    if not np.allclose(again, logits, rtol=1e-10, atol=1e-10 * float(np.max(np.abs(logits)))):
        raise ValueError(
            f"head: expected the map from the last features to the logits, got {network.head_name!r}, which is not"
        )


@jax.jit
def _head_and_logits(network: ModuleNetwork, inputs: Array) -> tuple[Array, Array]:
    """What the head makes of the last features at a random start, NaN where it cannot be applied to them; and the logits."""
    point = network.init(jax.random.key(0), jnp.float64(1.0))
    *_, features, logits = network.layers_of(point, inputs)
    weights, bias = network.head(point) or (jnp.zeros((0, 0)), None)
    if weights.shape != (logits.shape[0], features.shape[0]):
        return jnp.full_like(logits, jnp.nan), logits
    again = weights @ features
    return again if bias is None else again + bias[:, None], logits


@functools.cache
def _nnx() -> Any:
    try:
        from flax import nnx
    except ImportError as error:
        raise ImportError("modules need flax: pip install 'nctheory[networks]'") from error
    return nnx


@functools.cache
def _blank(make: Make) -> Any:
    """The module without its numbers."""
    nnx = _nnx()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return nnx.eval_shape(lambda: make(nnx.Rngs(0)))


when_forgotten(_blank.cache_clear)


def nnx_shapes(make: Make) -> Params:
    """The shapes of a module's parameters, as a pytree."""
    nnx = _nnx()
    return nnx.to_pure_dict(nnx.state(_blank(make), nnx.Param))
