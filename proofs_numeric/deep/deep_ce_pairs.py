r"""Cross-entropy, deep linear: for three classes and more, collapse is not best at all decays.

Neural collapse of a deep linear chain with cross-entropy was shown not to be optimal for many classes or layers. For few of
both it has the lower cost at weak decay, and a search from many starts finds nothing else. But this too ends, at stronger
decay: before zero becomes the best point, a network that pairs its classes is better than either. With three classes and two
layers it keeps a single pair and gives the third class up. Only two classes, or a single layer, are left out.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(W_L\cdots W_1h_i,y_i)+\sum_l\frac{\lambda_l}2|W_l|_F^2 +\frac{\lambda_H}2|H|_F^2$ over
    $W_l\in\mathbb R^{d_l\times d_{l-1}}$ with $d_L=K$ and the features $H\in\mathbb R^{d_0\times N}$ of $N=nK$ samples.
Theorem (our own; pairs of all classes are those of Garrod and Keating 2025):
    Let $F=L+1\ge3$, $q=2/F$, $c=\frac F2(n\Lambda)^{1/F}$ with the product $\Lambda$ of the decays,
    $a(\alpha)=\log(1+(K-1)e^{-\alpha})$ and $b(\beta)=\log(1+e^{-2\beta}+(K-2)e^{-\beta})$. Neural collapse, at
    the largest local minimum of $a(\alpha)+c(K-1)\alpha^q$, costs less than zero if and only if
    $c<c_0=\max_\alpha(\log K-a)/((K-1)\alpha^q)$. The $p=\lfloor K/2\rfloor$ pairs $Z=\beta\,\mathrm{diag}(B,\dots,B)$,
    $B=(1,-1;-1,1)$, with the logits 0 of a class that is left over, have the value
    $\min_\beta\frac{2p}Kb(\beta)+(1-\frac{2p}K)\log K+cp(2\beta)^q$, and cost less than zero if and only if
    $c<c_1=\max_\beta\frac2K(\log K-b)/(2\beta)^q$. For all $K\ge3$ and $L\ge2$, $c_0<c_1$: for c from $c_0$ to $c_1$, and
    from a crossing below $c_0$ on, neural collapse is not a global minimiser, though it costs less than zero up to $c_0$. For
    odd $K\ge5$ the class that is left over may have logits of rank one instead; for K = 5 and L = 2 the crossing is at
    $c=1.85\cdot10^{-4}$.
Hypotheses:
    - cross-entropy of one-hot labels
    - free features
    - balanced classes, K >= 3
    - no bias
    - every width K
    - L >= 2
    - all decays > 0
    - c between the crossing and c_1
Notation:
    Garrod and Keating: one lambda for all factors, of which only the product matters; L weight layers besides H.
Why:
    Factors with product Z cost $c\sum_is_i(Z)^q$ at least, and this if they share its singular values out evenly
    (`red-schatten`). The singular values are $\alpha$, K-1 times, and $2\beta$, p times. The value of pairs is $\log K$ and p
    times what one pair adds, so that $c_1$ does not depend on p. Let $\beta=\alpha$ be where $c_0$ is attained: as $b<a$,
    $c_1/c_0>2^{1-q}(K-1)/K$, which is at least 1 for $K\ge5$, for K = 4 and $L\ge3$, and for $L\ge4$; for K = 3 with L up to
    3, and K = 4 with L = 2, both are evaluated. At the structure the gradient of the fit maps its right singular vectors to
    multiples of its left ones, by symmetry, and for one scale of the pairs (or three of pairs with a lone class)
    stationary in the family is stationary in the chain: all other directions have two factors at least that vanish. That the
    order of pairs and neural collapse changes once is computed, not proved.
Checked:
    The structures are built in the network, with inner spaces turned by matrices from random starts. There the objective must
    be the value of the formula, and the gradient of the chain vanish, both to rounding (sampled). The objective at the pairs
    must not exceed neural collapse's, as the library's closed form has it, nor zero's. Prices are drawn next to both ends of
    their range, at $c_0$ and between. One lower point is enough to refute neural collapse as a minimiser, on the instances
    drawn.
Refuted by:
    Another value or a gradient at a structure, or pairs that cost more than neural collapse or zero. The same check must
    refute one factor less, one sample a class in the place of n, pairs at the value of neural collapse, a class that is
    given up but paid for like the others, values and scales off by 1e-6, pairs that cost less than three fifths, and prices
    just below the crossing and just above $c_1$.
Example:
    Three classes, two weight layers and decays of 0.18: neural collapse, the pair, zero, and the best of 32 random starts.

    >>> problem = paired_chain(3, 2, 1, (0.18,) * 3)
    >>> told = predict(problem)
    >>> best = nct.solve(problem, seeds=32, scale=1.3, light=True).value.min()
    >>> [round(float(value), 5) for value in (told.collapse, told.pairs, np.log(3), best)]
    [1.07646, 1.06652, 1.09861, 1.06652]
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025
from proofs_numeric.deep.gk_deep_ce import CROSS_ENTROPY
from proofs_numeric.deep.pairs import (
    PairedChain,
    better,
    collapse_value,
    crossing,
    ends_of_use,
    least,
    paired_chain,
    pairs,
    pairs_cost,
    price,
)
from proofs_numeric.deep.structures import critical, turned
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import objective_claim
from proofs_numeric.pool import log_uniform, pick

ID = "deep-ce-pairs"
# A shape is (K, L, n). In those of GIVEN_UP neural collapse is the best that is known at weak decay.
GIVEN_UP = ((3, 2, 2), (3, 2, 3), (3, 4, 2), (3, 3, 4))
FEW = ((5, 2, 1), (5, 2, 2), (4, 2, 2), (4, 2, 1))
MORE = ((4, 3, 1), (6, 2, 1), (7, 2, 1), (5, 4, 1), (3, 8, 1))
WEAKEST = 1e-3
"""The least price that is drawn, in units of c_1, where pairs cost less than neural collapse at every decay."""


class Values(NamedTuple):
    """What the theorem says of the two structures."""

    pairs: nct.engine.Scalar
    collapse: nct.engine.Scalar
    lower: nct.engine.Scalar
    """The lower of neural collapse and zero."""


def draw_instances(key):
    """Draw one shape of each kind, and prices next to both ends, at c_0, beyond it, and below."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, depth, samples in (*pick(rng, GIVEN_UP, 2), *pick(rng, FEW), *pick(rng, MORE)):
        below, (middle, above) = crossing(classes, depth), ends_of_use(classes, depth)
        below = max(below, WEAKEST * above)
        for cost in (
            below * (1 + log_uniform(rng, 1e-4, 1e-3)),
            log_uniform(rng, below, middle),
            middle,
            above * (1 - log_uniform(rng, 1e-4, 1e-2)),
        ):
            drawn.append(instance(rng, classes, depth, samples, cost))
    return drawn


