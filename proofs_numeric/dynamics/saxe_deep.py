r"""Exact learning dynamics of deep linear networks.

Any number of layers on white inputs, from an aligned, balanced start: every mode is learned by itself, the later the weaker.

Theorem:
    For $f=\frac12|W_L\cdots W_1-\Sigma|_F^2$, the flow from balanced factors aligned with $\Sigma=USV^\top$
    keeps $W_L\cdots W_1=U\,\mathrm{diag}(u)V^\top$ with $\dot u_i=Lu_i^{2-2/L}(S_i-u_i)$, and $|W_l|^2=\sum_iu_i^{2/L}$ in
    every layer.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - a balanced start
    - a start aligned with the modes of YX^T, their heights above 0 and below their strengths
Notation:
    Saxe et al.: objective $\frac12|W-\Sigma|^2$ with time constant 1; their a is the height of a mode.
    The solution in quadratures is in our own form.
"""

import nctheory as nct
from proofs_numeric.bibliography_of_networks import SAXE_2014
from proofs_numeric.dynamics.saxe import CLAIMS, HYPOTHESES, draw_instances, predict, predict_with

# widths; the narrowest layer says how many modes there are. A key picks one of each group: three modes, fewer, more
DEEP = (((2, 3, 3, 2), (2, 2, 2, 2, 2)), ((4, 5, 5, 4), (4, 4, 6, 4, 4), (5, 4, 4, 4, 4, 5)))


def deep_time(layers, scale, least):
    """The same of more layers, which take a power of the start."""
    power = 1.0 - 2.0 / layers
    return ((scale / 10.0) ** -power / power / layers * least**power + 3.0) / least


THEOREM = nct.register(
    nct.Theorem(
        id="saxe-deep",
        docstring=__doc__,
        hypotheses=HYPOTHESES,
        sources=(SAXE_2014,),
        instances=draw_instances(DEEP, 0.2, deep_time, 5),
        predict=predict,
        claims=CLAIMS,
        controls=(
            nct.Control("two layers", "the law of two layers", predict_with(layers=2)),
            nct.Control("1e-6 fast", "time runs faster by a relative 1e-6", predict_with(fast=1 + 1e-6)),
            nct.Control("1e-6 strong", "strengths larger by a relative 1e-6", predict_with(strength=1 + 1e-6)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict,
                outside=draw_instances(DEEP[1:], 0.2, deep_time, 2, skew=2.0, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
