r"""A ReLU network on separable data decouples into its classes.

Neural collapse is mostly shown for features that are free. Behind a ReLU layer with data the gradient flow itself can make
some of it, if samples of different classes point away from each other. Once every neuron is active on one class alone it
stays so, and the network is a linear one for each class, which does not know of the others. Where the neurons of a class
then point in one direction, its hidden features are on one ray, orthogonal to those of the other classes, for ever.

Problem:
    $\frac1N\sum_i\mathrm{CE}(V\max(Wx_i,0),y_i)$ for K classes, without decay or bias, under the gradient flow of
    $W\in\mathbb R^{m\times d}$ and $V\in\mathbb R^{K\times m}$.
Theorem (Min, Zhu and Vidal 2025, number unchecked, of the limit's direction; the laws at finite times are our own form):
    Let $\langle x_i,x_j\rangle$ be positive within classes and negative between them. Let each neuron j have a class k such
    that $\langle w_j,x_i\rangle$ is positive for the samples i of k and negative for all others, and $v_{jk}>v_{jl}$ for
    $l\ne k$. Then this stays so along the flow, and the features of different classes are orthogonal. With $W_k$ and $V_k$
    the rows and columns of the neurons of k, $V_k^\top V_k-W_kW_k^\top$ and the sums $1^\top V$ do not change. If at the
    start $W_k=\phi_k\omega_k^\top$ and $V_k=\beta_k\phi_k^\top$ with unit vectors $\phi_k$, then at all times, with the same
    $\phi_k$, so that a sample's features are $\langle\omega_k,x_i\rangle\phi_k$, and each class follows the flow of one
    neuron, $\dot\omega_k=\frac1N\sum_{i\in k}\langle\beta_k,e_k-p_i\rangle x_i$ and
    $\dot\beta_k=\frac1N\sum_{i\in k}\langle\omega_k,x_i\rangle(e_k-p_i)$ with $p_i$ the softmax of
    $\langle\omega_k,x_i\rangle\beta_k$. If $\beta_k$ is a multiple of $e_k-\frac1K1$ it remains one.
Hypotheses:
    - cross-entropy, one hidden ReLU layer, no decay, no bias
    - orthogonally separable data
    - a start at which each neuron is active on one class, and largest there in V
Notation:
    Min et al.: starts are small and balanced, $|v_j|=|w_j|$, and the limit of the direction of the parameters is found; that
    is checked in `min-zhu-vidal-limit`.
Why:
    The flow is $\dot w_j=\frac1N\sum_{i\in k}\langle v_j,e_k-p_i\rangle x_i$, as the neuron sees its own class alone, and
    $\dot v_j=\frac1N\sum_{i\in k}\langle w_j,x_i\rangle(e_k-p_i)$. Here
    $\langle v_j,e_k-p_i\rangle=\sum_lp_{il}(v_{jk}-v_{jl})>0$: the inner products with the own class's samples grow, those
    with others fall, and $e_k-p_i$ is positive at k and negative elsewhere, so that $v_{jk}-v_{jl}$ grows. So the set is
    never left. In it $z_i=V_kW_kx_i$: a linear network for each class, whose flow conserves the whole imbalance and maps
    matrices of the form in $\phi_k$ to such. $1^\top(e_k-p_i)=0$ gives the sums, and at a multiple of $e_k-\frac1K1$ the
    $p_i$ are alike at all $l\ne k$.
Checked:
    W and V are integrated along the gradient flow of the whole network, twice with different tolerances; their difference
    bounds the error. At six times all hidden features are held against those of the network that is linear for each class
    and blind to the others, integrated by another method. Where neurons of a class begin in one direction, they and V are
    held against one neuron for each class, and the imbalance of each class and the sums against those of the start. All
    this is sampled: a law about every start is not certified by some.
Refuted by:
    A path that leaves one of the laws by more than twice the error and rounding. The same check must refute neurons that see
    all classes, an imbalance conserved across classes too, sums off by 1e-6, a flow faster by 1e-6 and one of the sum over
    samples, and V along e_k.
Example:
    The largest change of the imbalance within classes, and of all of it, up to time 30.

    >>> problem = draw_instances(jax.random.key(0))[0].problem
    >>> start = jax.tree.map(lambda x: x[0], nct.starts(problem, seeds=1, scale=0.3))
    >>> ended = nct.gradient_flow(problem, jax.tree.map(lambda x: x[None], start), [30.0], light=True).values
    >>> end = jax.tree.map(lambda x: x[0, 0], ended)
    >>> kept = [imbalance(one, problem, end) - imbalance(one, problem, start) for one in (True, False)]
    >>> [bool(np.max(np.abs(one)) < 1e-5) for one in kept]
    [True, False]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import MIN_2025
from proofs_numeric.nonlinear.separable_networks import (
    SHAPES,
    SeparableNetwork,
    drawn_inputs,
    one_neuron_each,
    path_of,
    separable,
)
from proofs_numeric.pool import log_uniform, pick

ID = "min-zhu-vidal"
LAST, PIECES, STEPS = 30.0, 6, 250
TIMES = tuple(LAST / PIECES * k for k in range(PIECES + 1))


class Curves(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    decoupled: jax.Array
    imbalance: jax.Array
    sums: jax.Array
    features: jax.Array
    last: jax.Array
    zero: jax.Array


def draw_instances(key):
    """Draw for one shape of each group starts of neurons apart and in one direction, with V tilted and along a vertex."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for group in SHAPES:
        ((classes, dim, samples, neurons),) = pick(rng, group)
        for apart, tilt in ((1.0, 1.0), (0.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, rng.uniform(0.2, 0.8))):
            inputs = drawn_inputs(rng, classes, dim, samples)
            drawn.append(instance(inputs, apart, tilt, (classes, samples, neurons), log_uniform(rng, 0.05, 0.6)))
    return drawn


