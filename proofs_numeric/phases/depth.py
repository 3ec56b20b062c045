"""These diagrams show the order of the transition: continuous with one hidden layer, a jump and hysteresis with more."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZIYIN_2022
from proofs_numeric.conserved.vector_field import product

INPUTS, WIDTH, SAMPLES = 3, 3, 6
HIDDEN = (1, 2, 3)
LOWER, HIGHER = 0.9, 1.5
"""Two parts of the predicted height: the first is passed by the jump itself, the second only later."""
SIGNAL = np.array([2.0, -1.0, 2.0]) / 3.0
"""The direction of E[xy]."""


def white_inputs():
    """Build X with X X^T = N I."""
    columns = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, SAMPLES), INPUTS))[0]
    return np.sqrt(SAMPLES) * columns.T


class Aligned(nct.problems.Starts):
    """The starts are small and large ones around the direction of the rank-one minimiser, and reach both minima.

    Which state is the global minimum does not depend on the starts.
    """

    def __call__(self, problem, key, scale):
        """Draw a balanced start of random height, with noise."""
        drawn, spread = jax.random.split(key)
        noise = problem.normal_start(drawn, 0.1)
        height = scale * jnp.exp(jax.random.uniform(spread, (), jnp.float64, jnp.log(3e-3), jnp.log(3.0)))
        point = balanced(problem, height, jax.random.fold_in(key, 2))
        return jax.tree.map(lambda x, y: x + height ** (1.0 / problem.depth) * y, point, noise)


def balanced(problem, height, key):
    """Build balanced factors of rank one with `height` times the direction of E[xy] as product, random inside."""
    size = height ** (1.0 / problem.depth)
    drawn = jax.random.normal(key, (problem.depth - 1, WIDTH), jnp.float64)
    hidden = [row / jnp.linalg.norm(row) for row in drawn]
    ends = [jnp.asarray(SIGNAL), *hidden, jnp.ones(1)]
    weights = tuple(size * jnp.outer(up, low) for low, up in pairwise(ends))
    return nct.problems.ChainParams(weights, None, None)


def model_of(hidden):
    """Make a chain of `hidden` hidden layers and one output, with E[xx^T] = I, a function of decay and |E[xy]|."""
    inputs = white_inputs()

    def model(decay, signal):
        widths = (INPUTS, *(WIDTH,) * hidden, 1)
        targets = signal * SIGNAL[None, :] @ inputs
        chain = nct.deep_linear(
            widths=widths, inputs=inputs, targets=targets, loss="mse", weight_decay=(decay,) * (hidden + 1)
        )
        return chain.with_starts(Aligned())

    return model


def height(problem, params):
    """Measure the norm s of the end-to-end vector."""
    return jnp.sqrt(jnp.sum(product(params) ** 2))


def jump(hidden, decay):
    """Predict the height of the jump, which is 0 with one hidden layer."""
    return ((hidden - 1) * decay) ** ((hidden + 1) / (2 * hidden))


def signal_at(hidden, decay, s):
    """Predict the signal e at which s > 0 is stationary: a s + gamma s^{(1-D)/(1+D)} with a = 1."""
    return s + decay * s ** ((1 - hidden) / (1 + hidden))


def onset(hidden):
    """Predict where zero ceases to be the global minimum."""

    def predicted(decay):
        decay = np.asarray(decay, float)
        return decay if hidden == 1 else jump(hidden, decay) * hidden / (hidden - 1)

    return predicted


def spinodal_height(hidden, decay):
    """Predict the least height of any local minimum but zero."""
    return ((hidden - 1) * decay / (hidden + 1)) ** ((hidden + 1) / (2 * hidden))


def boundaries(hidden):
    """List the onset and, for two or more hidden layers, a level that the jump reaches and one that it does not."""
    found = [nct.phase.Boundary("onset", "height", onset(hidden), level=lambda decay: 1e-6 * decay, ordered="above")]
    if hidden > 1:
        found += [
            nct.phase.Boundary(
                f"height {LOWER:g} of the jump", "height", onset(hidden),
                level=lambda decay: LOWER * jump(hidden, decay), ordered="above",
            ),
            nct.phase.Boundary(
                f"height {HIGHER:g} of the jump", "height",
                lambda decay: signal_at(hidden, decay, HIGHER * jump(hidden, decay)),
                level=lambda decay: HIGHER * jump(hidden, decay), ordered="above",
            ),
        ]  # fmt: skip
    else:
        found.append(
            nct.phase.Boundary(
                "height of a tenth of the decay", "height", lambda decay: 1.1 * decay,
                level=lambda decay: 0.1 * decay, ordered="above",
            )
        )  # fmt: skip
    return tuple(found)


def loop_of(hidden, decay=0.1, part=0.05):
    """Go up from nuclei of `part` of the least stable height, and down until that height is reached."""
    if hidden == 1:
        return None
    least = spinodal_height(hidden, decay)
    return nct.phase.Loop(
        at=decay,
        order="height",
        nucleus=lambda problem, key: balanced(problem, part * least, key),
        up=float(signal_at(hidden, decay, part * least)),
        down=float(signal_at(hidden, decay, least)),
    )


for hidden in HIDDEN:
    nct.phase.register_diagram(
        nct.phase.Diagram(
            id=f"ziyin-phase-{hidden}",
            title=f"Order of the transition, {hidden} hidden layer{'s' * (hidden > 1)}: signal against decay",
            statement=(
                r"The global minimiser is zero up to $e=\gamma$ and grows continuously from there, $s=e-\gamma$."
                if hidden == 1
                else r"The global minimiser jumps from zero to $s_c=((D-1)\gamma)^{(D+1)/(2D)}$ at $e_c=s_cD/(D-1)$; zero "
                "remains a local minimum for every e, so that the state depends on its history."
            ),
            along=nct.phase.Axis("decay", r"$\gamma$", 0.01, 0.4, log=True),
            across=nct.phase.Axis("signal", "$e$", 3e-3, 3.0, log=True),
            model=model_of(hidden),
            measures={"height": height},
            boundaries=boundaries(hidden),
            hypotheses=("squared error, scalar output", "E[xx^T] = I", "equal decays", "no bias"),
            sources=(ZIYIN_2022.remark("Heights, the levels and the loop in closed form are our own."),),
            loop=loop_of(hidden),
        )
    )
