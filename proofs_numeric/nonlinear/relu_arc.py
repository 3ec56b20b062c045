r"""Features of rank two lie below neural collapse from five layers on, and cost 2/K of it in the limit.
collapse.

Behind ReLUs a network whose features have rank two in all layers but the last hidden one lies below neural collapse for
every number of classes from three to twelve once there are five layers: classes are points of a quarter of a circle, and
the last hidden layer tells them apart by hinges. Depth makes rank so dear that in its limit the network costs the share 2/K
of neural collapse, whatever the hinges cost. It is the counterpart for squared error and ReLUs of what Garrod and Keating
show for deep linear networks with cross-entropy, where any structure of more than a certain rank loses.

Problem:
    $\min\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features H of $N=nK$ samples with one-hot labels Y, $\sigma$ a ReLU.
Theorem (own; the limit of depth for linear networks: Garrod and Keating 2025):
    For $f=\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    let $b=L(2cR/F)^{F/L}$ with $F=L+1$, $c=(n\lambda_H\prod\lambda_l)^{1/F}$, and $g_b(x)=\frac1{x^L+1}+bx$ at the largest
    root of $b=Lx^{L-1}/(x^L+1)^2$. Neural collapse costs $\frac12g_b(x)$ and zero $\frac12$, with $R=\frac F2K$. Let P have
    K columns at equal angles on a quarter of the unit circle, s its nuclear norm, and h the least $\sum_j|a_j|$ with
    $\sum_ja_j\sigma(n_j^\top P)=I$, $|n_j|=1$. A network with features of rank two costs as much with
    $R=F(\frac{sh}4)^{2/F}$. For $3\le K\le12$ and $L\ge5$ (K = 3: also L = 4) this is less than $\frac F2K$, and its share
    of that tends to $\frac2K$ with L: no minimiser is neural collapse, at any decay.
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - balanced classes, K >= 2
    - 3 <= K <= 12 and L >= 5, or K = 3 and L = 4
    - every width >= the number of units of the last hidden layer
    - all decays > 0
    - no bias
    - b of the network below the onset
Notation:
    Garrod and Keating: one lambda for all factors (ours may differ).
Why:
    $W_1H=P$ costs s, two balanced halves of it; the layers up to L-2 are the identity on two dimensions, of half a square
    sum 1 each; the last two layers cost h, two halves of it. Rescaling every factor at will makes of these halves F times
    their geometric mean, $F(\frac s2\cdot1^{L-3}\cdot\frac s2\cdot\frac h2\cdot\frac h2)^{1/F}$. The points are not
    negative, and so the ReLUs of the layers up to L-2 do nothing. The value at any decays follows from R as in
    `relu-rank2`. Since s and h do not depend on L, R/F tends to 1, where neural collapse has K/2. Rank one does not do: a
    ReLU without a bias maps a ray to a ray.
Checked:
    The outputs of least length are solved for on a grid of directions, by reweighted least squares; any solution is a
    network. It is built at decays and sizes drawn, its lowest space turned at random. A forward pass of the chain must put
    out the targets, its objective be the predicted value and that of neural collapse its own, to rounding; the network must
    not cost more than neural collapse or zero. Evaluating one network is the whole proof at its decays; nothing is said of
    what is optimal.
Refuted by:
    A network that puts out something else, another value of either, or one that lies above neural collapse or zero. The
    same check must refute L factors, n left out, values 1e-6 off, neural collapse as the lower one, a quarter of its value,
    features shared out over the layers as in a linear chain (a ReLU cuts them), and four classes with four layers, where
    this network costs 8.5 % more.
Example:
    The cost relative to neural collapse with 5, 8 and 20 layers, and the limit 2/K.

    >>> [[round(arc_cost(classes, depth) / ((depth + 1) * classes / 2), 3) for depth in (5, 8, 20)] for classes in (4, 8)]
    [[0.953, 0.769, 0.601], [0.992, 0.627, 0.371]]
    >>> bool(abs(arc_cost(4, 4000) / (4001 * 2) - 0.5) < 1e-3)
    True
"""

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025
from proofs_numeric.hypotheses import BALANCED, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.arcs import arc_cost, arc_network, head
from proofs_numeric.nonlinear.below_collapse import (
    below_onset_by,
    build_instance,
    claims,
    controls,
    draw_below,
    predict_with,
)
from proofs_numeric.nonlinear.relu_chains import RELU_CHAIN
from proofs_numeric.pool import pick

ID = "relu-rank-two-limit"
# A shape is (K, L, n).
FEW = ((3, 4, 2), (4, 5, 3))
MIDDLE = ((4, 6, 2), (5, 8, 1), (6, 5, 1))
DEEP = ((7, 12, 1), (4, 20, 1), (12, 5, 1), (9, 8, 2))


def width_for(classes):
    """Return the number of units of the last hidden layer."""
    return len(head(classes)[0])


def network_of(problem):
    """Return the network at unit outputs."""
    return arc_network(problem.classes, problem.depth)


def draw_instances(key):
    """Draw one or two of each kind of shapes: weak and moderate decay, and one beyond the onset of neural collapse."""
    rng = nct.theorems.numpy_rng(key)
    shapes = (*pick(rng, FEW), *pick(rng, MIDDLE), *pick(rng, DEEP, 2))
    return draw_below(rng, shapes, arc_cost, width_for)


def four_layers(key):
    """Draw chains of four classes and four layers, to which the theorem does not apply."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(rng, 4, 4, width_for(4), 1, relative) for relative in (0.01, 0.5)]


def deep_enough(instance):
    """Tell whether there are as many layers as are stated."""
    classes, depth = instance.problem.classes, instance.problem.depth
    return (3 <= classes <= 12 and depth >= 5) or (classes == 3 and depth == 4)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            BALANCED,
            nct.Hypothesis("3 <= K <= 12 and L >= 5, or K = 3 and L = 4", deep_enough),
            nct.Hypothesis(
                "every width >= the number of units of the last hidden layer",
                lambda i: min(i.problem.widths[:-1]) >= width_for(i.problem.classes),
            ),
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("b of the network below the onset", below_onset_by(arc_cost)),
        ),
        sources=(GARROD_2025.remark("Cross-entropy and linear layers; squared error and ReLUs are our own."),),
        instances=draw_instances,
        predict=predict_with(arc_cost),
        method=nct.theorems.Train(steps=(0,)),
        claims=claims(network_of),
        controls=controls(arc_cost, network_of, four_layers, ("a quarter", 0.25), "four layers"),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
