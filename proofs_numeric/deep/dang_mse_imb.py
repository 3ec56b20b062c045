"""Squared error, a linear chain of any depth, classes of any sizes: each class is on or off by itself."""

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025, DANG_2023
from proofs_numeric.deep.chains import STATIONARY, chain_instance, controls

ID = "dang-mse-imb"
# (widths, counts) by number of weight layers M
SHAPES = (
    ((5, 3), (5, 3, 1)),
    ((4, 3, 3), (5, 3, 1)),
    ((4, 4, 3, 3), (4, 2, 1)),
    ((3, 3, 3, 3, 3), (4, 2, 1)),
    ((2, 2, 2, 2, 2, 2), (3, 2)),
)
NARROW = ((4, 2, 3), (5, 3, 1))  # d = 2 < K = 3: only the two largest classes can be on


def draw_instances(key):
    """For each depth: all classes on, a small class within 3 % below its onset, a large one within 3 % above; and more."""
    rng = nct.generator(key)
    drawn = []
    for widths, counts in SHAPES:
        last = len(counts) - 1
        drawn.append(chain_instance(rng, widths, counts, last, rng.uniform(0.4, 0.7)))
        drawn.append(chain_instance(rng, widths, counts, int(rng.integers(1, last + 1)), 1 - rng.uniform(0.01, 0.03)))
        drawn.append(chain_instance(rng, widths, counts, int(rng.integers(0, last)), 1 + rng.uniform(0.01, 0.03)))
    drawn.append(chain_instance(rng, *SHAPES[1], 0, rng.uniform(1.05, 1.25)))  # root exists, zero costs less
    drawn.append(chain_instance(rng, *SHAPES[2], 0, rng.uniform(2.0, 3.0)))
    drawn.append(chain_instance(rng, *NARROW, 2, rng.uniform(0.3, 0.6)))
    drawn.append(chain_instance(rng, *SHAPES[2], 1, rng.uniform(0.4, 0.7), bias=0.0))
    return drawn


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Squared error, deep linear, imbalanced: general orthogonal frames",
        statement=r"""For $f=\frac1{2N}|W_M\cdots W_1H-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ let
$b_k=\frac{MN}{n_k}(N\lambda_H\prod\lambda_l)^{1/M}$, $g_k(x)=1/(x^M+1)+b_kx$, and $x_k$ the largest root of
$b_k=Mx^{M-1}/(x^M+1)^2$ if $b_k<(M-1)^{(M-1)/M}/M$, else $0$. Every global minimiser has
$W_M\cdots W_1H=\mathrm{diag}(x_k^M/(1+x_k^M))Y$, all $\lambda_ls_i(W_l)^2$ equal, and
$\min f=\sum_k\frac{n_k}{2N}g_k(x_k)$; with a width $d$ below $K$ only the $d$ largest classes can be on. With a free bias the
targets are centred and $n_k$ is the square of a singular value. For $M\ge2$ every local minimiser has the $k$ strongest
directions at their largest roots and the others off, for some $k$.""",
        hypotheses=(
            "all decays > 0, no bias or a free one",
            "no tie of equal strengths at the rank cut, where a width is below K",
            "M = 1, 2, ... weight layers",
        ),
        notation="Dang et al.: their lambdas are ours, the fit is 1/(2N)|.|^2, M counts weight layers, not H. Chen, Jiang, "
        "Wang: no factor 1/2 anywhere, L = M+1 factors.",
        sources=(
            DANG_2023.remark("The free bias is our own addition."),
            CHEN_2025.remark("For the list of local minimisers."),
        ),
        instances=draw_instances,
        predict=nct.dang_minimum,
        claims=(*nct.chain_claims(), STATIONARY),
        controls=controls(ID),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
