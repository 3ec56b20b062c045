r"""ReLU networks of one input pay for bends.

The simplest explanation that a two-layer network with weight decay gives of points in the plane bends as little as possible:
what decay charges for a function of one input is the total change of its slope. A network that may put its neurons anywhere
pays nothing for how often it bends. But a slope that goes on for ever to both sides is charged too, and of steep data that
hardly bend the network makes a bend at the end. Seen by the data, both charges have a closed form, training is a convex
program, and at weak decay its minimum is known exactly.

Problem:
    $\min\frac1{2N}\sum_i(f(x_i)-y_i)^2+\frac{\lambda_1}2|w|^2+\frac{\lambda_2}2|a|^2$ over networks
    $f(x)=\sum_{j\le m}a_j\max(w_j(x-t_j),0)+c$ of one input, whose knots t and constant c no decay sees, for N samples with
    $x_1<\dots<x_N$.
Theorem (Savarese, Evron, Soudry and Srebro 2019, number unchecked; all but the penalty of a function is our own):
    The least decay of a network that is a given function f is $\lambda\max(\int|f''|,|f'(-\infty)+f'(\infty)|)$,
    $\lambda=\sqrt{\lambda_1\lambda_2}$. Of the functions through points $(x_i,z_i)$ the cheapest cost
    $\lambda\gamma(z)$, $\gamma(z)=\max(V,\frac12(V+|S|))$, where the straight connection of the points has the slopes
    $s_1,\dots,s_{N-1}$, $V=\sum_k|s_{k+1}-s_k|$ and $S=s_1+s_{N-1}$; N-1 neurons are enough. So for $m\ge N-1$ the global
    minimum is that of $\frac1{2N}|z-y|^2+\lambda\gamma(z)$ over z, a convex program; with its minimiser Z* every network with
    outputs Z has $f\ge\min f+\frac1{2N}|Z-Z^*|^2$. If $\gamma$ is linear with gradient p between y and $y-\lambda Np$, the
    minimum is $\lambda\gamma(y)-\frac N2\lambda^2|p|^2$: at weak decay it is $\lambda\gamma(y)$ to first order.
Hypotheses:
    - inputs of one dimension, in rising order
    - all decays > 0
    - m >= N-1
Notation:
    Savarese et al.: a bias b = -wt in the place of the knot; $\lambda_1=\lambda_2$. A neuron without slope is a constant
    there, which c is for nothing.
Why:
    A neuron's decay is at least $\lambda|a||w|$, with equality at the right scale, and $|a||w|$ is the size of its bend. With
    bends $u_k$ of neurons that are open to the right and $v_k$ to the left, $f'(\infty)=\sum u_k$ and
    $f'(-\infty)=-\sum v_k$, so that the least $\sum|u_k|+|v_k|$ with given $u_k+v_k$ is the larger of $\sum|u_k+v_k|$ and
    $|\sum u_k-\sum v_k|$. For points, $\gamma(z)$ is the largest $\langle p,z\rangle$ over p with $\sum_ip_i=0$ and
    responses $|\sum_ip_i(x_i-t)_+|$ and $|\sum_ip_i(t-x_i)_+|$ of at most 1. These are linear in t between inputs, and
    zero or constant beyond them: knots at inputs are enough. There only the first and the last slope of f are free. To change
    them by $\mu\ge0$ in all makes the penalty $\max(V+\mu,|S|-\mu)$ at the least, which is least at
    $\mu=\frac12(|S|-V)_+$. N-1 neurons: Caratheodory, on a face of a ball in N-1 dimensions. The inequality: the fit is
    its tangent at Z* and $\frac1{2N}|Z-Z^*|^2$, and the rest is convex and least at Z*. At $z=y-\lambda Np$ the gradient
    of the program vanishes.
Checked:
    The program is solved in NumPy in the outputs, without neurons. Its value, and at weak decay that of the formula, must lie
    between what random starts reach and a bound from below by a dual point, which knows only responses of neurons. At all
    starts and ends the decay is held against $\lambda\gamma$ of the outputs, and the objective against the inequality, to
    rounding. A network is built from the slopes of the data, with a knot off the inputs, and costs $\lambda\gamma(y)$.
Refuted by:
    A value below the minimum, or a bound above it; a network that pays less than its outputs should cost, or is nearer to the
    minimum than they allow. The same check must refute a penalty of bends alone and one in which the end slopes go on to
    infinity, twice the gain at weak decay, the arithmetic mean of the decays, values off by 1e-6, and twice the inequality.
Example:
    A hat of three points has V = 2 and S = 0. The minimum over lambda is $2-9\lambda$: twice the best of 16 random starts.

    >>> import jax
    >>> x, y = np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    >>> best = [
    ...     nct.solve(network(x, y, 6, (lam, lam)), seeds=16, method="polish", light=True).value.min() / lam
    ...     for lam in (0.05, 0.02)
    ... ]
    >>> [round(float(value), 4) for value in best]
    [1.55, 1.82]
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import SAVARESE_2019
from proofs_numeric.hypotheses import POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import objective_claim
from proofs_numeric.nonlinear.line_networks import (
    BENDS,
    ENDS,
    LineNetwork,
    bends_and_ends,
    penalty,
    realised,
    responses,
    steepest,
    strength,
)
from proofs_numeric.nonlinear.line_program import solve_line

ID = "savarese-1d"
# A shape is (N, m, how many of the strengths, from the largest on). A strength is relative to the decay at which the network
# is constant. With as few neurons as are needed and a weak decay, few random starts find the minimum.
SHAPES = ((3, 8, 6), (5, 12, 6), (4, 3, 4))
STRENGTHS = ((1e-3, 1e-2), (0.01, 0.05), (0.05, 0.15), (0.15, 0.4), (0.4, 0.95), (1.05, 1.5))


class Prediction(NamedTuple):
    """What the theorem says of the minimum."""

    value: nct.engine.Array
    """That of the program."""
    weak: nct.engine.Array
    """The formula where it holds, else that of the program."""
    through: nct.engine.Array
    """The least cost of a network through the data."""
    nothing: nct.engine.Array
    """Zero."""


def draw_instances(key):
    """Draw data that bend, and every other time data along a steep line, whose end slopes cost more."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for samples, width, count in SHAPES:
        for number, (low, high) in enumerate(STRENGTHS[-count:]):
            inputs = np.cumsum(rng.uniform(0.3, 1.0, size=samples))
            inputs -= inputs.mean()
            targets = rng.normal(size=samples) + (number % 2) * rng.uniform(2.0, 4.0) * inputs
            slope = (targets - targets.mean()) / samples
            most = float(np.max(np.abs(np.asarray(responses(inputs)) @ slope)))
            decay, ratio = most * np.exp(rng.uniform(np.log(low), np.log(high))), 10.0 ** rng.uniform(-0.5, 0.5)
            problem = network(inputs, targets, width, (decay * ratio, decay / ratio))
            drawn.append(nct.Instance(problem, {"N": samples, "m": width, "lambda": decay, "ratio": ratio}))
    return drawn


