"""A network of which some layers are trained, on a frozen trunk, with a head of its own: as a problem."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar
from nctheory.networks._feed_forward import FeedForward, NetworkParams, feed_forward
from nctheory.problems import Problem


class TunedLayers(FeedForward):
    r"""The network whose trained parameters are those of the layers `tuned`, of the head, and of a skip connection.

    $$z=W_Lz_{L-1}+b_L+S\,z_s,\qquad\frac1N\sum_i\ell(z_i,y_i)+\sum_{l\in T\cup\{L\}}\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)+
    \frac{\lambda_L}2|S|_F^2$$

    Parameters are (W_l for l in T, W_L, S) and (b_l for l in T, b_L). All other layers are constants of the problem, which no
    step can move. It starts at the trunk's own weights, with S = 0 and a head drawn at random.
    """

    trunk: NetworkParams
    """W_1, …, W_{L-1} and their biases after pretraining."""
    tuned: tuple[int, ...] = eqx.field(static=True)
    """T, increasing numbers from 1 to L-1."""
    skip: int | None = eqx.field(static=True)
    """s, from 0 to L-2."""

    def init(self, key: PRNGKeyArray, scale: Scalar) -> NetworkParams:
        """The trunk's weights; a head of normal entries of variance scale^2/d_{L-1}, the same whatever is tuned."""
        classes, width = self.widths[-1], self.widths[-2]
        head = scale / width**0.5 * jax.random.normal(key, (classes, width), jnp.float64)
        weights = [*(jnp.asarray(self.trunk.weights[layer - 1]) for layer in self.tuned), head]
        if self.skip is not None:
            weights.append(jnp.zeros((classes, self.widths[self.skip])))
        if self.trunk.biases is None:
            return NetworkParams(tuple(weights), None)
        kept = (jnp.asarray(self.trunk.biases[layer - 1]) for layer in self.tuned)
        return NetworkParams(tuple(weights), (*kept, jnp.zeros(classes)))

    def whole(self, params: NetworkParams) -> NetworkParams:
        """All weights of the network, without the skip connection."""
        weights: list[Array] = list(self.trunk.weights)
        biases: list[Array] = list(self.trunk.biases or ())
        for i, layer in enumerate(self.tuned):
            weights[layer - 1] = params.weights[i]
            if params.biases is not None:
                biases[layer - 1] = params.biases[i]
        weights.append(params.weights[len(self.tuned)])
        if params.biases is None:
            return NetworkParams(tuple(weights), None)
        return NetworkParams(tuple(weights), (*biases, params.biases[-1]))

    def skip_weights(self, params: NetworkParams) -> Array | None:
        """S, where there is a skip connection."""
        return None if self.skip is None else params.weights[-1]

    def layers_of(self, params: NetworkParams, inputs: Float[Array, "d_0 M"]) -> list[Float[Array, "d_l M"]]:
        found = super().layers_of(self.whole(params), inputs)
        if self.skip is not None:
            found[-1] = found[-1] + params.weights[-1] @ found[self.skip]
        return found

    def decays(self) -> NetworkParams:
        """The decay of each trained layer; a skip connection has that of the head."""
        decay = jnp.asarray(self.weight_decay)
        layers = tuple(decay[layer - 1] for layer in (*self.tuned, self.depth))
        return NetworkParams(layers + layers[-1:] * (self.skip is not None), layers if self.has_bias else None)

    def head(self, params: NetworkParams) -> tuple[Array, Array | None] | None:
        """W_L and b_L; None where a skip connection stands beside them."""
        whole = self.whole(params)
        if self.skip is not None:
            return None
        return whole.weights[-1], None if whole.biases is None else whole.biases[-1]

    def objective(self, params: NetworkParams) -> Scalar:
        return self.fit(params) + self.penalty(params)

    def gauge_tangents(self, params: NetworkParams) -> NetworkParams:
        """None: next to a frozen layer no rotation acts."""
        return Problem.gauge_tangents(self, params)


def tuned_layers(
    network: FeedForward, point: NetworkParams, inputs: np.ndarray, labels: np.ndarray, classes: int, *,
    tuned: Sequence[int], skip: int | None, weight_decay: Any,
) -> TunedLayers:  # fmt: skip
    """The problem of fine-tuning one pretrained network on samples, first axis N."""
    linear = next((i for i, name in enumerate(reversed(network.activations)) if name != "identity"), network.depth)
    decay = np.asarray(network.weight_decay).tolist() if weight_decay is None else weight_decay
    base = feed_forward(
        widths=(*network.widths[:-1], classes), inputs=inputs.reshape(len(inputs), -1).T, labels=labels, loss=network.loss,
        weight_decay=decay, activation=network.activations[0], linear=linear, bias=network.has_bias,
    )  # fmt: skip
    biases = None if point.biases is None else tuple(point.biases[:-1])
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    trunk = NetworkParams(tuple(point.weights[:-1]), biases)
    return TunedLayers(**fields, trunk=trunk, tuned=tuple(tuned), skip=skip)
