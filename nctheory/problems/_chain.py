"""The linear chain: unconstrained features and deep linear networks in one problem type."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import EPS, Array, Scalar, is_traced
from nctheory.problems._balance import balance_defect
from nctheory.problems._base import Problem, keeps_objective
from nctheory.problems._gauge import ChainParams, chain_gauge_penalty, chain_tangents
from nctheory.problems._hessian import chain_hessian
from nctheory.problems._losses import Loss, is_loss
from nctheory.problems._scales import ORDINARY, Scales, product_scales
from nctheory.problems._starts import Starts, normal_blocks


class DeepLinear(Problem):
    r"""The chain $Z = W_L \cdots W_1 H + b 1^\top$ with free features H (or given inputs X in their place).

    $$\sum_j q_j\,\ell(z_j, y_j) + \sum_l \tfrac{\lambda_l}{2}|W_l|_F^2
      + \tfrac{\lambda_H}{2}\sum_j m_j |h_j|^2 + \tfrac{\lambda_b}{2}|b|^2$$

    Column j is a sample ($q_j = 1/N$, $m_j = 1$) or, in the reduced form, a class mean ($q_j = n_k/N$,
    $m_j = n_k$). Build it with `unconstrained_features` or `deep_linear`, which check their arguments.
    """

    widths: tuple[int, ...] = eqx.field(static=True)
    """d_0, …, d_L = K."""
    loss: Loss
    """What a column of logits costs."""
    targets: Float[Array, "K M"]
    """What the logits are held against, one column a sample (or class mean)."""
    column_weight: Float[Array, "M"]
    """q_j, the weights of the columns in the fit."""
    multiplicity: Float[Array, "M"]
    """m_j, how many samples a column stands for in the decay of the features."""
    weight_decay: Float[Array, "F"]
    """lambda_1, …, lambda_L, and lambda_H where the features are free."""
    bias_decay: Scalar | None
    """lambda_b; None where there is no bias."""
    inputs: Float[Array, "d_0 M"] | None
    counts: tuple[int, ...] | None = eqx.field(static=True)
    """The number of samples of each class; None where the targets are no classes."""
    reduced_form: bool = eqx.field(static=True)
    """Whether columns are class means."""
    bias_row: Float[Array, "M"] | None
    """What b multiplies, where that is not the constant row (see `moment_form`)."""
    starts: Starts | None = eqx.field(default=None, kw_only=True)
    """The law of the random starts; None for independent normal entries."""

    @classmethod
    def of(cls, chain: "DeepLinear", **more: Any) -> Any:
        """This kind of chain (one with an objective of its own, say) with the fields of another."""
        return cls(**{field.name: getattr(chain, field.name) for field in dataclasses.fields(chain)}, **more)

    @property
    def depth(self) -> int:
        """The number of weight layers L."""
        return len(self.widths) - 1

    @property
    def factors(self) -> int:
        """The number of matrices whose product the logits are: L, and one more where the features are free."""
        return self.depth + (self.inputs is None)

    @property
    def classes(self) -> int:
        """K, the number of rows of the logits."""
        return self.widths[-1]

    @property
    def largest_rank(self) -> int:
        """The largest rank that the product can have: the least width, or number of columns where the features are free."""
        return min(self.widths if self.inputs is not None else (*self.widths, self.targets.shape[1]))

    def with_starts(self, law: Starts | None) -> "DeepLinear":
        """The same problem, started by another law; None for independent normal entries."""
        return dataclasses.replace(self, starts=law)

    def init(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """A start by the problem's law."""
        return self.normal_start(key, scale) if self.starts is None else self.starts(self, key, scale)

    def normal_start(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """A start of independent normal entries: variance scale^2/fan-in in the weights, scale^2/d_0 in H, scale^2/K in b."""
        shapes = [*zip(self.widths[1:], self.widths[:-1], strict=True)]
        fans = [shape[1] for shape in shapes]
        if self.inputs is None:
            shapes.append((self.widths[0], self.targets.shape[1]))
            fans.append(self.widths[0])
        if self.bias_decay is not None:
            shapes.append((self.classes, 1))
            fans.append(self.classes)
        blocks = normal_blocks(key, shapes, [scale / fan**0.5 for fan in fans])
        return ChainParams(
            weights=tuple(blocks[: self.depth]),
            features=blocks[self.depth] if self.inputs is None else None,
            bias=blocks[-1][:, 0] if self.bias_decay is not None else None,
        )

    def characteristic_scales(self) -> Scales:
        r"""The scales of squared error, from the data: the fit is of the size of $\sum_jq_j|y_j|^2$, and every free factor of
        the size of the F-th root of the targets' size over the inputs'. The logits of the library's other losses have units of
        their own.
        """
        if self._has_own_objective() or not is_loss(self.loss, "mse"):
            # Labels have no unit, and neither have logits; only a loss of a user's own may have one.
            ours = is_loss(self.loss, self.loss.name) and not self._has_own_objective()
            return ORDINARY if ours else super().characteristic_scales()
        return product_scales(self.targets, self.column_weight, self.inputs, self.factors)

    def lowest(self, params: ChainParams) -> Float[Array, "d_0 M"]:
        """What the first layer sees: the free features, or the given inputs."""
        lowest = self.inputs if params.features is None else params.features
        if lowest is None:
            raise ValueError("params: expected features, because the problem has no inputs")
        return lowest

    def product(self, params: ChainParams) -> Float[Array, "K M"]:
        """W_L … W_1 H (or W_L … W_1 X), without the bias."""
        out = self.lowest(params)
        for weight in params.weights:
            out = weight @ out
        return out

    def logits(self, params: ChainParams) -> Float[Array, "K M"]:
        """Z, one column per sample (or class mean)."""
        return self._with_bias(self.product(params), params.bias)

    def _with_bias(self, product: Float[Array, "K M"], bias: Float[Array, "K"] | None) -> Float[Array, "K M"]:
        if bias is None:
            return product
        return product + (bias[:, None] if self.bias_row is None else bias[:, None] * self.bias_row[None, :])

    def regulariser(self, params: ChainParams) -> Scalar:
        """The weight-decay terms of the objective."""
        # The decays of the layers come first; where the features are free theirs is the one left over.
        total = sum(0.5 * lam * jnp.sum(w**2) for lam, w in zip(self.weight_decay, params.weights, strict=False))
        if params.features is not None:
            total += 0.5 * self.weight_decay[-1] * jnp.sum(self.multiplicity * jnp.sum(params.features**2, axis=0))
        if params.bias is not None and self.bias_decay is not None:
            total += 0.5 * self.bias_decay * jnp.sum(params.bias**2)
        return jnp.asarray(total)

    def objective(self, params: ChainParams) -> Scalar:
        fit = self.column_weight @ self.loss.value(self.logits(params), self.targets)
        return fit + self.regulariser(params)

    def value_and_grad(self, params: ChainParams) -> tuple[Scalar, ChainParams]:
        # By hand, because that is about a third cheaper than autodiff in batches of small matrices. Forward: A_l = W_l A_{l-1}
        # with A_0 = H.
        layers = [self.lowest(params)]
        for weight in params.weights:
            layers.append(weight @ layers[-1])
        logits = self._with_bias(layers[-1], params.bias)
        value = self.column_weight @ self.loss.value(logits, self.targets) + self.regulariser(params)

        # Backward: B = grad l(Z) diag(q), the gradient of W_l is B A_{l-1}^T + lambda_l W_l, and B <- W_l^T B.
        back = self.loss.gradient(logits, self.targets) * self.column_weight[None, :]
        bias = None
        if params.bias is not None and self.bias_decay is not None:
            # The bias is in column j times the j-th entry of its row, so that its gradient is the same sum over B's columns.
            summed = jnp.sum(back, axis=1) if self.bias_row is None else back @ self.bias_row
            bias = summed + self.bias_decay * params.bias
        weights: list[Array] = []
        for i in reversed(range(self.depth)):
            weights.append(back @ layers[i].T + self.weight_decay[i] * params.weights[i])
            if i > 0 or params.features is not None:
                back = params.weights[i].T @ back
        features = None
        if params.features is not None:
            # What is left of B is the gradient of the fit in H, to which the decay adds lambda_H m_j h_j.
            features = back + self.weight_decay[-1] * self.multiplicity[None, :] * params.features
        return value, ChainParams(tuple(reversed(weights)), features, bias)

    def value_terms(self, params: ChainParams) -> Scalar:
        r"""$\sum_jq_j(T_j+\langle|\nabla\ell|,|W_L|\cdots|W_1||H|+|b|1^\top\rangle_j)$ and the decay's terms, with T of
        `Loss.value_terms`: the logits are products, and rounded relative to their terms.
        """
        if self._has_own_objective():
            return super().value_terms(params)
        # This is |W_L| … |W_1| |H| + |b| 1^T, the size of the terms of every logit.
        size = jnp.abs(self.lowest(params))
        for weight in params.weights:
            size = jnp.abs(weight) @ size
        if params.bias is not None:
            row = jnp.ones(size.shape[1]) if self.bias_row is None else jnp.abs(self.bias_row)
            size = size + jnp.abs(params.bias)[:, None] * row[None, :]
        logits = self.logits(params)
        slope = jnp.abs(self.loss.gradient(logits, self.targets))
        columns = self.loss.value_terms(logits, self.targets) + jnp.sum(slope * size, axis=0)
        return self.column_weight @ columns + self.regulariser(params)

    def _has_own_objective(self) -> bool:
        """Whether this is a kind of chain that computes another objective than a `DeepLinear`."""
        return not keeps_objective(self, DeepLinear)

    def hessian(self, params: ChainParams) -> Float[Array, "P P"]:
        """The Hessian in closed form, unless a kind of chain has an objective of its own."""
        return super().hessian(params) if self._has_own_objective() else chain_hessian(self, params)

    def invariants(self, params: ChainParams) -> Float[Array, "K M"]:
        """The product W_L … W_1 H, which the gauge leaves alone (b may hold a free constant)."""
        return self.product(params)

    def conservation_defect(self, start: ChainParams, params: ChainParams, time: Scalar) -> Scalar:
        r"""$W_{l+1}^\top W_{l+1}-W_lW_l^\top$ decays as $e^{-2\lambda t}$ between free factors of one decay per parameter.

        The defect is the largest distance from that, over the internal spaces, relative to the terms of the difference. It
        is NaN where no two neighbours have one decay.
        """
        return balance_defect(self, start, params, time)

    def minibatch(self, key: PRNGKeyArray, batch: int) -> "DeepLinear":
        """The fit on `batch` columns, drawn with replacement in proportion to their weight, with the same decays."""
        total = jnp.sum(self.column_weight)
        # A column gets the weight sum(q)/B every time that it is drawn, which has the mean q_j over B draws.
        drawn = jax.random.choice(key, self.targets.shape[1], (batch,), p=self.column_weight / total)
        share = jnp.zeros_like(jnp.asarray(self.column_weight)).at[drawn].add(total / batch)
        return eqx.tree_at(lambda problem: problem.column_weight, self, share)

    def gauge_tangents(self, params: ChainParams) -> ChainParams:
        r"""The tangents of O(d) acting between neighbouring layers, and of the constant shift of b where that is free.

        In the internal space of width d, a skew matrix A moves the factor below by A F and the factor above by -F A;
        where neither of the two is decayed, any matrix A does (the group is GL(d)).
        Shifting b by a multiple of 1 changes nothing where the loss ignores it and b is not decayed.
        """
        return chain_tangents(self, params)

    def gauge_penalty(self, params: ChainParams, vector: ChainParams) -> ChainParams:
        return chain_gauge_penalty(self, params, vector)


def weighted_as_decayed(problem: DeepLinear) -> bool:
    """Whether every column weighs in the fit as its samples do in the decay, as all do but those of a `minibatch`.

    Numbers that are traced are taken to be such.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> few = model.minibatch(jax.random.key(0), 2)
    >>> weighted_as_decayed(model), weighted_as_decayed(few)
    (True, False)
    """
    if is_traced(problem.column_weight) or is_traced(problem.multiplicity):
        return True
    ratios = np.asarray(problem.column_weight) / np.asarray(problem.multiplicity)
    return bool(np.all(np.abs(ratios - ratios[0]) <= 8 * EPS * np.abs(ratios[0])))
