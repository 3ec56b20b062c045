"""Squared error, a linear chain of any depth, balanced: an orthogonal frame or a simplex ETF in every layer, or zero."""

import nctheory as nct
from proofs_numeric.bibliography import DANG_2023, TIRER_2022
from proofs_numeric.deep.chains import STATIONARY, chain_instance, controls

ID = "deep-mse-linear"
# (widths, counts, bias) by number of weight layers M
SHAPES = (
    ((4, 3), (3, 3, 3), None),
    ((4, 4, 3), (3, 3, 3), None),
    ((3, 2, 4, 3), (2, 2, 2), 0.0),
    ((4, 4, 3, 3, 3), (2, 2, 2), None),
    ((3, 3, 3, 3, 3, 3), (1, 1, 1), 0.0),
)


def draw_instances(key):
    """For each depth: well below the onset, within 3 % below, within 3 % above; and far beyond it."""
    rng = nct.generator(key)
    drawn = []
    for widths, counts, bias in SHAPES:
        for relative in (rng.uniform(0.4, 0.7), 1 - rng.uniform(0.01, 0.03), 1 + rng.uniform(0.01, 0.03)):
            drawn.append(chain_instance(rng, widths, counts, 0, relative, bias))
    widths, counts, bias = SHAPES[1]
    drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(1.05, 1.25), bias))  # root exists, zero costs less
    drawn.append(chain_instance(rng, widths, counts, 0, rng.uniform(2.0, 3.0), bias))
    return drawn


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Squared error, deep linear, balanced: frames in every layer",
        statement=r"""For $f=\frac1{2N}|W_M\cdots W_1H+b1^\top-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2
+\frac{\lambda_H}2|H|_F^2$ with $n$ samples a class let $b=MK(N\lambda_H\prod\lambda_l)^{1/M}$, $g(x)=1/(x^M+1)+bx$ and
$x$ the largest root of $b=Mx^{M-1}/(x^M+1)^2$ if $b<(M-1)^{(M-1)/M}/M$, else $0$. Every global minimiser has
$W_M\cdots W_1H=\frac{x^M}{1+x^M}Y$ and $\min f=\min(g(x),1)/2$ without a bias; with a free one $Y$ is centred, the frame is a
simplex ETF and $\min f=\frac{K-1}{2K}\min(g(x),1)$. All $\lambda_ls_i(W_l)^2$ are equal. For $M\ge2$ a local minimiser has any
number of directions on, at the same root.""",
        hypotheses=(
            "balanced classes",
            "all decays > 0, no bias or a free one",
            "every width >= K (K-1 for a free bias)",
            "M = 1, 2, ...",
        ),
        notation="Dang et al. and, for M = 2, Tirer and Bruna: lambdas and fit 1/(2N)|.|^2 as here.",
        sources=(
            DANG_2023.remark("The free bias in the deep chain is our own form."),
            TIRER_2022.remark("Two weight layers."),
        ),
        instances=draw_instances,
        predict=nct.deep_mse_minimum,
        claims=(*nct.chain_claims(), STATIONARY),
        controls=controls(ID),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
