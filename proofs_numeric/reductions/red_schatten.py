r"""The variational form of the Schatten quasi-norms.

A weight decay on the layers of a deep linear network is, as a cost of their product, no longer convex: it is a Schatten
quasi-norm, which favours few large singular values, the more so the more layers there are. The cheapest factorisation
shares every singular value out evenly over the layers. This is why depth prefers low rank, for any number n of samples
of K classes, and why deep collapse can fail where shallow collapse holds.

Problem:
    $\min_{W_1,\dots,W_M,H}\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ subject to $W_M\cdots W_1H=Z$, for
    a given $Z\in\mathbb R^{K\times N}$, over $W_l\in\mathbb R^{d_l\times d_{l-1}}$ and $H\in\mathbb R^{d_0\times N}$,
    $d_M=K$.
Theorem (Horn 1950, Xu et al. 2017, number unchecked; the decays are our own addition):
    For inner widths of at least $\mathrm{rank}\,Z$, $\min_{W_M\cdots
    W_1H=Z}\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2
    =\frac{M+1}2(\lambda_1\cdots\lambda_M\lambda_H)^{1/(M+1)}\sum_is_i(Z)^{2/(M+1)}$, and every factorisation costs at
    least that. At a critical point on the fibre, and so at every minimiser,
    $\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top$, all $\lambda_ls_i(W_l)^2$ are equal for each i, and the
    singular vectors are aligned.
Hypotheses:
    - M >= 1 weight layers
    - inner widths >= rank Z > 0
    - all decays > 0
Notation:
    Z is K x N, H is d_0 x N, W_l is d_l x d_{l-1}; M+1 factors; no loss: the product is given.
Why:
    Number the factors $A_0=H$, $A_l=W_l$, and let $\mu$ be the geometric mean of the decays. By Horn's inequality
    $\sum_is_i(Z)^p\le\sum_i\prod_ls_i(A_l)^p$ for every $p>0$. With $p=2/(M+1)$ each product is a geometric mean, of
    the $\frac{\lambda_l}\mu s_i(A_l)^2$, and at most their arithmetic mean: summed over i that is
    $\frac1{(M+1)\mu}\sum_l\lambda_l|A_l|_F^2$, which gives the bound. Factors along the singular vectors of Z with
    $\lambda_ls_i(A_l)^2=\mu s_i(Z)^{2/(M+1)}$ attain it. Multiplying $A_l$ by $e^{tX}$ from the left and $A_{l+1}$ by
    $e^{-tX}$ from the right stays on the fibre; the cost is stationary at $t=0$ for all X only if
    $\lambda_{l+1}A_{l+1}^\top A_{l+1}=\lambda_lA_lA_l^\top$. So neighbours share these singular vectors and all
    $\lambda_ls_i(A_l)^2$.
Checked:
    Random factorisations of random matrices, with one to three weight layers, are followed along the gradient flow,
    among the factorisations of the same matrix, to their ends. With one layer a dual matrix bounds the cost from below
    and the value is certified; with more there is no certificate, and the best end of all starts stands for the
    minimum. The lower bound is held against every start and every end. The spectra of all factors, the Gram matrices of
    the top layer, of all weights and of the features are compared at the ends of least value, the balance of neighbours
    at all converged ends. All this is sampled.
Refuted by:
    A factorisation that costs less, or one end of least value at which anything differs by more than its tolerance. The
    same check must refute a bound higher by 1e-6, the exponent of one factor fewer, a root of the Frobenius norm, the
    arithmetic mean of the decays, equal singular values in all factors whatever their decays, and Gram matrices or
    decays off by 1e-6.
Example:
    A matrix with singular values 8 and 1 and two weight layers, of different decays: the cost, and the squared norms of
    all factors, by the lemma and at the ends of four random starts (the first of them).

    >>> problem = nct.problems.minimal_chain_factorisation(
    ...     np.diag([8.0, 1.0]), widths=(2, 3), weight_decay=(0.1, 0.2, 0.4)
    ... )
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> cheapest = predict_with()(problem)
    >>> [round(float(value), 5) for value in (cheapest.value, *ends.value)]
    [1.5, 1.5, 1.5, 1.5, 1.5]
    >>> first = jax.tree.map(lambda x: x[0], ends.params)
    >>> [norms[:, 0].round(4).tolist() for norms in (cheapest.moments, moments(problem, first))]
    [[10.0, 5.0, 2.5], [10.0, 5.0, 2.5]]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HORN_1950, XU_2017
from proofs_numeric.pool import log_uniform, pick

ID = "red-schatten"
# A shape is (K, N, rank, (d_0, ..., d_{M-1})) with M = 1, 2, 3. Some are wider than the rank, some no wider.
ONE = ((4, 6, 4, (5,)), (2, 3, 2, (2,)), (5, 150, 3, (4,)))
TWO = ((5, 4, 3, (4, 3)), (2, 1, 1, (2, 1)), (4, 120, 3, (3, 4)))
THREE = ((3, 5, 2, (2, 3, 3)), (4, 4, 3, (3, 3, 3)), (2, 100, 2, (3, 2, 2)))
POWERS = (1, 2, 3)


class Cheapest(NamedTuple):
    """What the lemma predicts of a minimiser (W_1, ..., W_M, H)."""

    value: jax.Array
    moments: jax.Array
    gram_top: jax.Array
    gram_weights: jax.Array
    gram_features: jax.Array


def draw_instances(key):
    """Draw a shape for each M: Z of full or deficient rank, singular values over a factor 30, decays of any ratio."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for rows, cols, rank, widths in (*pick(rng, ONE), *pick(rng, TWO), *pick(rng, THREE)):
        for spread in (0.0, 0.3, 0.8, 1.5):
            left, right = (np.linalg.qr(rng.normal(size=(side, rank)))[0] for side in (rows, cols))
            singular = log_uniform(rng, 0.1, 10.0) * 10.0 ** rng.uniform(-0.7, 0.7, size=rank)
            logs = spread * rng.uniform(-1, 1, size=len(widths) + 1)
            decay = log_uniform(rng, 1e-4, 1.0) * 10.0 ** (logs - logs.mean())
            target = (left * singular) @ right.T
            problem = nct.problems.minimal_chain_factorisation(target, widths=widths, weight_decay=decay.tolist())
            shown = {"M": len(widths), "K": rows, "N": cols, "rank": rank, "widths": "-".join(map(str, widths))}
            shown["condition"] = float(singular.max() / singular.min())
            shown["decay ratio"] = float(decay.max() / decay.min())
            drawn.append(nct.Instance(problem, shown))
    return drawn


