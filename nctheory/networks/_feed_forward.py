"""A feed-forward network as a problem, for the verbs of the library."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, as_array, float64, holds_traced, is_traced, shown, whole_number
from nctheory.measures import as_numpy, read_labels
from nctheory.networks._data import Data
from nctheory.networks._network import Network, on_samples
from nctheory.problems import ACTIVATIONS, Loss, as_loss, check_loss, normal_blocks, skew_basis


@shown()
class NetworkParams(NamedTuple):
    """The parameters of a network: `weights` (W_1, …, W_L), and `biases` (b_1, …, b_L) or None."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...] | None


class FeedForward(Network):
    r"""The network $Z_l=\sigma_l(W_lZ_{l-1}+b_l1^\top)$ on inputs $Z_0=X$, with logits $Z_L$.

    $$\frac1N\sum_i\ell(z_i,y_i)+\sum_l\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)$$

    Build it with `feed_forward`, which checks its arguments. Between two layers without an activation in between
    rotations act, as in a linear chain.
    """

    widths: tuple[int, ...] = eqx.field(static=True)
    """d_0, …, d_L = K."""
    activations: tuple[str, ...] = eqx.field(static=True)
    """The activation of each layer, the last one "identity"."""
    has_bias: bool = eqx.field(static=True)
    loss: Loss
    inputs: Float[Array, "d_0 N"]
    targets: Float[Array, "K N"]
    weight_decay: Float[Array, "L"]

    @property
    def depth(self) -> int:
        """The number of weight layers L."""
        return len(self.widths) - 1

    @property
    def linear_spaces(self) -> tuple[int, ...]:
        """The numbers l of the spaces between W_l and W_{l+1} with no activation between them."""
        return tuple(i for i in range(1, self.depth) if self.activations[i - 1] == "identity")

    def init(self, key: PRNGKeyArray, scale: Scalar) -> NetworkParams:
        """Independent normal entries: of variance scale^2 c/d_{l-1} in W_l, with c = 2 where a ReLU or its kin follows and 1
        elsewhere, and of variance scale^2/d_l in b_l.
        """
        shapes: list[tuple[int, ...]] = [*zip(self.widths[1:], self.widths[:-1], strict=True)]
        gains = [2.0 if name in ("relu", "leaky_relu", "gelu") else 1.0 for name in self.activations]
        deviations = [scale * (gain / columns) ** 0.5 for gain, (_, columns) in zip(gains, shapes, strict=True)]
        if self.has_bias:
            shapes += [(width,) for width in self.widths[1:]]
            deviations += [scale / width**0.5 for width in self.widths[1:]]
        blocks = normal_blocks(key, shapes, deviations)
        return NetworkParams(tuple(blocks[: self.depth]), tuple(blocks[self.depth :]) if self.has_bias else None)

    def layers_of(self, params: NetworkParams, inputs: Float[Array, "d_0 M"]) -> list[Float[Array, "d_l M"]]:
        """Z_0, …, Z_L of inputs d_0 x M with one column a sample."""
        found: list[Array] = [jnp.asarray(inputs)]
        for i, (weight, name) in enumerate(zip(params.weights, self.activations, strict=True)):
            reached = weight @ found[-1]
            if params.biases is not None:
                reached = reached + params.biases[i][:, None]
            found.append(ACTIVATIONS[name](reached))
        return found

    def read_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Samples of any shape as columns, d_0 x M."""
        flat = inputs.reshape(len(inputs), -1)
        if flat.shape[1] != self.widths[0]:
            raise ValueError(f"inputs: expected {self.widths[0]} numbers a sample, got {flat.shape[1]}")
        return flat.T

    @property
    def sample_axis(self) -> int:
        """One: samples are columns."""
        return 1

    def samples(self, which: Any) -> "FeedForward":
        """The same network on the samples of these numbers."""
        return on_samples(self, which, 1)

    def decays(self) -> NetworkParams:
        """The decay of each layer, for its weights and for its bias."""
        each = tuple(jnp.asarray(self.weight_decay)[i] for i in range(self.depth))
        return NetworkParams(each, each if self.has_bias else None)

    def head(self, params: NetworkParams) -> tuple[Array, Array | None]:
        """W_L and b_L."""
        return params.weights[-1], None if params.biases is None else params.biases[-1]

    def arrays(self, params: NetworkParams) -> dict[str, np.ndarray]:
        """`widths`, `weights_1`, … and `bias_1`, …."""
        found = {"widths": np.array(self.widths)}
        found |= {f"weights_{i}": np.asarray(one) for i, one in enumerate(params.weights, start=1)}
        return found | {f"bias_{i}": np.asarray(one) for i, one in enumerate(params.biases or (), start=1)}

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of Z_0, …, Z_{L-1}."""
        return ("inputs", *(f"layer {i}" for i in range(1, self.depth)))

    @property
    def described(self) -> str:
        """The widths."""
        return "-".join(map(str, self.widths))

    def objective(self, params: NetworkParams) -> Scalar:
        biases = params.biases or (jnp.zeros(()),) * self.depth
        squares = [jnp.sum(w**2) + jnp.sum(b**2) for w, b in zip(params.weights, biases, strict=True)]
        return self.fit(params) + 0.5 * jnp.asarray(self.weight_decay) @ jnp.stack(squares)

    def gauge_tangents(self, params: NetworkParams) -> NetworkParams:
        r"""The tangents of the rotations of every space between two layers without an activation between them.

        A skew matrix A moves the layer below, weights and bias, by $AW_l$ and $Ab_l$, and that above by $-W_{l+1}A$. Where
        neighbours of a homogeneous activation are not decayed, each neuron may also be scaled (and with no activation all
        of GL(d) acts); such problems have no minimum that is isolated in that direction, and these tangents are left out.
        """
        parts = [jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), params)]
        for space in self.linear_spaces:
            if self.widths[space] > 1:
                generators = jnp.asarray(skew_basis(self.widths[space]))
                parts.append(jax.vmap(lambda skew, at=space: self._turned(params, at, skew))(generators))
        return jax.tree.map(lambda *blocks: jnp.concatenate(blocks), *parts)

    def _turned(self, params: NetworkParams, space: int, skew: Array) -> NetworkParams:
        """The direction in which a generator of the rotations of one space moves a point."""
        zero = jax.tree.map(jnp.zeros_like, params)
        weights: list[Array] = list(zero.weights)
        biases: list[Array] = list(zero.biases or ())
        weights[space - 1], weights[space] = skew @ params.weights[space - 1], -params.weights[space] @ skew
        if params.biases is not None:
            biases[space - 1] = skew @ params.biases[space - 1]
        return NetworkParams(tuple(weights), tuple(biases) if params.biases is not None else None)