def instance(rng, classes, depth, samples, cost):
    """Build the chain of a given price with unequal decays."""
    factors = depth + 1
    common = 2 * cost / factors / samples ** (1 / factors)
    spread = rng.uniform(-1.0, 1.0, size=factors)
    problem = paired_chain(classes, depth, samples, tuple((common * np.exp(spread - spread.mean())).tolist()))
    below, (_, above) = crossing(classes, depth), ends_of_use(classes, depth)
    shown = {"K": classes, "L": depth, "n": samples, "c": cost, "crossing": below, "c_1": above}
    return nct.Instance(problem, shown)


def outside_of(classes, depth, relative, of_crossing):
    """Return what draws an instance at a price relative to the crossing or to c_1."""

    def draw(key):
        rng = nct.theorems.numpy_rng(key)
        cost = crossing(classes, depth) if of_crossing else ends_of_use(classes, depth)[1]
        return [instance(rng, classes, depth, 1, relative * cost)]

    return draw


def predict(problem):
    """Evaluate the formulas."""
    return predict_with()(problem)


def predict_with(factors=0, samples=None, factor=1.0):
    """State the theorem with another number of factors, or of samples a class, or with all values larger by a factor."""

    def stated(problem):
        classes, depth, cost = problem.classes, problem.depth + factors, price(problem, samples)
        cost *= (depth + 1) / (problem.depth + 1)
        collapse = collapse_value(classes, depth, cost)
        values = (better(classes, depth, cost).value, collapse, min(collapse, float(np.log(classes))))
        return Values(*(jnp.asarray(factor * value) for value in values))

    return stated


def as_if_served(problem):
    """State that the class that is given up costs no more than the others."""
    power = 2 / problem.factors
    cost = least(
        lambda scales, classes, price, power: pairs_cost(scales, classes, price, power, served=True),
        1,
        problem.classes,
        power,
        price(problem),
    )[1]
    return predict(problem)._replace(pairs=jnp.asarray(cost))


