"""Deep linear networks on white inputs from aligned, balanced starts: every mode learns by itself."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import SAXE_2014
from proofs_numeric.dynamics.chains import (
    ALIGNED_START,
    BALANCED_START,
    NO_DECAY,
    WHITE_INPUTS,
    Aligned,
    heights,
    modes,
    product,
    white_chain,
)
from proofs_numeric.pool import log_uniform, pick

# widths; the narrowest layer says how many modes there are. A key picks one of each group: three modes, fewer, more
SHALLOW = (((4, 5, 3), (5, 3, 8)), ((2, 3, 2), (3, 1, 2)), ((6, 6, 6), (4, 20, 5)))
DEEP = (((2, 3, 3, 2), (2, 2, 2, 2, 2)), ((4, 5, 5, 4), (4, 4, 6, 4, 4), (5, 4, 4, 4, 4, 5)))


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    heights: jax.Array
    product: jax.Array
    norms: jax.Array


def draw_instances(groups, start, longest, number, skew=1.0, seed=0):
    """For one shape of each group `number` sets of strengths and scales of the start, and times until all is learned."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for group in groups:
            (widths,) = pick(rng, group)
            for part in range(number):
                largest, scale = (
                    log_uniform(rng, 0.5, 3.0),
                    start * log_uniform(rng, 0.01, 1.0) ** (part / (number - 1)),
                )
                strengths = np.sort(rng.uniform(0.5, 1.0, size=min(widths)))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Aligned, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                last = longest(len(widths) - 1, scale, strengths[-1])
                times = tuple((np.arange(1, 31) * last / 30).tolist())
                drawn.append(nct.Instance(problem, shown | {"scale": scale}, scale, nct.theorems.TrajectorySpec(times)))
        return drawn

    return draw


def shallow_time(layers, scale, least):
    """Until the weakest mode of two layers, from a tenth of the scale, is learned."""
    return (0.5 * np.log(10.0 / scale) + 2.0) / least


def deep_time(layers, scale, least):
    """The same of more layers, which take a power of the start."""
    power = 1.0 - 2.0 / layers
    return ((scale / 10.0) ** -power / power / layers * least**power + 3.0) / least


def predict_with(layers=None, fast=1.0, strength=1.0):
    """The law with another number of layers, time running faster, or other strengths."""

    def predict(problem, start, times):
        left, strengths, right = modes(problem)
        begun = heights(problem, start, start)
        at = nct.closed_form.mode_height(
            layers or problem.depth, strength * strengths[None, :], begun[None, :], fast * times[:, None]
        )
        norms = jnp.sum(at ** (2.0 / problem.depth), axis=1)
        return Curve(
            at, jnp.einsum("ik,tk,kj->tij", left, at, right), jnp.repeat(norms[:, None], problem.depth, axis=1)
        )

    return predict


def predict(problem, start, times):
    """The law, of the modes, the product and all layers."""
    at, whole = nct.closed_form.aligned_trajectory(problem, start, times)
    norms = jnp.sum(at ** (2.0 / problem.depth), axis=1)
    return Curve(at, whole, jnp.repeat(norms[:, None], problem.depth, axis=1))


def layer_norms(problem, params, start):
    """|W_l|^2 of every layer."""
    return jnp.stack([jnp.sum(weight**2) for weight in params.weights])


CLAIMS = (
    nct.Trajectory(
        "modes",
        r"u_i^\top W_L\cdots W_1v_i",
        heights,
        lambda c: c.heights,
    ),
    nct.Trajectory(
        "product",
        r"W_L\cdots W_1",
        product,
        lambda c: c.product,
    ),
    nct.Trajectory(
        "layers",
        r"|W_l|_F^2",
        layer_norms,
        lambda c: c.norms,
    ),
)
HYPOTHESES = (WHITE_INPUTS, NO_DECAY, BALANCED_START, ALIGNED_START)
NOTATION = r"Saxe et al.: objective $\frac12|W-\Sigma|^2$ with time constant 1; their a is the height of a mode."

SHALLOW_THEOREM = nct.register(
    nct.Theorem(
        id="saxe-2layer",
        title="Exact learning dynamics of two-layer linear networks",
        statement=r"""For $f=\frac12|W_2W_1-\Sigma|_F^2$, the flow from balanced factors aligned with $\Sigma=USV^\top$ keeps
$W_2W_1=U\,\mathrm{diag}(a)V^\top$ with $a_i(t)=S_ie^{2S_it}/(e^{2S_it}-1+S_i/a_i(0))$, and $|W_1|^2=|W_2|^2=\sum_ia_i$.""",
        hypotheses=HYPOTHESES,
        notation=NOTATION,
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

DEEP_THEOREM = nct.register(
    nct.Theorem(
        id="saxe-deep",
        title="Exact learning dynamics of deep linear networks",
        statement=r"""For $f=\frac12|W_L\cdots W_1-\Sigma|_F^2$, the flow from balanced factors aligned with $\Sigma=USV^\top$
keeps $W_L\cdots W_1=U\,\mathrm{diag}(u)V^\top$ with $\dot u_i=Lu_i^{2-2/L}(S_i-u_i)$, and $|W_l|^2=\sum_iu_i^{2/L}$ in every
layer.""",
        hypotheses=HYPOTHESES,
        notation=NOTATION + " The solution in quadratures is in our own form.",
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
    nct.show(nct.verify(SHALLOW_THEOREM))
    nct.show(nct.verify(DEEP_THEOREM))
