r"""Exact learning dynamics of two-layer linear networks.

A linear network of two layers learns nonlinearly: plateaus, then sudden steps. From a small start that is balanced and
aligned with the task, its singular modes do not see each other, and each rises along a logistic curve of its own. The
stronger a mode the sooner it is learned, so that coarse distinctions between K classes come before fine ones. It is
the one trajectory of a deep model that can be written down in full, and every theory of feature learning is held
against it.

Problem:
    $f(W_1,W_2)=\frac12|W_2W_1-\Sigma|_F^2$, which squared error on white inputs is up to a constant, with
    $\Sigma=YX^\top/N$. Both layers are free and follow the gradient flow $\dot W_l=-\nabla_{W_l}f$.
Theorem (Saxe et al. 2014, equation 12):
    For $f=\frac12|W_2W_1-\Sigma|_F^2$, the flow from balanced factors aligned with $\Sigma=USV^\top$ keeps
    $W_2W_1=U\,\mathrm{diag}(a)V^\top$ with $a_i(t)=S_ie^{2S_it}/(e^{2S_it}-1+S_i/a_i(0))$, and
    $|W_1|^2=|W_2|^2=\sum_ia_i$.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - a balanced start
    - a start aligned with the modes of YX^T, their heights above 0 and below their strengths
Notation:
    Saxe et al.: objective $\frac12|W-\Sigma|^2$ with time constant 1; their a is the height of a mode.
Why:
    The start is $W_1=R\,\mathrm{diag}(\sqrt a)V^\top$, $W_2=U\,\mathrm{diag}(\sqrt a)R^\top$ with orthonormal columns
    in R. At every such point $\dot W_1=W_2^\top(\Sigma-W_2W_1)=R\,\mathrm{diag}(\sqrt a(S-a))V^\top$, and $\dot W_2$
    has the same form: R, U and V stay, and both layers agree on $\frac d{dt}\sqrt{a_i}=\sqrt{a_i}(S_i-a_i)$. This is
    $\dot a_i=2a_i(S_i-a_i)$, the logistic equation, and the curve of the theorem solves it. The flow has only one
    solution from a start, so it is this one. The squared norm of either layer is the sum of the squares of
    $\sqrt{a_i}$.
Checked:
    All entries of both layers are integrated along the gradient flow, from random starts within the hypotheses, twice
    with different tolerances; their difference bounds the error. The heights of all modes, the product and the norms
    of the layers are held against the law at thirty times, until the weakest mode is learned. Each path must keep the
    imbalance that the flow conserves. All this is sampled: a law about every start is not certified by some.
Refuted by:
    One path that leaves the law by more than twice the integrator's error and rounding. The same check must refute
    half the rate, a time that runs faster by 1e-6, the law of three layers, and the law where the start is not
    balanced.
Example:
    Two modes of strengths 2 and 1, at times 1 and 2: by the law, and along a fresh flow.

    >>> x, strength, t = np.sqrt(2) * np.eye(2), np.array([2.0, 1.0]), np.array([[1.0], [2.0]])
    >>> y = np.diag(strength) @ x
    >>> net = nct.deep_linear(widths=(2, 2, 2), inputs=x, targets=y, loss="mse", weight_decay=(0, 0))
    >>> start = nct.problems.ChainParams((0.3 * np.eye(2)[None],) * 2, None, None)
    >>> w1, w2 = nct.gradient_flow(net, start, t[:, 0], light=True).values.weights
    >>> rise = np.exp(2 * strength * t)
    >>> (strength * rise / (rise - 1 + strength / 0.09)).round(6).tolist()
    [[1.440197, 0.422228], [1.985862, 0.843746]]
    >>> (w2 @ w1)[0].diagonal(axis1=1, axis2=2).round(6).tolist()
    [[1.440197, 0.422228], [1.985862, 0.843746]]
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import SAXE_2014
from proofs_numeric.dynamics.saxe import CLAIMS, HYPOTHESES, draw_instances, predict, predict_with

# Each entry lists widths. The narrowest layer says how many modes there are; a key picks one of each group: three
# modes, fewer, more.
SHALLOW = (((4, 5, 3), (5, 3, 8)), ((2, 3, 2), (3, 1, 2)), ((6, 6, 6), (4, 20, 5)))


def shallow_time(layers, scale, least):
    """Return when the weakest mode of two layers is learned, from a tenth of the scale."""
    return (0.5 * np.log(10.0 / scale) + 2.0) / least


THEOREM = nct.register(
    nct.Theorem(
        id="saxe-2layer",
        docstring=__doc__,
        hypotheses=HYPOTHESES,
        sources=(
            SAXE_2014.remark("The number is that of arXiv 1312.6120v3, as two texts cite it.", number="equation 12"),
        ),
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
