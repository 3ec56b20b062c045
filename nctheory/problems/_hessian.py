"""The dense Hessian of a chain in closed form: per entry a few operations, where a product with it costs two gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Float

from nctheory.engine import Array
from nctheory.problems._gauge import ChainParams

if TYPE_CHECKING:
    from nctheory.problems._chain import DeepLinear


def chain_hessian(problem: DeepLinear, params: ChainParams) -> Float[Array, "P P"]:
    r"""The second derivatives in the order of `ravel`.

    With $A_l=W_l\cdots W_1H$, $B_l=W_L\cdots W_{l+1}$, the loss's gradient G (K x M) and Hessians $M_s$, both weighted,
    $dZ=\sum_lB_l\,dW_l\,A_{l-1}+B_0\,dH+db\,1^\top$ gives the blocks
    $\sum_s(B_l^\top M_sB_m)_{ab}(A_{l-1})_{is}(A_{m-1})_{js}$, and the second differential of Z, for l > m,
    $(B_l^\top GA_{m-1}^\top)_{aj}(W_{l-1}\cdots W_{m+1})_{ib}$. For dH the place of $A_{m-1}$ is taken by the identity.
    """
    # A_0 … A_L and the logits; G = `slope`, the loss's gradient with the columns' weights.
    inner = [problem.lowest(params)]
    for weight in params.weights:
        inner.append(weight @ inner[-1])
    logits = problem._with_bias(inner[-1], params.bias)
    scale = jnp.asarray(problem.column_weight)
    slope = problem.loss.gradient(logits, problem.targets) * scale[None, :]

    def second(direction: Array) -> Array:
        along = jnp.broadcast_to(direction[:, None], logits.shape)
        return jax.jvp(lambda z: problem.loss.gradient(z, problem.targets), (logits,), (along,))[1] * scale[None, :]

    # The loss's Hessians M_s by products with the unit vectors, K x K x M, and B_0 … B_L.
    bend = jax.vmap(second)(jnp.eye(logits.shape[0]))
    outer = [jnp.eye(logits.shape[0])]
    for weight in reversed(params.weights):
        outer.insert(0, outer[0] @ weight)
    depth, samples = problem.depth, logits.shape[1]
    # For every factor: B above it, A that it acts on (None for the features, which act on the identity), and its decay.
    factors: list[tuple[Array, Array | None, Array]] = [
        (outer[i + 1], inner[i], problem.weight_decay[i] * jnp.ones(params.weights[i].size)) for i in range(depth)
    ]
    if params.features is not None:
        decay = problem.weight_decay[-1] * jnp.broadcast_to(problem.multiplicity, params.features.shape)
        factors.append((outer[0], None, jnp.ravel(decay)))
    if params.bias is not None and problem.bias_decay is not None:
        row = jnp.ones(samples) if problem.bias_row is None else jnp.asarray(problem.bias_row)
        factors.append((outer[-1], row[None, :], problem.bias_decay * jnp.ones(params.bias.size)))

    blocks: dict[tuple[int, int], Array] = {}
    for n, (above_n, acts_n, decay) in enumerate(factors):
        # First B_m^T M_s B_n for all samples s, then the sum over s with A_{m-1} and A_{n-1}.
        seen = jnp.einsum("kls,lb->kbs", bend, above_n)
        for m in range(n + 1):
            above_m, acts_m, _ = factors[m]
            both = jnp.einsum("ka,kbs->abs", above_m, seen)
            block = _first_order(both, acts_m, acts_n)
            if m != n and n <= depth:
                block = block + _second_order(params, slope, outer, inner, m, n, depth)
            rows, cols = above_m.shape[1] * (samples if acts_m is None else acts_m.shape[0]), decay.size
            block = block.reshape(rows, cols)
            blocks[m, n] = block + jnp.diag(decay) if m == n else block
    count = len(factors)
    return jnp.block([[blocks[m, n] if m <= n else blocks[n, m].T for n in range(count)] for m in range(count)])


def _first_order(both: Array, acts_m: Array | None, acts_n: Array | None) -> Array:
    """The first-order term, a sum over samples, with indices a i b j; for features i or j is the sample."""
    if acts_m is None and acts_n is None:
        return jnp.einsum("abs,st->asbt", both, jnp.eye(both.shape[2]))
    if acts_n is None:
        return jnp.einsum("abs,is->aibs", both, acts_m)
    if acts_m is None:
        return jnp.einsum("abs,js->asbj", both, acts_n)
    # The sum over samples is one matrix product.
    spread = both[:, None, :, :] * acts_m[None, :, None, :]
    return spread @ acts_n.T


def _second_order(
    params: ChainParams, slope: Array, outer: Sequence[Array], inner: Sequence[Array], m: int, n: int, depth: int
) -> Array:
    """The second-order term of layers m+1 < n+1, or (n = `depth`) of layer m+1 and the features; zero for the bias."""
    if n == depth and params.features is None:
        return jnp.zeros(())
    high, low = (n, m) if n < depth else (m, -1)
    # W_{l-1} … W_{m+1} between the two factors, and B_l^T G of the upper one.
    between = jnp.eye(params.weights[high].shape[1])
    for weight in reversed(params.weights[low + 1 : high]):
        between = between @ weight
    pulled = outer[high + 1].T @ slope
    if low < 0:
        return jnp.einsum("as,ib->aibs", pulled, between)
    return jnp.einsum("aj,ib->bjai", pulled @ inner[low].T, between)