def instance(inputs, apart, tilt, sizes, scale):
    """Build a named instance."""
    problem = SeparableNetwork(inputs, np.asarray(float(apart)), np.asarray(float(tilt)), *sizes)
    shown = {"K": sizes[0], "d": len(inputs), "n": sizes[1], "apart": float(apart), "tilt": float(tilt), "scale": scale}
    return nct.Instance(problem, shown, scale=scale, trajectory=nct.theorems.TrajectorySpec(TIMES, tolerance=1e-12))


def hidden(problem, params, start):
    """Return the hidden features."""
    return problem.hidden(params)


def imbalance(within, problem, params):
    r"""Return $V^\top V-WW^\top$, within classes or also across them."""
    same = problem.owners[:, None] == problem.owners[None, :]
    whole = params.last.T @ params.last - params.first @ params.first.T
    return jnp.where(same | (not within), whole, 0.0)


def conserved(within=True):
    """State that the imbalance does not change."""
    return nct.Trajectory(
        "imbalance",
        r"V_k^\top V_k-W_kW_k^\top",
        lambda problem, params, start: imbalance(within, problem, params) - imbalance(within, problem, start),
        lambda c: c.imbalance,
        terms=lambda problem, params: jnp.sum(params.first**2) + jnp.sum(params.last**2),
    )


def along_vertices(middle=True):
    r"""State that V is along $e_k-\frac1K1$ at the neurons of each class, or along e_k."""

    def rest(problem, params, start):
        vertex = (jnp.eye(problem.classes) - middle / problem.classes)[:, problem.owners]
        unit = vertex / jnp.linalg.norm(vertex, axis=0, keepdims=True)
        return params.last - unit * jnp.sum(unit * params.last, axis=0)[None, :]

    return nct.Trajectory(
        "vertices",
        r"V_k\parallel e_k-\frac1K1",
        rest,
        lambda c: c.zero,
        terms=lambda problem, params: jnp.linalg.norm(params.last),
        applies=vertex_starts,
    )


def tilted(instance):
    """Tell whether the sums are not zero at the start."""
    return float(instance.problem.tilt) > 0 or float(instance.problem.apart) > 0


def one_direction(instance):
    """Tell whether the neurons of a class begin in one direction."""
    return float(instance.problem.apart) == 0


def vertex_starts(instance):
    """Tell whether moreover V begins along the vertices of a simplex."""
    return one_direction(instance) and float(instance.problem.tilt) == 0


