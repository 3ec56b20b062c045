r"""A two-layer ReLU network with weight decay is a convex program.

Training a network is not convex, and ends in local minima. But a neuron that weight decay shrinks on both sides costs as much
as a norm of its effect, and on N samples the ReLU has only so many patterns of active samples: with one linear model for each
pattern, held in the cone where the pattern is true, the best network of enough neurons is a second-order cone program. Its
optimum is the global minimum of training.

Problem:
    $\min_{W_1,W_2}\frac1N\sum_i\ell(z_i,y_i)+\frac{\lambda_1}2|W_1|_F^2+\frac{\lambda_2}2|W_2|_F^2$ with
    $Z=W_2\max(W_1X,0)$ for N inputs X, m hidden neurons, and one output with squared error, or two with cross-entropy.
Theorem (Pilanci and Ergen 2020, number unchecked; the number of neurons, two classes and the inequality are our own):
    Let $D_1,\dots,D_S$ be the diagonal 0/1 patterns of $\langle w,x_i\rangle>0$ over all w, and
    $\lambda=\sqrt{\lambda_1\lambda_2}$. If $m\ge N$, the global minimum is
    $\min_{u,v}L\big(\sum_sD_sX^\top(u_s-v_s)\big)+\lambda\sum_s(|u_s|+|v_s|)$ over vectors with
    $(2D_s-I)X^\top u_s\ge0$ and $(2D_s-I)X^\top v_s\ge0$, where $L(z)=\frac1{2N}|z-y|^2$. With the outputs $Z^*$ of the
    program's optimum and $D(Z,Z^*)=L(Z)-L(Z^*)-\langle\nabla L(Z^*),Z-Z^*\rangle$, every point of the network has
    $f\ge\min f+D(Z,Z^*)$. For cross-entropy of two classes the outputs are $(z,-z)/\sqrt2$, and
    $L(z)=\frac1N\sum_i\log(1+e^{-\sqrt2s_iz_i})$ with the signs s of the classes.
Hypotheses:
    - two layers with a ReLU, no bias, given inputs
    - all decays > 0
    - squared error with one output, or cross-entropy with two
    - m >= N
Notation:
    Pilanci, Ergen: the fit is a sum, not a mean; beta for lambda, and both layers have the same decay.
Why:
    A neuron's decay $\frac{\lambda_1}2|w|^2+\frac{\lambda_2}2|a|^2$ is at least $\lambda|a||w|$, with equality at the right
    scale, which the ReLU leaves free. With D the pattern of w, its part of the output is $a\,DX^\top w$: a $u_D$ or $v_D$
    of norm |a||w| in the cone of D. So a network costs at least the program's value. Conversely the program's vectors are
    neurons, and those that pay least for given outputs need be no more than N (Caratheodory, on a face of the convex set of
    outputs that cost at most so much, in N dimensions). Let $\gamma(Z)$ be the least penalty of the outputs Z, a convex
    function. Then $-\nabla L(Z^*)$ is a subgradient of $\lambda\gamma$ at $Z^*$, so that
    $f\ge L(Z)+\lambda\gamma(Z)\ge L(Z)+\lambda\gamma(Z^*)-\langle\nabla L(Z^*),Z-Z^*\rangle$, the inequality. It makes
    the outputs the same at all minimisers. Cross-entropy ignores what is common to the logits, so that the $a_j$ of a
    minimiser are multiples of $(1,-1)/\sqrt2$.
Checked:
    The program is solved by an interior-point method of its own in NumPy. Its value must lie between what the random starts
    reach and a bound from below by a dual point, which has no part in the program: it rests on the largest response of a
    neuron, found sector by sector in the plane, and in three dimensions face by face of the arrangement that the inputs cut
    the space into. The inequality is held against the objective at all starts and ends, to rounding.
Refuted by:
    A value below the program's, or a bound above it; a point that is closer to the minimum than its outputs are to the
    program's. The same check must refute the program without its cones, with squared norms, with neurons of one sign, with
    the arithmetic mean of the decays, values off by 1e-6, twice the divergence, and the divergence from the targets.
Example:
    The best of 16 random starts reaches the program's optimum; with one neuron the best of them stays above it.

    >>> import jax
    >>> problem = draw_instances(jax.random.key(0))[1].problem
    >>> one = instance(np.asarray(problem.inputs), np.asarray(problem.targets), 1, problem.weight_decay).problem
    >>> wide, narrow = (nct.solve(p, seeds=16, method="polish", light=True).value.min() for p in (problem, one))
    >>> minimum = float(predict(problem).value)
    >>> bool(abs(wide / minimum - 1) < 1e-9), bool(narrow > 1.001 * minimum)
    (True, True)
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import PILANCI_2020
from proofs_numeric.hypotheses import POSITIVE_DECAYS
from proofs_numeric.nonlinear.convex_program import largest_response, logistic, solve_program, squared_error

ID = "cert-pilanci-ergen"
STRENGTHS = ((0.02, 0.06), (0.06, 0.15), (0.15, 0.3), (0.3, 0.6), (0.6, 0.95), (1.05, 1.5))
# A shape is (d, N, m, loss, the strengths). A strength is relative to the decay at which the network is zero. With as few
# neurons as samples and a weak decay, few random starts find the minimum.
SHAPES = (
    (2, 5, 12, "mse", STRENGTHS),
    (2, 3, 3, "mse", STRENGTHS[-2:]),
    (2, 4, 4, "cross_entropy", STRENGTHS[-5:]),
    (3, 5, 12, "mse", STRENGTHS[2:-1]),
)
KINDS = "normal", "(x, 1)", "in a plane"


class Prediction(NamedTuple):
    """What the program says of the global minimum."""

    value: np.ndarray
    outputs: np.ndarray


class Network(nct.problems.DeepNonlinear):
    """A network that knows the outputs of its convex program, so that those of any point can be held against them."""

    outputs: nct.engine.Array


def draw_instances(key):
    """Draw inputs in two and three dimensions, by turns those of a network with a bias in its neurons, (x, 1), and of three
    dimensions some that lie in a plane."""
    rng = np.random.default_rng(nct.theorems.numpy_rng(key).integers(2**32))
    drawn = []
    for dim, samples, width, loss, strengths in SHAPES:
        for number, (low, high) in enumerate(strengths):
            inputs = rng.normal(size=(dim, samples))
            kind = KINDS[number % dim]
            if kind == "(x, 1)":
                inputs[-1] = 1.0
            if kind == "in a plane":
                inputs[-1] = 2.0 * inputs[0]
            signs = rng.permutation(np.resize([1.0, -1.0], samples))
            targets = rng.normal(size=(1, samples)) if loss == "mse" else np.stack([signs > 0, signs < 0]).astype(float)
            slope = targets[0] / samples if loss == "mse" else signs / (np.sqrt(2.0) * samples)
            decay = np.exp(rng.uniform(np.log(low), np.log(high))) * largest_response(inputs, slope)
            ratio = 10.0 ** rng.uniform(-0.5, 0.5)
            drawn.append(instance(inputs, targets, width, (decay * ratio, decay / ratio), kind))
    return drawn


def instance(inputs, targets, width, decay, kind="given"):
    """Build a named instance; the loss is cross-entropy where there are two outputs."""
    loss = "mse" if len(targets) == 1 else "cross_entropy"
    problem = nct.deep_nonlinear(
        widths=(len(inputs), width, len(targets)), inputs=inputs, targets=targets, loss=loss, weight_decay=tuple(decay)
    )
    fields = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
    problem = Network(**fields, outputs=predict(problem).outputs)
    strength = float(np.sqrt(np.prod(decay)))
    shown = {"d": len(inputs), "N": inputs.shape[1], "m": width, "loss": loss, "inputs": kind}
    return nct.Instance(problem, {**shown, "lambda": strength, "ratio": float(np.sqrt(decay[0] / decay[1]))})


def predict(problem):
    """Solve the convex program."""
    return of_program(problem)


def of_program(problem, mean=lambda one, two: np.sqrt(one * two), **wrong):
    """Solve the program, or a wrong one, for a network; lambda is a mean of the decays."""
    inputs, targets = np.asarray(problem.inputs), np.asarray(problem.targets)
    squared = nct.losses.is_loss(problem.loss, "mse")
    fit = squared_error(targets[0]) if squared else logistic(targets[0] - targets[1])
    found = solve_program(inputs, fit, float(mean(*np.asarray(problem.weight_decay))), **wrong)
    logits = found.outputs[None, :] if squared else np.stack([found.outputs, -found.outputs]) / np.sqrt(2.0)
    return Prediction(np.asarray(found.value), logits)


def moved(relative):
    """Predict a minimum that is moved by a relative amount."""
    return lambda problem: predict(problem)._replace(value=(1 + relative) * predict(problem).value)


def wrong_program(**wrong):
    """Predict what a wrong program says."""
    return lambda problem: of_program(problem, **wrong)


def divergence(problem, params, outputs):
    r"""Compute the Bregman divergence $D(Z,Z^*)$ of the fit, from these outputs Z*."""
    logits, targets = problem.logits(params), jnp.asarray(problem.targets)
    slope = problem.loss.gradient(outputs, targets)
    apart = problem.loss.value(logits, targets) - problem.loss.value(outputs, targets)
    return jnp.mean(apart - jnp.sum(slope * (logits - outputs), axis=0))


def divergence_terms(problem, params):
    """Compute the size of what the divergence is a difference of."""
    logits, targets = problem.logits(params), jnp.asarray(problem.targets)
    slope = problem.loss.gradient(problem.outputs, targets)
    sizes = problem.loss.value_terms(logits, targets) + problem.loss.value_terms(problem.outputs, targets)
    moved = jnp.sum(jnp.abs(slope) * (jnp.abs(logits) + jnp.abs(problem.outputs)), axis=0)
    return problem.value_terms(params) + jnp.mean(sizes + moved)


def growth(times=1.0, of=lambda problem: problem.outputs):
    """State the inequality, or a wrong version of it."""
    return nct.LowerBound(
        "growth",
        "f-D(Z,Z^*)\\ge\\min f",
        lambda problem, params: problem.objective(params) - times * divergence(problem, params, of(problem)),
        lambda p: p.value,
        scope="any point",
        terms=divergence_terms,
    )


def not_zero(instance):
    """Tell the instances whose minimiser is not zero."""
    return bool(np.any(np.asarray(instance.problem.outputs) != 0))


def of_both_signs(instance):
    """Tell the instances whose minimiser has outputs below zero, for which neurons of both signs are needed."""
    return float(np.min(instance.problem.outputs[0])) < -1e-3


def two_layers(instance):
    """Tell whether it is a two-layer ReLU network without bias on given inputs."""
    problem = instance.problem
    given = problem.inputs is not None and not any(problem.residual)
    return given and problem.activations == ("identity", "relu") and problem.bias_decay is None


def squared(instance):
    """Tell the instances with squared error."""
    return nct.losses.is_loss(instance.problem.loss, "mse")


def targets_of(problem):
    """Take the targets for the outputs."""
    return jnp.asarray(problem.targets)


def covered(instance):
    """Tell whether the loss is squared error of one output, or cross-entropy of two."""
    name = "mse" if instance.problem.classes == 1 else "cross_entropy"
    return instance.problem.classes <= 2 and nct.losses.is_loss(instance.problem.loss, name)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            two_layers,
            POSITIVE_DECAYS,
            covered,
            lambda i: i.problem.widths[1] >= i.problem.targets.shape[1],
        ),
        sources=(
            PILANCI_2020.remark(
                "That N neurons are enough, and the reduction of two classes to signs, are ours; so is the certificate, which "
                "bounds the dual's constraint face by face."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            growth(),
        ),
        controls=(
            nct.Control(
                "no cones", "the program without its cones", wrong_program(cones=False), ("value",), applies=not_zero
            ),
            nct.Control("squares", "squared norms", wrong_program(squared=True), ("value",), applies=not_zero),
            nct.Control(
                "one sign", "neurons of one sign only", wrong_program(signs=(1.0,)), ("value",), applies=of_both_signs
            ),
            nct.Control(
                "arithmetic",
                "the arithmetic mean of the decays",
                wrong_program(mean=lambda one, two: 0.5 * (one + two)),
                ("value",),
                applies=not_zero,
            ),
            nct.Control("1e-6 lower", "the minimum lower by a relative 1e-6", moved(-1e-6), ("value",)),
            nct.Control("1e-6 higher", "the minimum higher by a relative 1e-6", moved(1e-6)),
            nct.Control("twice", "twice the divergence", versions=(growth(times=2.0),)),
            nct.Control(
                "targets", "the divergence from the targets", versions=(growth(of=targets_of),), applies=squared
            ),
        ),
        several_basins=True,
        method=nct.Solve(flow=False),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