def given_up(instance):
    """Tell whether a class is given up: K is odd and pairs alone are the better structure."""
    problem = instance.problem
    alone = pairs(problem.classes, problem.depth, price(problem)).value
    return problem.classes % 2 == 1 and alone <= better(problem.classes, problem.depth, price(problem)).value


def collapse_is_used(instance):
    """Tell whether neural collapse costs less than zero."""
    return price(instance.problem) < (1 - 1e-9) * ends_of_use(instance.problem.classes, instance.problem.depth)[0]


def within(instance):
    """Tell whether the price lies between the crossing and c_1."""
    sizes = (instance.problem.classes, instance.problem.depth)
    return crossing(*sizes) <= price(instance.problem) < ends_of_use(*sizes)[1]


def known(problem):
    """Return the structure of pairs that the chain knows."""
    return problem.structure


def at(structure_of):
    """Return what builds a structure of a problem with its inner spaces turned by a start's matrices."""
    return lambda problem, params: turned(structure_of(problem), problem, params)


def claims_at(stretch=1.0):
    """Claim that the pairs are critical, or products that are `stretch` times as large."""
    return critical("critical", r"\nabla f(\mathrm{pairs})=0", known, stretch)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            CROSS_ENTROPY,
            FREE_FEATURES,
            nct.Hypothesis("balanced classes, K >= 3", lambda i: BALANCED.test(i) and i.problem.classes >= 3),
            NO_BIAS,
            nct.Hypothesis("every width K", lambda i: set(i.problem.widths) == {i.problem.classes}),
            nct.Hypothesis("L >= 2", lambda i: i.problem.depth >= 2 and isinstance(i.problem, PairedChain)),
            POSITIVE_DECAYS,
            nct.Hypothesis("c between the crossing and c_1", within),
        ),
        sources=(
            GARROD_2025.remark(
                "Theirs are pairs of all classes, for K >= 4 and L >= 3 or K >= 6 and L = 2. Pairs with a class that is given "
                "up or alone, the ends of their use, and what follows for fewer classes and layers are ours."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            claims_at(),
            objective_claim(nct.Equality, "pairs", r"f(\mathrm{pairs})", at(known), lambda v: v.pairs),
            objective_claim(
                nct.Equality, "collapse", r"f(\mathrm{DNC})", at(nct.closed_form.deep_collapse), lambda v: v.collapse
            ),
            objective_claim(
                nct.UpperBound,
                "not global",
                r"f(\mathrm{pairs})\le\min(f(\mathrm{DNC}),f(0))",
                at(known),
                lambda v: v.lower,
                resolution=0.6,
                because="how much less they cost is told by the two values",
            ),
        ),
        controls=(
            nct.Control("one factor less", "L factors in the place of L+1", predict_with(factors=-1)),
            nct.Control(
                "n left out",
                "one sample a class in the place of n",
                predict_with(samples=1),
                ("pairs", "collapse"),
                lambda i: float(i.parameters["n"]) > 1,
            ),
            nct.Control(
                "collapse is best",
                "pairs cost no less than neural collapse",
                lambda problem: predict(problem)._replace(pairs=predict(problem).lower),
                ("pairs",),
                collapse_is_used,
            ),
            nct.Control("all served", "the class given up costs as the others", as_if_served, ("pairs",), given_up),
            nct.Control(
                "1e-6 off", "values larger by a relative 1e-6", predict_with(factor=1 + 1e-6), ("pairs", "collapse")
            ),
            nct.Control("scale 1e-6 off", "scales larger by a relative 1e-6", versions=(claims_at(1 + 1e-6),)),
            nct.Control(
                "three fifths",
                "pairs cost less than three fifths of neural collapse",
                lambda problem: predict(problem)._replace(lower=0.6 * predict(problem).lower),
                ("not global",),
            ),
            nct.Control(
                "weaker decay",
                "so it is below the crossing",
                claims=("not global",),
                outside=outside_of(3, 2, 1 - 1e-4, of_crossing=True),
            ),
            nct.Control(
                "stronger decay",
                "so it is beyond c_1",
                claims=("not global",),
                outside=outside_of(3, 2, 1 + 1e-4, of_crossing=False),
            ),
        ),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
