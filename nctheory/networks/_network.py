"""What every kind of network is: a problem whose objective is a mean loss over samples and a decay of its parameters."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar
from nctheory.problems import Loss, Params, Problem, size

SMALL, TOGETHER = 2_000, 16
"""Networks of at most so many parameters go so many seeds at a time on a CPU, larger ones one by one (measured: with five
layers of 64, eight side by side take 1.5 times as long with Adam and 1.9 times with Muon)."""


class Network(Problem):
    r"""A network with layers $Z_1,\dots,Z_L$ on given samples, the last of which are the logits.

    $$f(\theta)=\frac1N\sum_i\ell(z_i,y_i)+\frac12\sum_p\lambda_p|\theta_p|^2$$

    over its parameter arrays $\theta_p$. A kind of network says how layers are computed, how its samples lie in memory, and
    which decay each array has; `train` and all measures take any of them.
    """

    loss: eqx.AbstractVar[Loss]
    inputs: eqx.AbstractVar[Array]
    """The samples, as `layers_of` takes them."""
    targets: eqx.AbstractVar[Float[Array, "K N"]]

    @abc.abstractmethod
    def layers_of(self, params: Params, inputs: Array) -> list[Float[Array, "d_l M"]]:
        """Z_0 = X, Z_1, …, Z_L of any inputs in this network's form: what each layer puts out, one column a sample."""

    @abc.abstractmethod
    def read_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """Samples, first axis N, in the form that `layers_of` takes; ValueError, naming `inputs`, for others."""

    @abc.abstractmethod
    def samples(self, which: Any) -> "Network":
        """The same network on the samples of these numbers."""

    @abc.abstractmethod
    def decays(self) -> Params:
        """The decay of each parameter array: a pytree of numbers with the structure of the parameters."""

    @abc.abstractmethod
    def head(self, params: Params) -> tuple[Float[Array, "K d"], Float[Array, "K"] | None] | None:
        """Weights and bias of the last layer, where it is linear; None where there is no such layer."""

    @property
    @abc.abstractmethod
    def layer_names(self) -> tuple[str, ...]:
        """The names of Z_0, …, Z_{L-1}."""

    @property
    @abc.abstractmethod
    def described(self) -> str:
        """The network in a word, for titles."""

    def arrays(self, params: Params) -> dict[str, np.ndarray]:
        """The parameters, with or without a seeds axis, as named arrays for a file."""
        found = jax.tree_util.tree_leaves_with_path(params)
        return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in found}

    @property
    def side_by_side(self) -> int:
        """How many seeds a call trains side by side on a CPU."""
        return TOGETHER if size(self) <= SMALL else 1

    @property
    def classes(self) -> int:
        """K."""
        return int(self.targets.shape[0])

    @property
    def labels(self) -> np.ndarray:
        """The class of each training sample: that of its largest target."""
        return np.argmax(np.asarray(self.targets), axis=0)

    def layers(self, params: Params) -> list[Float[Array, "d_l N"]]:
        """`layers_of` the training samples."""
        return self.layers_of(params, self.inputs)

    def logits(self, params: Params) -> Float[Array, "K N"]:
        """Z_L, one column a sample."""
        return self.layers(params)[-1]

    def fit(self, params: Params) -> Scalar:
        """The mean loss over the samples."""
        return jnp.mean(self.loss.value(self.logits(params), self.targets))

    def penalty(self, params: Params) -> Scalar:
        r"""$\frac12\sum_p\lambda_p|\theta_p|^2$."""
        squares = jax.tree.map(lambda decay, x: decay * jnp.sum(x**2), self.decays(), params)
        return 0.5 * sum(jax.tree.leaves(squares), jnp.zeros(()))

    def objective(self, params: Params) -> Scalar:
        return self.fit(params) + self.penalty(params)

    def minibatch(self, key: PRNGKeyArray, batch: int) -> "Network":
        """The problem on `batch` samples, drawn with replacement."""
        return self.samples(self.drawn(key, batch))

    def drawn(self, key: PRNGKeyArray, batch: int) -> Array:
        """The numbers of `batch` samples, drawn with replacement."""
        return jax.random.choice(key, self.targets.shape[1], (batch,))

    @property
    def sample_axis(self) -> int:
        """The axis of `inputs` along which the samples lie."""
        return 0

    def by_rows(self) -> tuple[Array, Array]:
        """Inputs and targets with the samples first: so minibatches are gathered row by row, which of 60,000 images with 784
        pixels takes 0.6 ms of a core for 256 of them, and column by column 9 ms (measured).
        """
        inputs = jnp.asarray(self.inputs)
        return inputs if self.sample_axis == 0 else jnp.copy(inputs.T), jnp.copy(jnp.asarray(self.targets).T)

    def of_rows(self, rows: tuple[Array, Array], which: Array) -> "Network":
        """`samples` of these numbers, from what `by_rows` gives."""
        inputs, targets = (jnp.take(part, which, axis=0) for part in rows)
        return dataclasses.replace(self, inputs=inputs if self.sample_axis == 0 else inputs.T, targets=targets.T)

    def invariants(self, params: Params) -> Float[Array, "K N"]:
        """The logits, which no symmetry changes."""
        return self.logits(params)


def on_samples(network: Any, which: Any, axis: int) -> Any:
    """A network with the samples of these numbers alone, which lie along this axis of its inputs."""
    inputs = jnp.take(jnp.asarray(network.inputs), which, axis=axis)
    return dataclasses.replace(network, inputs=inputs, targets=jnp.asarray(network.targets)[:, which])
