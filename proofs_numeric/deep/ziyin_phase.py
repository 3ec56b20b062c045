r"""The order of the transition to zero: continuous with one hidden layer, a jump with more.

A deep linear network of one output learns nothing at all where weight decay is strong or the signal weak. With one hidden
layer what it learns sets in continuously as the signal grows. With two or more it sets in by a jump, of a known height: zero
stays a local minimum at every signal, so that small starts never leave it. This is the difference between a transition of
second and one of first order, and depth makes it.

Problem:
    $f=\frac1{2N}|W_{D+1}\cdots W_1X-y|^2+\sum_l\frac{\lambda_l}2|W_l|_F^2$ with one output, D hidden layers and
    $\frac1NXX^\top=aI$; the signal is $e=|\frac1NXy^\top|$.
Theorem (Ziyin and Ueda 2022, number unchecked; heights and thresholds in our own form):
    Let $\gamma=(\prod_l\lambda_l)^{1/(D+1)}$. Every global minimiser has $W_{D+1}\cdots W_1=s\frac{yX^\top}{Ne}$, all
    $\lambda_l|W_l|_F^2=\gamma s^{2/(D+1)}$ and the value $\frac1{2N}|y|^2+\frac12\min_s(as^2-2es+(D+1)\gamma s^{2/(D+1)})$.
    For D = 1, $s=(e-\gamma)_+/a$. For D >= 2 let $s_c=((D-1)\gamma/a)^{(D+1)/(2D)}$ and $e_c=\frac D{D-1}as_c$: s is zero for
    $e<e_c$, and for $e>e_c$ the largest root of $as+\gamma s^{(1-D)/(1+D)}=e$, which is above $s_c$. The Hessian at zero is
    the form $\sum_l\lambda_l|V_l|_F^2$ for D >= 2, so that zero is a local minimum at every e; for D = 1 it is less by
    $\frac2NV_2V_1Xy^\top$, and positive definite iff $e<\gamma$.
Hypotheses:
    - squared error, one output, (1/N) X X^T = a I
    - at least one hidden layer, all decays > 0
    - no bias
    - a signal e > 0 other than the threshold
Notation:
    Ziyin and Ueda have no 1/2 before their squares: their objective is twice ours, with the same decays, a and e.
Why:
    For a product of norm s, $\sum_l\frac{\lambda_l}2|W_l|^2\ge\frac{D+1}2\gamma s^{2/(D+1)}$ by the inequality of arithmetic
    and geometric means, with equality for factors of rank one and equal terms; the fit is least along the signal. What is
    left is a function of s. For D = 1 it is a parabola; for D >= 2 it begins with an infinite slope upwards, and its other
    local minimum is as low as 0 where value and derivative both vanish: $as^2-2es+(D+1)\gamma s^{2/(D+1)}=0$ and $as-e+\gamma
    s^{2/(D+1)-1}=0$, whence $(D-1)\gamma s^{2/(D+1)}=as^2$.
Checked:
    Random starts are followed to their ends, and the best are certified by a lower bound for the nuclear and Schatten norms.
    The thresholds are located by certified minima alone, in the signal, to a relative 1e-4: that at which the height leaves
    zero, and those at which it passes 0.95 and 1.05 of $s_c$ (of $\gamma/a$ for D = 1). For D >= 2 the first two are the
    same: a jump.
Refuted by:
    A certified minimiser of another height, or a threshold outside its bracket. The same check must refute the orders
    exchanged, a threshold of two layers at every depth, the end of metastability for the threshold, decays without their
    mean, and the Hessian at zero of two layers at every depth.
Example:
    The thresholds of one, two and three hidden layers at a = 1.3 and gamma = 0.4, and the heights of the jumps.

    >>> [round(float(threshold(hidden, 1.3, 0.4)), 5) for hidden in (1, 2, 3)]
    [0.4, 1.07414, 1.4108]
    >>> [round(float(jump(hidden, 1.3, 0.4)), 3) for hidden in (2, 3)]
    [0.413, 0.723]
"""

import math
from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZIYIN_2022
from proofs_numeric.conserved.vector_field import product, zero
from proofs_numeric.deep.heights import height_at, jump, metastable, signal_at, threshold
from proofs_numeric.phases.depth import SIGNAL, white_inputs
from proofs_numeric.pool import log_uniform
from proofs_numeric.thresholds import DISTINCT, ROUNDED

ID = "ziyin-phase"
HIDDEN = (1, 2, 3)
PLACES = (0.8, 0.997, 1.003, 1.3, 3.0)
"""Signals, in units of the threshold."""
HEIGHTS = (0.03, 10.0)
"""Heights of starts, in units of the jump or of gamma/a."""
LEVELS = (0.95, 1.05)
"""The parts of the jump whose passing is located."""


