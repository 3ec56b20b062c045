r"""Three layers: the edges of a graph, told apart by its triangles, lie below neural collapse.

With three layers of weights and two ReLUs deep neural collapse is not optimal for ten classes, nor for fifteen, twenty-one and
more numbers of edges of a complete graph. The first ReLU has one feature for each vertex, and each class, an edge, has two of
them. The second ReLU has one for each triangle, and each edge is seen by those that contain it. The last layer tells the edges
apart by them. The cost has a closed form, and is lower than that of neural collapse at every decay at which that
costs less than zero, and less than zero beyond.

Problem:
    $\min\frac1{2N}|W_3\sigma(W_2\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features H of $N=nK$ samples with one-hot labels Y, $\sigma$ a ReLU.
Theorem (own; that deep neural collapse is not optimal for many classes: Sukenik et al. 2024, number unchecked):
    For $f=\frac1{2N}|W_3\sigma(W_2\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ let
    $b=3(2cR/4)^{4/3}$ with $c=(n\lambda_H\lambda_1\lambda_2\lambda_3)^{1/4}$, and $g_b(x)=\frac1{x^3+1}+bx$ at the largest
    root of $b=3x^2/(x^3+1)^2$. Neural collapse costs $\frac12g_b(x)$ and zero $\frac12$, with $R=2K$. Let $K=\frac{r(r-1)}2$
    with $5\le r\le10$. A network with the features of the r vertices of a complete graph behind the first ReLU, and those of
    its $\binom r3$ triangles behind the second, costs as much with
    $R=4\big(\frac t8\cdot\frac r2\binom r3\cdot\frac{\nu^2}4\big)^{1/4}$, $\nu=\sqrt{2(r-1)}+(r-1)\sqrt{r-2}$,
    $t=\frac1{3(r-2)}+\frac{r-1}{2(r-3)}+\frac{r(r-3)}{2(r-4)}$. This is less than $2K$: no minimiser is neural collapse, at
    any decay.
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - balanced classes, K >= 2
    - three layers, and classes that are the edges of a complete graph of 5 to 10 vertices
    - every width at least the number of triangles
    - all decays > 0
    - no bias
    - b of the network below the onset
Notation:
    Sukenik et al.: one lambda for all factors (ours may differ), fit 1/(2N)|.|^2 as here.
Why:
    Let A be the incidence matrix, r x K, and S the matrix that is 1 where a vertex belongs to a triangle and -1 where it does
    not. An edge has $(SA)_{te}=2$ if both its vertices belong to t, 0 if one does, and -2 if none: $B=\frac12\max(SA,0)$ is
    the incidence matrix of triangles and edges. $AA^\top=(r-2)I+J$, so that $pA$ has the nuclear norm $p\nu$, which is the
    least cost of $W_1H=pA$. $W_2=xS$ costs $\frac{x^2}2r\binom r3$. $B^\top B$ is $r-2$ plus the adjacency of edges, whose
    eigenvalues $2(r-2)$, $r-4$ and $-2$ occur 1, $r-1$ and $\frac{r(r-3)}2$ times: it is invertible from five vertices on, and
    $W_3=\frac1{2xp}B^+$ costs $\frac{t}{8x^2p^2}$, with t the trace of its inverse. R is the least of the sum over p and x.
    The value at any decays follows from R as in `relu-rank2`.
Checked:
    The network is built from the matrices above, at decays and sizes drawn, its lowest space turned at random. A forward
    pass of the chain must put out the targets, its objective be the predicted value, and that of neural collapse its own,
    to rounding; the network must not cost more than neural collapse or zero. Evaluating one network is the whole proof at
    its decays; nothing is said of what is optimal.
Refuted by:
    A network that puts out something else, another value of either, or one that lies above neural collapse or zero. The
    same check must refute L factors, n left out, values 1e-6 off, neural collapse as the lower one, half of its value,
    triangles that add their own vertices and do not take off the others, and the four triangles of four vertices, which do not
    tell six edges apart.
Example:
    The cost relative to neural collapse of graphs with 10, 15, 21 and 45 edges.

    >>> [round(cost_of(classes, 3) / (2 * classes), 4) for classes in (10, 15, 21, 45)]
    [0.9234, 0.8636, 0.8376, 0.8053]
    >>> bool(abs(triangles(5).outputs() - np.eye(10)).max() < 1e-12)
    True
"""

