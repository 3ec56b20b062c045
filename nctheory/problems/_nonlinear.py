"""The deep unconstrained-feature model with activations: a chain with a function of one number between its layers."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64
from nctheory.problems._activations import HOMOGENEOUS, Activation, activation_of, check_activation
from nctheory.problems._base import Problem
from nctheory.problems._constructors import deep_linear
from nctheory.problems._gauge import ChainParams, skew_basis
from nctheory.problems._losses import Loss, is_loss
from nctheory.problems._scales import ORDINARY, Scales, product_scales
from nctheory.problems._starts import normal_blocks


class DeepNonlinear(Problem):
    r"""The chain $X_0=\sigma_0(H)$, $X_l=\sigma_l(W_lX_{l-1})\;(+X_{l-1})$, with logits $Z=W_LX_{L-1}+b1^\top$.

    $$\frac1N\sum_i\ell(z_i,y_i)+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2+\frac{\lambda_b}2|b|^2$$

    H is free, or inputs X are given in its place. Build it with `deep_nonlinear`, which checks its arguments.
    """

    widths: tuple[int, ...] = eqx.field(static=True)
    """d_0, …, d_L = K."""
    activations: tuple[Activation, ...] = eqx.field(static=True)
    r"""$\sigma_0,\dots,\sigma_{L-1}$."""
    residual: tuple[bool, ...] = eqx.field(static=True)
    """Whether X_{l-1} is added to the output of layer l, for l = 1, …, L-1."""
    loss: Loss
    targets: Float[Array, "K N"]
    weight_decay: Float[Array, "F"]
    """lambda_1, …, lambda_L, and lambda_H where the features are free."""
    bias_decay: Scalar | None
    inputs: Float[Array, "d_0 N"] | None
    counts: tuple[int, ...] | None = eqx.field(static=True)

    @property
    def depth(self) -> int:
        """The number of weight layers L."""
        return len(self.widths) - 1

    @property
    def factors(self) -> int:
        """The number of free matrices: L, and one more where the features are free."""
        return self.depth + (self.inputs is None)

    @property
    def classes(self) -> int:
        """K, the number of rows of the logits."""
        return self.widths[-1]

    def init(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        r"""Independent normal entries: of variance $2s^2/d_{l-1}$ in W_l and $2s^2/d_0$ in H where an activation follows, and
        half of that where none does; of variance $s^2/K$ in b."""
        shapes = [*zip(self.widths[1:], self.widths[:-1], strict=True)]
        fans = [columns for _, columns in shapes]
        follows = [*self.activations[1:], "identity"]
        if self.inputs is None:
            shapes.append((self.widths[0], self.targets.shape[1]))
            fans.append(self.widths[0])
            follows.append(self.activations[0])
        if self.bias_decay is not None:
            shapes.append((self.classes, 1))
            fans.append(self.classes)
            follows.append("identity")
        gains = [1.0 if kind == "identity" else 2.0 for kind in follows]
        blocks = normal_blocks(
            key, shapes, [scale * (gain / fan) ** 0.5 for gain, fan in zip(gains, fans, strict=True)]
        )
        return ChainParams(
            weights=tuple(blocks[: self.depth]),
            features=blocks[self.depth] if self.inputs is None else None,
            bias=blocks[-1][:, 0] if self.bias_decay is not None else None,
        )

    def characteristic_scales(self) -> Scales:
        """Those of a linear chain on the same data (see `DeepLinear.characteristic_scales`)."""
        if is_loss(self.loss, "mse"):
            weights = jnp.full(self.targets.shape[1], 1.0 / self.targets.shape[1])
            return product_scales(self.targets, weights, self.inputs, self.factors)
        return ORDINARY if is_loss(self.loss, self.loss.name) else super().characteristic_scales()

    def layers(self, params: ChainParams) -> list[Float[Array, "d_l N"]]:
        """X_0, …, X_{L-1}: the features behind their activation, and what every layer but the last puts out."""
        lowest = self.inputs if params.features is None else params.features
        if lowest is None:
            raise ValueError("params: expected features, because the problem has no inputs")
        found = [activation_of(self.activations[0])(jnp.asarray(lowest))]
        for weight, kind, skip in zip(params.weights[:-1], self.activations[1:], self.residual, strict=True):
            reached = activation_of(kind)(weight @ found[-1])
            found.append(reached + found[-1] if skip else reached)
        return found

    def logits(self, params: ChainParams) -> Float[Array, "K N"]:
        """Z, one column a sample."""
        product = params.weights[-1] @ self.layers(params)[-1]
        return product if params.bias is None else product + params.bias[:, None]

    def regulariser(self, params: ChainParams) -> Scalar:
        """The weight-decay terms of the objective."""
        free = (*params.weights, *(() if params.features is None else (params.features,)))
        squares = jnp.stack([jnp.sum(x**2) for x in free])
        total = 0.5 * jnp.asarray(self.weight_decay) @ squares
        if params.bias is not None and self.bias_decay is not None:
            total = total + 0.5 * self.bias_decay * jnp.sum(params.bias**2)
        return total

    def objective(self, params: ChainParams) -> Scalar:
        return jnp.mean(self.loss.value(self.logits(params), self.targets)) + self.regulariser(params)

    def value_terms(self, params: ChainParams) -> Scalar:
        r"""$\frac1N\sum_i(T_i+\langle|\nabla\ell|,|W_L||X_{L-1}|+|b|1^\top\rangle_i)$ and the decay's terms, with T of
        `Loss.value_terms`: every layer's numbers are rounded relative to their terms."""
        size = jnp.abs(params.weights[-1]) @ jnp.abs(self.layers(params)[-1])
        size = size if params.bias is None else size + jnp.abs(params.bias)[:, None]
        logits = self.logits(params)
        slope = jnp.abs(self.loss.gradient(logits, self.targets))
        columns = self.loss.value_terms(logits, self.targets) + self.depth * jnp.sum(slope * size, axis=0)
        return jnp.mean(columns) + self.regulariser(params)

    def invariants(self, params: ChainParams) -> Float[Array, "K N"]:
        """The logits, which no symmetry changes."""
        return self.logits(params)

    def minibatch(self, key: PRNGKeyArray, batch: int) -> "DeepNonlinear":
        """The problem on `batch` samples of given inputs, drawn with replacement; free features belong to their samples.

        Raises NotImplementedError where the features are free.
        """
        if self.inputs is None:
            return super().minibatch(key, batch)  # pyright: ignore[reportReturnType]
        which = jax.random.choice(key, self.targets.shape[1], (batch,))
        fields = (self.inputs[:, which], jnp.asarray(self.targets)[:, which])
        return eqx.tree_at(lambda one: (one.inputs, one.targets), self, fields)

    def gauge_tangents(self, params: ChainParams) -> ChainParams:
        r"""The rotations of spaces without an activation, and the rescaling of neurons that nothing decays.

        Space l lies between W_l (H for l = 0) and W_{l+1}. Without activation and residual branch a skew matrix A moves the
        factor below by $AF$ and that above by $-FA$. Behind a homogeneous activation the positive diagonal matrices act,
        wherever neither neighbour is decayed (with decay they do not leave the objective alone: their tangents are zero
        then). The permutations of neurons are a discrete group and have no tangents.
        """
        spaces = range(0 if self.inputs is None else 1, self.depth)
        parts = [jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), params)]
        for space in spaces:
            if self._skips(space):
                continue
            if self.activations[space] == "identity" and self.widths[space] > 1:
                generators = jnp.asarray(skew_basis(self.widths[space]))
            elif self.activations[space] in HOMOGENEOUS and self.activations[space] != "identity":
                decay = jnp.asarray(self.weight_decay)
                free = (decay[space] == 0) & (decay[space - 1] == 0)
                generators = jnp.where(free, 1.0, 0.0) * jax.vmap(jnp.diag)(jnp.eye(self.widths[space]))
            else:
                continue
            parts.append(jax.vmap(lambda one, at=space: self._moved(params, at, one))(generators))
        return jax.tree.map(lambda *blocks: jnp.concatenate(blocks), *parts)

    def _skips(self, space: int) -> bool:
        """Whether a residual branch begins or ends in a space, which then has no symmetry of its own."""
        return (space > 0 and self.residual[space - 1]) or (space < self.depth - 1 and self.residual[space])

    def _moved(self, params: ChainParams, space: int, generator: Array) -> ChainParams:
        """The direction in which a generator of one space's symmetry moves a point."""
        zero = jax.tree.map(jnp.zeros_like, params)
        weights, features = list(zero.weights), zero.features
        weights[space] = -params.weights[space] @ generator
        if space == 0:
            features = generator @ jnp.asarray(params.features)
        else:
            weights[space - 1] = generator @ params.weights[space - 1]
        return ChainParams(tuple(weights), features, zero.bias)


