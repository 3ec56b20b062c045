"""Near a minimum the gradient falls at the rate of the smallest curvature that is not zero."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography import POLYAK_1963

# loss, classes, samples a class, features
SHAPES = (("mse", 3, 2, 3), ("mse", 2, 4, 2), ("cross_entropy", 3, 1, 3))


class KnownRate(nct.DeepLinear):
    """Unconstrained features with the smallest curvature at the closed-form minimiser."""

    rate: Float[np.ndarray | jax.Array, ""]


def draw_instances(key):
    """For each shape four decays; times when all but the slowest modes have gone."""
    rng = nct.generator(key)
    drawn = []
    for loss, classes, n, dim in SHAPES:
        for low, high in ((0.02, 0.03), (0.03, 0.05), (0.05, 0.07), (0.07, 0.1)):
            decay = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            chain = nct.unconstrained_features(
                counts=(n,) * classes, dim=dim, loss=loss, weight_decay=(decay, 0.7 * decay / n)
            )
            report = nct.hessian_report(chain, nct.minimiser(chain, nct.global_minimum(chain)))
            problem = KnownRate.of(chain, rate=np.asarray(report.smallest))
            times = tuple((np.arange(4, 17) / report.smallest).tolist())
            shown = {"loss": loss, "K": classes, "n": n, "d": dim, "decay": decay, "rate": float(report.smallest)}
            drawn.append(nct.Instance(problem, shown, course=nct.Course(times, tolerance=1e-13)))
    return drawn


def slope(problem, params, start):
    r"""$-\frac12\frac{d}{dt}\log|\nabla f|^2=g^\top Ag/|g|^2$ along the flow, A the Hessian."""
    gradient, change = jax.jvp(lambda x: problem.value_and_grad(x)[1], (params,), (problem.value_and_grad(params)[1],))
    inner = sum(jnp.sum(a * b) for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(change), strict=True))
    return inner / sum(jnp.sum(a**2) for a in jax.tree.leaves(gradient))


def predict_with(factor=1.0):
    """The smallest curvature, times a factor."""
    return lambda problem, start, times: factor * jnp.asarray(problem.rate)


THEOREM = nct.register(
    nct.Theorem(
        id="local-linear-rate",
        title="The local rate of the flow is the smallest curvature off the gauge",
        statement=r"""Near a minimum that is strict off the symmetry orbit the flow converges exponentially, and
$-\frac{d}{dt}\log|\nabla f|$ tends to the smallest eigenvalue of the Hessian off the gauge at the minimum.""",
        hypotheses=(
            "a strict minimum off the gauge orbit, to which the path converges",
            "a start with a component along the slowest direction",
        ),
        notation="The minimum is that of the closed form; its Hessian is computed there and not on the path.",
        sources=(
            POLYAK_1963.remark(
                "Linear convergence; that the rate is the smallest curvature is elementary, in our own form."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Claim(
                "rate",
                r"g^\top Ag/|g|^2\to\mu",
                slope,
                lambda mu: mu,
                kind="limit",
                scope="path",
                vanishing="geometric",
            ),
        ),
        controls=(
            nct.Control("3 % fast", "a rate 3 % above the smallest curvature", predict_with(1.03)),
            nct.Control("half the rate", "half the smallest curvature", predict_with(0.5)),
            nct.Control("twice the rate", "twice the smallest curvature", predict_with(2.0)),
        ),
        method="path",
        seeds=64,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
