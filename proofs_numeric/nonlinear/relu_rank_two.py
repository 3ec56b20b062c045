r"""Three classes and four layers: a network of rank two lies below neural collapse.

Behind ReLUs deep neural collapse is not optimal as soon as there are three classes and four layers. One network shows it:
two numbers for three classes suffice in all layers but the last, where a ReLU makes one direction a class of them. It costs
less at every decay at which neural collapse costs less than zero, and still less than zero where neural collapse does not.
Side by side with itself it does the same for any more classes. So the optimality of deep neural collapse stops at two
classes (`dnc-binary`), and depth, which makes the decays prefer low rank, is what stops it.

Problem:
    $\min\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    over weights and the features H of $N=nK$ samples with one-hot labels Y, $\sigma$ a ReLU.
Theorem (own; that deep neural collapse is not optimal for many classes: Sukenik et al. 2024, number unchecked):
    For $f=\frac1{2N}|W_L\sigma(W_{L-1}\cdots\sigma(W_1H))-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$
    let $b=L(2cR/F)^{F/L}$ with $F=L+1$, $c=(n\lambda_H\prod\lambda_l)^{1/F}$, and $g_b(x)=\frac1{x^L+1}+bx$ at the largest
    root of $b=Lx^{L-1}/(x^L+1)^2$. Neural collapse costs $\frac12g_b(x)$ and zero $\frac12$, with $R=\frac F2K$. A network
    of rank two in the layers up to L-2 for three classes at a time costs as much with $R=\lfloor\frac K3\rfloor R_L+\frac
    F2(K\bmod3)$, where $R_L=\min_{p,q,m,\tau}\sqrt{2p^2+q^2}+q+(L-3)\tau^2
    +\frac{\sqrt2}{2P}+2|m|+2\sqrt2\sqrt{\frac1{4P^2}+(\frac1Q-m)^2+m^2}$ with $P=\tau^{L-3}p$ and $Q=\tau^{L-3}q$. For
    $K\ge3$ and $L\ge4$ this is less than $\frac F2K$: no minimiser is neural collapse, at any decay, and zero is none up to
    decays beyond those at which neural collapse costs as much as zero.
Hypotheses:
    - squared error, free features, a ReLU behind each of the layers 1, ..., L-1
    - balanced classes, K >= 2
    - K >= 3 and L >= 4
    - every width >= 4 for three classes, and one more for each class left over
    - all decays > 0
    - no bias
    - b of the network below the onset
Notation:
    Sukenik et al.: one lambda for all factors (ours may differ), fit 1/(2N)|.|^2 as here.
Why:
    Every network that puts out the identity at a cost R (half the sum of its squares, evenly distributed) puts out wY at
    decays $cRw^{2/F}$, by rescaling, and its fit is $\frac12(1-w)^2$: the least over w depends on R alone and grows with
    it. The first of three classes lies between the others, $W_1H=(p\ q\ 0;p\ 0\ q)$, of nuclear norm $\sqrt{2p^2+q^2}+q$.
    The layers up to L-2 are $\tau I$. Let $X'=(P\ Q\ 0;P\ 0\ Q)$. A linear map $M=(m_0\ m_0;m\ -m;-m\ m)$ with
    $m_0=\frac1{2P}$ sends the first class to $e_1$; it is $BA$ with a matrix A without negative entries, and costs its
    nuclear norm $\sqrt2m_0+2|m|$. Two more units $\sigma(\pm(x_1-x_2))$ see only the second or the third class, and put out
    what M lacks there, $a=(-m_0,\frac1Q-m,m)$ or its like, at the cost $\sqrt2|a|$ each. At $\tau=1$ and the p, q, m that
    are best for three layers $R_L=L+3.46206...$, which is less than $\frac32(L+1)$ exactly for $L>3.924...$: for every L
    from 4 on.
Checked:
    The network is built from the matrices above, at decays and sizes drawn, its lowest space turned at random. A forward
    pass of the chain must put out the targets, its objective be the predicted value, and that of neural collapse its own,
    to rounding; the network must not cost more than neural collapse or zero. Evaluating one network is the whole proof at
    its decays; nothing is said of what is optimal. (In exact rational arithmetic: erratum N26.)
Refuted by:
    A network that puts out something else, another value of either, or one that lies above neural collapse or zero. The
    same check must refute L factors, n left out, values 1e-6 off, neural collapse as the lower one, two thirds of its
    value, features shared out over the layers as in a linear chain (a ReLU cuts them), and three layers, where this network
    costs 7.7 % more.
Example:
    Three classes, four layers: neural collapse, the network, and the outputs of its forward pass.

    >>> from proofs_numeric.nonlinear.low_rank import collapsed
    >>> network = best_rank_two(3, 4)
    >>> round(network.cost, 6), round(collapsed(3, 4).cost, 6)
    (7.338696, 7.5)
    >>> (abs(network.outputs()).round(9) + 0.0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import SUKENIK_2024
from proofs_numeric.hypotheses import BALANCED, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import (
    below_onset_by,
    build_instance,
    claims,
    controls,
    draw_below,
    predict_with,
)
from proofs_numeric.nonlinear.low_rank import best_rank_two, best_triple, triple_cost
from proofs_numeric.nonlinear.relu_chains import RELU_CHAIN
from proofs_numeric.pool import pick

ID = "relu-rank2"
# A shape is (K, L, n).
FEWEST = ((3, 4, 2), (3, 4, 3))
DEEPER = ((3, 5, 2), (3, 8, 1), (3, 6, 1))
MORE = ((4, 4, 1), (5, 5, 1), (7, 4, 2), (6, 4, 1))


def cost_of(classes, depth):
    """Return R by the formula."""
    return classes // 3 * triple_cost(depth, *best_triple(depth)) + (depth + 1) / 2 * (classes % 3)


def network_of(problem):
    """Return the network at unit outputs."""
    return best_rank_two(problem.classes, problem.depth)


def width_for(classes):
    """Return the least width: four for three classes, one for each that is left over."""
    return 4 * (classes // 3) + classes % 3


def draw_instances(key):
    """Draw one of each kind of shapes: weak and moderate decay, and one beyond the onset of neural collapse."""
    rng = nct.theorems.numpy_rng(key)
    shapes = (*pick(rng, FEWEST), *pick(rng, DEEPER), *pick(rng, MORE, 2))
    return draw_below(rng, shapes, cost_of, lambda classes: width_for(classes) + int(rng.integers(2)))


def three_layers(key):
    """Draw chains of three layers, to which the theorem does not apply."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(rng, 3, 3, 5, 1, relative) for relative in (0.01, 0.5)]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            RELU_CHAIN,
            BALANCED,
            nct.Hypothesis("K >= 3 and L >= 4", lambda i: i.problem.classes >= 3 and i.problem.depth >= 4),
            nct.Hypothesis(
                "every width >= 4 for three classes, and one more for each class left over",
                lambda i: min(i.problem.widths[:-1]) >= width_for(i.problem.classes),
            ),
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("b of the network below the onset", below_onset_by(cost_of)),
        ),
        sources=(
            SUKENIK_2024.remark(
                "Their abstract: deep neural collapse is not optimal beyond two layers or classes. The network, its cost and "
                "the least numbers of classes and layers are our own."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(cost_of),
        method=nct.theorems.Train(steps=(0,)),
        claims=claims(network_of),
        controls=controls(cost_of, network_of, three_layers),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