@float64
def deep_nonlinear(
    *,
    widths: Sequence[int],
    loss: str | Loss,
    weight_decay: Sequence[Scalar],
    activation: Activation | Sequence[Activation] = "relu",
    counts: Sequence[int] | None = None,
    targets: np.ndarray | Array | None = None,
    inputs: np.ndarray | Array | None = None,
    bias: Scalar | None = None,
    nonnegative_features: bool = False,
    residual: bool | Sequence[bool] = False,
) -> DeepNonlinear:
    r"""The deep unconstrained-feature model $Z=W_L\,\sigma(W_{L-1}\cdots\sigma(W_1H))+b1^\top$, or a network on given inputs.

    `widths`, `loss`, `weight_decay`, `counts`, `targets`, `inputs` and `bias` are those of `deep_linear`. `activation` acts
    behind the layers 1, …, L-1, by name (`nctheory.problems.ACTIVATIONS`) or as a function of one number; a sequence names
    one for each of them. Free features have none behind them, unless `nonnegative_features` puts a ReLU there: a weight decay
    then makes H itself non-negative at every minimiser. `residual` adds the input of a hidden layer to its output, for all
    of them or each. Where an activation has a kink, `nctheory.solve` finds stationary points in Clarke's sense.

    Raises ValueError, naming the argument, as `deep_linear` does, and for an activation that is no function of one number,
    numbers of activations or branches that do not fit, a branch between different widths, and non-negative features
    where inputs are given.

    >>> model = deep_nonlinear(widths=(6, 6, 6, 3), counts=(1,) * 3, loss="mse", weight_decay=(3e-3,) * 4)
    >>> model.activations
    ('identity', 'relu', 'relu')
    """
    chain = deep_linear(
        widths=widths, loss=loss, weight_decay=weight_decay, counts=counts, targets=targets, inputs=inputs, bias=bias
    )
    hidden = chain.depth - 1
    several = isinstance(activation, Sequence) and not isinstance(activation, str)
    kinds = list(activation) if isinstance(activation, Sequence) and several else [activation] * hidden
    if len(kinds) != hidden:
        raise ValueError(f"activation: expected one for each of the {hidden} hidden layers, got {len(kinds)}")
    checked = [check_activation(f"activation[{i}]" if several else "activation", one) for i, one in enumerate(kinds)]
    one_for_all = isinstance(residual, bool | np.bool_)
    branches = [residual] * hidden if one_for_all else list(residual) if isinstance(residual, Sequence) else []
    if len(branches) != hidden or not all(isinstance(one, bool | np.bool_) for one in branches):
        raise ValueError(f"residual: expected True, False or {hidden} of them, one a hidden layer, got {residual!r}")
    for layer, skip in enumerate(branches, start=1):
        if skip and chain.widths[layer] != chain.widths[layer - 1]:
            raise ValueError(
                f"residual: expected layer {layer} to be as wide as what is added to it, got widths "
                f"{chain.widths[layer - 1]} and {chain.widths[layer]}"
            )
    if nonnegative_features and inputs is not None:
        raise ValueError("nonnegative_features: expected False, because inputs are given")
    return DeepNonlinear(
        widths=chain.widths,
        activations=("relu" if nonnegative_features else "identity", *checked),
        residual=tuple(bool(one) for one in branches),
        loss=chain.loss,
        targets=chain.targets,
        weight_decay=chain.weight_decay,
        bias_decay=chain.bias_decay,
        inputs=chain.inputs,
        counts=chain.counts,
    )
