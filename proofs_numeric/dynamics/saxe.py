"""Deep linear networks on white inputs from aligned, balanced starts: every mode learns by itself."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import SAXE_2014
from proofs_numeric.dynamics.chains import Aligned, Lopsided, heights, modes, product, white_chain

# widths and number of modes
SHALLOW = (((4, 5, 3), 3), ((6, 6, 6), 6), ((5, 3, 8), 3))
DEEP = (((4, 5, 5, 3), 3), ((4, 4, 6, 4, 4), 4))
NODES = 24
PANELS = 12
NEWTON = 60


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    heights: jax.Array
    product: jax.Array
    norms: jax.Array


def draw_instances(shapes, start, longest, kind=Aligned, seed=0):
    """For each shape three sets of strengths between 0.5 and 2, and times until the weakest mode is learned."""

    def draw(key):
        rng = nct.generator(jax.random.fold_in(key, seed))
        drawn = []
        for widths, rank in shapes:
            for largest in (1.0, 1.5, 2.0):
                strengths = np.sort(rng.uniform(0.5, 1.0, size=rank))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, kind)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                times = tuple((np.arange(1, 31) * longest / 30 / strengths[-1]).tolist())
                drawn.append(nct.Instance(problem, shown, scale=start, course=nct.Course(times)))
        return drawn

    return draw


def shallow_height(strength, start, time):
    """S e^{2St} / (e^{2St} - 1 + S/a)."""
    return strength / (1.0 + (strength / start - 1.0) * jnp.exp(-2.0 * strength * time))


def deep_height(depth):
    r"""$u$ with $\dot u=Lu^{2-2/L}(S-u)$: $p=\log\frac u{S-u}$ obeys $\int_{p_0}^p(1+e^{-x})^{1-2/L}dx=LS^{2-2/L}t$."""
    power = 1.0 - 2.0 / depth
    nodes, weights = np.polynomial.legendre.leggauss(NODES)

    def passed(begin, end):
        edges = begin + (end - begin) * jnp.linspace(0.0, 1.0, PANELS + 1)
        half = 0.5 * (edges[1:] - edges[:-1])
        x = (0.5 * (edges[1:] + edges[:-1]))[:, None] + half[:, None] * nodes[None, :]
        return jnp.sum(half[:, None] * weights[None, :] * (1.0 + jnp.exp(-x)) ** power)

    def height(strength, start, time):
        begin = jnp.log(start / (strength - start))
        target = depth * strength ** (2.0 - 2.0 / depth) * time

        def newton(_, p):
            return p - (passed(begin, p) - target) / (1.0 + jnp.exp(-p)) ** power

        # The integral is concave in p, so that Newton's iterates come from the left.
        end = jax.lax.fori_loop(0, NEWTON, newton, begin)
        return strength / (1.0 + jnp.exp(-end))

    return height


def predict_with(height, depth=None, strength=1.0, exponent=1.0):
    """The law with another height of the modes, other strengths, or another share of each factor."""

    def predict(problem, start, times):
        left, strengths, right = modes(problem)
        begun = heights(problem, start, start)
        law = height(depth or problem.depth)
        at = jax.vmap(lambda t: jax.vmap(lambda s, a: law(strength * s, a, t))(strengths, begun))(times)
        norms = jnp.sum(at ** (2.0 * exponent / problem.depth), axis=1)
        return Curve(
            at, jnp.einsum("ik,tk,kj->tij", left, at, right), jnp.repeat(norms[:, None], problem.depth, axis=1)
        )

    return predict


def layer_norms(problem, params, start):
    """|W_l|^2 of every layer."""
    return jnp.stack([jnp.sum(weight**2) for weight in params.weights])


CLAIMS = (
    nct.Claim("modes", r"u_i^\top W_L\cdots W_1v_i", heights, lambda c: c.heights, kind="trajectory", scope="path"),
    nct.Claim("product", r"W_L\cdots W_1", product, lambda c: c.product, kind="trajectory", scope="path"),
    nct.Claim("layers", r"|W_l|_F^2", layer_norms, lambda c: c.norms, kind="trajectory", scope="path"),
)
HYPOTHESES = ("squared error, XX^T = N I, no decay", "a start that is balanced and aligned with the modes of YX^T")
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
        instances=draw_instances(SHALLOW, 1e-2, 5.0),
        predict=predict_with(lambda depth: shallow_height),
        claims=CLAIMS,
        controls=(
            nct.Control(
                "half the rate",
                "e^{St} in the place of e^{2St}",
                predict_with(lambda d: lambda s, a, t: shallow_height(s, a, t / 2)),
            ),
            nct.Control(
                "1 % fast",
                "time runs 1 % faster",
                predict_with(lambda d: lambda s, a, t: shallow_height(s, a, 1.01 * t)),
            ),
            nct.Control("three layers", "the law of three layers", predict_with(deep_height, depth=3)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(lambda depth: shallow_height),
                outside=draw_instances(SHALLOW[:1], 1e-2, 5.0, Lopsided, seed=1),
            ),
        ),
        method="path",
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
        instances=draw_instances(DEEP, 0.1, 6.0),
        predict=predict_with(deep_height),
        claims=CLAIMS,
        controls=(
            nct.Control("two layers", "the law of two layers", predict_with(lambda depth: shallow_height)),
            nct.Control("one layer less", "L-1 in the place of L", predict_with(lambda depth: deep_height(depth - 1))),
            nct.Control("1 % strong", "strengths 1 % too large", predict_with(deep_height, strength=1.01)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(deep_height),
                outside=draw_instances(DEEP[:1], 0.1, 6.0, Lopsided, seed=1),
            ),
        ),
        method="path",
        seeds=64,
    )
)

if __name__ == "__main__":
    print(nct.verify(SHALLOW_THEOREM))
    print(nct.verify(DEEP_THEOREM))