@float64
def feed_forward(
    *,
    widths: Sequence[int],
    inputs: Any,
    labels: Any = None,
    targets: Any = None,
    loss: str | Loss,
    weight_decay: Scalar | Sequence[Scalar],
    activation: str = "relu",
    linear: int = 1,
    bias: bool = False,
) -> FeedForward:
    """A network on given inputs, d_0 x N with one column a sample, as a problem for every verb of the library.

    `widths` (d_0, …, d_L = K); `labels` are N whole numbers in 0..K-1, or `targets` K x N are given as they are; one
    `weight_decay` for all layers, or one for each; `activation` is that of all layers but the last `linear` ones, of which
    there is at least one, the classifier. Raises ValueError, naming the argument, for anything else.

    >>> import numpy as np, nctheory as nct
    >>> rng = np.random.default_rng(0)
    >>> network = feed_forward(
    ...     widths=(3, 4, 4, 2), inputs=rng.normal(size=(3, 6)), labels=[0, 0, 0, 1, 1, 1], loss="mse",
    ...     weight_decay=1e-2, linear=2,
    ... )
    >>> network.activations, nct.problems.size(network)
    (('relu', 'identity', 'identity'), 36)
    """
    if np.ndim(widths) != 1:
        raise ValueError(f"widths: expected (d_0, …, d_L), got {widths!r}")
    dims = tuple(whole_number(f"widths[{i}]", width) for i, width in enumerate(widths))
    if len(dims) < 2:
        raise ValueError(f"widths: expected (d_0, …, d_L) with at least two entries, got {dims}")
    depth, resolved = len(dims) - 1, as_loss(loss)
    x = as_array(as_numpy("inputs", inputs))
    if x.ndim != 2 or x.shape[0] != dims[0] or x.shape[1] < 1 or not np.all(np.isfinite(x)):
        raise ValueError(f"inputs: expected finite numbers, d_0 x N = {dims[0]} x N, got shape {x.shape}")
    if (labels is None) == (targets is None):
        raise ValueError("labels: expected either labels or targets")
    if targets is None:
        named = read_labels(labels, x.shape[1], dims[-1])
        y = np.asarray(resolved.encode(np.eye(dims[-1])[:, named]))
    else:
        y = as_array(as_numpy("targets", targets))
        if y.shape != (dims[-1], x.shape[1]) or not np.all(np.isfinite(y)):
            raise ValueError(f"targets: expected finite numbers, K x N = {dims[-1]} x {x.shape[1]}, got {y.shape}")
        resolved.check_targets(y)
    check_loss(resolved, y)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if whole_number("linear", linear) > depth:
        raise ValueError(f"linear: expected a whole number from 1 to the {depth} layers, got {linear!r}")
    if not isinstance(bias, bool | np.bool_):
        raise ValueError(f"bias: expected True or False, got {bias!r}")
    names = (activation,) * (depth - int(linear)) + ("identity",) * int(linear)
    return FeedForward(
        widths=dims, activations=names, has_bias=bool(bias), loss=resolved, inputs=x, targets=y,
        weight_decay=_decays(weight_decay, depth),
    )  # fmt: skip


