r"""Cross-entropy behind ReLUs: networks of low rank lie below neural collapse, too.

With cross-entropy depth prefers low rank no less than with squared error. Networks that code classes by two numbers on an
arc, by the edges of a graph or by pairs of such codes, cost less than one direction a class behind every ReLU: with five
layers for every number of classes from three to twelve, with four from six classes on. This is known for more classes and
layers from linear networks, by low-rank structures that a ReLU leaves alone; here the ReLU itself makes the classes out of
them.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(W_L\sigma(W_{L-1}\cdots\sigma(W_1h_i)),y_i)+\sum_l\frac{\lambda_l}2|W_l|_F^2
    +\frac{\lambda_H}2|H|_F^2$ over weights and the features H of $N=nK$ samples, $\sigma$ a ReLU.
Theorem (own; for K >= 10 and L >= 5, or K >= 16 and L = 4: Garrod and Keating 2025):
    For $f=\frac1N\sum_i\mathrm{CE}(z_i,y_i)+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ let $F=L+1$ and
    $c=(n\lambda_H\prod\lambda_l)^{1/F}$. A network whose logits are $\alpha(I-\frac1KJ)$ at one sample a class, and whose
    factors of half square sums $r_l$ at $\alpha=1$ are rescaled at will, costs
    $\min_\alpha\log(1+(K-1)e^{-\alpha})+cR\alpha^{2/F}$ with $R=F(\prod r_l)^{1/F}$. One direction a class behind every
    ReLU has $R=\frac F2(K^L(K-1))^{1/F}$. The networks of `relu-rank2`, `sukenik-srg` and `relu-rank-two-limit` side by
    side, their outputs centred, have a smaller one for $3\le K\le12$ and $L\ge5$, and for $6\le K\le12$ and $L=4$: no
    minimiser is neural collapse, at any decay.
Hypotheses:
    - cross-entropy of one-hot labels, a ReLU behind each of the layers 1, ..., L-1
    - free features
    - balanced classes, K >= 2
    - 3 <= K <= 12 and L >= 5, or 6 <= K <= 12 and L = 4
    - every width >= the largest of the network
    - all decays > 0
    - no bias
    - the network costs less than zero
Notation:
    Garrod and Keating: one lambda for all factors (ours may differ), L weight layers besides H.
Why:
    Cross-entropy does not see a constant added to the logits of a sample, so that logits $\alpha I$ and
    $\alpha(I-\frac1KJ)$ cost the same fit, and centring the rows of $W_L$ costs nothing. The decay of a network at the
    scale $\alpha$ is, after the best rescaling of its factors, $cR\alpha^{2/F}$ (arithmetic-geometric mean). The least over
    $\alpha$ grows with R.
Checked:
    The network is built from the codes at decays and sizes drawn, its lowest space turned at random. A forward pass of the
    chain must put out the centred targets, its objective be the predicted value and that of neural collapse its own, to
    rounding; the network must not cost more than neural collapse or zero. Evaluating one network is the whole proof at its
    decays; nothing is said of what is optimal.
Refuted by:
    A network that puts out something else, another value of either, or one that lies above neural collapse or zero. The
    same check must refute L factors, n left out, outputs that are not centred, values 1e-6 off, neural collapse as the
    lower one, a quarter of its value, and three classes with four layers.
Example:
    The cost relative to neural collapse: three classes and 4, 5, 8 layers, and six and ten classes with four.

    >>> shapes = ((3, 4), (3, 5), (3, 8), (6, 4), (10, 4))
    >>> [round(cost_of(*shape) / centred(collapsed(*shape)).cost, 3) for shape in shapes]
    [1.036, 0.962, 0.852, 0.963, 0.901]
"""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import GARROD_2025
from proofs_numeric.hypotheses import BALANCED, FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.nonlinear.below_collapse import Values, objective_claim, placed
from proofs_numeric.nonlinear.cross_entropy_codes import (
    best_scale,
    centred,
    collapse_cost,
    cost_of,
    limit,
    network_for,
    price,
    value_of,
)
from proofs_numeric.nonlinear.low_rank import collapsed
from proofs_numeric.nonlinear.map_cells import best_blocks
from proofs_numeric.pool import log_uniform, pick

ID = "relu-ce-low-rank"
# A shape is (K, L, n).
FEWEST = ((3, 5, 2), (4, 5, 3))
FOUR_LAYERS = ((6, 4, 1), (10, 4, 1), (7, 4, 2))
MORE = ((5, 6, 1), (8, 5, 2), (12, 8, 1), (3, 12, 1))


def build_instance(rng, classes, depth, samples, relative):
    """Build the balanced chain in which the cR of neural collapse is `relative` times its limit, with unequal decays."""
    factors = depth + 1
    common = relative * limit(classes, depth) / collapse_cost(classes, depth) / samples ** (1 / factors)
    drawn = rng.uniform(-1.0, 1.0, size=factors)
    width = max(max(factor.shape) for factor in network_for(classes, depth).factors)
    problem = nct.deep_nonlinear(
        widths=(width,) * depth + (classes,),
        counts=(samples,) * classes,
        loss="cross_entropy",
        weight_decay=tuple((common * np.exp(drawn - drawn.mean())).tolist()),
    )
    return nct.Instance(problem, {"K": classes, "L": depth, "n": samples, "d": width, "relative": float(relative)})


