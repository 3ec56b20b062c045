"""What theorems on networks below neural collapse share: the network at any decays, its value, and the claims."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.nonlinear.low_rank import collapsed, evenly
from proofs_numeric.nonlinear.relu_chains import chain
from proofs_numeric.pool import log_uniform


class Values(NamedTuple):
    """What a theorem says of its network and of neural collapse."""

    network: jax.Array
    collapse: jax.Array
    lower: jax.Array
    """The lower of neural collapse and zero."""
    targets: jax.Array


def build_instance(rng, classes, depth, width, samples, relative):
    """Build the balanced chain in which neural collapse has b = `relative` times the onset, with unequal decays."""
    counts = (samples,) * classes
    target = relative * nct.closed_form.onset(depth) / (depth * classes)
    common = (target**depth / sum(counts)) ** (1 / (depth + 1))
    drawn = rng.uniform(-1.0, 1.0, size=depth + 1)
    problem = chain((width,) * depth + (classes,), counts, tuple((common * np.exp(drawn - drawn.mean())).tolist()))
    shown = {"K": classes, "L": depth, "n": samples, "d": width, "relative": float(relative)}
    return nct.Instance(problem, shown)


def drawn_strengths(rng, ratio):
    """Draw a weak and a moderate decay, and one beyond the onset of neural collapse at which the network still costs less."""
    return log_uniform(rng, 1e-3, 0.1), rng.uniform(0.3, 0.9), 1 + rng.uniform(0.2, 0.8) * (1 / ratio - 1)


def draw_below(rng, shapes, cost_of, width_of):
    """Draw chains of some shapes (K, L, n) at the `drawn_strengths` of each, for a network of cost `cost_of(K, L)`."""
    drawn = []
    for classes, depth, samples in shapes:
        # The decay at which a network ceases to cost less than zero goes with its cost to the power -F/L.
        ratio = (cost_of(classes, depth) / (classes * (depth + 1) / 2)) ** ((depth + 1) / depth)
        width = width_of(classes)
        drawn += [
            build_instance(rng, classes, depth, width, samples, relative) for relative in drawn_strengths(rng, ratio)
        ]
    return drawn


def strength(problem, cost, factors=None, samples=None):
    r"""Return $b=L(2cR/F)^{F/L}$ with $c=(n\prod\lambda)^{1/F}$: what a network of cost R has in the place of b."""
    factors = problem.depth + 1 if factors is None else factors
    samples = problem.counts[0] if samples is None else samples
    joint = jnp.exp(
        (jnp.log(1.0 * samples) + jnp.sum(jnp.log(jnp.asarray(problem.weight_decay)))) / (problem.depth + 1)
    )
    return (factors - 1) * (2 * joint * cost / factors) ** (factors / (factors - 1))


def value_of(problem, cost, **changes):
    r"""Return $\frac12\min(1,g(x))$ at the largest root x for the strength of a network of cost R."""
    b, depth = strength(problem, cost, **changes), changes.get("factors", problem.depth + 1) - 1
    x = nct.closed_form.largest_root(b, depth)
    return 0.5 * jnp.where(x > 0, nct.closed_form.relative_cost(x, b, depth), 1.0)


def predict_with(cost_of, factor=1.0, **changes):
    """State the values of a network of cost `cost_of(K, L)` and of neural collapse; `changes` go to `strength`."""

    def predict(problem):
        classes, depth = problem.classes, problem.depth
        given = {name: change(problem) for name, change in changes.items()}
        network = value_of(problem, cost_of(classes, depth), **given)
        collapse = value_of(problem, classes * (depth + 1) / 2, **given)
        return Values(factor * network, factor * collapse, jnp.minimum(collapse, 0.5), jnp.asarray(problem.targets))

    return predict


def placed(problem, params, network, stretch=None):
    """Return the point at which the chain is a network times `stretch` (by default the best), its lowest space turned.

    The factors pay the same decay each. The turn is taken from `params`; permutations of neurons would change nothing either.
    """
    depth, decay = problem.depth, jnp.asarray(problem.weight_decay)
    labels = np.repeat(np.arange(problem.classes), problem.counts)
    factors = [*network.weights, network.features[:, labels]]
    sizes = jnp.asarray([np.linalg.norm(factor) for factor in factors]) * jnp.sqrt(decay)
    if stretch is None:
        x = nct.closed_form.largest_root(strength(problem, network.cost), depth)
        stretch = x**depth / (1 + x**depth)
    scales = jnp.exp(jnp.mean(jnp.log(sizes)) + jnp.log(stretch) / (depth + 1)) / sizes
    shapes = [*zip(problem.widths[1:], problem.widths[:-1], strict=True), (problem.widths[0], len(labels))]
    filled = [
        scale * jnp.zeros(shape).at[: factor.shape[0], : factor.shape[1]].set(jnp.asarray(factor))
        for scale, factor, shape in zip(scales, factors, shapes, strict=True)
    ]
    turn = jnp.linalg.qr(
        params.features @ params.features.T + jnp.eye(problem.widths[0]) + params.weights[0].T @ params.weights[0]
    )[0]
    return nct.problems.ChainParams((filled[0] @ turn.T, *filled[1:-1]), turn @ filled[-1], None)


def objective_claim(kind, name, statement, point, predicted, **options):
    """Claim something of the objective at the point that `point(problem, params)` makes."""
    return kind(
        name,
        statement,
        lambda problem, params: problem.objective(point(problem, params)),
        predicted,
        scope="any point",
        terms=lambda problem, params: problem.value_terms(point(problem, params)),
        **options,
    )


def at_best(network_of):
    """Return what puts a network of a problem at its best scale."""
    return lambda problem, params: placed(problem, params, network_of(problem))


def outputs_claim(network_of):
    """Claim that a network puts out the targets."""

    def observe(problem, params):
        return problem.logits(placed(problem, params, network_of(problem), stretch=1.0))

    def size(problem, params):
        point = placed(problem, params, network_of(problem), stretch=1.0)
        below = problem.layers(point)[-1]
        return problem.depth * jnp.linalg.norm(jnp.abs(point.weights[-1]) @ jnp.abs(below))

    return nct.Equality("outputs", r"Z=Y", observe, lambda v: v.targets, scope="any point", terms=size)


def collapse_of(problem):
    """Return neural collapse."""
    return collapsed(problem.classes, problem.depth)


def claims(network_of):
    """Claim that a network puts out the targets, what it and neural collapse cost, and that it costs less."""
    return (
        outputs_claim(network_of),
        objective_claim(
            nct.Equality,
            "value",
            r"f(\mathrm{network})=\frac12g_{b'}(x')",
            at_best(network_of),
            lambda v: v.network,
        ),
        objective_claim(
            nct.Equality, "collapse", r"f(\mathrm{DNC})=\frac12g_b(x)", at_best(collapse_of), lambda v: v.collapse
        ),
        objective_claim(
            nct.UpperBound,
            "not global",
            r"f(\mathrm{network})\le\min(f(\mathrm{DNC}),f(0))",
            at_best(network_of),
            lambda v: v.lower,
            resolution=0.6,
            because="how much less it costs is told by the two values",
        ),
    )


def controls(cost_of, network_of, outside, share=("two thirds", 2 / 3), fewer="three layers"):
    """List wrong versions of the claims; `outside(key)` draws chains of `fewer` layers, where the network costs more."""
    part, number = share
    return (
        nct.Control(
            "one factor less",
            "L factors in the place of L+1",
            predict_with(cost_of, factors=lambda problem: problem.depth),
            ("value", "collapse"),
        ),
        nct.Control(
            "n left out",
            "one sample a class in the place of n",
            predict_with(cost_of, samples=lambda problem: 1),
            ("value", "collapse"),
            lambda instance: float(instance.parameters["n"]) > 1,
        ),
        nct.Control(
            "1e-6 off", "both values larger by a relative 1e-6", predict_with(cost_of, 1 + 1e-6), ("value", "collapse")
        ),
        nct.Control(
            "collapse is best",
            "the network costs no less than neural collapse",
            lambda problem: predict_with(cost_of)(problem)._replace(network=predict_with(cost_of)(problem).collapse),
            ("value",),
        ),
        nct.Control(
            part,
            f"the network costs less than {part} of neural collapse",
            lambda problem: predict_with(cost_of)(problem)._replace(
                lower=number * predict_with(cost_of)(problem).lower
            ),
            ("not global",),
        ),
        nct.Control(
            "layers of a linear chain",
            "the features may be shared out over the layers as without ReLUs",
            versions=(outputs_claim(lambda problem: evenly(network_of(problem))),),
        ),
        nct.Control(fewer, f"so it is with {fewer}", claims=("not global",), outside=outside),
    )


def below_onset_by(cost_of):
    """Tell whether the network costs less than zero at an instance's decays."""
    return lambda i: (
        float(strength(i.problem, cost_of(i.problem.classes, i.problem.depth))) < nct.closed_form.onset(i.problem.depth)
    )