def network(inputs, targets, width, decay):
    """Build the problem with the outputs of its program."""
    best = solve_line(inputs, targets, float(np.sqrt(np.prod(decay)))).outputs
    return LineNetwork(inputs=inputs, targets=targets, weight_decay=np.asarray(decay, float), best=best, width=width)


def predict(problem):
    """Solve the convex program, and evaluate the formulas."""
    return predict_with()(problem)


def predict_with(parts=(BENDS, ENDS), gain=0.5, mean=lambda one, two: np.sqrt(one * two), factor=1.0):
    """State the theorem, or a wrong version of it."""

    def stated(problem):
        inputs, targets = np.asarray(problem.inputs), np.asarray(problem.targets)
        lam = float(mean(*np.asarray(problem.weight_decay)))
        value = factor * solve_line(inputs, targets, lam, parts).value
        through = factor * lam * penalty(inputs, targets, parts)
        slope = steepest(inputs, targets)
        formula = through - factor * gain * len(inputs) * lam**2 * jnp.sum(slope**2)
        return Prediction(np.asarray(value), jnp.where(is_weak(problem), formula, value), through, jnp.zeros(()))

    return stated


def is_weak(problem):
    r"""Tell whether $\gamma$ is linear between the data and the outputs of the formula."""
    inputs, targets, lam = np.asarray(problem.inputs), np.asarray(problem.targets), float(strength(problem))
    moved = targets - lam * len(inputs) * np.asarray(steepest(inputs, targets))
    bends, ends = (np.asarray(one) for one in bends_and_ends(inputs))

    def piece(outputs):
        """Tell the signs of the bends, whether the ends decide, and if so their sign."""
        by_ends = abs(ends @ outputs) > np.sum(np.abs(bends @ outputs))
        return (*np.sign(bends @ outputs), by_ends and np.sign(ends @ outputs))

    return piece(targets) == piece(moved)


