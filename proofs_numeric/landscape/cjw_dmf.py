r"""Regularised deep matrix factorisation: every critical point, classified.

Regularised deep matrix factorisation: the complete list of critical points, and which are local minimisers.

Theorem:
    At every critical point of a squared-error chain with $M\ge1$ weight layers and all decays positive, each
    singular direction of the targets is off, or on at a root $x$ of $b=Mx^{M-1}/(x^M+1)^2$ (two roots for $M\ge2$ below the
    spinodal, one for $M=1$), at most $\min(d_l)$ of them on; every such choice is critical. For $M\ge2$ it is a local
    minimiser iff the $k$ strongest directions stand at their larger roots and the rest are off, for some $k$; for $M=1$ iff
    it is the global minimiser. All others are strict saddles.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - all decays > 0
    - no bias or a free one
    - no strength equal to the spinodal (the degenerate y*)
Notation:
    Chen, Jiang, Wang: |W_L...W_1 - Y|_F^2 + sum lambda_l |W_l|_F^2 without 1/2, L = M+1 factors, sigma_i^(2L-1) -
    sqrt(prod lambda) y_i sigma_i^(L-1) + prod lambda sigma_i = 0; the features are our first factor.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025
from proofs_numeric.deep.chains import (
    MSE_CHAIN,
    NO_OR_FREE_BIAS,
    POSITIVE,
    chain_instance,
    point_with,
    stacked,
    strengths,
)
from proofs_numeric.pool import log_uniform, near, pick
from proofs_numeric.thresholds import DISTINCT

ID = "cjw-dmf"
# (widths, counts, bias): distinct strengths or a tie; a narrow layer; four factors; two factors, the last, with K = 3, 4.
TWO = (((3, 3, 3), (3, 2, 1), None), ((3, 3, 3), (2, 2, 1), None), ((3, 3, 3), (1, 1, 1), 0.0))
NARROW = (((3, 2, 3), (4, 2, 1), None), ((4, 1, 4), (4, 3, 2, 1), None))
SHORT = (((2, 2, 2), (2, 1), None), ((2, 2, 2), (1, 1), None))
LONG = (((2, 2, 2, 2), (3, 2), None), ((2, 2, 2, 2), (20, 10), 0.0))
ONE = (((3, 3), (3, 2, 1), 0.0), ((4, 4), (4, 3, 2, 1), None))


class Listed(NamedTuple):
    """What the theorem says of all critical points."""

    values: jax.Array
    minima: jax.Array


def draw_instances(key):
    """For each shape: every direction on at the minimum, one close to its spinodal (or onset), and one beyond its onset."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for pool in (TWO, NARROW, SHORT, LONG, ONE):
        ((widths, counts, bias),) = pick(rng, pool)
        depth = len(widths) - 1
        pivot = min(*widths, len(counts) - (bias is not None)) - 1
        close = (
            near(rng, above=bool(rng.random() < 0.5)) * nct.closed_form.spinodal(depth) / nct.closed_form.onset(depth)
        )
        for relative in (log_uniform(rng, 0.05, 0.5), close, rng.uniform(1.1, 1.2)):
            drawn.append(chain_instance(rng, widths, counts, pivot, relative, bias))
    return drawn


def off_the_spinodal(instance):
    """Whether no strength is that at which the two roots meet."""
    problem = instance.problem
    return bool(np.min(np.abs(strengths(problem)[3] / nct.closed_form.spinodal(problem.depth) - 1)) > DISTINCT)


def choices(problem):
    """Critical points for every entry of the list, in its order."""
    _, sigma, _, b, _ = strengths(problem)
    large = np.asarray(nct.closed_form.largest_root(jnp.asarray(b), problem.depth))
    small = [smaller_root(one, problem.depth) for one in b]
    points = []
    for one in nct.closed_form.critical_points(problem):
        x = np.choose(one.roots, [np.zeros_like(large), small, large]) ** problem.depth
        points.append(point_with(problem, sigma * x / (1 + x)))
    return stacked(points)


def smaller_root(b, depth):
    """The root of b = M x^(M-1) / (x^M + 1)^2 below the maximum of the right-hand side; 0 where there is none."""
    peak = ((depth - 1) / (depth + 1)) ** (1 / depth)
    if depth == 1 or b >= nct.closed_form.spinodal(depth):
        return 0.0
    return float(
        brentq(lambda x: depth * x ** (depth - 1) / (x**depth + 1) ** 2 - b, 0.0, peak, xtol=1e-16, rtol=1e-15)
    )


def predict(problem):
    """Every value of the list, and those of its local minimisers."""
    listed = nct.closed_form.critical_points(problem)
    return as_listed(listed, [one for one in listed if one.minimum])


def as_listed(listed, minima):
    """Values of a list, and of those of its entries that are said to be minima."""
    values = [np.array([one.value for one in some] or [np.nan]) for some in (listed, minima)]
    return Listed(jnp.asarray(values[0]), jnp.asarray(values[1]))


def only(rule):
    """The list with another rule for which choices belong to it."""

    def wrong(problem):
        listed = [one for one in nct.closed_form.critical_points(problem) if rule(one, problem)]
        return as_listed(listed, [one for one in listed if one.minimum])

    return wrong


def minima(rule):
    """The theorem with another rule for which critical points are local minimisers."""

    def wrong(problem):
        listed = nct.closed_form.critical_points(problem)
        return as_listed(listed, [one for one in listed if rule(one, listed)])

    return wrong


def objective(problem, params):
    """The value, which tells the entries of the list apart."""
    return problem.objective(params)


def deep(instance):
    """Whether there are three or more factors."""
    return instance.parameters["M"] > 1


def full_rank(instance):
    """Whether some critical point has every direction on that the narrowest layer lets through."""
    problem = instance.problem
    return any(one.rank == min(problem.widths) for one in nct.closed_form.critical_points(problem))


def out_of_order(instance):
    """Whether larger roots can be chosen in another order, with another value: not where strengths tie."""
    listed = nct.closed_form.critical_points(instance.problem)
    least = np.array([one.value for one in listed if one.minimum])
    others = [one.value for one in listed if 1 not in one.roots and not one.minimum]
    return deep(instance) and any(np.min(np.abs(least - value)) > 1e-6 * value for value in others)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            MSE_CHAIN,
            POSITIVE,
            NO_OR_FREE_BIAS,
            off_the_spinodal,
        ),
        sources=(CHEN_2025.remark("Our form in x and b; the free bias and equal strengths are our own."),),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.MemberOf(
                "values",
                r"f\in\{\text{choices of roots}\}",
                objective,
                lambda p: p.values,
                scope="critical points",
                of_value=True,
                witness=choices,
            ),
            nct.Index(
                "minimisers",
                r"\lambda_{\min}\ge0\iff\text{prefix of largest roots}",
                objective,
                lambda p: p.minima,
            ),
            *(claim for claim in nct.theorems.chain_claims() if claim.name == "balance"),
        ),
        controls=(
            nct.Control(
                "1e-6 off",
                "every value of the list larger by a relative 1e-6",
                lambda problem: predict(problem)._replace(values=(1 + 1e-6) * predict(problem).values),
                claims=("values",),
            ),
            nct.theorems.balance_control(),
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
                applies=full_rank,
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
                applies=out_of_order,
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
        method=nct.Census(),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