def geometric(decay):
    """Return the geometric mean of the decays."""
    return jnp.exp(jnp.mean(jnp.log(decay)))


def shares(decay):
    """Return the first factor of s_i(W_l)^2 = (prod lambda)^{1/(M+1)} / lambda_l s_i(Z)^{2/(M+1)}."""
    return geometric(decay) / decay


def schatten(singular, factors):
    """Return the sum over the singular values to the power 2/(M+1)."""
    return jnp.sum(singular ** (2 / factors))


def predict_with(value_of=schatten, mean=geometric, share=shares):
    """State the lemma with `value_of` the singular values, `mean` of the decays, and the `share` of each factor."""

    def predict(problem):
        decay, factors = jnp.asarray(problem.weight_decay), problem.depth + 1
        rank = problem.basis.shape[1]
        left, singular, right = jnp.linalg.svd(jnp.asarray(problem.target), full_matrices=False)
        left, singular, right = left[:, :rank], singular[:rank], right[:rank]
        squares = share(decay)[:, None] * singular[None, :] ** (2 / factors)
        return Cheapest(
            value=0.5 * factors * mean(decay) * value_of(singular, factors),
            moments=jnp.stack([jnp.sum(squares**p, axis=1) for p in POWERS], axis=1),
            gram_top=(left * squares[-2][None, :]) @ left.T,
            gram_weights=(left * jnp.prod(squares[:-1], axis=0)[None, :]) @ left.T,
            gram_features=(right.T * squares[-1][None, :]) @ right,
        )

    return predict


def moments(problem, params):
    """Return tr (W W^T)^p of every factor, in place of singular values, which have no derivative where they tie."""
    grams = [x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x for x in problem.factor_chain(params)]
    return jnp.stack([jnp.stack([jnp.trace(jnp.linalg.matrix_power(g, p)) for p in POWERS]) for g in grams])


def gram_top(problem, params):
    """Return W_M W_M^T."""
    top = problem.factor_chain(params)[-2]
    return top @ top.T


def gram_weights(problem, params):
    """Return (W_M ... W_1)(W_M ... W_1)^T."""
    weights = problem.factor_chain(params)[:-1]
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    return product @ product.T


def gram_features(problem, params):
    """Return H^T H."""
    features = problem.factor_chain(params)[-1]
    return features.T @ features


