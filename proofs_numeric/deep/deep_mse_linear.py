r"""Squared error, deep linear, balanced: frames in every layer.

Squared error, a linear chain of any depth, balanced: an orthogonal frame or a simplex ETF in every layer, or zero.

Theorem:
    For $f=\frac1{2N}|W_M\cdots W_1H+b1^\top-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2
    +\frac{\lambda_H}2|H|_F^2$ with $n$ samples a class let $b=MK(N\lambda_H\prod\lambda_l)^{1/M}$, $g(x)=1/(x^M+1)+bx$ and
    $x$ the largest root of $b=Mx^{M-1}/(x^M+1)^2$ if $b<(M-1)^{(M-1)/M}/M$, $0$ if it is larger (at
    equality, $M\ge2$, both are global). Every global minimiser has
    $W_M\cdots W_1H=\frac{x^M}{1+x^M}Y$ and $\min f=\min(g(x),1)/2$ without a bias; with a free one $Y$ is centred, the
    frame is a simplex ETF and $\min f=\frac{K-1}{2K}\min(g(x),1)$. All $\lambda_ls_i(W_l)^2$ are equal. For $M\ge2$ a local
    minimiser has any number of directions on, at the same root.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - balanced classes, K >= 2
    - all decays > 0
    - no bias or a free one
    - every width >= K (K-1 for a free bias)
    - no strength b equal to the onset
Notation:
    Dang et al. and, for M = 2, Tirer and Bruna: lambdas and fit 1/(2N)|.|^2 as here.
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
# (widths, counts, bias) by number of weight layers M: K = 2, n = 1, K >= 4 and a hundred samples are among them.
ONE = (((4, 5), (2,) * 5, 0.0), ((4, 4), (30,) * 4, None), ((6, 6), (3,) * 6, None))
TWO = (((2, 3, 2), (1, 1), None), ((2, 2, 2), (4, 4), None))
THREE = (((4, 4, 5, 4), (2,) * 4, None), ((4, 3, 4, 4), (1,) * 4, 0.0))
MORE = (((3,) * 5, (2, 2, 2), None), ((2,) * 6, (3, 3), None), ((3,) * 6, (1, 1, 1), 0.0))


def draw_instances(key):
    """For M = 1, 2, 3 and one more: weak and moderate decay, close to the onset on either side; and far beyond it."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths, counts, bias in (*pick(rng, ONE), *pick(rng, TWO), *pick(rng, THREE), *pick(rng, MORE)):
        for relative in drawn_strengths(rng, len(widths) - 1):
            drawn.append(chain_instance(rng, widths, counts, 0, relative, bias))
        if len(widths) == 3:  # the root exists and zero costs less; then no root exists
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(1.05, 1.25), bias))
            drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(2.0, 5.0), bias))
    return drawn


def wide(instance):
    """Whether every width is at least K, or K-1 with a free bias."""
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
