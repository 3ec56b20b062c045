r"""Exact learning dynamics of deep linear networks.

This is the law of learning for linear networks of any depth, from a start that is balanced and aligned with the task.
The modes still do not see each other, and all layers share the work equally. But the deeper the network, the longer
the plateau before a mode rises and the more sudden the rise: from small starts the time no longer grows with the
logarithm of the start's size, as with two layers, but as a power of it. This is one reason why deep networks need
larger starts.

Problem:
    $f(W_1,\dots,W_L)=\frac12|W_L\cdots W_1-\Sigma|_F^2$, which squared error on white inputs is up to a constant, with
    $\Sigma=YX^\top/N$. All layers are free and follow the gradient flow $\dot W_l=-\nabla_{W_l}f$.
Theorem (Saxe et al. 2014, equation 15; the solution in quadratures is our own form):
    For $f=\frac12|W_L\cdots W_1-\Sigma|_F^2$, the flow from balanced factors aligned with $\Sigma=USV^\top$ keeps
    $W_L\cdots W_1=U\,\mathrm{diag}(u)V^\top$ with $\dot u_i=Lu_i^{2-2/L}(S_i-u_i)$, and $|W_l|^2=\sum_iu_i^{2/L}$ in
    every layer.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - a balanced start
    - a start aligned with the modes of YX^T, their heights above 0 and below their strengths
Notation:
    Saxe et al.: objective $\frac12|W-\Sigma|^2$ with time constant 1; their a is the height of a mode. The solution in
    quadratures is in our own form.
Why:
    The start is $W_l=R_l\,\mathrm{diag}(u^{1/L})R_{l-1}^\top$ with orthonormal columns in all $R_l$, $R_0=V$ and
    $R_L=U$. At every such point $\dot W_l=(W_L\cdots W_{l+1})^\top(\Sigma-W_L\cdots W_1)(W_{l-1}\cdots W_1)^\top
    =R_l\,\mathrm{diag}(u^{(L-1)/L}(S-u))R_{l-1}^\top$: the frames stay, and all layers agree on
    $\frac d{dt}u_i^{1/L}=u_i^{1-1/L}(S_i-u_i)$. By the chain rule $\dot u_i=Lu_i^{2-2/L}(S_i-u_i)$. The flow has only
    one solution from a start, so it is this one. In $p=\log\frac u{S-u}$ the equation is
    $(1+e^{-p})^{1-2/L}\dot p=LS^{2-2/L}$, which an integral solves.
Checked:
    All entries of all layers are integrated along the gradient flow, from random starts within the hypotheses, twice
    with different tolerances; their difference bounds the error. The heights of all modes, the product and the norms
    of the layers are held against the law at thirty times, until the weakest mode is learned, for three to five
    layers. The law itself comes from quadrature and Newton's method, not from an integrator. Each path must keep the
    imbalances that the flow conserves. All this is sampled: a law about every start is not certified by some.
Refuted by:
    One path that leaves the law by more than twice the integrator's error and rounding. The same check must refute the
    law of two layers, a time that runs faster by 1e-6, strengths larger by 1e-6, and the law where the start is not
    balanced.
Example:
    Three layers, two modes of strengths 2 and 1, at time 1: by the law, and along a fresh flow.

    >>> import numpy as np
    >>> x, strength = np.sqrt(2) * np.eye(2), np.array([2.0, 1.0])
    >>> y = np.diag(strength) @ x
    >>> net = nct.deep_linear(widths=(2,) * 4, inputs=x, targets=y, loss="mse", weight_decay=(0,) * 3)
    >>> start = nct.problems.ChainParams((0.5 * np.eye(2)[None],) * 3, None, None)
    >>> w1, w2, w3 = nct.gradient_flow(net, start, [1.0], light=True).values.weights
    >>> [round(float(u), 5) for u in nct.closed_form.mode_height(3, strength, 0.125, 1.0)]
    [1.85211, 0.48935]
    >>> (w3 @ w2 @ w1)[0, 0].diagonal().round(5).tolist()
    [1.85211, 0.48935]
"""

import nctheory as nct
from proofs_numeric.bibliography_of_networks import SAXE_2014
from proofs_numeric.dynamics.saxe import CLAIMS, HYPOTHESES, draw_instances, predict, predict_with

# Each entry lists widths. The narrowest layer says how many modes there are; a key picks one of few and one of more.
DEEP = (((2, 3, 3, 2), (2, 2, 2, 2, 2)), ((4, 5, 5, 4), (4, 4, 6, 4, 4), (5, 4, 4, 4, 4, 5)))


def deep_time(layers, scale, least):
    """Return when the weakest mode of three or more layers is learned, from a tenth of the scale."""
    power = 1.0 - 2.0 / layers
    return ((scale / 10.0) ** -power / power / layers * least**power + 3.0) / least


THEOREM = nct.register(
    nct.Theorem(
        id="saxe-deep",
        docstring=__doc__,
        hypotheses=HYPOTHESES,
        sources=(
            SAXE_2014.remark(
                "The differential equation; its integral is not written out there. The number is that of arXiv "
                "1312.6120v3, as public reading notes cite it.",
                number="equation 15",
            ),
        ),
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