def _decays(weight_decay: Any, depth: int) -> Array:
    """One decay for each layer; they may be traced, and are then not checked."""
    given = as_array(weight_decay if holds_traced(weight_decay) else as_numpy("weight_decay", weight_decay))
    if given.shape not in ((), (depth,)):
        raise ValueError(f"weight_decay: expected one number, or {depth} of them, got shape {given.shape}")
    if not is_traced(given) and (not np.all(np.isfinite(given)) or np.any(np.asarray(given) < 0)):
        raise ValueError(f"weight_decay: expected finite numbers of at least 0, got {weight_decay!r}")
    return given * np.ones(depth)


def network_on(
    data: Data,
    hidden: Sequence[int],
    *,
    loss: str | Loss = "mse",
    weight_decay: Scalar | Sequence[Scalar] = 1e-3,
    activation: str = "relu",
    linear: int = 1,
    bias: bool = False,
) -> FeedForward:
    """`feed_forward` on the training set of `data`, whose inputs are flattened, with layers of these `hidden` widths.

    Raises ValueError, naming the argument, as `feed_forward` does, and for data with tags.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(5, 5), dim=3, spread=0.1)
    >>> network_on(mixture, (4, 4), linear=2).widths
    (3, 4, 4, 2)
    """
    if data.labels.ndim != 1:
        raise ValueError("data: expected one label a sample, got tags")
    flat = data.inputs.reshape(len(data.inputs), -1).T
    widths = (flat.shape[0], *hidden, data.classes)
    return feed_forward(
        widths=widths, inputs=flat, labels=data.labels, loss=loss, weight_decay=weight_decay, activation=activation,
        linear=linear, bias=bias,
    )  # fmt: skip
