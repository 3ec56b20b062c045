r"""The variational form of the Schatten quasi-norms.

The cheapest factorisation W_M ... W_1 H = Z costs a Schatten quasi-norm of Z.

Theorem:
    For inner widths of at least $\mathrm{rank}\,Z$,
    $\min_{W_M\cdots W_1H=Z}\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2
    =\frac{M+1}2(\lambda_1\cdots\lambda_M\lambda_H)^{1/(M+1)}\sum_is_i(Z)^{2/(M+1)}$,
    and every factorisation costs at least that. At a critical point on the fibre, and so at every minimiser,
    $\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top$, all $\lambda_ls_i(W_l)^2$ are equal for each i, and the singular
    vectors are aligned.
Hypotheses:
    - M >= 1 weight layers
    - inner widths >= rank Z > 0
    - all decays > 0
Notation:
    Z is K x N, H is d_0 x N, W_l is d_l x d_{l-1}; M+1 factors; no loss: the product is given.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HORN_1950, XU_2017
from proofs_numeric.pool import log_uniform, pick

ID = "red-schatten"
# (K, N, rank, (d_0, ..., d_{M-1})): M = 1, 2, 3; wider than the rank, and as narrow as it allows.
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
    """One shape for each M: random Z of full and of deficient rank, singular values over a factor 30, decays of any ratio."""
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
    """The geometric mean of the decays."""
    return jnp.exp(jnp.mean(jnp.log(decay)))


def shares(decay):
    """s_i(W_l)^2 = (prod lambda)^{1/(M+1)} / lambda_l s_i(Z)^{2/(M+1)}: the first factor of it."""
    return geometric(decay) / decay


def predict_with(value_of=None, mean=geometric, share=shares):
    """The lemma with `value_of` the singular values, `mean` of the decays, and the `share` of each factor."""

    def predict(problem):
        decay, factors = jnp.asarray(problem.weight_decay), problem.depth + 1
        rank = problem.basis.shape[1]
        left, singular, right = jnp.linalg.svd(jnp.asarray(problem.target), full_matrices=False)
        left, singular, right = left[:, :rank], singular[:rank], right[:rank]
        cost = jnp.sum(singular ** (2 / factors)) if value_of is None else value_of(singular, factors)
        squares = share(decay)[:, None] * singular[None, :] ** (2 / factors)
        return Cheapest(
            value=0.5 * factors * mean(decay) * cost,
            moments=jnp.stack([jnp.sum(squares**p, axis=1) for p in POWERS], axis=1),
            gram_top=(left * squares[-2][None, :]) @ left.T,
            gram_weights=(left * jnp.prod(squares[:-1], axis=0)[None, :]) @ left.T,
            gram_features=(right.T * squares[-1][None, :]) @ right,
        )

    return predict


def moments(problem, params):
    """tr (W W^T)^p of every factor, in place of singular values, which have no derivative where they tie."""
    grams = [x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x for x in problem.factor_chain(params)]
    return jnp.stack([jnp.stack([jnp.trace(jnp.linalg.matrix_power(g, p)) for p in POWERS]) for g in grams])


def gram_top(problem, params):
    """W_M W_M^T."""
    top = problem.factor_chain(params)[-2]
    return top @ top.T


def gram_weights(problem, params):
    """(W_M ... W_1)(W_M ... W_1)^T."""
    weights = problem.factor_chain(params)[:-1]
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    return product @ product.T


def gram_features(problem, params):
    """H^T H."""
    features = problem.factor_chain(params)[-1]
    return features.T @ features


def terms_of(problem, params, off=1.0):
    """lambda_{l+1} W_{l+1}^T W_{l+1}, `off` times as large, and lambda_l W_l W_l^T in every inner space, H at the bottom."""
    *weights, features = problem.factor_chain(params)
    *rates, lowest = jnp.asarray(problem.weight_decay)
    ordered, decay = [features, *weights], [lowest, *rates]
    pairs = zip(ordered[:-1], ordered[1:], decay[:-1], decay[1:], strict=True)
    return [(off * b * upper.T @ upper, a * lower @ lower.T) for lower, upper, a, b in pairs]


def imbalance(problem, params):
    """The differences of the two terms."""
    return jnp.concatenate([jnp.ravel(above - below) for above, below in terms_of(problem, params)])


def tilted(problem, params):
    """The same with every upper decay larger by a relative 1e-6."""
    return jnp.concatenate([jnp.ravel(above - below) for above, below in terms_of(problem, params, 1.0 + 1e-6)])


def balance_size(problem, params):
    """Norm of the terms of the differences."""
    return jnp.sqrt(sum((jnp.sum(above**2) for above, _ in terms_of(problem, params)), jnp.zeros(())))


def balance(observe):
    """The claim that an imbalance vanishes."""
    return nct.Equality(
        "balance",
        r"\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top",
        observe,
        lambda m: jnp.zeros(()),
        scope="critical points",
        size=balance_size,
    )


def off_by(relative):
    """The lemma with every Gram matrix and moment larger by a relative error."""
    return lambda problem: jax.tree.map(lambda x: (1.0 + relative) * x, predict_with()(problem))


def unequal(instance):
    """Whether the decays differ."""
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
            nct.Equality(
                "layer_spectra",
                r"\mathrm{tr}(W_lW_l^\top)^p",
                moments,
                lambda m: m.moments,
            ),
            nct.Equality(
                "gram_top",
                r"W_MW_M^\top",
                gram_top,
                lambda m: m.gram_top,
            ),
            nct.Equality(
                "gram_weights",
                r"(W_M\cdots W_1)(W_M\cdots W_1)^\top",
                gram_weights,
                lambda m: m.gram_weights,
            ),
            nct.Equality(
                "gram_features",
                r"H^\top H",
                gram_features,
                lambda m: m.gram_features,
            ),
            balance(imbalance),
        ),
        controls=(
            nct.Control(
                "1e-6 high",
                "every factorisation costs at least a relative 1e-6 more",
                predict_with(lambda s, f: (1 + 1e-6) * jnp.sum(s ** (2 / f))),
                claims=("any factorisation", "value"),
            ),
            nct.Control(
                "one factor too few",
                "exponent 2/M in the place of 2/(M+1)",
                predict_with(lambda s, f: jnp.sum(s ** (2 / (f - 1)))),
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