def predict_with(faster=lambda problem: 1.0, everywhere=False, off=0.0):
    """State the laws, with a flow faster by a factor, neurons that see all classes, or sums that are off."""

    def predict(problem, start, times):
        inputs, labels = jnp.asarray(problem.inputs), jnp.asarray(problem.labels)
        last, seen = (
            LAST * faster(problem),
            jnp.asarray(problem.owners[:, None] == problem.labels[None, :]) | everywhere,
        )
        mask = jnp.where(seen, 1.0, 0.0)
        whole = path_of(inputs, labels, mask, start, jnp.asarray(last), PIECES, STEPS)
        begun, frame = one_neuron_each(problem, start)
        mine = jnp.where(jnp.arange(problem.classes)[:, None] == labels[None, :], 1.0, 0.0)
        single = path_of(inputs, labels, mine, begun, jnp.asarray(last), PIECES, STEPS)
        count = len(TIMES)
        return Curves(
            jnp.maximum(mask[None] * (whole.first @ inputs), 0.0),
            jnp.zeros((count, len(problem.owners), len(problem.owners))),
            jnp.broadcast_to((1.0 + off) * jnp.sum(start.last, axis=0), (count, len(problem.owners))),
            frame[None] @ (mine[None] * (single.first @ inputs)),
            single.last @ frame.T,
            jnp.zeros((count, problem.classes, len(problem.owners))),
        )

    return predict


def in_the_set(instance):
    """Tell whether a start has each neuron active on its class alone, and its outgoing weight largest there."""
    problem, start = instance.problem, instance.start()
    inner = np.asarray(start.first) @ np.asarray(problem.inputs)
    mine = problem.owners[:, None] == problem.labels[None, :]
    largest = np.argmax(np.asarray(start.last), axis=0)
    return bool(np.all(inner[mine] > 0) and np.all(inner[~mine] < 0) and np.all(largest == problem.owners))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, SeparableNetwork),
            lambda i: separable(i.problem.inputs, i.problem.classes),
            in_the_set,
        ),
        sources=(
            MIN_2025.remark(
                "Theirs is the limit of the direction from small balanced starts (see `min-zhu-vidal-limit`). What is checked "
                "here are laws at finite times, in our own form, for starts that are separated already."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Trajectory("decoupled", r"\max(WX,0)=M\odot WX", hidden, lambda c: c.decoupled),
            conserved(),
            nct.Trajectory(
                "sums",
                r"1^\top V",
                lambda problem, params, start: jnp.sum(params.last, axis=0),
                lambda c: c.sums,
                terms=lambda problem, params: jnp.linalg.norm(params.last),
                applies=tilted,
            ),
            nct.Trajectory(
                "features",
                r"\max(Wx_i,0)=\langle\omega_k,x_i\rangle\phi_k",
                hidden,
                lambda c: c.features,
                applies=one_direction,
            ),
            nct.Trajectory(
                "classifier",
                r"V_k=\beta_k\phi_k^\top",
                lambda problem, params, start: params.last,
                lambda c: c.last,
                applies=one_direction,
            ),
            along_vertices(),
        ),
        controls=(
            nct.Control("linear", "neurons that see all classes", predict_with(everywhere=True), ("decoupled",)),
            nct.Control("across", "an imbalance conserved across classes too", versions=(conserved(within=False),)),
            nct.Control("sums 1e-6 off", "sums larger by a relative 1e-6", predict_with(off=1e-6), ("sums",), tilted),
            nct.Control(
                "1e-6 fast",
                "a flow faster by a relative 1e-6",
                predict_with(faster=lambda problem: 1 + 1e-6),
                ("decoupled", "features", "classifier"),
            ),
            nct.Control(
                "a sum over samples",
                "the sum over samples in the place of the mean",
                predict_with(faster=lambda problem: float(len(problem.labels))),
                ("decoupled", "features", "classifier"),
            ),
            nct.Control("along e_k", "V along e_k", versions=(along_vertices(middle=False),), applies=vertex_starts),
        ),
        method=nct.Integrate(),
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
