"""From the product of the factors to everything else: a minimiser's factors are balanced, so the product decides them."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from nctheory.closed_form._gram_powers import gram_powers, without_rounding
from nctheory.closed_form._minimum import Minimum, NoClosedForm
from nctheory.closed_form._thresholds import RANK_EXCESS
from nctheory.engine import Array, Scalar, as_key, float64, untraced
from nctheory.problems import ChainParams, DeepLinear, random_gauge


@float64
def minimum_from_product(
    problem: DeepLinear, product: Float[Array, "K M"], value: Scalar, bias: Float[Array, "K"] | None, theorem: str
) -> Minimum:
    r"""The `Minimum` whose factors have a given product, for a chain with free features.

    At a minimiser all $\lambda_l s_i(W_l)^2$ and $\lambda_Hs_i(H)^2$ are equal (lemmas `red-nuclear`, `red-schatten`), so
    with F factors $\lambda_l s_i(W_l)^2=(s_i(Z)^2\prod\lambda)^{1/F}$. Columns count with their multiplicity.
    It can be differentiated along changes that keep the rank of the product, be singular values equal or not.

    >>> import numpy as np
    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> minimum = minimum_from_product(model, 0.7 * model.targets, 0.2, None, "an orthogonal frame of height 0.7")
    >>> np.asarray(minimum.gram_weights).round(3).tolist()
    [[1.212, 0.0], [0.0, 1.212]]
    """
    arrays = _from_product(problem, jnp.asarray(product), None if bias is None else jnp.asarray(bias))
    return Minimum(value=value, theorem=theorem, bias=bias if problem.bias_decay is not None else None, **arrays)


@partial(jax.jit)
def _from_product(
    problem: DeepLinear, product: Float[Array, "K M"], bias: Float[Array, "K"] | None
) -> dict[str, Array]:
    # Columns count with their multiplicity: the powers are those of Z diag(m)^{1/2}.
    root = jnp.sqrt(jnp.asarray(problem.multiplicity))
    powers = gram_powers(product * root[None, :], problem.factors)
    padded = jnp.zeros(problem.classes).at[: powers.singular.shape[0]].set(powers.singular)
    layers = layer_singular_values(problem, padded)
    # s_i(H)^2 = (common / lambda_H) s_i(Z)^(2/F), and s_i(W) = s_i(Z) / s_i(H).
    share = _common(problem) / jnp.asarray(problem.weight_decay)[-1]
    logits = product if bias is None or problem.bias_decay is None else product + bias[:, None]
    return {
        "logits": logits,
        "product": product,
        "singular_values": padded,
        "gram_weights": powers.left / share,
        "gram_features": share * powers.right / (root[:, None] * root[None, :]),
        "weight_norm": jnp.sum(layers[:-1] ** 2),
        "feature_norm": jnp.sum(layers[-1] ** 2),
        "layer_singular_values": layers,
    }


def _common(problem: DeepLinear) -> Scalar:
    """The geometric mean of the decays."""
    return jnp.exp(jnp.mean(jnp.log(jnp.asarray(problem.weight_decay))))


@float64
def layer_singular_values(problem: DeepLinear, singular: Float[Array, "K"]) -> Float[Array, "F K"]:
    """Singular values of W_1, …, W_L, H in the balanced factorisation of a product with the given singular values.

    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import nctheory as nct
    >>> model = nct.deep_linear(widths=(3, 3, 3), counts=(2,) * 3, loss="mse", weight_decay=(0.02,) * 3)
    >>> np.asarray(layer_singular_values(model, jnp.array([1.0, 0.5, 0.0]))).round(3).tolist()
    [[1.0, 0.794, 0.0], [1.0, 0.794, 0.0], [1.0, 0.794, 0.0]]
    """
    alive = singular > 0
    # The F-th root before the square root: of zero that one has no derivative.
    share = jnp.where(alive, jnp.where(alive, singular, 1.0) ** (1.0 / problem.factors), 0.0)
    return share[None, :] * jnp.sqrt(_common(problem) / jnp.asarray(problem.weight_decay))[:, None]


@untraced("`Minimum` itself can be traced")
@float64
def minimiser(problem: DeepLinear, minimum: Minimum, key: PRNGKeyArray | int = 0) -> ChainParams:
    """One global minimiser out of its symmetry orbit: balanced factors of `minimum.product`, turned at random by `key`.

    Raises NoClosedForm where a layer is too narrow for the rank of the product, or inputs are given.

    >>> import nctheory as nct, numpy as np
    >>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> minimum = nct.global_minimum(model)
    >>> params = nct.closed_form.minimiser(model, minimum)
    >>> bool(np.allclose(params.weights[0] @ params.features, minimum.product, rtol=0, atol=1e-14))
    True
    """
    # An SVD of Z diag(m)^{1/2} gives the directions and, with the decays, the singular values of every layer.
    if problem.inputs is not None:
        raise NoClosedForm("problem: a minimiser is built for free features, but inputs are given")
    turned, root = as_key(key), jnp.sqrt(jnp.asarray(problem.multiplicity))
    left, singular, right = jnp.linalg.svd(jnp.asarray(minimum.product) * root[None, :], full_matrices=False)
    narrow = min(problem.widths)
    # What lies beyond the narrowest layer cannot be represented, and must be rounding.
    singular = without_rounding(singular)
    beyond = float(jnp.sum(singular[narrow:]))
    if beyond > RANK_EXCESS * float(jnp.sum(singular)):
        raise NoClosedForm(f"problem: width {narrow} is less than the rank of the product")
    keep = min(narrow, singular.shape[0])
    padded = jnp.zeros(problem.classes).at[:keep].set(singular[:keep])
    layers = layer_singular_values(problem, padded)[:, :keep]

    # A layer is diagonal in its singular values, in the corner of its own shape.
    def placed(core: Array, rows: int, cols: int) -> Array:
        return jnp.zeros((rows, cols)).at[: core.shape[0], : core.shape[1]].set(core)

    sizes = zip(problem.widths[1:], problem.widths[:-1], strict=True)
    weights = [placed(jnp.diag(values), rows, cols) for values, (rows, cols) in zip(layers[:-1], sizes, strict=True)]
    # The left singular vectors, completed to an orthonormal basis: the topmost layer turns the others' axes into them.
    frame = jnp.linalg.qr(left[:, :keep], mode="complete")[0]
    frame = frame.at[:, :keep].set(left[:, :keep])
    weights[-1] = frame @ weights[-1]
    features = placed(layers[-1][:, None] * right[:keep] / root[None, :], problem.widths[0], root.size)
    bias = None if problem.bias_decay is None else jnp.asarray(minimum.bias) + jnp.zeros(problem.classes)
    params = ChainParams(tuple(weights), features, bias)
    return random_gauge(problem, params, turned)
