r"""Squared error, deep linear, balanced: frames in every layer.

With squared error and a chain of linear layers of any length, balanced classes end as with a single layer: the features
and every layer repeat one frame, orthogonal without a bias and a simplex with one, for any number n of samples of each
of K classes. But with more than one layer the frame does not fade in as the decay falls: it appears at once and at a
finite height, and zero stays a local minimum for ever. So a start that is too small learns nothing, at any decay.

Problem:
    $\min\frac1{2N}|W_M\cdots W_1H+b1^\top-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W_l\in\mathbb R^{d_l\times d_{l-1}}$ with $d_M=K$, the features $H\in\mathbb R^{d_0\times N}$ of $N=nK$ samples
    with one-hot labels Y, and, where there is one, the bias $b\in\mathbb R^K$.
Theorem (Dang et al. 2023, for M = 2 Tirer and Bruna 2022, number unchecked; the free bias in a chain is our own):
    For $f=\frac1{2N}|W_M\cdots W_1H+b1^\top-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2 +\frac{\lambda_H}2|H|_F^2$ with $n$
    samples a class let $b=MK(N\lambda_H\prod\lambda_l)^{1/M}$, $g(x)=1/(x^M+1)+bx$ and $x$ the largest root of
    $b=Mx^{M-1}/(x^M+1)^2$ if $b<(M-1)^{(M-1)/M}/M$, $0$ if it is larger (at equality, $M\ge2$, both are global). Every
    global minimiser has $W_M\cdots W_1H=\frac{x^M}{1+x^M}Y$ and $\min f=\min(g(x),1)/2$ without a bias; with a free one
    $Y$ is centred, the frame is a simplex ETF and $\min f=\frac{K-1}{2K}\min(g(x),1)$. All $\lambda_ls_i(W_l)^2$ are
    equal. For $M\ge2$ a local minimiser has any number of directions on, at the same root.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - balanced classes, K >= 2
    - all decays > 0
    - no bias or a free one
    - every width >= K (K-1 for a free bias)
    - no strength b equal to the onset
Notation:
    Dang et al. and, for M = 2, Tirer and Bruna: lambdas and fit 1/(2N)|.|^2 as here.
Why:
    A free bias takes away the row means, so that Y is centred and $b=0$ from here on. Let $\sigma_i$ be the singular
    values of Y (all $\sqrt n$, as many as there are directions) and $s_i$ those of Z, the product. By von Neumann's
    inequality $|Z-Y|_F^2\ge\sum_i(s_i-\sigma_i)^2$, and by that of `red-schatten` the decays cost at least as much as
    factors that share out each $s_i$ evenly along the singular vectors: f is at least a sum of scalar problems, with
    equality at such factors along the directions of Y. Let $w$ be the singular value of $W_M\cdots W_1$ in one
    direction and $x^M=w^2/(N\lambda_H)$. The best singular value of H leaves $\frac{\sigma^2}{2N}\cdot\frac1{1+x^M}$ of
    the fit and its own decay, the layers cost $\frac M2(w^2\prod\lambda_l)^{1/M}=\frac{\sigma^2}{2N}bx$, and the ratio
    of s to $\sigma$ is $x^M/(1+x^M)$. So each direction contributes the least of $\frac{\sigma^2}{2N}g(x)$ over
    $x\ge0$. The stationary points of g solve the stated equation, whose right-hand side rises and falls for $M\ge2$ and
    only falls for $M=1$: the largest root is the minimum beside $x=0$. It costs less than $g(0)=1$ iff
    $b<\max_xx^{M-1}/(1+x^M)=(M-1)^{(M-1)/M}/M$. All $\sigma_i$ are equal and so are all $s_i$: equality in von
    Neumann's inequality makes Z a multiple of Y. For the form of the local minimisers see `dang-mse-imb`.
Checked:
    Random starts, large enough that some leave the basin of zero, are followed along the gradient flow to their ends.
    The sum of scalar problems, minimised numerically and without the roots, bounds the minimum from below (for $M=1$ so
    does the dual of the nuclear-norm program), and the value must lie in the interval so certified. Logits, the Gram
    matrices of the layers' product and of the features, and the singular values of every factor are compared at the
    certified ends, to what their gradients leave open: for $M=1$ certified to hold at every global minimiser where
    strict complementarity and the Hessian show that there is no other, sampled for $M\ge2$. The value of every
    converged end must be on the list of the local minimisers, and every entry of the list must be found or be the value
    of a constructed point without a gradient; the balance of neighbouring factors is compared at all converged ends.
    Both are sampled. The onset is located by bisection in the strength of the decays between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, an end or an entry of the list that does
    not belong to the other, or an onset outside its last bracket. The same check must refute an onset 3 % too early or
    too late; a frame wherever the root exists, even where zero costs less; the number of samples left out under the
    root; the number of factors in the place of that of layers; a list of zero and the global minimum alone; values of
    the list, Gram matrices, singular values and decays off by 1e-6; and in the bisection an onset 0.1 % too late.
Example:
    Two weight layers and three classes: the values of the local minimisers, with no, one, two and all directions on,
    and at the ends of twelve random starts the least and all that occur.

    >>> problem = nct.deep_linear(widths=(3, 3, 3), counts=(2, 2, 2), loss="mse", weight_decay=(0.03, 0.03, 0.03))
    >>> minimum = nct.global_minimum(problem)
    >>> ends = nct.solve(problem, seeds=12, scale=1.5, light=True)
    >>> [round(float(value), 6) for value in (minimum.value, ends.value.min())]
    [0.163393, 0.163393]
    >>> [round(float(value), 6) for value in minimum.stationary_values]
    [0.5, 0.387798, 0.275595, 0.163393]
    >>> sorted({round(float(value), 6) for value in ends.value}, reverse=True)
    [0.275595, 0.163393]
"""

