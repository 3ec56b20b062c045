r"""Squared error, deep linear, imbalanced: general orthogonal frames.

Squared error, a linear chain of any depth, classes of any sizes: each class is on or off by itself.

Theorem:
    For $f=\frac1{2N}|W_M\cdots W_1H-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ let
    $b_k=\frac{MN}{n_k}(N\lambda_H\prod\lambda_l)^{1/M}$, $g_k(x)=1/(x^M+1)+b_kx$, and $x_k$ the largest root of
    $b_k=Mx^{M-1}/(x^M+1)^2$ if $b_k<(M-1)^{(M-1)/M}/M$, $0$ if it is larger (at equality, $M\ge2$, both are global).
    Every global minimiser has $W_M\cdots W_1H=\mathrm{diag}(x_k^M/(1+x_k^M))Y$, all $\lambda_ls_i(W_l)^2$ equal, and
    $\min f=\sum_k\frac{n_k}{2N}g_k(x_k)$; with a width $d$ below $K$ only the $d$ largest classes can be on. With a free
    bias the targets are centred and $n_k$ is the square of a singular value. For $M\ge2$ every local minimiser has the $k$
    strongest directions at their largest roots and the others off, for some $k$.
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
# (widths, counts, bias) by number of weight layers M; in some a width is below K, so that only the largest can be on.
ONE = (((5, 4), (5, 3, 2, 1), None), ((3, 4), (40, 25, 10, 5), 0.0), ((2, 2), (3, 1), None))
TWO = (((4, 3, 3), (5, 3, 1), None), ((4, 2, 4), (6, 4, 2, 1), None), ((2, 2, 2), (3, 1), 0.0))
THREE = (((4, 4, 4, 4), (4, 3, 2, 1), None), ((4, 4, 3, 3), (4, 2, 1), 0.0))
MORE = (((3,) * 5, (4, 2, 1), None), ((2,) * 6, (3, 2), None))


def draw_instances(key):
    """For M = 1, 2, 3 and one more: decays by their strength at the weakest, the strongest or some direction."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths, counts, bias in (*pick(rng, ONE), *pick(rng, TWO), *pick(rng, THREE), *pick(rng, MORE)):
        last = min(*widths, len(counts) - (bias is not None)) - 1
        weak, above, moderate, below = drawn_strengths(rng, len(widths) - 1)
        drawn.append(chain_instance(rng, widths, counts, last, weak, bias))
        drawn.append(chain_instance(rng, widths, counts, int(rng.integers(0, last + 1)), above, bias))
        drawn.append(chain_instance(rng, widths, counts, last, moderate, bias))
        drawn.append(chain_instance(rng, widths, counts, int(rng.integers(0, last + 1)), below, bias))
        if len(widths) == 3:  # the root exists and zero costs less; then no root exists
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(1.05, 1.25), bias))
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(2.0, 5.0), bias))
    return drawn


def no_tie_at_the_cut(instance):
    """Whether the last direction that fits through the narrowest layer is stronger than the next one."""
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
