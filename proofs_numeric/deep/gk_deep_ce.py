"""Cross-entropy, a linear chain of three and more factors: neural collapse is not a global minimiser."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025

ID = "gk-deep-ce-linear"
# (K, L, n), widths all K: both regimes of the hypothesis, and an odd K.
SHAPES = ((4, 3, 2), (6, 2, 1), (4, 4, 1), (7, 2, 1))
START = 1.3


class Values(NamedTuple):
    """What the theorem says of the two structures."""

    collapse: jax.Array
    low_rank: jax.Array


def draw_instances(key, shapes=SHAPES):
    """For each shape: decays whose geometric mean lies between 1e-3 and 3e-2, unequal from layer to layer."""
    rng = nct.generator(key)
    drawn = []
    for classes, depth, n in shapes:
        for low, high in ((1e-3, 3e-3), (3e-3, 1e-2), (1e-2, 3e-2)):
            common = np.exp(rng.uniform(np.log(low), np.log(high)))
            spread = rng.uniform(-0.5, 0.5, size=depth + 1)
            decay = tuple((common * np.exp(spread - spread.mean())).tolist())
            problem = nct.deep_linear(
                widths=(classes,) * (depth + 1), counts=(n,) * classes, loss="cross_entropy", weight_decay=decay
            )
            shown = {"K": classes, "L": depth, "n": n, "lambda": float(common)}
            drawn.append(nct.Instance(problem, shown, scale=START))
    return drawn


def predict(problem):
    """Values of neural collapse and of the low-rank structure."""
    return Values(nct.deep_collapse(problem).value, nct.low_rank(problem).value)


def turned(structure, problem, params):
    """A point with the structure's product, its internal spaces turned by matrices taken from `params`."""
    product = jnp.asarray(structure.product)
    factors = problem.factors
    left, singular, right = jnp.linalg.svd(product, full_matrices=False)
    singular = jnp.where(singular > 1e-12 * singular[0], singular, 0.0)
    layers = nct.layer_singular_values(problem, singular)
    turns = [jnp.linalg.qr(weight + jnp.eye(weight.shape[0]))[0] for weight in params.weights]
    weights = []
    for i in range(factors - 1):
        below = turns[i]
        above = turns[i + 1] if i + 1 < factors - 1 else left.T
        weights.append(above.T @ (layers[i][:, None] * below))
    features = turns[0].T @ (layers[-1][:, None] * right)
    return nct.ChainParams(tuple(weights), features, None)


def value_at(structure_of):
    """Objective at a turned copy of a structure."""
    return lambda problem, params: problem.objective(turned(structure_of(problem), problem, params))


def gradient_at(structure_of):
    """Gradient at a turned copy of a structure, as a vector."""
    return lambda problem, params: nct.ravel(problem.value_and_grad(turned(structure_of(problem), problem, params))[1])


def terms_at(structure_of):
    """Size of the decay terms that the gradient of the fit cancels."""
    return lambda problem, params: jnp.linalg.norm(nct.ravel(turned(structure_of(problem), problem, params)))


def mean_fit(problem):
    """The low-rank structure where it is critical, neural collapse for odd K, where it is not."""
    return nct.low_rank(problem) if problem.classes % 2 == 0 else nct.deep_collapse(problem)


def with_factors(change):
    """Both values with another number of factors in the penalty's exponent and coefficient."""

    def wrong(problem):
        depth = problem.depth + change
        decay = jnp.full(depth + 1, jnp.exp(jnp.mean(jnp.log(jnp.asarray(problem.weight_decay)))))
        other = nct.deep_linear(
            widths=(problem.classes,) * (depth + 1),
            counts=problem.counts,
            loss="cross_entropy",
            weight_decay=tuple(decay),
        )
        return predict(other)

    return wrong


def per_class(problem):
    """Both values with one sample a class in the place of n."""
    other = nct.deep_linear(
        widths=problem.widths,
        counts=(1,) * problem.classes,
        loss="cross_entropy",
        weight_decay=tuple(problem.weight_decay),
    )
    return predict(other)


def exchanged(problem):
    """The two values exchanged: neural collapse the lower one."""
    true = predict(problem)
    return Values(true.low_rank, true.collapse)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Cross-entropy, deep linear: neural collapse is critical but not a global minimiser",
        statement=r"""For $f=\frac1N\sum_i\mathrm{CE}(W_L\cdots W_1h_i,y_i)+\sum_l\frac{\lambda_l}2|W_l|_F^2
+\frac{\lambda_H}2|H|_F^2$ with $F=L+1$ factors and $\Lambda=\prod\lambda$, the points with $Z=\alpha S\otimes1_n^\top$ are
critical at the stationary $\alpha$ of $\log(1+(K-1)e^{-\alpha})+\frac F2\Lambda^{1/F}(K-1)(\alpha\sqrt n)^{2/F}$. If
$K\ge4$ and $L\ge3$, or $K\ge6$ and $L=2$, none of them is a global minimiser: a matrix of rank $\lceil K/2\rceil$ with blocks
$\beta(1,-1;-1,1)$ costs less.""",
        hypotheses=(
            "balanced classes, no bias",
            "every width >= K",
            "K >= 4 and L >= 3, or K >= 6 and L = 2",
            "decays > 0",
        ),
        notation="Garrod and Keating: one lambda for all factors (ours may differ: only their product matters), fit the mean "
        "over samples, L weight layers besides H.",
        sources=(
            GARROD_2025.remark("Unequal decays and the remark that for odd K their matrix is not critical are ours."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.Claim(
                "collapse is critical",
                r"\nabla f=0",
                gradient_at(nct.deep_collapse),
                lambda v: jnp.zeros(()),
                scope="any point",
                terms=terms_at(nct.deep_collapse),
            ),
            nct.Claim(
                "low rank is critical",
                r"\nabla f=0\mathrm{\ for\ even\ }K",
                gradient_at(mean_fit),
                lambda v: jnp.zeros(()),
                scope="any point",
                terms=terms_at(mean_fit),
            ),
            nct.Claim(
                "collapse", r"f(\mathrm{DNC})", value_at(nct.deep_collapse), lambda v: v.collapse, scope="any point"
            ),
            nct.Claim("low rank", r"f(\mathrm{LR})", value_at(nct.low_rank), lambda v: v.low_rank, scope="any point"),
            nct.Claim(
                "not global",
                r"f(\mathrm{LR})\le f(\mathrm{DNC})",
                value_at(nct.low_rank),
                lambda v: v.collapse,
                kind="upper",
                scope="any point",
            ),
            nct.Claim(
                "best found",
                r"\min f\le f(\mathrm{LR})",
                lambda problem, params: problem.objective(params),
                lambda v: v.low_rank,
                kind="upper",
            ),
            *(claim for claim in nct.chain_claims() if claim.name == "balance"),
        ),
        controls=(
            nct.Control("one factor less", "L factors instead of L+1 in the penalty", with_factors(-1)),
            nct.Control(
                "n left out",
                "one sample a class in the place of n",
                per_class,
                claims=("collapse", "low rank"),
                applies=lambda instance: instance.parameters["n"] > 1,
            ),
            nct.Control(
                "collapse is global", "neural collapse costs less than low rank", exchanged, claims=("low rank",)
            ),
            nct.Control(
                "lower still",
                "the best of many starts is 3 % below low rank",
                lambda problem: predict(problem)._replace(low_rank=0.97 * predict(problem).low_rank),
                claims=("best found",),
                applies=lambda instance: instance.parameters["K"] % 2 == 0,
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
