"""The cheapest factorisation W H = Z costs the nuclear norm of Z."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

ID = "red-nuclear"
SHAPES = ((4, 6, 4, 4), (5, 5, 3, 6))  # (K, N, rank, d); d = rank once


class Cheapest(NamedTuple):
    """What the lemma predicts of a minimiser (W, H)."""

    value: jax.Array
    gram_weights: jax.Array
    gram_features: jax.Array
    weight_norm: jax.Array


def draw_instances(key):
    """Random Z of full and of deficient rank, entries of any size, decays of any ratio up to 10."""
    rng = nct.generator(key)
    drawn = []
    for rows, cols, rank, dim in SHAPES:
        for ratio in (1.0, *10.0 ** rng.uniform([-1.0, -0.5, 0.1, 0.5], [-0.5, -0.1, 0.5, 1.0])):
            size = 10.0 ** rng.uniform(-0.5, 0.5)
            target = size * rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, cols)) / np.sqrt(rank)
            level = 10.0 ** rng.uniform(-1.5, -0.5)
            decay = (float(level * np.sqrt(ratio)), float(level / np.sqrt(ratio)))
            problem = nct.minimal_factorisation(target, dim=dim, weight_decay=decay)
            shown = {"K": rows, "N": cols, "rank": rank, "d": dim, "lambda_W": decay[0], "lambda_H": decay[1]}
            drawn.append(nct.Instance(problem, shown))
    return drawn


def predict_with(value_of, mean=lambda a, b: jnp.sqrt(a * b)):
    """The lemma with `value_of` the singular values and `mean` of the decays (right: sum, geometric mean)."""

    def predict(problem):
        left, singular, right = jnp.linalg.svd(jnp.asarray(problem.target), full_matrices=False)
        ratio = jnp.sqrt(problem.weight_decay[1] / problem.weight_decay[0])
        return Cheapest(
            value=mean(*problem.weight_decay) * value_of(singular),
            gram_weights=ratio * (left * singular[None, :]) @ left.T,
            gram_features=(right.T * singular[None, :]) @ right / ratio,
            weight_norm=ratio * jnp.sum(singular),
        )

    return predict


def gram_weights(problem, params):
    """W W^T."""
    weights, _ = problem.factor_pair(params)
    return weights @ weights.T


def gram_features(problem, params):
    """H^T H."""
    _, features = problem.factor_pair(params)
    return features.T @ features


def imbalance(problem, params):
    """lambda_W W^T W - lambda_H H H^T."""
    weights, features = problem.factor_pair(params)
    return problem.weight_decay[0] * weights.T @ weights - problem.weight_decay[1] * features @ features.T


def unequal(instance):
    """Whether the two decays differ."""
    return instance.parameters["lambda_W"] != instance.parameters["lambda_H"]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="The variational form of the nuclear norm",
        statement=r"""For $d\ge\mathrm{rank}\,Z$,
$\min_{WH=Z}\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2=\lambda|Z|_*$ with $\lambda=\sqrt{\lambda_W\lambda_H}$, and every
factorisation costs at least that. At a minimiser $\lambda_WW^\top W=\lambda_HHH^\top$,
$WW^\top=\sqrt{\lambda_H/\lambda_W}(ZZ^\top)^{1/2}$ and $H^\top H=\sqrt{\lambda_W/\lambda_H}(Z^\top Z)^{1/2}$.""",
        hypotheses=("d >= rank Z", "lambda_W, lambda_H > 0"),
        notation="Z is K x N, W is K x d, H is d x N; no loss: the product is given.",
        sources=(
            nct.Source(
                citation="Folklore; used for neural collapse by Zhu et al., NeurIPS 2021. See Recht, Fazel, Parrilo: "
                "Guaranteed Minimum-Rank Solutions of Linear Matrix Equations via Nuclear Norm Minimization, "
                "SIAM Review 2010.",
                number="number unchecked",
                bibtex="""@article{recht2010guaranteed,
  title={Guaranteed Minimum-Rank Solutions of Linear Matrix Equations via Nuclear Norm Minimization},
  author={Recht, Benjamin and Fazel, Maryam and Parrilo, Pablo A.},
  journal={SIAM Review},
  year={2010}
}""",
            ),
        ),
        instances=draw_instances,
        predict=predict_with(jnp.sum),
        claims=(
            nct.minimum_value(lambda m: m.value, r"\min=\sqrt{\lambda_W\lambda_H}|Z|_*"),
            nct.Claim(
                "any factorisation",
                r"\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2\ge\lambda|Z|_*",
                lambda problem, params: problem.objective(params),
                lambda m: m.value,
                kind="lower",
                scope="any point",
            ),
            nct.Claim("gram_weights", r"WW^\top", gram_weights, lambda m: m.gram_weights),
            nct.Claim("gram_features", r"H^\top H", gram_features, lambda m: m.gram_features),
            nct.Claim(
                "weight_norm",
                r"|W|_F^2=\sqrt{\lambda_H/\lambda_W}|Z|_*",
                lambda problem, params: jnp.sum(params**2),
                lambda m: m.weight_norm,
            ),
            nct.Claim(
                "balance",
                r"\lambda_WW^\top W=\lambda_HHH^\top",
                imbalance,
                lambda m: jnp.zeros(()),
                scope="critical points",
            ),
        ),
        controls=(
            nct.Control(
                "threshold high",
                "every factorisation costs at least 1.03 times the nuclear norm",
                predict_with(lambda s: 1.03 * jnp.sum(s)),
                claims=("any factorisation",),
            ),
            nct.Control(
                "Frobenius", "Frobenius instead of nuclear norm", predict_with(jnp.linalg.norm), claims=("value",)
            ),
            nct.Control(
                "arithmetic mean",
                "(lambda_W + lambda_H)/2 instead of the geometric mean",
                predict_with(jnp.sum, lambda a, b: 0.5 * (a + b)),
                claims=("value",),
                applies=unequal,
            ),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
