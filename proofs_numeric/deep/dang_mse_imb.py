r"""Squared error, deep linear, imbalanced: general orthogonal frames.

With squared error and a chain of linear layers, classes of different sizes do not disturb each other: each of the K
classes, with its own number of samples, is learned at its own height or not at all, by a threshold on its size. Small
classes are lost first as the decay grows. With more than one layer a class is lost at once, from a finite height, and
every set of the largest classes is a local minimum of its own, so that the start decides how many are learned.

Problem:
    $\min\frac1{2N}|W_M\cdots W_1H-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W_l\in\mathbb R^{d_l\times d_{l-1}}$ with $d_M=K$ and the features $H\in\mathbb R^{d_0\times N}$ of $N=\sum_kn_k$
    samples with one-hot labels Y; with a free bias $b1^\top$ is added to the product.
Theorem (Dang et al. 2023, for the local minimisers Chen et al. 2025, number unchecked; the free bias is our own):
    For $f=\frac1{2N}|W_M\cdots W_1H-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ let
    $b_k=\frac{MN}{n_k}(N\lambda_H\prod\lambda_l)^{1/M}$, $g_k(x)=1/(x^M+1)+b_kx$, and $x_k$ the largest root of
    $b_k=Mx^{M-1}/(x^M+1)^2$ if $b_k<(M-1)^{(M-1)/M}/M$, $0$ if it is larger (at equality, $M\ge2$, both are global).
    Every global minimiser has $W_M\cdots W_1H=\mathrm{diag}(x_k^M/(1+x_k^M))Y$, all $\lambda_ls_i(W_l)^2$ equal, and
    $\min f=\sum_k\frac{n_k}{2N}g_k(x_k)$; with a width $d$ below $K$ only the $d$ largest classes can be on. With a
    free bias the targets are centred and $n_k$ is the square of a singular value. For $M\ge2$ every local minimiser has
    the $k$ strongest directions at their largest roots and the others off, for some $k$.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - any class counts, K >= 2
    - all decays > 0
    - no bias or a free one
    - no tie of equal strengths at the rank cut, where a width is below K
    - no strength b equal to the onset
Notation:
    Dang et al.: their lambdas are ours, the fit is 1/(2N)|.|^2, M counts weight layers, not H. Chen, Jiang, Wang: no
    factor 1/2 anywhere, L = M+1 factors.
Why:
    Without a bias the rows of Y are orthogonal, of length $\sigma_k=\sqrt{n_k}$; a free bias takes away the row means
    of Y and Z, and $\sigma_k$ are the singular values of what is left. The inequality of von Neumann,
    $|Z-Y|_F^2\ge\sum_i(s_i-\sigma_i)^2$, and that of `red-schatten` bound f from below by a sum of scalar problems,
    which factors along the singular vectors of Y attain. With $w$ the singular value of $W_M\cdots W_1$ in one
    direction, $x^M=w^2/(N\lambda_H)$ and the best singular value of H, a direction contributes
    $\frac{\sigma_k^2}{2N}g_k(x)$, and its height relative to $\sigma_k$ is $x^M/(1+x^M)$. The stationary points of
    $g_k$ solve the stated equation; the largest root is the minimum beside $x=0$, and costs less than $g_k(0)=1$ iff
    $b_k<\max_xx^{M-1}/(1+x^M)=(M-1)^{(M-1)/M}/M$. What a direction gains, $\frac{\sigma_k^2}{2N}(1-g_k(x_k))$, grows
    with $\sigma_k$, because $b_k$ falls: a narrow layer leaves the d strongest on. Equality in both inequalities makes
    Z the function $\sigma\mapsto s$ of the singular values of Y, and the factors balanced.

    Of the local minimisers for $M\ge2$: $x=0$ is a local minimum of $g_k$, because $g_k'(0)=b_k>0$, and the smaller
    root a local maximum. If a weaker direction j is on where a stronger one i is off, turning both singular vectors
    towards i by an angle $\theta$ leaves the decays alone and changes $\langle Z,Y\rangle$ by
    $s(\sigma_i-\sigma_j)\sin^2\theta>0$. That the points that are left are local minimisers, and that there are no
    others, is from Chen et al.
Checked:
    Random starts, large enough that some leave the basin of zero, are followed along the gradient flow to their ends.
    The sum of scalar problems, minimised numerically and without the roots, bounds the minimum from below (for $M=1$ so
    does the dual of the nuclear-norm program), and the value must lie in the interval so certified. Logits, the Gram
    matrices of the layers' product and of the features, and the singular values of every factor are compared at the
    certified ends, to what their gradients leave open: for $M=1$ certified to hold at every global minimiser where
    strict complementarity and the Hessian show that there is no other, sampled elsewhere. The value of every converged
    end must be on the list of the local minimisers, and every entry of the list must be found or be the value of a
    constructed point without a gradient; the balance of neighbouring factors is compared at all converged ends. Both
    are sampled. The onset of the weakest direction that can be on is located by bisection in its strength between
    certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, an end or an entry of the list that does
    not belong to the other, or an onset outside its last bracket. The same check must refute an onset 3 % too early or
    too late; a direction on wherever its root exists, even where zero costs less; the number of samples left out under
    the root; the number of factors in the place of that of layers; a list of zero and the global minimum alone; values
    of the list, Gram matrices, singular values and decays off by 1e-6; and in the bisection an onset 0.1 % too late.
Example:
    Two weight layers, classes of three samples and of one: the value, and the heights of both classes, in closed form
    and at the best end of four random starts.

    >>> problem = nct.deep_linear(widths=(2, 2, 2), counts=(3, 1), loss="mse", weight_decay=(0.03, 0.03, 0.03))
    >>> minimum = nct.global_minimum(problem)
    >>> ends = nct.solve(problem, seeds=4, scale=1.5, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, ends.value.min())]
    [0.106748, 0.106748]
    >>> first, second = ends.params.weights
    >>> best = (second @ first @ ends.params.features)[ends.value.argmin()]
    >>> [[round(float(logits[k, k + 2]), 4) for k in (0, 1)] for logits in (minimum.logits, best)]
    [[0.9411, 0.8745], [0.9411, 0.8745]]
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025, DANG_2023
from proofs_numeric.deep.chains import (
    MSE_CHAIN,
    NO_OR_FREE_BIAS,
    OFF_THE_ONSET,
    POSITIVE,
    chain_instance,
    drawn_strengths,
    strengths,
)
from proofs_numeric.deep.controls import STATIONARY, controls
from proofs_numeric.deep.onset import onset_claim
from proofs_numeric.hypotheses import ANY_COUNTS
from proofs_numeric.pool import pick

ID = "dang-mse-imb"
# A shape is (widths, counts, bias). In some a width is below K, so that only the largest classes can be on.
ONE_LAYER = (((5, 4), (5, 3, 2, 1), None), ((3, 4), (40, 25, 10, 5), 0.0), ((2, 2), (3, 1), None))
TWO_LAYERS = (((4, 3, 3), (5, 3, 1), None), ((4, 2, 4), (6, 4, 2, 1), None), ((2, 2, 2), (3, 1), 0.0))
THREE_LAYERS = (((4, 4, 4, 4), (4, 3, 2, 1), None), ((4, 4, 3, 3), (4, 2, 1), 0.0))
MORE_LAYERS = (((3,) * 5, (4, 2, 1), None), ((2,) * 6, (3, 2), None))


def draw_instances(key):
    """Draw chains with M = 1, 2, 3 and one more: decays by their strength at the weakest, the strongest or some direction."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    shapes = (*pick(rng, ONE_LAYER), *pick(rng, TWO_LAYERS), *pick(rng, THREE_LAYERS), *pick(rng, MORE_LAYERS))
    for widths, counts, bias in shapes:
        last = min(*widths, len(counts) - (bias is not None)) - 1
        weak, above, moderate, below = drawn_strengths(rng, len(widths) - 1)
        drawn.append(chain_instance(rng, widths, counts, last, weak, bias))
        drawn.append(chain_instance(rng, widths, counts, int(rng.integers(0, last + 1)), above, bias))
        drawn.append(chain_instance(rng, widths, counts, last, moderate, bias))
        drawn.append(chain_instance(rng, widths, counts, int(rng.integers(0, last + 1)), below, bias))
        if len(widths) == 3:  # First the root exists and zero costs less; then no root exists.
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(1.05, 1.25), bias))
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(2.0, 5.0), bias))
    return drawn


def no_tie_at_the_cut(instance):
    """Tell whether the last direction that fits through the narrowest layer is stronger than the next one."""
    sigma, narrow = strengths(instance.problem)[1], min(instance.problem.widths)
    return len(sigma) <= narrow or bool(np.diff(sigma)[narrow - 1] < -1e-9 * sigma[0])


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            MSE_CHAIN,
            ANY_COUNTS,
            POSITIVE,
            NO_OR_FREE_BIAS,
            no_tie_at_the_cut,
            OFF_THE_ONSET,
        ),
        sources=(
            DANG_2023.remark("The free bias is our own addition."),
            CHEN_2025.remark("For the list of local minimisers."),
        ),
        instances=draw_instances,
        predict=nct.closed_form.imbalanced_deep_mse_minimum,
        claims=(*nct.theorems.chain_claims(), STATIONARY, onset_claim()),
        controls=controls(ID, nct.closed_form.imbalanced_deep_mse_minimum),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
