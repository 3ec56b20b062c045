r"""Exact learning dynamics of two-layer linear networks.

Two layers on white inputs, from an aligned, balanced start: every mode is learned by itself, along a logistic curve.

Theorem:
    For $f=\frac12|W_2W_1-\Sigma|_F^2$, the flow from balanced factors aligned with $\Sigma=USV^\top$ keeps
    $W_2W_1=U\,\mathrm{diag}(a)V^\top$ with $a_i(t)=S_ie^{2S_it}/(e^{2S_it}-1+S_i/a_i(0))$, and $|W_1|^2=|W_2|^2=\sum_ia_i$.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - a balanced start
    - a start aligned with the modes of YX^T, their heights above 0 and below their strengths
Notation:
    Saxe et al.: objective $\frac12|W-\Sigma|^2$ with time constant 1; their a is the height of a mode.
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import SAXE_2014
from proofs_numeric.dynamics.saxe import CLAIMS, HYPOTHESES, draw_instances, predict, predict_with

# widths; the narrowest layer says how many modes there are. A key picks one of each group: three modes, fewer, more
SHALLOW = (((4, 5, 3), (5, 3, 8)), ((2, 3, 2), (3, 1, 2)), ((6, 6, 6), (4, 20, 5)))


def shallow_time(layers, scale, least):
    """Until the weakest mode of two layers, from a tenth of the scale, is learned."""
    return (0.5 * np.log(10.0 / scale) + 2.0) / least


THEOREM = nct.register(
    nct.Theorem(
        id="saxe-2layer",
        docstring=__doc__,
        hypotheses=HYPOTHESES,
        sources=(SAXE_2014,),
        instances=draw_instances(SHALLOW, 0.1, shallow_time, 4),
        predict=predict,
        claims=CLAIMS,
        controls=(
            nct.Control("half the rate", "e^{St} in the place of e^{2St}", predict_with(fast=0.5)),
            nct.Control("1e-6 fast", "time runs faster by a relative 1e-6", predict_with(fast=1 + 1e-6)),
            nct.Control("three layers", "the law of three layers", predict_with(layers=3)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict,
                outside=draw_instances(SHALLOW[:1], 0.1, shallow_time, 4, skew=2.0, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
