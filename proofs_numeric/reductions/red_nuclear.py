r"""The variational form of the nuclear norm.

A weight decay on two factors is a nuclear norm of their product. Of all ways to write a matrix as a product of two, the
cheapest costs the sum of its singular values, times the geometric mean of the two decays; and it shares them out
evenly. This lemma turns the problem of free features, which is not convex, into a convex one in the logits, for any
number n of samples of any of K classes. The closed forms of two factors and their certificates rest on it.

Problem:
    $\min_{W,H}\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ subject to $WH=Z$, for a given
    $Z\in\mathbb R^{K\times N}$, over $W\in\mathbb R^{K\times d}$ and $H\in\mathbb R^{d\times N}$.
Theorem (folklore; see Recht, Fazel and Parrilo 2010, Lemma 5.1):
    For $d\ge\mathrm{rank}\,Z$, $\min_{WH=Z}\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2=\lambda|Z|_*$ with
    $\lambda=\sqrt{\lambda_W\lambda_H}$, and every factorisation costs at least that. At a minimiser
    $\lambda_WW^\top W=\lambda_HHH^\top$, $WW^\top=\sqrt{\lambda_H/\lambda_W}(ZZ^\top)^{1/2}$ and
    $H^\top H=\sqrt{\lambda_W/\lambda_H}(Z^\top Z)^{1/2}$.
Hypotheses:
    - d >= rank Z > 0
    - lambda_W, lambda_H > 0
Notation:
    Z is K x N, W is K x d, H is d x N; no loss: the product is given.
Why:
    Let $Z=USV^\top$ with the positive singular values in S, and $A=U^\top W$, $B=HV$, so that $AB=S$. Then
    $\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2\ge\frac{\lambda_W}2|A|_F^2+\frac{\lambda_H}2|B|_F^2
    \ge\lambda|A|_F|B|_F\ge\lambda\,\mathrm{tr}(AB)=\lambda|Z|_*$. Equality holds for
    $W=(\lambda_H/\lambda_W)^{1/4}US^{1/2}$ and $H=(\lambda_W/\lambda_H)^{1/4}S^{1/2}V^\top$, padded with zeros up to
    width d. Where it holds, the last two steps give $\sqrt{\lambda_W}A=\sqrt{\lambda_H}B^\top$ and the first $W=UA$,
    $H=BV^\top$. So $AA^\top=\sqrt{\lambda_H/\lambda_W}\,S$, which is the statement about $WW^\top$; those about
    $H^\top H$ and $\lambda_WW^\top W$ follow in the same way.
Checked:
    Random factorisations of random matrices, of full and of deficient rank, are followed along the gradient flow, among
    the factorisations of the same matrix, to their ends. A dual matrix bounds the cost from below at each end, without
    the singular values of Z, and the value must lie in the interval so certified. The lower bound is held against every
    start and every end, and is sampled. The two Gram matrices and the norm of W are compared at the certified ends, the
    balance of the two factors at all converged ends; these are sampled too.
Refuted by:
    A factorisation that costs less, or one certified end at which anything differs by more than its tolerance. The same
    check must refute a bound higher by 1e-6, the Frobenius norm, the arithmetic mean of the decays, the ratio of the
    decays turned round, and Gram matrices or a decay off by 1e-6.
Example:
    A matrix with singular values 2 and 1: the cost, and the squared norm of W, by the lemma and at the ends of four
    random starts.

    >>> problem = nct.problems.minimal_factorisation(np.diag([2.0, 1.0]), dim=3, weight_decay=(0.1, 0.4))
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> cheapest = predict_with()(problem)
    >>> [round(float(value), 5) for value in (cheapest.value, *ends.value)]
    [0.6, 0.6, 0.6, 0.6, 0.6]
    >>> [round(float(norm), 5) for norm in (cheapest.weight_norm, *(ends.params**2).sum(axis=(1, 2)))]
    [6.0, 6.0, 6.0, 6.0, 6.0]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform, pick

ID = "red-nuclear"
# A shape is (K, N, rank, d). In some d = rank, the least that the lemma allows.
SMALL = ((2, 1, 1, 1), (2, 3, 2, 2), (2, 5, 1, 3))
MIDDLE = ((4, 6, 4, 4), (5, 5, 3, 6), (6, 4, 4, 5))
WIDE = ((4, 200, 4, 5), (5, 120, 3, 3))


class Cheapest(NamedTuple):
    """What the lemma predicts of a minimiser (W, H)."""

    value: jax.Array
    gram_weights: jax.Array
    gram_features: jax.Array
    weight_norm: jax.Array


def draw_instances(key):
    """Draw a small, a middle and a wide shape: Z of any size, of full or deficient rank, decays of any ratio."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for rows, cols, rank, dim in (*pick(rng, SMALL), *pick(rng, MIDDLE), *pick(rng, WIDE)):
        for ratio in (1.0, log_uniform(rng, 1e-3, 1e-1), log_uniform(rng, 0.1, 10.0), log_uniform(rng, 10.0, 1e3)):
            size = log_uniform(rng, 0.1, 10.0)
            target = size * rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, cols)) / np.sqrt(rank)
            level = log_uniform(rng, 1e-4, 1.0)
            decay = (float(level * np.sqrt(ratio)), float(level / np.sqrt(ratio)))
            problem = nct.problems.minimal_factorisation(target, dim=dim, weight_decay=decay)
            shown = {"K": rows, "N": cols, "rank": rank, "d": dim, "lambda_W": decay[0], "lambda_H": decay[1]}
            drawn.append(nct.Instance(problem, shown))
    return drawn


