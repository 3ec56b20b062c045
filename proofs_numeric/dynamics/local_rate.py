r"""The local rate of the flow is the smallest curvature off the gauge.

Near a minimum the last phase of training is governed by one number. The gradient falls exponentially, at the rate of
the smallest curvature at the minimum that is not zero; directions along the symmetry orbit, in which nothing changes,
do not count. So the speed at which K classes with n samples each collapse in the end can be read from the Hessian at
the closed-form minimiser, before any training.

Problem:
    $f(W,H)=\frac1N\sum_i\ell(Wh_i,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with squared error or
    cross-entropy. The classifier W and the features H are free and follow the gradient flow $-\nabla f$.
Theorem (linear convergence: Polyak 1963, number unchecked; that the rate is the smallest curvature: our own form):
    Near a minimum that is strict off the symmetry orbit the flow converges exponentially, and
    $-\frac{d}{dt}\log|\nabla f|$ tends to the smallest eigenvalue of the Hessian off the gauge at the minimum.
Hypotheses:
    - a minimum that is strict off the gauge orbit, its next curvature half as large again as the smallest, so that
      fourteen times the slowest decay time show the limit
    - a generic start, with a component along the slowest direction
Notation:
    The minimum is that of the closed form; its Hessian is computed there and not on the path.
Why:
    Along the flow the gradient g obeys $\dot g=-Ag$ with the Hessian A at the point of the path, so
    $-\frac d{dt}\log|g|=g^\top Ag/|g|^2$. The objective is constant on the symmetry orbits, and g is orthogonal to
    them. Near the minimum A is close to its value there, which off the orbit is at least $\mu$, the smallest
    curvature: g falls at least like $e^{-\mu't}$ for every $\mu'<\mu$, the path has finite length and converges. A
    mode of g with a larger curvature falls faster than the slowest one, up to terms that vanish as the path arrives;
    where the slowest one takes part at all, as it does from a generic start, it is what remains, and the quotient
    tends to $\mu$.
Checked:
    All entries of W and H are integrated along the gradient flow from random starts, which all have to find the global
    minimum, twice with different tolerances; their difference bounds the error. The quotient is found by automatic
    differentiation at points of the path, and extrapolated from its last times. It is held against the smallest
    curvature of the Hessian at the minimiser that the closed form gives. All this is sampled.
Refuted by:
    One path whose extrapolated rate differs from the curvature by more than the extrapolation leaves open. The same
    check must refute a rate larger by 1e-3, half the rate, and twice the rate.
Example:
    With squared error a mode of W and H of sizes a and b costs
    $\frac1{2N}(ab-\sqrt n)^2+\frac{\lambda_W}2a^2 +\frac{\lambda_H}2b^2$. The smallest curvature of this at the
    minimum, for K = n = 2, beside the rates of three fresh paths:

    >>> w, h = 0.08, 0.02
    >>> height = np.sqrt(2) - 4 * np.sqrt(w * h)  # a b
    >>> a2, b2, off = height * np.sqrt(h / w), height * np.sqrt(w / h), height / 4 - np.sqrt(w * h)
    >>> rate = np.linalg.eigvalsh([[b2 / 4 + w, off], [off, a2 / 4 + h]])[0]
    >>> problem = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(w, h))
    >>> observe = lambda problem, params: slope(problem, params, None)
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, seeds=3), [14 / rate], observe=observe, light=True)
    >>> round(float(rate), 5), paths.values.ravel().round(5).tolist()
    (0.06096, [0.06096, 0.06096, 0.06096])
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_networks import POLYAK_1963
from proofs_numeric.pool import log_uniform, pick

# Each shape is (loss, classes, samples a class, features). A key picks one of each group.
SHAPES = (
    (("mse", 2, 4, 2), ("mse", 2, 1, 3)),
    (("mse", 4, 2, 4), ("mse", 3, 2, 3)),
    (("cross_entropy", 3, 1, 3), ("cross_entropy", 4, 1, 4), ("cross_entropy", 2, 2, 2)),
)

RATIOS = (0.5, 0.6, 1.2, 1.7, 2.1)
"""The root of lambda_W / (n lambda_H) is one of these."""
GAP = 1.5
"""The next curvature is larger than the smallest by this factor at least.