import math

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import SUKENIK_2024
from proofs_numeric.hypotheses import BALANCED, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import (
    below_onset_by,
    build_instance,
    claims,
    controls,
    draw_below,
    outputs_claim,
    predict_with,
)
from proofs_numeric.nonlinear.low_rank import triangles
from proofs_numeric.nonlinear.relu_chains import RELU_CHAIN
from proofs_numeric.pool import pick

ID = "relu-triangles"
# A shape is (K, L, n); 10, 15, 21, 28, 36 and 45 are the edges of complete graphs of 5 to 10 vertices.
SHAPES = ((10, 3, 2), (15, 3, 1), (10, 3, 3), (21, 3, 1), (15, 3, 2), (28, 3, 1), (36, 3, 1), (45, 3, 1))


def vertices_of(classes):
    """Return how many vertices a complete graph with so many edges has; None where there is none."""
    vertices = round((1 + np.sqrt(1 + 8 * classes)) / 2)
    return vertices if vertices * (vertices - 1) // 2 == classes else None


def triangles_of(classes):
    """Return how many triangles a complete graph with so many edges has."""
    return math.comb(vertices_of(classes) or 0, 3)


def cost_of(classes, depth):
    """Return R by the formula; infinite where triangles do not tell the edges apart."""
    r = vertices_of(classes)
    if depth != 3 or r is None or r < 5:
        return math.inf
    nuclear = np.sqrt(2 * (r - 1)) + (r - 1) * np.sqrt(r - 2)
    inverse = 1 / (3 * (r - 2)) + (r - 1) / (2 * (r - 3)) + r * (r - 3) / (2 * (r - 4))
    return float(4 * (inverse / 8 * r / 2 * math.comb(r, 3) * nuclear**2 / 4) ** 0.25)


def network_of(problem):
    """Return the network at unit outputs."""
    return triangles(vertices_of(problem.classes))


def has_triangles(instance):
    """Tell whether there are three layers, and classes that are the edges of a graph of 5 to 10 vertices."""
    r = vertices_of(instance.problem.classes)
    return instance.problem.depth == 3 and r is not None and 5 <= r <= 10


def draw_instances(key):
    """Draw shapes, each at a weak and a moderate decay, and at one beyond the onset of neural collapse."""
    rng = nct.theorems.numpy_rng(key)
    return draw_below(rng, pick(rng, SHAPES, 4), cost_of, lambda classes: triangles_of(classes) + int(rng.integers(3)))


def four_vertices(key):
    """Draw chains of six classes, to which the theorem does not apply."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(rng, 6, 3, 6, 1, relative) for relative in (0.01, 0.5)]


def without_the_others(problem):
    """Return the network whose triangles do not take off the vertices that they do not have."""
    network = network_of(problem)
    first, second, last = network.weights
    return network._replace(weights=(first, np.maximum(second, 0.0), last))


def wrong_versions():
    """List wrong versions of the claims. (Up to the last two layers the network is shared out as a linear chain is.)"""
    shared = controls(cost_of, network_of, four_vertices, ("half", 0.5), "six classes")
    added = nct.Control(
        "others stay",
        "the vertices that a triangle does not have need not be taken off",
        versions=(outputs_claim(without_the_others),),
    )
    return (*(one for one in shared if one.name != "layers of a linear chain"), added)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            BALANCED,
            nct.Hypothesis(
                "three layers, and classes that are the edges of a complete graph of 5 to 10 vertices", has_triangles
            ),
            nct.Hypothesis(
                "every width at least the number of triangles",
                lambda i: min(i.problem.widths[:-1]) >= triangles_of(i.problem.classes),
            ),
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("b of the network below the onset", below_onset_by(cost_of)),
        ),
        sources=(
            SUKENIK_2024.remark(
                "Their abstract: a graph-based network of low rank lies below deep neural collapse. That triangles tell the "
                "edges apart with three layers, and the cost, are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(cost_of),
        method=nct.theorems.Train(steps=(0,)),
        claims=claims(network_of),
        controls=wrong_versions(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