def predict_with(value_of=jnp.sum, mean=lambda a, b: jnp.sqrt(a * b), power=0.5):
    """State the lemma with `value_of` the singular values, `mean` of the decays and `power` of their ratio.

    The sum, the geometric mean and the square root are right.
    """

    def predict(problem):
        left, singular, right = jnp.linalg.svd(jnp.asarray(problem.target), full_matrices=False)
        ratio = (problem.weight_decay[1] / problem.weight_decay[0]) ** power
        return Cheapest(
            value=mean(*problem.weight_decay) * value_of(singular),
            gram_weights=ratio * (left * singular[None, :]) @ left.T,
            gram_features=(right.T * singular[None, :]) @ right / ratio,
            weight_norm=ratio * jnp.sum(singular),
        )

    return predict


def gram_weights(problem, params):
    """Return W W^T."""
    weights, _ = problem.factor_pair(params)
    return weights @ weights.T


def gram_features(problem, params):
    """Return H^T H."""
    _, features = problem.factor_pair(params)
    return features.T @ features


def imbalance(problem, params, off=1.0):
    """Return lambda_W W^T W - lambda_H H H^T, the first term `off` times as large."""
    weights, features = problem.factor_pair(params)
    return off * problem.weight_decay[0] * weights.T @ weights - problem.weight_decay[1] * features @ features.T


def tilted(problem, params):
    """Return the same with lambda_W larger by a relative 1e-6."""
    return imbalance(problem, params, 1.0 + 1e-6)


def balance_size(problem, params):
    """Return |lambda_W W^T W|_F, the size of one of the two terms of the difference."""
    weights, _ = problem.factor_pair(params)
    return problem.weight_decay[0] * jnp.linalg.norm(weights.T @ weights)


def balance(observe):
    """Claim that an imbalance vanishes."""
    return nct.Equality(
        "balance",
        r"\lambda_WW^\top W=\lambda_HHH^\top",
        observe,
        lambda m: jnp.zeros(()),
        scope="critical points",
        size=balance_size,
    )


def off_by(relative):
    """State the lemma with every Gram matrix and norm larger by a relative error."""

    def predict(problem):
        true = predict_with()(problem)
        return jax.tree.map(lambda x: (1.0 + relative) * x, true)

    return predict


def unequal(instance):
    """Tell whether the two decays differ."""
    return instance.parameters["lambda_W"] != instance.parameters["lambda_H"]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: 0 < np.linalg.matrix_rank(i.problem.target) <= i.problem.dim,
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)),
        ),
        sources=(
            nct.Source(
                citation="Folklore; used for neural collapse by Zhu et al., NeurIPS 2021. See Recht, Fazel, Parrilo: "
                "Guaranteed Minimum-Rank Solutions of Linear Matrix Equations via Nuclear Norm Minimization, "
                "SIAM Review 2010.",
                number="Lemma 5.1",
                bibtex="""@article{recht2010guaranteed,
  title={Guaranteed Minimum-Rank Solutions of Linear Matrix Equations via Nuclear Norm Minimization},
  author={Recht, Benjamin and Fazel, Maryam and Parrilo, Pablo A.},
  journal={SIAM Review},
  year={2010}
}""",
                note="The number is as a later paper cites it.",
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.GlobalValue("value", r"\min=\sqrt{\lambda_W\lambda_H}|Z|_*", lambda m: m.value),
            nct.LowerBound(
                "any factorisation",
                r"\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2\ge\lambda|Z|_*",
                lambda problem, params: problem.objective(params),
                lambda m: m.value,
                scope="any point",
            ),
            nct.Equality("gram_weights", r"WW^\top", gram_weights, lambda m: m.gram_weights),
            nct.Equality("gram_features", r"H^\top H", gram_features, lambda m: m.gram_features),
            nct.Equality(
                "weight_norm",
                r"|W|_F^2=\sqrt{\lambda_H/\lambda_W}|Z|_*",
                lambda problem, params: jnp.sum(params**2),
                lambda m: m.weight_norm,
            ),
            balance(imbalance),
        ),
        controls=(
            nct.Control(
                "1e-6 high",
                "every factorisation costs at least the nuclear norm and a relative 1e-6 more",
                predict_with(lambda s: (1 + 1e-6) * jnp.sum(s)),
                claims=("any factorisation", "value"),
            ),
            nct.Control(
                "Frobenius", "Frobenius instead of nuclear norm", predict_with(jnp.linalg.norm), claims=("value",)
            ),
            nct.Control(
                "arithmetic mean",
                "(lambda_W + lambda_H)/2 instead of the geometric mean",
                predict_with(mean=lambda a, b: 0.5 * (a + b)),
                claims=("value",),
                applies=unequal,
            ),
            nct.Control(
                "ratio inverted",
                "sqrt(lambda_W / lambda_H) in the place of its inverse",
                predict_with(power=-0.5),
                claims=("gram_weights", "gram_features", "weight_norm"),
                applies=unequal,
            ),
            nct.Control(
                "Gram matrices 1e-6 off",
                "W W^T, H^T H and |W|^2 larger by a relative 1e-6",
                off_by(1e-6),
                claims=("gram_weights", "gram_features", "weight_norm"),
            ),
            nct.Control("lambda_W 1e-6 off", "lambda_W larger by a relative 1e-6", versions=(balance(tilted),)),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