def growth(times=1.0):
    """State the inequality, or a wrong version of it."""
    return nct.LowerBound(
        "growth",
        r"f-\frac1{2N}|Z-Z^*|^2\ge\min f",
        lambda problem, params: (
            problem.objective(params) - 0.5 * times * jnp.mean((problem.outputs(params) - problem.best) ** 2)
        ),
        lambda p: p.value,
        scope="any point",
        terms=lambda problem, params: (
            problem.value_terms(params) + jnp.mean((problem.output_terms(params) + jnp.abs(problem.best)) ** 2)
        ),
    )


def of_functions(parts=(BENDS, ENDS)):
    r"""State that the decay is at least $\lambda\gamma$ of the outputs."""

    def paid(problem, params):
        return problem.decay_terms(params) - strength(problem) * penalty(problem.inputs, problem.outputs(params), parts)

    def terms(problem, params):
        size = problem.output_terms(params)
        bends, ends = bends_and_ends(problem.inputs)
        made = jnp.sum(jnp.abs(bends) @ size) + jnp.abs(ends) @ size
        return problem.decay_terms(params) + strength(problem) * made

    return nct.LowerBound(
        "penalty",
        r"\frac{\lambda_1}2|w|^2+\frac{\lambda_2}2|a|^2-\lambda\gamma(Z)\ge0",
        paid,
        lambda p: p.nothing,
        scope="any point",
        terms=terms,
        size=lambda problem, params: problem.decay_terms(params),
    )


def at_data(problem, params):
    """Build the cheapest network through the data, with the knot of its straight part as far off as a start's first knot."""
    return realised(problem, problem.targets, jnp.abs(params.knots[0]))


def not_constant(instance):
    """Tell the instances whose minimiser is not a constant."""
    return float(np.ptp(instance.problem.best)) > 1e-3


def ends_decide(instance):
    """Tell the instances at whose minimum the end slopes add to the penalty."""
    bends, ends = (np.asarray(one) for one in bends_and_ends(np.asarray(instance.problem.inputs)))
    best = np.asarray(instance.problem.best)
    return abs(ends @ best) > 1.01 * np.sum(np.abs(bends @ best)) + 1e-3


def rising(instance):
    """Tell whether it is a network of one input whose inputs are in rising order."""
    return isinstance(instance.problem, LineNetwork) and bool(np.all(np.diff(instance.problem.inputs) > 0))


ALONE, INFINITE = (BENDS,), (BENDS, (0.0, 1.0))

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(rising, POSITIVE_DECAYS, lambda i: i.problem.width >= len(i.problem.inputs) - 1),
        sources=(
            SAVARESE_2019.remark(
                "Theirs is the least decay of a network that is a given function. The closed form for points, the number of "
                "neurons, the inequality, the minimum at weak decay and the certificate are ours."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.GlobalValue("weak decay", r"\lambda\gamma(y)-\frac N2\lambda^2|p|^2", lambda p: p.weak),
            growth(),
            of_functions(),
            objective_claim(nct.Equality, "interpolation", r"\lambda\gamma(y)", at_data, lambda p: p.through),
        ),
        controls=(
            nct.Control(
                "bends alone",
                "the integral of |f''| alone",
                predict_with(ALONE),
                ("value", "interpolation"),
                ends_decide,
            ),
            nct.Control(
                "infinite ends",
                "the first and the last slope go on to infinity",
                predict_with(INFINITE),
                ("value", "interpolation"),
                ends_decide,
            ),
            nct.Control(
                "ends in full", "as much for S as for V", versions=(of_functions(INFINITE),), applies=ends_decide
            ),
            nct.Control(
                "twice the gain",
                "twice the term of second order",
                predict_with(gain=1.0),
                ("weak decay",),
                lambda i: is_weak(i.problem),
            ),
            nct.Control(
                "arithmetic",
                "the arithmetic mean of the decays",
                predict_with(mean=lambda one, two: 0.5 * (one + two)),
                ("value", "interpolation"),
                not_constant,
            ),
            nct.Control("1e-6 lower", "values lower by a relative 1e-6", predict_with(factor=1 - 1e-6), ("value",)),
            nct.Control("1e-6 higher", "values higher by a relative 1e-6", predict_with(factor=1 + 1e-6)),
            nct.Control("twice", "twice the distance of the outputs", versions=(growth(2.0),), applies=not_constant),
        ),
        several_basins=True,
        method=nct.Solve(flow=False),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
