"""From balanced factors the product follows a flow of its own, in which it is its own preconditioner."""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ARORA_2018
from proofs_numeric.dynamics.chains import Balanced, correlation, heights, modes, product, white_chain

SHAPES = ((4, 4, 4), (3, 5, 4, 3))
TOLERANCE = 1e-13
MAX_STEPS = 4000


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    product: jax.Array
    heights: jax.Array


def draw_instances(shapes=SHAPES, skew=1.0, seed=0):
    """For each shape five sets of strengths."""

    def draw(key):
        rng = nct.generator(jax.random.fold_in(key, seed))
        drawn = []
        for widths in shapes:
            for largest in (1.0, 1.3, 1.6, 2.0, 2.5):
                rank = min(widths)
                strengths = np.sort(rng.uniform(0.5, 1.0, size=rank))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Balanced, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                times = tuple((np.arange(1, 25) * 4.0 / 24 / strengths[-1]).tolist())
                drawn.append(nct.Instance(problem, shown, scale=0.3, course=nct.Course(times, tolerance=1e-12)))
        return drawn

    return draw


def predict_with(layers=None, rate=1.0):
    """The product's own flow, for another number of layers or at another rate."""

    def predict(problem, start, times):
        number = layers or problem.depth
        target = correlation(problem)

        def velocity(t, whole, args):
            left, singular, right = jnp.linalg.svd(whole, full_matrices=False)
            slope = left.T @ (whole - target) @ right.T
            total = jnp.zeros_like(slope)
            for j in range(1, number + 1):
                above, below = singular ** (2.0 * (number - j) / number), singular ** (2.0 * (j - 1) / number)
                total += above[:, None] * slope * below[None, :]
            return -rate * left @ total @ right

        begin = product(problem, start, start)
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Dopri8(),
            t0=0.0,
            t1=times[-1],
            dt0=None,
            y0=begin,
            stepsize_controller=diffrax.ClipStepSizeController(
                diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE * jnp.max(jnp.abs(begin))), step_ts=times
            ),
            saveat=diffrax.SaveAt(ts=times),
            max_steps=MAX_STEPS,
            throw=False,
        )
        left, _, right = modes(problem)
        return Curve(found.ys, jnp.einsum("ik,tij,kj->tk", left, found.ys, right))

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="arora-trajectory",
        title="The end-to-end flow of a balanced chain, as a trajectory",
        statement=r"""From balanced factors ($W_{l+1}^\top W_{l+1}=W_lW_l^\top$) the product $W=W_N\cdots W_1$ follows
$\dot W=-\sum_{j=1}^N(WW^\top)^{(N-j)/N}\nabla\ell(W)(W^\top W)^{(j-1)/N}$.""",
        hypotheses=(
            "squared error, XX^T = N I, no decay",
            "a balanced start",
            "as many outputs as inputs and no narrower layer (so that the singular value decomposition is that of full rank)",
        ),
        notation="Arora et al.: N layers; their learning rate is 1. Their equation is integrated anew.",
        sources=(ARORA_2018,),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Claim("product", r"W_N\cdots W_1", product, lambda c: c.product, kind="trajectory", scope="path"),
            nct.Claim("modes", r"u_i^\top Wv_i", heights, lambda c: c.heights, kind="trajectory", scope="path"),
        ),
        controls=(
            nct.Control(
                "one layer more",
                "N+1 in the place of N",
                predict_with(layers=4),
                applies=lambda one: one.problem.depth == 3,
            ),
            nct.Control("1 % fast", "a rate 1 % too large", predict_with(rate=1.01)),
            nct.Control("no preconditioner", "plain gradient descent of the product", predict_with(layers=1)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(),
                outside=draw_instances(SHAPES[:1], skew=2.0, seed=1),
            ),
        ),
        method="path",
        seeds=32,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
