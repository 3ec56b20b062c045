r"""Chains with ReLUs: what bounds their minimum from below.

Two classes lose nothing to the ReLUs, and so the bound of the linear chain holds; features that are not negative have a
tighter dual; networks of two layers on given inputs have a convex program. Of other chains with activations none is known.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.certificates._caveats import bound_caveat, missing_certificate
from nctheory.certificates._chain_bound import rounded_chain_bound
from nctheory.certificates._duality import spectral_norm
from nctheory.certificates._spectra import by_products_where_larger, largest_by_products
from nctheory.certificates._two_layers import missing_two_layer_bound, rounded_two_layer_bound, two_layer_caveat
from nctheory.engine import EPS, Array, Scalar
from nctheory.problems import ChainParams, DeepLinear, DeepNonlinear, NoCertificate, is_loss

NONE_KNOWN = (
    "of a chain with activations no bound is known but for two classes behind ReLUs and for non-negative features"
)


def linear_chain(problem: DeepNonlinear) -> DeepLinear:
    """The chain without its activations, on the same data.

    Where a ReLU follows the first layer it has two dimensions of free features at least: a ReLU makes the features of two
    classes from one dimension, and a linear layer does not.
    """
    samples = jnp.asarray(problem.targets).shape[1]
    makes_rank = problem.inputs is None and problem.activations[:2] == ("identity", "relu")
    return DeepLinear(
        widths=(max(2, problem.widths[0]) if makes_rank else problem.widths[0], *problem.widths[1:]),
        loss=problem.loss,
        targets=problem.targets,
        column_weight=jnp.full(samples, 1.0 / samples),
        multiplicity=jnp.ones(samples),
        weight_decay=problem.weight_decay,
        bias_decay=problem.bias_decay,
        inputs=problem.inputs,
        counts=problem.counts,
        reduced_form=False,
        bias_row=None,
    )


def is_linear(problem: DeepNonlinear) -> bool:
    """Whether there is neither an activation nor a residual branch."""
    return all(kind == "identity" for kind in problem.activations) and not any(problem.residual)


def has_nonnegative_features(problem: DeepNonlinear) -> bool:
    """Whether the logits are W sigma(H) with free features behind a ReLU."""
    return problem.activations == ("relu",) and problem.inputs is None


def has_two_classes(problem: DeepNonlinear) -> bool:
    """Whether two classes of free features go through layers of which none has a ReLU behind one without (but the first)."""
    if problem.inputs is not None or any(problem.residual) or problem.counts is None or problem.classes != 2:
        return False
    hidden = problem.activations[1:]
    ends = next((i for i, kind in enumerate(hidden) if kind != "relu"), len(hidden))
    return problem.activations[0] in ("identity", "relu") and all(kind == "identity" for kind in hidden[ends:])


def missing_activated(problem: DeepNonlinear) -> str | None:
    """Why a chain with activations has no certificate, or None."""
    if not is_linear(problem) and problem.inputs is not None:
        return missing_two_layer_bound(problem)
    if not (is_linear(problem) or has_nonnegative_features(problem) or has_two_classes(problem)):
        return NONE_KNOWN
    return missing_certificate(linear_chain(problem))


def rounded_activated_bound(problem: DeepNonlinear, params: ChainParams) -> tuple[Scalar, Scalar]:
    r"""A lower bound on the global minimum of a chain with activations, and the rounding error that was subtracted from it;
    raises NoCertificate.

    **Two classes.** Let $X_{l-1}\ge0$ and $X_l=\sigma(W_lX_{l-1})$ have two different columns each. A row w of $W_l$ with
    $w^\top x_1>0$ and $w^\top x_2\le0$ has, where it is shortest, $w^\top x_2=0$, because $x_1^\top x_2\ge0$: a linear layer
    puts out the same at no higher cost. The lowest layer has free features: $A=\sigma(Z)$ with $Z=W_1H$ costs
    $\sqrt{\lambda_1\lambda_H}|Z|_*$. With the polar factor $P=A(A^\top A)^{-1/2}$, where the root is inverted on its range,
    $|Z|_*\ge\langle Z,P\rangle=|A|_*+\langle Z-A,P\rangle$, and the last term is not negative: $Z-A\le0$ lives where A
    vanishes, and there $P\le0$, because the inverse root of a 2 x 2 Gram matrix of non-negative columns has no positive
    entry off the diagonal. Samples of a class may be taken alike, each the best for the layers above. So the ReLU chain
    costs no less than the linear one, whose bound is returned.

    **Non-negative features** $X=\sigma(H)$, one layer. The cost depends on $B=X^\top X$, which is positive semidefinite *and*
    has no negative entry: for any G the minimum is at least $-\sum_jq_j\ell^*(u_j)+\min_B\tfrac12\langle
    B,\lambda_HI-G^\top G/\lambda_W\rangle$, and negative entries of $G^\top G$ may be left out. (Both our own forms.)

    **Given inputs.** Networks of two layers have a bound of their own (`two_layer_bound`).
    """
    reason = missing_activated(problem)
    if reason is not None:
        raise NoCertificate(reason)
    if not is_linear(problem) and problem.inputs is not None:
        return rounded_two_layer_bound(problem, params)
    if has_nonnegative_features(problem):
        behind = ChainParams(params.weights, jax.nn.relu(jnp.asarray(params.features)), params.bias)
        return rounded_chain_bound(linear_chain(problem), behind, nonnegative_norm)
    # The bound is of the linear chain at the point's own factors, whatever they put out there.
    return rounded_chain_bound(linear_chain(problem), _widened(problem, params))


def nonnegative_norm(matrix: Float[Array, "K N"]) -> Scalar:
    r"""An upper bound on $\max_B\langle B,M^\top M\rangle^{1/2}$ over the Gram matrices B of trace 1 of non-negative vectors.

    It is the root of the largest eigenvalue of $M^\top M$ with its negative entries left out, or the largest singular value
    of M where that is less.
    """
    scale = jnp.max(jnp.abs(matrix))
    unit = matrix / jnp.where(scale > 0, scale, 1.0)
    gram = unit.T @ unit
    # A matrix without negative entries has its largest eigenvalue for its norm.
    top = by_products_where_larger(jnp.maximum(gram, 0.0), lambda x: jnp.linalg.eigvalsh(x)[-1], largest_by_products)
    # An entry of the Gram matrix is rounded by K eps |g_i||g_j|, and these have the trace as their norm.
    rounded = 4 * (matrix.shape[0] + matrix.shape[1]) * EPS * jnp.trace(gram)
    return jnp.minimum(scale * jnp.sqrt(jnp.maximum(top, 0.0) + rounded), spectral_norm(matrix))


@bound_caveat.register
def _(problem: DeepNonlinear) -> str | None:
    chain = linear_chain(problem)
    if is_linear(problem):
        return bound_caveat(chain)
    if problem.inputs is not None:
        return two_layer_caveat(problem)
    if has_nonnegative_features(problem):
        if problem.bias_decay is None and problem.widths[0] >= problem.classes:
            return None
        return (
            "features that are not negative may cost more than their Gram matrices tell, with a bias or few dimensions"
        )
    # Behind ReLUs the features of the two classes are not opposite to each other.
    if problem.bias_decay is not None or not is_loss(problem.loss, "mse"):
        return "the bound is that of the linear chain, whose best features need not be non-negative"
    return bound_caveat(chain)


def _widened(problem: DeepNonlinear, params: ChainParams) -> ChainParams:
    """The point with as many lowest features as the linear chain has."""
    missing = linear_chain(problem).widths[0] - problem.widths[0]
    if missing == 0:
        return params
    lowest = jnp.pad(params.weights[0], ((0, 0), (0, missing)))
    features = jnp.pad(jnp.asarray(params.features), ((0, missing), (0, 0)))
    return ChainParams((lowest, *params.weights[1:]), features, params.bias)