class Toward(nct.problems.Starts):
    """The starts are balanced chains of rank one towards the signal, of small and large heights, with noise: both minima are
    met.

    Which of them is the global one does not depend on the starts.
    """

    def __call__(self, problem, key, scale):
        """Draw one."""
        first, second, third = jax.random.split(key, 3)
        times = jnp.exp(jax.random.uniform(first, (), jnp.float64, *map(math.log, HEIGHTS)))
        size = (scale * times * unit(problem)) ** (1.0 / problem.depth)
        drawn = jax.random.normal(second, (problem.depth - 1, 3), jnp.float64)
        ends = [data(problem)[4], *(drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)), jnp.ones(1)]
        weights = tuple(size * jnp.outer(up, low) for low, up in pairwise(ends))
        noise = problem.normal_start(third, 0.1)
        point = nct.problems.ChainParams(weights, None, None)
        return jax.tree.map(lambda x, y: x + size * y, point, noise)


def build(hidden, a, decays, signal, turn, rest=0.0):
    """Build a network whose targets have this signal, turned, and a part off the inputs."""
    inputs = np.sqrt(a) * turn @ white_inputs()
    left = np.linalg.svd(inputs)[2][-1:]
    targets = signal * (turn @ SIGNAL)[None, :] @ inputs / a + rest * left
    widths = (inputs.shape[0], *(3,) * hidden, 1)
    chain = nct.deep_linear(widths=widths, inputs=inputs, targets=targets, loss="mse", weight_decay=decays)
    return chain.with_starts(Toward())


def draw_instances(key):
    """Draw for each depth signals below, next to and above the threshold, with decays that differ."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for hidden in HIDDEN:
        for place in PLACES:
            a, gamma = log_uniform(rng, 0.5, 2.0), log_uniform(rng, 0.05, 0.5)
            spread = rng.uniform(0.6, 1.6, size=hidden + 1)
            decays = gamma * spread / np.prod(spread) ** (1.0 / (hidden + 1))
            turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            signal = place * threshold(hidden, a, gamma)
            problem = build(hidden, a, tuple(decays.tolist()), signal, turn, rng.uniform(0.0, 1.0))
            drawn.append(nct.Instance(problem, {"D": hidden, "a": a, "gamma": gamma, "e/e_c": place}))
    return drawn


def data(problem):
    """Return D, a, gamma, the signal and its direction."""
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)
    samples = inputs.shape[1]
    together = (targets @ inputs.T)[0] / samples
    signal = jnp.linalg.norm(together)
    gamma = jnp.exp(jnp.mean(jnp.log(jnp.asarray(problem.weight_decay))))
    return problem.depth - 1, jnp.sum(inputs**2) / inputs.size, gamma, signal, together / signal


class Prediction(NamedTuple):
    """What is predicted of the minimisers, and of where the height leaves zero and passes two levels."""

    value: jax.Array
    vector: jax.Array
    layers: jax.Array
    onset: jax.Array
    passed: jax.Array


def predict_with(as_hidden=lambda hidden: hidden, mean=True, ends=threshold):
    """Predict, or wrongly: with the law of another depth, one decay for their mean, or another threshold."""

    def predict(problem):
        own, a, gamma, signal, direction = data(problem)
        hidden = as_hidden(own)
        decays = jnp.asarray(problem.weight_decay)
        gamma = gamma if mean else decays[0]
        onset = ends(hidden, a, gamma)
        height = jnp.where(signal > onset, height_at(hidden, a, gamma, jnp.maximum(signal, onset)), 0.0)
        layer = gamma * height ** (2.0 / (hidden + 1.0))
        value = 0.5 * jnp.sum(jnp.asarray(problem.targets) ** 2) / problem.targets.shape[1]
        value += 0.5 * (a * height**2 - 2.0 * signal * height + (hidden + 1.0) * layer)
        # The unit of heights is the observed one, that of the network's own depth; beyond a jump no signal has them.
        levels = jnp.asarray(LEVELS) * unit(problem)
        at = jax.vmap(lambda s: signal_at(hidden, a, gamma, s))(levels)
        passed = at if hidden == 1 else jnp.where(levels < jump(hidden, a, gamma), onset, at)
        return Prediction(value, height * direction, layer * jnp.ones(own + 1), jnp.asarray(onset), passed)

    return predict


def vector(problem, params):
    """Return the end-to-end vector."""
    return product(params)[0]


def layers(problem, params):
    """Return lambda_l |W_l|^2 of every layer."""
    return jnp.asarray(problem.weight_decay) * jnp.stack([jnp.sum(weight**2) for weight in params.weights])


def bending(at_every_depth=False):
    """State what the Hessian at zero makes of the directions that a point's factors are."""

    def form(problem, params):
        nothing = jax.tree.map(jnp.zeros_like, params)
        slope = lambda x: problem.value_and_grad(x)[1]  # noqa: E731
        turned = jax.jvp(slope, (nothing,), (params,))[1]
        return sum(jnp.sum(x * y) for x, y in zip(turned.weights, params.weights, strict=True))

    def fit(problem, params):
        _, _, _, signal, direction = data(problem)
        return 2.0 * signal * vector(problem, params) @ direction

    def observed(problem, params):
        linear = fit(problem, params) if at_every_depth or problem.depth == 2 else 0.0
        return form(problem, params) - (jnp.sum(layers(problem, params)) - linear)

    def size(problem, params):
        return jnp.sum(layers(problem, params)) + jnp.abs(fit(problem, params))

    return nct.Equality(
        "Hessian at zero", r"V^\top\nabla^2f(0)V", observed, zero, scope="any point", terms=size, size=size
    )


