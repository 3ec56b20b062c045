r"""Many classes: networks that code them by graphs or by bits lie below neural collapse.

With squared error and four or more layers of ReLUs neural collapse loses to networks whose hidden features have a rank of
about the root of the number of classes: classes are the edges of a complete graph, and a feature is a vertex. Two edges
share at most one vertex, so that one ReLU tells them all apart. Words of bits do the same with a rank that is logarithmic.
The more classes and layers there are, the more such a network saves: a quarter at 45 classes and four layers.

Problem:
    $\min\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features H of $N=nK$ samples with one-hot labels Y, $\sigma$ a ReLU.
Theorem (Sukenik et al. 2024, number unchecked; the distribution over the layers, its cost and the bits are our own):
    For $f=\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    let $b=L(2cR/F)^{F/L}$ with $F=L+1$, $c=(n\lambda_H\prod\lambda_l)^{1/F}$, and $g_b(x)=\frac1{x^L+1}+bx$ at the largest
    root of $b=Lx^{L-1}/(x^L+1)^2$. Neural collapse costs $\frac12g_b(x)$ and zero $\frac12$, with $R=\frac F2K$. Let A be
    the incidence matrix of the complete graph of r vertices, $K=\frac{r(r-1)}2$, or the $2k\times2^k$ matrix of the bits of
    $K=2^k$ words and of their complements, with $w=2$ or k ones a column. Then $\max(A^\top A-(w-1)J,0)=I$, and a network
    with features $(aI+bJ)A\ge0$ in the layers up to L-2 costs as much with
    $R=\min\frac12\big(2(mp_1^2+q_1^2)+(L-3)(mp_2^2+q_2^2)+mp_3^2+q_3^2+Ks^2\big)$ subject to $p_1^2p_2^{L-3}p_3s=t$,
    $q_1^2q_2^{L-3}q_3s=|t_0|$ and $(q_1/p_1)^2(q_2/p_2)^j\ge\rho$ for $j=0$ and $L-3$: for the graph $m=r-1$, $t=r-2$,
    $t_0=-\frac12(r-1)(r-4)$, $\rho=\sqrt{2(r-1)/(r-2)}$, for bits $m=k$, $t=2^{k-1}$, $t_0=-2^{k-1}(k-2)$, $\rho=\sqrt k$.
    For $L\ge4$ and $r\ge4$, and for bits with $k\ge4$, or $k\ge3$ and $L\ge5$, this is less than $\frac F2K$: no minimiser
    is neural collapse, at any decay.
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - balanced classes, K >= 2
    - classes are the edges of a complete graph, or words of bits, with as many layers as stated
    - every width >= K
    - all decays > 0
    - no bias
    - b of the network below the onset
Notation:
    Sukenik et al.: one lambda for all factors (ours may differ), fit 1/(2N)|.|^2 as here; strongly regular graphs of a
    triangular kind are the complete graph's edges.
Why:
    A column of A has w ones and two columns share at most w-1 rows: $A^\top A-(w-1)J$ is 1 on the diagonal and at most 0
    off it. As $1^\top A=w1^\top$, it is $A^\top(I-\frac{w-1}{w^2}J)A$: with the mean direction and the differences of the
    rows apart, where $AA^\top$ is a number each, it has the eigenvalue t (m times) and $t_0$. The L factors from H to
    $W_{L-1}$ each act by one number p on the differences and one, q, on the mean, and $W_L=sI$. Features $(aI+bJ)A$ are not
    negative iff their ratio of q to p is at least $\rho$; between the first and the last such layer it moves monotonically.
    The value at any decays follows from R as in `relu-rank2`.
Checked:
    R is minimised numerically under its constraints, and the network is built from its solution at decays and sizes drawn,
    its lowest space turned at random. A forward pass of the chain must put out the targets, its objective be the predicted
    value and that of neural collapse its own, to rounding; the network must not cost more than neural collapse or zero.
    Evaluating one network is the whole proof at its decays; nothing is said of what is optimal.
Refuted by:
    A network that puts out something else, another value of either, or one that lies above neural collapse or zero. The
    same check must refute L factors, n left out, values 1e-6 off, neural collapse as the lower one, half of its value,
    features shared out over the layers as in a linear chain (a ReLU cuts them), and ten classes with three layers, where
    this network costs 4.4 % more.
Example:
    The cost relative to neural collapse of the graphs with 6, 10, 15 and 45 edges, and of words of four bits; four layers.

    >>> [round(cost_of(classes, 4) / (2.5 * classes), 3) for classes in (6, 10, 15, 45, 16)]
    [0.963, 0.901, 0.857, 0.736, 0.975]
    >>> edges = incidence(5)
    >>> bool((np.maximum(edges.T @ edges - 1, 0) == np.eye(10)).all())
    True
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import SUKENIK_2024
from proofs_numeric.hypotheses import BALANCED, DIM_CLASSES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import (
    below_onset_by,
    build_instance,
    claims,
    controls,
    draw_below,
    predict_with,
)
from proofs_numeric.nonlinear.low_rank import best_code, bits, code_cost, code_of, coded, incidence
from proofs_numeric.nonlinear.relu_chains import RELU_CHAIN
from proofs_numeric.pool import pick

ID = "sukenik-srg"
# A shape is (K, L, n); 6, 10, 15, 21 and 28 are graphs, 8, 16 and 32 bits.
FEWEST = ((10, 4, 2), (6, 4, 3))
GRAPHS = ((15, 4, 1), (10, 5, 1), (6, 6, 3), (21, 5, 1))
BITS = ((16, 4, 1), (8, 5, 2), (16, 6, 1))


def code_for(classes):
    """Return which code has so many classes, graph or bits, and its number; None where there is none."""
    vertices = round((1 + np.sqrt(1 + 8 * classes)) / 2)
    if vertices * (vertices - 1) // 2 == classes and vertices >= 4:
        return "graph", vertices
    words = round(np.log2(classes))
    return ("bits", words) if 2**words == classes and words >= 3 else None


def cost_of(classes, depth):
    """Return R by the formula."""
    kind, number = code_for(classes) or ("bits", 0)
    code = code_of(incidence(number) if kind == "graph" else bits(number))
    return code_cost(code, depth, best_code(kind, number, depth))


def network_of(problem):
    """Return the network at unit outputs."""
    kind, number = code_for(problem.classes) or ("bits", 0)
    return coded(kind, number, problem.depth)


def deep_enough(instance):
    """Tell whether the classes have a code, and the layers are as many as it takes."""
    classes, depth = instance.problem.classes, instance.problem.depth
    code = code_for(classes)
    return code is not None and depth >= (5 if code == ("bits", 3) else 4)


def draw_instances(key):
    """Draw shapes of each kind: weak and moderate decay, and one beyond the onset of neural collapse."""
    rng = nct.theorems.numpy_rng(key)
    shapes = (*pick(rng, FEWEST), *pick(rng, GRAPHS, 2), *pick(rng, BITS))
    return draw_below(rng, shapes, cost_of, lambda classes: classes)


def three_layers(key):
    """Draw chains of three layers, to which the theorem does not apply."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(rng, 10, 3, 10, 1, relative) for relative in (0.01, 0.5)]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            BALANCED,
            nct.Hypothesis(
                "classes are the edges of a complete graph, or words of bits, with as many layers as stated",
                deep_enough,
            ),
            nct.Hypothesis("every width >= K", DIM_CLASSES.test),
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("b of the network below the onset", below_onset_by(cost_of)),
        ),
        sources=(
            SUKENIK_2024.remark(
                "Their abstract and captions: a graph-based network of rank of the order of the root of K lies below deep "
                "neural collapse. How it is shared out over the layers, its cost and the bits are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(cost_of),
        method=nct.theorems.Train(steps=(0,)),
        claims=claims(network_of),
        controls=controls(cost_of, network_of, three_layers, ("half", 0.5)),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