import nctheory as nct
from proofs_numeric.bibliography import DANG_2023, TIRER_2022
from proofs_numeric.deep.chains import (
    MSE_CHAIN,
    NO_OR_FREE_BIAS,
    OFF_THE_ONSET,
    POSITIVE,
    chain_instance,
    drawn_strengths,
)
from proofs_numeric.deep.controls import STATIONARY, controls
from proofs_numeric.deep.onset import onset_claim
from proofs_numeric.hypotheses import BALANCED
from proofs_numeric.pool import pick

ID = "deep-mse-linear"
# A shape is (widths, counts, bias). K = 2, n = 1, K >= 4 and a hundred samples are among them.
ONE_LAYER = (((4, 5), (2,) * 5, 0.0), ((4, 4), (30,) * 4, None), ((6, 6), (3,) * 6, None))
TWO_LAYERS = (((2, 3, 2), (1, 1), None), ((2, 2, 2), (4, 4), None))
THREE_LAYERS = (((4, 4, 5, 4), (2,) * 4, None), ((4, 3, 4, 4), (1,) * 4, 0.0))
MORE_LAYERS = (((3,) * 5, (2, 2, 2), None), ((2,) * 6, (3, 3), None), ((3,) * 6, (1, 1, 1), 0.0))


def draw_instances(key):
    """Draw chains with M = 1, 2, 3 and one more: weak and moderate decay, close to the onset on either side, far beyond it."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    shapes = (*pick(rng, ONE_LAYER), *pick(rng, TWO_LAYERS), *pick(rng, THREE_LAYERS), *pick(rng, MORE_LAYERS))
    for widths, counts, bias in shapes:
        for relative in drawn_strengths(rng, len(widths) - 1):
            drawn.append(chain_instance(rng, widths, counts, 0, relative, bias))
        if len(widths) == 3:  # First the root exists and zero costs less; then no root exists.
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(1.05, 1.25), bias))
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(2.0, 5.0), bias))
    return drawn


def wide(instance):
    """Tell whether every width is at least K, or K-1 with a free bias."""
    problem = instance.problem
    return min(problem.widths) >= problem.classes - (problem.bias_decay is not None)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            MSE_CHAIN,
            BALANCED,
            POSITIVE,
            NO_OR_FREE_BIAS,
            wide,
            OFF_THE_ONSET,
        ),
        sources=(
            DANG_2023.remark("The free bias in the deep chain is our own form."),
            TIRER_2022.remark("Two weight layers."),
        ),
        instances=draw_instances,
        predict=nct.closed_form.deep_mse_minimum,
        claims=(*nct.theorems.chain_claims(), STATIONARY, onset_claim()),
        controls=controls(ID, nct.closed_form.deep_mse_minimum),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
