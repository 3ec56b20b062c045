"""Regularised deep matrix factorisation: the complete list of critical points, and which are local minimisers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025
from proofs_numeric.deep.chains import chain_instance

ID = "cjw-dmf"
# (widths, counts, bias): distinct strengths, a tie, a narrow layer, four factors, a free bias; two factors last.
SHAPES = (
    ((3, 3, 3), (3, 2, 1), None),
    ((3, 3, 3), (2, 2, 1), None),
    ((3, 2, 3), (4, 2, 1), None),
    ((2, 2, 2, 2), (3, 2), None),
    ((3, 3), (3, 2, 1), 0.0),
)


class Listed(NamedTuple):
    """What the theorem says of all critical points."""

    values: jax.Array
    minima: jax.Array


def draw_instances(key):
    """For each shape: every direction on at the minimum, one beyond its onset or spinodal, and one in between."""
    rng = nct.generator(key)
    drawn = []
    for widths, counts, bias in SHAPES:
        pivot = min(widths) - 1 if bias is None else 1
        for relative in (rng.uniform(0.3, 0.5), rng.uniform(0.85, 0.95), rng.uniform(1.1, 1.2)):
            drawn.append(chain_instance(rng, widths, counts, pivot, relative, bias))
    return drawn


def predict(problem):
    """Every value of the list, and those of its local minimisers."""
    listed = nct.critical_points(problem)
    return as_listed(listed, [one for one in listed if one.minimum])


def as_listed(listed, minima):
    """Values of a list, and of those of its entries that are said to be minima."""
    values = [np.array([one.value for one in some] or [np.nan]) for some in (listed, minima)]
    return Listed(jnp.asarray(values[0]), jnp.asarray(values[1]))


def only(rule):
    """The list with another rule for which choices belong to it."""

    def wrong(problem):
        listed = [one for one in nct.critical_points(problem) if rule(one, problem)]
        return as_listed(listed, [one for one in listed if one.minimum])

    return wrong


def minima(rule):
    """The theorem with another rule for which critical points are local minimisers."""

    def wrong(problem):
        listed = nct.critical_points(problem)
        return as_listed(listed, [one for one in listed if rule(one, listed)])

    return wrong


def objective(problem, params):
    """The value, which tells the entries of the list apart."""
    return problem.objective(params)


def deep(instance):
    """Whether there are three or more factors."""
    return instance.parameters["M"] > 1


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Regularised deep matrix factorisation: every critical point, classified",
        statement=r"""At every critical point of a squared-error chain with $M\ge1$ weight layers and all decays positive, each
singular direction of the targets is off, or on at a root $x$ of $b=Mx^{M-1}/(x^M+1)^2$ (two roots for $M\ge2$ below the
spinodal, one for $M=1$), at most $\min(d_l)$ of them on; every such choice is critical. For $M\ge2$ it is a local
minimiser iff the $k$ strongest directions stand at their larger roots and the rest are off, for some $k$; for $M=1$ iff it is
the global minimiser. All others are strict saddles.""",
        hypotheses=("all decays > 0, no bias or a free one", "no strength equal to the spinodal (the degenerate y*)"),
        notation="Chen, Jiang, Wang: |W_L...W_1 - Y|_F^2 + sum lambda_l |W_l|_F^2 without 1/2, L = M+1 factors, "
        "sigma_i^(2L-1) - sqrt(prod lambda) y_i sigma_i^(L-1) + prod lambda sigma_i = 0; the features are our first factor.",
        sources=(CHEN_2025.remark("Our form in x and b; the free bias and equal strengths are our own."),),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.Claim(
                "values",
                r"f\in\{\text{choices of roots}\}",
                objective,
                lambda p: p.values,
                kind="member",
                scope="critical points",
                complete=True,
                of_value=True,
            ),
            nct.Claim(
                "minimisers",
                r"\lambda_{\min}\ge0\iff\text{prefix of largest roots}",
                objective,
                lambda p: p.minima,
                kind="index",
                scope="critical points",
            ),
            *(claim for claim in nct.chain_claims() if claim.name == "balance"),
        ),
        controls=(
            nct.Control(
                "no smaller roots",
                "every direction off or at its larger root",
                only(lambda one, p: 1 not in one.roots),
                claims=("values",),
                applies=deep,
            ),
            nct.Control(
                "one rank less",
                "at most min(d) - 1 directions on",
                only(lambda one, p: one.rank < min(p.widths)),
                claims=("values",),
            ),
            nct.Control(
                "benign",
                "every critical point but the global minimiser is a strict saddle, as for two factors",
                minima(lambda one, listed: one is listed[0]),
                claims=("minimisers",),
                applies=deep,
            ),
            nct.Control(
                "any choice of larger roots",
                "every point without a smaller root is a local minimiser, in whatever order",
                minima(lambda one, listed: 1 not in one.roots),
                claims=("minimisers",),
                applies=deep,
            ),
            nct.Control(
                "zero is a saddle",
                "zero is a strict saddle at every depth",
                minima(lambda one, listed: one.minimum and one.rank > 0),
                claims=("minimisers",),
                applies=deep,
            ),
        ),
        several_basins=True,
        seeds=1024,
        method="census",
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