Where they are nearly equal the quotient stands still between them.
"""


class KnownRate(nct.problems.DeepLinear):
    """Unconstrained features with the smallest curvature at the closed-form minimiser."""

    rate: Float[np.ndarray | jax.Array, ""]


def draw_instances(key):
    """Draw for each shape four decays, with times when all but the slowest modes have gone."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for group in SHAPES:
        ((loss, classes, n, dim),) = pick(rng, group)
        for low, high in ((0.02, 0.025), (0.025, 0.035), (0.035, 0.045), (0.045, 0.06)):
            chain, report, decay, ratio = separated(rng, loss, classes, n, dim, (low, high))
            problem = KnownRate.of(chain, rate=np.asarray(report.smallest))
            times = tuple((np.arange(3, 15) / report.smallest).tolist())
            shown = {"loss": loss, "K": classes, "n": n, "d": dim, "decay": decay, "ratio": ratio}
            shown |= {"rate": float(report.smallest)}
            drawn.append(nct.Instance(problem, shown, trajectory=nct.theorems.TrajectorySpec(times, tolerance=1e-13)))
    return drawn


def separated(rng, loss, classes, n, dim, between):
    """Draw a decay between two, and take the first ratio of both decays at which the slowest rate stands alone."""
    decay = log_uniform(rng, *between)
    for ratio in rng.permutation(RATIOS):
        decays = (float(decay * ratio), float(decay / ratio / n))
        chain = nct.unconstrained_features(counts=(n,) * classes, dim=dim, loss=loss, weight_decay=decays)
        report = minimum_report(chain)
        if next_rate(report) > GAP:
            return chain, report, decay, float(ratio)
    raise ValueError(
        f"ratio: no one of {RATIOS} sets the slowest rate apart at decay {decay:.3g} for K = {classes}, n = {n}"
    )


def minimum_report(problem):
    """Report the Hessian at the closed form's minimiser."""
    return nct.hessian_report(problem, nct.closed_form.minimiser(problem, nct.global_minimum(problem)))


def next_rate(report):
    """Return the second smallest curvature relative to the smallest; 0 where that is not positive."""
    relative = np.asarray(report.eigenvalues) / max(report.smallest, 1e-12)
    return float(np.min(relative[relative > 1 + 1e-6], initial=np.inf)) if report.smallest > 0 else 0.0


def strict_minimum(instance):
    """Tell whether the closed form's minimiser is strict, its smallest curvature the problem's, and the next one apart."""
    report = minimum_report(instance.problem)
    own = abs(report.smallest / float(instance.problem.rate) - 1) < 1e-6
    return report.nullity == 0 and report.index == 0 and own and next_rate(report) > GAP


def generic_start(instance):
    """Tell whether the gradient at a start differs between two samples, as it does at a random start."""
    problem = instance.problem
    gradient = problem.value_and_grad(instance.start())[1]
    return bool(jnp.linalg.norm(gradient.features[:, 0] - gradient.features[:, 1]) > 1e-6)


def slope(problem, params, start):
    r"""Return $-\frac12\frac{d}{dt}\log|\nabla f|^2=g^\top Ag/|g|^2$ along the flow, A the Hessian."""
    gradient, change = jax.jvp(lambda x: problem.value_and_grad(x)[1], (params,), (problem.value_and_grad(params)[1],))
    inner = sum(jnp.sum(a * b) for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(change), strict=True))
    return jnp.asarray(inner) / sum(jnp.sum(a**2) for a in jax.tree.leaves(gradient))


def predict_with(factor=1.0):
    """Predict the smallest curvature, times a factor."""
    return lambda problem, start, times: factor * jnp.asarray(problem.rate)


THEOREM = nct.register(
    nct.Theorem(
        id="local-linear-rate",
        docstring=__doc__,
        hypotheses=(
            strict_minimum,
            generic_start,
        ),
        sources=(
            POLYAK_1963.remark(
                "Linear convergence; that the rate is the smallest curvature is elementary, in our own form."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Limit(
                "rate",
                r"g^\top Ag/|g|^2\to\mu",
                slope,
                lambda mu: mu,
                vanishing="geometric",
                resolution=5e-4,
                because="extrapolated from three ends of a path on which the faster modes have not quite gone",
            ),
        ),
        controls=(
            nct.Control(
                "1e-3 fast", "a rate larger than the smallest curvature by a relative 1e-3", predict_with(1 + 1e-3)
            ),
            nct.Control("half the rate", "half the smallest curvature", predict_with(0.5)),
            nct.Control("twice the rate", "twice the smallest curvature", predict_with(2.0)),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
