r"""Deep linear cross-entropy without decay: three structures, each for a range of depths.

Without weight decay only the direction of the network converges, to a point at which its norm is stationary among networks
that keep all margins at one. In a deep chain that norm is a quasi-norm of the logits, and prefers low rank: a shallow chain
of an even number K of classes is smallest at the simplex, a deeper one at opposite pairs, a still deeper one at a polygon in
the plane. Nevertheless the simplex is a local minimum at every depth, in a ball whose radius does not depend on depth.

Problem:
    $\frac1N\sum_i\mathrm{CE}(W_L\cdots W_1h_i,y_i)$ without decay, $F=L+1$ factors, K classes of n samples; its margin problem
    $\min\frac1F(\sum_l|W_l|_F^2+|H|_F^2)$ over factors whose product Z has all margins $z_{y_i,i}-z_{j,i}\ge1$.
Theorem (our own; that depth favours softmax codes of lower rank: Garrod, Keating and Thrampoulidis 2026, number unchecked):
    For even $K\ge4$ with margins of $W_L\cdots W_1h_i$ at least 1 the simplex $S\otimes1_n^\top$, the pairs of blocks
    $(1,-1;-1,1)$ and the polygon $\cos(\frac{2\pi(i-j)}K)/(1-\cos\frac{2\pi}K)$ have the least margin 1 and the costs
    $n^{1/F}(K-1)$, $n^{1/F}K2^{2/F-1}$ and $2n^{1/F}(\frac K{2(1-\cos(2\pi/K))})^{2/F}$. Of these the simplex is least
    for $F<F_1=2\log(2)/\log(2(K-1)/K)$, pairs up to $F_2=2\log(\frac K{4(1-\cos(2\pi/K))})/\log(K/4)$, and beyond it the
    polygon (for K = 4 these two cost the same). At every F the simplex is the strict minimum among all logits of margins at
    least 1 that are, centred, within $\frac1{\sqrt{K(K-1)}}$ of it (n = 1).
Hypotheses:
    - cross-entropy of one-hot labels
    - free features
    - balanced classes, K >= 4 and even
    - no bias
    - every width >= K
    - no decay
Notation:
    $\frac12\sum|\cdot|^2$ of F factors is F/2 times the cost here, at best; K = 6 has F_1 = 2.714 and F_2 = 5.419, K = 4 has
    F_1 = 3.419. That nothing lies lower than the three is observed, not proved: their costs are upper bounds.
Why:
    Factors that share out the singular values of Z evenly cost $\sum_is_i(Z)^{2/F}$ (`red-schatten`), and those of the three
    are known. Local minimum, q = 2/F: taking the mean off the columns of Z changes no margin and raises no singular value.
    Then $D=Z-S$ has columns of sum zero in which no entry exceeds the diagonal one. So its column k has a norm of at most
    $\sqrt{K(K-1)}d_{kk}$, and $\mathrm{tr}D\ge r_0|D|_F$ with $r_0=1/\sqrt{K(K-1)}$. Let E be D on the complement of 1 and
    $r=|D|_F\le\frac12$: $\log|\det(I+E)|\ge\mathrm{tr}E-|E|_F^2\ge rr_0-r^2$, and with the inequality of the means
    $\sum_is_i(Z)^q\ge(K-1)|\det(I+E)|^{q/(K-1)}\ge(K-1)e^{\frac q{K-1}(rr_0-r^2)}$.
Checked:
    The three are built as networks whose inner spaces are turned by matrices from random starts. There their margins, the
    norms of their factors and the least of these, the singular values of their products, and by bisection in a real number
    of factors the crossings are measured. From the simplex random directions that keep all margins are followed to random
    distances within the ball, and the cost is held against the bound. All of it is sampled. Which of the three a search
    finds depends on the search: reweighted least squares end at the simplex from every start if they are smoothed much at
    first, and at many other points if not; with a weak decay and six classes the gradient flow ends at pairs (sampled).
Refuted by:
    One network of another margin or cost, another cheapest structure, another crossing, or one matrix in the ball below the
    bound. The same check must refute L for F, one sample for n, margins, costs and crossings that are a little off, the
    simplex as the cheapest at every depth, lower rank for shallower chains, one and a half times the bound, and the bound at
    pairs, which lie outside of the ball.
Example:
    Six classes: the costs of simplex, pairs and polygon with two, four and six factors.

    >>> [formula(6, 2 / factors).round(3).tolist() for factors in (2, 4, 6)]
    [[5.0, 6.0, 12.0], [5.0, 4.243, 4.899], [5.0, 3.78, 3.634]]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025
from proofs_numeric.bibliography_of_codes import GARROD_2026
from proofs_numeric.deep.gk_deep_ce import CROSS_ENTROPY, WIDE
from proofs_numeric.deep.ladder import (
    crossings,
    each,
    formula,
    least_margin,
    measured_crossings,
    norms,
    over_bound,
    power_sum,
)
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, NO_BIAS
from proofs_numeric.pool import pick

ID = "depth-ladder"
# A shape is (K, L, n), all widths K; the pools are those where the simplex, pairs and the polygon cost least.
SIMPLEX = ((4, 1, 3), (4, 2, 2), (6, 1, 2), (8, 1, 1))
PAIRS = ((6, 2, 1), (6, 3, 2), (6, 4, 1), (8, 2, 2), (8, 4, 1))
POLYGON = ((4, 3, 2), (4, 5, 1), (6, 5, 2), (6, 7, 1), (8, 5, 1))


class Ladder(NamedTuple):
    """What the theorem says."""

    margins: jax.Array
    costs: jax.Array
    """Those of simplex, pairs and polygon."""
    least: jax.Array
    """The cost of the structure that the ladder names."""
    crossings: jax.Array
    bound: jax.Array
    """What the cost near the simplex is at least, over its lower bound: 1."""


def draw_instances(key):
    """Draw four shapes of each pool."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(*shape) for pool in (SIMPLEX, PAIRS, POLYGON) for shape in pick(rng, pool, 4)]