def draw_instances(key):
    """Draw shapes of each kind: weak and moderate decay, and one beyond the limit of neural collapse."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for classes, depth, samples in (*pick(rng, FEWEST), *pick(rng, FOUR_LAYERS), *pick(rng, MORE, 2)):
        ratio = cost_of(classes, depth) / collapse_cost(classes, depth)
        beyond = 1 + rng.uniform(0.2, 0.8) * (1 / ratio - 1)
        for relative in (log_uniform(rng, 1e-3, 0.1), rng.uniform(0.3, 0.9), beyond):
            drawn.append(build_instance(rng, classes, depth, samples, relative))
    return drawn


def outside(key):
    """Draw chains of three classes and four layers, to which the theorem does not apply."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(rng, 3, 4, 1, relative) for relative in (0.01, 0.5)]


def predict_with(factor=1.0, **changes):
    """State the values of the network and of neural collapse; `changes` go to `price`."""

    def predict(problem):
        given = {name: change(problem) for name, change in changes.items()}
        network = value_of(problem, cost_of(problem.classes, problem.depth), **given)
        collapse = value_of(problem, collapse_cost(problem.classes, problem.depth), **given)
        targets = jnp.asarray(problem.targets)
        code = targets - jnp.mean(targets, axis=0, keepdims=True)
        return Values(factor * network, factor * collapse, jnp.minimum(collapse, jnp.log(1.0 * problem.classes)), code)

    return predict


predict = predict_with()


def at_best(network_of):
    """Return what puts the network of a problem at its best scale."""

    def point(problem, params):
        network = network_of(problem)
        return placed(problem, params, network, best_scale(problem, price(problem, network.cost)))

    return point


def known_network(problem):
    """Return the network of the theorem."""
    return network_for(problem.classes, problem.depth)


def outputs_claim(centre=True):
    """Claim that the network puts out the centred targets at scale one, or that it does without centring."""

    def network(problem):
        classes, depth = problem.classes, problem.depth
        return network_for(classes, depth) if centre else best_blocks(classes, depth)[0]

    def observe(problem, params):
        return problem.logits(placed(problem, params, network(problem), 1.0))

    def size(problem, params):
        point = placed(problem, params, network(problem), 1.0)
        return problem.depth * jnp.linalg.norm(jnp.abs(point.weights[-1]) @ jnp.abs(problem.layers(point)[-1]))

    return nct.Equality("outputs", r"Z=Y-\frac1KJY", observe, lambda v: v.targets, scope="any point", terms=size)


def covered(instance):
    """Tell whether there are as many classes and layers as are stated."""
    classes, depth = instance.problem.classes, instance.problem.depth
    return 3 <= classes <= 12 and (depth >= 5 or (depth == 4 and classes >= 6))


def fits(instance):
    """Tell whether every width has room for the network."""
    network = network_for(instance.problem.classes, instance.problem.depth)
    return all(w >= f.shape[0] for w, f in zip(instance.problem.widths, network.factors, strict=True))


def cheaper_than_zero(instance):
    """Tell whether the network costs less than zero."""
    return float(predict(instance.problem).network) < np.log(instance.problem.classes)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            nct.Hypothesis(
                "cross-entropy of one-hot labels, a ReLU behind each of the layers 1, ..., L-1",
                lambda i: (
                    nct.losses.is_loss(i.problem.loss, "cross_entropy")
                    and i.problem.activations == ("identity", *["relu"] * (i.problem.depth - 1))
                ),
            ),
            FREE_FEATURES,
            BALANCED,
            nct.Hypothesis("3 <= K <= 12 and L >= 5, or 6 <= K <= 12 and L = 4", covered),
            nct.Hypothesis("every width >= the largest of the network", fits),
            POSITIVE_DECAYS,
            NO_BIAS,
            nct.Hypothesis("the network costs less than zero", cheaper_than_zero),
        ),
        sources=(GARROD_2025.remark("Their theorem on ReLUs, by low-rank structures; the networks here are our own."),),
        instances=draw_instances,
        predict=predict,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            outputs_claim(),
            objective_claim(nct.Equality, "value", r"f(\mathrm{network})", at_best(known_network), lambda v: v.network),
            objective_claim(
                nct.Equality,
                "collapse",
                r"f(\mathrm{DNC})",
                at_best(lambda problem: centred(collapsed(problem.classes, problem.depth))),
                lambda v: v.collapse,
            ),
            objective_claim(
                nct.UpperBound,
                "not global",
                r"f(\mathrm{network})\le\min(f(\mathrm{DNC}),f(0))",
                at_best(known_network),
                lambda v: v.lower,
                resolution=0.6,
                because="how much less it costs is told by the two values",
            ),
        ),
        controls=(
            nct.Control(
                "one factor less",
                "L factors in the place of L+1",
                predict_with(factors=lambda problem: problem.depth),
                ("value", "collapse"),
            ),
            nct.Control(
                "n left out",
                "one sample a class in the place of n",
                predict_with(samples=lambda problem: 1),
                ("value", "collapse"),
                lambda instance: float(instance.parameters["n"]) > 1,
            ),
            nct.Control("not centred", "the outputs without centring", versions=(outputs_claim(centre=False),)),
            nct.Control(
                "1e-6 off", "both values larger by a relative 1e-6", predict_with(1 + 1e-6), ("value", "collapse")
            ),
            nct.Control(
                "collapse is best",
                "the network costs as much as neural collapse",
                lambda problem: predict(problem)._replace(network=predict(problem).collapse),
                ("value",),
            ),
            nct.Control(
                "a quarter",
                "the network costs less than a quarter of neural collapse",
                lambda problem: predict(problem)._replace(lower=0.25 * predict(problem).lower),
                ("not global",),
            ),
            nct.Control(
                "four layers", "so it is for three classes and four layers", claims=("not global",), outside=outside
            ),
        ),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
