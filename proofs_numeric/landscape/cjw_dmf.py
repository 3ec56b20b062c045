r"""Regularised deep matrix factorisation: every critical point, classified.

A chain of linear layers with weight decay, fitted to the labels of K classes, has a landscape that is known to the last
critical point: each direction of the labels is either off or on, in at most two ways, independently of the others as
far as the widths allow. From three factors on this landscape is not benign. Every initial run of the strongest
directions is a local minimum, nothing learned at all among them, and everything else is a saddle from which the
curvature leads away. Deep chains can be caught there, and which minimum a descent reaches is a matter of its start.

Problem:
    $\min\frac1{2N}|W_M\cdots W_1H+b1^\top-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ over M
    weight layers $W_l\in\mathbb R^{d_l\times d_{l-1}}$, $d_M=K$, the features $H\in\mathbb R^{d_0\times N}$ and, where
    there is one, a free bias; Y are the labels of K classes of $n_k$ samples.
Theorem (Chen et al. 2025, number unchecked; the form in x and b, the free bias and equal strengths are our own):
    At every critical point of a squared-error chain with $M\ge1$ weight layers and all decays positive, each singular
    direction of the targets is off, or on at a root $x$ of $b=Mx^{M-1}/(x^M+1)^2$ (two roots for $M\ge2$ below the
    spinodal, one for $M=1$), at most $\min(d_l)$ of them on; every such choice is critical. For $M\ge2$ it is a local
    minimiser iff the $k$ strongest directions stand at their larger roots and the rest are off, for some $k$; for $M=1$
    iff it is the global minimiser. All others are strict saddles.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - all decays > 0
    - no bias or a free one
    - no strength equal to the spinodal (the degenerate y*)
Notation:
    Chen, Jiang, Wang: |W_L...W_1 - Y|_F^2 + sum lambda_l |W_l|_F^2 without 1/2, L = M+1 factors, sigma_i^(2L-1) -
    sqrt(prod lambda) y_i sigma_i^(L-1) + prod lambda sigma_i = 0; the features are our first factor.
Why:
    Each gradient paired with its own factor gives $\lambda_{l+1}W_{l+1}^\top W_{l+1}=\lambda_lW_lW_l^\top$ between
    neighbours, so that all factors have the same scaled singular values $\sigma_i$ and matching singular vectors, and
    $\frac1N(Y-Z)Z^\top=\lambda_MW_MW_M^\top$, $\frac1NZ^\top(Y-Z)=\lambda_HH^\top H$ for $Z=W_M\cdots W_1H$. So
    $YZ^\top$ and $Z^\top Y$ are symmetric, Y and Z share singular vectors, and for each direction that is on
    $s_i(y_i-s_i)=N\sigma_i^2$; with $x^M=s_i/(y_i-s_i)$ this is the stated equation, and all these steps can be
    reversed. (A free bias only centres Y and H.) A direction at its smaller root is at a maximum of $1/(x^M+1)+bx$,
    with negative curvature when its factors are scaled together. If one is on at its larger root and a stronger one is
    off, turning the first one's singular vectors towards the second one's in $W_M$ and H leaves decay and norm alone
    and raises $\langle Y,Z\rangle$. Now let $M\ge2$ and the k strongest be at their larger roots. f is at least the fit
    plus $\frac{M+1}2(\lambda_H\prod\lambda_l)^{1/(M+1)}\sum_is_i^{2/(M+1)}$, with equality here, and by von Neumann's
    trace inequality at least a sum over the sorted singular values, one function for each. Each has a local minimum at
    its own $s_i$, at 0 because the exponent is below 1, and singular values are continuous. For $M=1$ the exponent is
    1: a direction below its threshold that is off can be switched on if there is rank to spare (`cert-haeffele-vidal`),
    and the choice that remains is the global minimiser.
Checked:
    A census lowers the norm of the gradient from random starts of many kinds, and so ends at critical points of every
    index. The value of each end is held against the list, to what its gradient leaves open, and every entry of the list
    must occur: at an end, or at a point built for it where the gradient vanishes to rounding. For each type of end the
    smallest eigenvalue of the Hessian off the gauge is computed, and its sign held against the rule. The balance of the
    factors is observed at every end. All of this is sampled: critical points that no start reached are not excluded.
Refuted by:
    One critical point with a value off the list, an entry that no point has, or a Hessian of the wrong sign. The same
    check must refute a list without the smaller roots, one with a direction less, or one off by 1e-6; that only the
    global minimiser is a local one, that larger roots in any order are, or that zero is not; and a balance with one
    decay off by 1e-6.
Example:
    Two layers of width one and classes of two samples and one: the list and which of it are minimisers, and what a
    census finds.

    >>> problem = nct.deep_linear(widths=(1, 1, 2), counts=(2, 1), loss="mse", weight_decay=(0.08,) * 3)
    >>> [(round(one.value, 6), one.minimum) for one in nct.closed_form.critical_points(problem)]
    [(0.3098, True), (0.44277, False), (0.5, True), (0.501156, False), (0.502337, False)]
    >>> for row in nct.census(problem, starts=100).rows:
    ...     print(round(row.value, 6), row.kind)
    0.3098 minimum
    0.44277 strict saddle
    0.5 minimum
    0.501156 strict saddle
    0.502337 strict saddle
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
# A shape is (widths, counts, bias): with distinct strengths or a tie, a narrow layer, four factors, two factors.
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
    """Draw for each shape: all directions on at the minimum, one near its spinodal (or onset), one beyond its onset."""
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
    """Say whether no strength is that at which the two roots meet."""
    problem = instance.problem
    return bool(np.min(np.abs(strengths(problem)[3] / nct.closed_form.spinodal(problem.depth) - 1)) > DISTINCT)


def choices(problem):
    """Build critical points for all entries of the list, in its order."""
    _, sigma, _, b, _ = strengths(problem)
    large = np.asarray(nct.closed_form.largest_root(jnp.asarray(b), problem.depth))
    small = np.array([smaller_root(one, problem.depth) for one in b])
    points = []
    for one in nct.closed_form.critical_points(problem):
        x = np.choose(one.roots, [np.zeros_like(large), small, large]) ** problem.depth
        points.append(point_with(problem, sigma * x / (1 + x)))
    return stacked(points)


def smaller_root(b, depth):
    """Find the root of b = M x^(M-1) / (x^M + 1)^2 below the right-hand side's maximum, 0 where there is none."""
    peak = ((depth - 1) / (depth + 1)) ** (1 / depth)
    if depth == 1 or b >= nct.closed_form.spinodal(depth):
        return 0.0
    found = brentq(
        lambda x: depth * x ** (depth - 1) / (x**depth + 1) ** 2 - b, 0.0, peak, xtol=1e-16, rtol=np.float64(1e-15)
    )
    assert isinstance(found, float)
    return found