def build_instance(classes, depth, samples):
    """Build the chain without decay."""
    problem = nct.deep_linear(
        widths=(classes,) * (depth + 1),
        counts=(samples,) * classes,
        loss="cross_entropy",
        weight_decay=(0.0,) * (depth + 1),
    )
    shown = {"K": classes, "L": depth, "n": samples, "simplex up to": float(crossings(classes)[0])}
    return nct.Instance(problem, shown)


def predict_with(factors=0, samples=None, factor=1.0, moved=1.0, names=None, bound=1.0):
    """State the theorem, or a wrong version: more factors, other samples, values or crossings off, another order."""

    def stated(problem):
        classes, number = problem.classes, problem.factors + factors
        n = problem.counts[0] if samples is None else samples
        costs = n ** (1 / number) * formula(classes, 2 / number)
        places = crossings(classes)
        order = list(range(1 + len(places)))
        named = (order if names is None else names(order))[int(np.sum(problem.factors > places))]
        return Ladder(*map(jnp.asarray, (factor * np.ones(3), factor * costs, costs[named], moved * places, bound)))

    return stated


predict = predict_with()


def least_norm(problem, params):
    """Measure the norm of the cheapest of the three networks."""
    return jnp.min(each(norms)(problem, params))


def pairs_over_simplex(problem, params):
    """Measure what pairs cost over what the simplex does."""
    costs = each(power_sum)(problem, params)
    return costs[1] / costs[0]


def near_simplex(observe=over_bound):
    """Claim that no logits near the simplex cost less than the bound."""
    return nct.LowerBound(
        "local minimum",
        r"\sum_is_i(Z)^{2/F}\ge(K-1)e^{\frac q{K-1}(rr_0-r^2)}",
        observe,
        lambda p: p.bound,
        scope="any point",
        resolution=0.5,
        because="the bound is reached at the simplex alone; how much more others cost is not claimed",
    )


def claim(name, statement, observe, predicted, terms=10.0):
    """Claim an equality of what is measured at networks, with errors of up to some ten roundings."""
    return nct.Equality(
        name,
        statement,
        observe,
        predicted,
        scope="any point",
        terms=lambda problem, params: terms * jnp.linalg.norm(observe(problem, params)),
    )


def deeper(instance):
    """Tell whether pairs cost less than the simplex."""
    return instance.problem.factors > crossings(instance.problem.classes)[0]


def at_an_end(instance):
    """Tell whether the simplex or a structure of rank two is the cheapest."""
    classes, factors = instance.problem.classes, instance.problem.factors
    return not deeper(instance) or factors > crossings(classes)[-1]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            CROSS_ENTROPY,
            FREE_FEATURES,
            lambda i: BALANCED.test(i) and i.problem.classes >= 4 and i.problem.classes % 2 == 0,
            NO_BIAS,
            WIDE,
            lambda i: not np.any(np.asarray(i.problem.weight_decay)),
        ),
        sources=(
            GARROD_2026.remark(
                "Their abstract: without decay depth favours softmax codes of lower rank, and shrinks the basin of neural "
                "collapse. The costs, the crossings and the ball around the simplex are our own."
            ),
            GARROD_2025.remark("The pairs, with decay."),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            claim("margins", r"\min_{j\ne y_i}(z_{y_i,i}-z_{j,i})=1", each(least_margin), lambda p: p.margins),
            claim("norms", r"\frac1F(\sum_l|W_l|_F^2+|H|_F^2)", each(norms), lambda p: p.costs),
            claim("singular values", r"\sum_is_i(Z)^{2/F}", each(power_sum), lambda p: p.costs),
            claim("cheapest", r"\min_Z\frac1F(\sum_l|W_l|_F^2+|H|_F^2)", least_norm, lambda p: p.least),
            claim("crossings", r"F_1,\ F_2", measured_crossings, lambda p: p.crossings, terms=1e3),
            near_simplex(),
        ),
        controls=(
            nct.Control("L factors", "L in the place of F", predict_with(factors=-1), ("norms", "singular values")),
            nct.Control(
                "n left out",
                "one sample a class in the place of n",
                predict_with(samples=1),
                ("norms", "singular values"),
                lambda i: float(i.parameters["n"]) > 1,
            ),
            nct.Control(
                "1e-6 off",
                "margins and costs larger by a relative 1e-6",
                predict_with(factor=1 + 1e-6),
                ("margins", "norms", "singular values"),
            ),
            nct.Control(
                "crossings 1e-4 off", "crossings at 1.0001 times F", predict_with(moved=1 + 1e-4), ("crossings",)
            ),
            nct.Control(
                "simplex at every depth",
                "neural collapse costs least however deep the chain",
                predict_with(names=lambda order: order[:1] * 3),
                ("cheapest",),
                deeper,
            ),
            nct.Control(
                "deeper favours higher rank",
                "the order of the three reversed",
                predict_with(names=lambda order: order[::-1]),
                ("cheapest",),
                at_an_end,
            ),
            nct.Control(
                "half as much again", "one and a half times the bound", predict_with(bound=1.5), ("local minimum",)
            ),
            nct.Control(
                "at any distance",
                "the simplex costs no more than pairs",
                versions=(near_simplex(pairs_over_simplex),),
                applies=deeper,
            ),
        ),
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