def unit(problem):
    """Return the unit of heights: the jump, or gamma/a."""
    hidden, a, gamma, _, _ = data(problem)
    return gamma / a if hidden == 1 else jump(hidden, a, gamma)


def height(problem, params):
    """Return the norm of the end-to-end vector, in that unit."""
    return jnp.linalg.norm(product(params)) / unit(problem)


def at_signal(problem, signal):
    """Change the signal, and leave the part off the inputs."""
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)
    seen = targets @ jnp.linalg.pinv(inputs) @ inputs
    return eqx.tree_at(lambda p: p.targets, problem, targets + (signal / data(problem)[3] - 1.0) * seen)


def around(problem):
    """Return two signals by their dimension alone: 0.3 and 6 times the unit that decay and inputs make."""
    hidden, a, gamma, _, _ = data(problem)
    natural = float(a ** ((hidden - 1.0) / (2.0 * hidden)) * gamma ** ((hidden + 1.0) / (2.0 * hidden)))
    return 0.3 * natural, 6.0 * natural


def passes(place):
    """State where the height passes a level."""
    return nct.Threshold(
        f"height {LEVELS[place]:g}",
        rf"s>{LEVELS[place]:g}\,s_c",
        at_signal,
        height,
        lambda p: p.passed[place],
        around,
        level=LEVELS[place],
    )


def deep(instance):
    """Tell whether there are two or more hidden layers."""
    return instance.parameters["D"] > 1


def beyond(instance):
    """Tell of these the instances above the threshold."""
    return instance.parameters["e/e_c"] > 1


def white(problem):
    """Tell whether the inputs are white up to a factor."""
    inputs = np.asarray(problem.inputs)
    gram = inputs @ inputs.T
    return float(np.max(np.abs(gram - np.trace(gram) / len(gram) * np.eye(len(gram))))) < ROUNDED * np.trace(gram)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.loss.name == "mse" and i.problem.targets.shape[0] == 1 and white(i.problem),
            lambda i: i.problem.depth >= 2 and min(i.problem.weight_decay) > 0,
            lambda i: i.problem.bias_decay is None,
            lambda i: abs(float(data(i.problem)[3] / threshold(*data(i.problem)[:3])) - 1) > DISTINCT,
        ),
        sources=(ZIYIN_2022.remark("The orders of the transition; heights and thresholds in closed form are our own."),),
        instances=draw_instances,
        predict=predict_with(),
        seeds=64,
        several_basins=True,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("vector", r"W_{D+1}\cdots W_1", vector, lambda p: p.vector),
            nct.Equality("layers", r"\lambda_l|W_l|_F^2", layers, lambda p: p.layers),
            bending(),
            nct.Threshold("onset", r"s>0\iff e>e_c", at_signal, height, lambda p: p.onset, around),
            passes(0),
            passes(1),
        ),
        controls=(
            nct.Control(
                "orders exchanged", "a jump with one hidden layer, none with more",
                predict_with(as_hidden=lambda hidden: 2 if hidden == 1 else 1),
                claims=("value", "vector", "onset", "height 0.95", "height 1.05"), applies=beyond,
            ),
            nct.Control("gamma at every depth", "e_c = gamma", predict_with(ends=lambda hidden, a, gamma: gamma),
                        claims=("onset",), applies=deep),
            nct.Control(
                "end of metastability", "where the minimum off zero appears, for where it is lowest",
                predict_with(ends=lambda hidden, a, gamma: signal_at(hidden, a, gamma, metastable(hidden, a, gamma))),
                claims=("onset",), applies=deep,
            ),
            nct.Control("first decay", "lambda_1 for gamma", predict_with(mean=False), claims=("layers", "onset"),
                        applies=beyond),
            nct.Control("bent at every depth", "the Hessian at zero of two layers", versions=(bending(True),), applies=deep),
        ),
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