def predict(problem):
    """Predict every value of the list, and those of its local minimisers."""
    listed = nct.closed_form.critical_points(problem)
    return as_listed(listed, [one for one in listed if one.minimum])


def as_listed(listed, minima):
    """Collect the values of a list, and of those of its entries that are said to be minima."""
    values = [np.array([one.value for one in some] or [np.nan]) for some in (listed, minima)]
    return Listed(jnp.asarray(values[0]), jnp.asarray(values[1]))


def listed_if(rule):
    """Predict with another rule for which choices belong to the list."""

    def wrong(problem):
        listed = [one for one in nct.closed_form.critical_points(problem) if rule(one, problem)]
        return as_listed(listed, [one for one in listed if one.minimum])

    return wrong


def minimisers_if(rule):
    """Predict with another rule for which critical points are local minimisers."""

    def wrong(problem):
        listed = nct.closed_form.critical_points(problem)
        return as_listed(listed, [one for one in listed if rule(one, listed)])

    return wrong


def objective(problem, params):
    """Observe the value, which tells the entries of the list apart."""
    return problem.objective(params)


def three_or_more_factors(instance):
    """Say whether there are three or more factors."""
    return instance.parameters["M"] > 1


def full_rank(instance):
    """Say whether some critical point has every direction on that the narrowest layer lets through."""
    problem = instance.problem
    return any(one.rank == min(problem.widths) for one in nct.closed_form.critical_points(problem))


def out_of_order(instance):
    """Say whether larger roots can be chosen in another order, with another value: not where strengths tie."""
    listed = nct.closed_form.critical_points(instance.problem)
    least = np.array([one.value for one in listed if one.minimum])
    others = [one.value for one in listed if 1 not in one.roots and not one.minimum]
    return three_or_more_factors(instance) and any(np.min(np.abs(least - value)) > 1e-6 * value for value in others)


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
                listed_if(lambda one, p: 1 not in one.roots),
                claims=("values",),
                applies=three_or_more_factors,
            ),
            nct.Control(
                "one rank less",
                "at most min(d) - 1 directions on",
                listed_if(lambda one, p: one.rank < min(p.widths)),
                claims=("values",),
                applies=full_rank,
            ),
            nct.Control(
                "benign",
                "every critical point but the global minimiser is a strict saddle, as for two factors",
                minimisers_if(lambda one, listed: one is listed[0]),
                claims=("minimisers",),
                applies=three_or_more_factors,
            ),
            nct.Control(
                "any choice of larger roots",
                "every point without a smaller root is a local minimiser, in whatever order",
                minimisers_if(lambda one, listed: 1 not in one.roots),
                claims=("minimisers",),
                applies=out_of_order,
            ),
            nct.Control(
                "zero is a saddle",
                "zero is a strict saddle at every depth",
                minimisers_if(lambda one, listed: one.minimum and one.rank > 0),
                claims=("minimisers",),
                applies=three_or_more_factors,
            ),
        ),
        several_basins=True,
        seeds=1024,
        method=nct.Census(),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