def terms_of(problem, params, off=1.0):
    """Return lambda_{l+1} W_{l+1}^T W_{l+1}, `off` times as large, and lambda_l W_l W_l^T in every inner space."""
    *weights, features = problem.factor_chain(params)
    *rates, lowest = jnp.asarray(problem.weight_decay)
    ordered, decay = [features, *weights], [lowest, *rates]
    pairs = zip(ordered[:-1], ordered[1:], decay[:-1], decay[1:], strict=True)
    return [(off * b * upper.T @ upper, a * lower @ lower.T) for lower, upper, a, b in pairs]


def imbalance(problem, params):
    """Return the differences of the two terms."""
    return jnp.concatenate([jnp.ravel(above - below) for above, below in terms_of(problem, params)])


def tilted(problem, params):
    """Return the same with every upper decay larger by a relative 1e-6."""
    return jnp.concatenate([jnp.ravel(above - below) for above, below in terms_of(problem, params, 1.0 + 1e-6)])


def balance_size(problem, params):
    """Return the norm of the terms of the differences."""
    return jnp.sqrt(sum((jnp.sum(above**2) for above, _ in terms_of(problem, params)), jnp.zeros(())))


def balance(observe):
    """Claim that an imbalance vanishes."""
    return nct.Equality(
        "balance",
        r"\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top",
        observe,
        lambda m: jnp.zeros(()),
        scope="critical points",
        size=balance_size,
    )


def off_by(relative):
    """State the lemma with every Gram matrix and moment larger by a relative error."""
    return lambda problem: jax.tree.map(lambda x: (1.0 + relative) * x, predict_with()(problem))


def unequal(instance):
    """Tell whether the decays differ."""
    return instance.parameters["decay ratio"] > 1.01


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.depth >= 1,
            lambda i: 0 < np.linalg.matrix_rank(i.problem.target) <= min(i.problem.widths),
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)),
        ),
        sources=(
            HORN_1950.remark("The inequality for singular values of a product, on which the bound rests."),
            XU_2017.remark("Schatten quasi-norms as minima over factorisations; the decays are our own addition."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.GlobalValue(
                "value", r"\min=\frac{M+1}2(\prod\lambda)^{1/(M+1)}\sum_is_i(Z)^{2/(M+1)}", lambda m: m.value
            ),
            nct.LowerBound(
                "any factorisation",
                r"\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2\ge\min",
                lambda problem, params: problem.objective(params),
                lambda m: m.value,
                scope="any point",
            ),
            nct.Equality("layer_spectra", r"\mathrm{tr}(W_lW_l^\top)^p", moments, lambda m: m.moments),
            nct.Equality("gram_top", r"W_MW_M^\top", gram_top, lambda m: m.gram_top),
            nct.Equality(
                "gram_weights", r"(W_M\cdots W_1)(W_M\cdots W_1)^\top", gram_weights, lambda m: m.gram_weights
            ),
            nct.Equality("gram_features", r"H^\top H", gram_features, lambda m: m.gram_features),
            balance(imbalance),
        ),
        controls=(
            nct.Control(
                "1e-6 high",
                "every factorisation costs at least a relative 1e-6 more",
                predict_with(lambda s, f: (1 + 1e-6) * schatten(s, f)),
                claims=("any factorisation", "value"),
            ),
            nct.Control(
                "one factor too few",
                "exponent 2/M in the place of 2/(M+1)",
                predict_with(lambda s, f: schatten(s, f - 1)),
                claims=("value",),
            ),
            nct.Control(
                "Frobenius",
                "the M+1-st root of the Frobenius norm squared",
                predict_with(lambda s, f: jnp.sum(s**2) ** (1 / f)),
                claims=("value",),
            ),
            nct.Control(
                "arithmetic mean",
                "the arithmetic in the place of the geometric mean of the decays",
                predict_with(mean=jnp.mean),
                claims=("value",),
                applies=unequal,
            ),
            nct.Control(
                "equal factors",
                "equal singular values in all factors, whatever their decays",
                predict_with(share=jnp.ones_like),
                claims=("layer_spectra", "gram_top", "gram_weights", "gram_features"),
                applies=unequal,
            ),
            nct.Control(
                "Gram matrices 1e-6 off",
                "all Gram matrices and moments larger by a relative 1e-6",
                off_by(1e-6),
                claims=("layer_spectra", "gram_top", "gram_weights", "gram_features"),
            ),
            nct.Control("decays 1e-6 off", "every upper decay larger by a relative 1e-6", versions=(balance(tilted),)),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
