"""These diagrams show which phase each class is in, zero, metastable or active, in deep chains with squared error."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import CHEN_2025, DANG_2023

DEPTHS = (1, 2, 3, 4)
SPREAD = 0.2
"""The size of the random part of a start, relative to its diagonal."""
ON, OFF = (1.0, 2.0), (0.1, 0.3)
"""The sizes of a class's own entry in every factor at a start: beyond the barrier between zero and the active state, and
before it, where there is one. With one layer there is none, and all starts reach the global minimum."""


class NearDiagonal(nct.problems.Starts):
    """The starts are nearly diagonal, and each class is on or off with even chances, whatever the other is.

    All local minima are reached: both classes on, both off, the larger one alone (from the smaller one alone the flow goes
    there too).
    From independent normal factors the state with both classes on is rarely reached where it is barely the global minimum.
    Which state is the global minimum, and which are local minima, does not depend on the starts.
    """

    def __call__(self, problem, key, scale):
        """Draw factors close to one diagonal matrix, with a class's entry from `ON` or from `OFF`."""
        drawn, chosen, sized = jax.random.split(key, 3)
        noise = problem.normal_start(drawn, SPREAD)
        on = jax.random.bernoulli(chosen, shape=(problem.classes,))[:, None]
        low, high = jnp.where(on, jnp.asarray(ON), jnp.asarray(OFF)).T
        root = jnp.sqrt(scale * jax.random.uniform(sized, (problem.classes,), jnp.float64, low, high))
        share = jnp.sqrt(problem.multiplicity)  # It is h_k sqrt(n_k) that is like a layer's column.
        return nct.problems.ChainParams(
            weights=tuple(root[:, None] * (jnp.eye(*w.shape) + w) * root[None, :] for w in noise.weights),
            features=root[:, None] * (jnp.eye(*noise.features.shape) + noise.features) * (root / share)[None, :],
            bias=None,
        )


def model_of(depth):
    """Make the problem of two classes of R and 1 samples and M layers of width 2 a function of R and the common decay."""

    def model(ratio, decay):
        chain = nct.problems.class_mean_chain(
            sizes=(ratio, 1.0), widths=(2,) * (depth + 1), loss="mse", weight_decay=(decay,) * (depth + 1)
        )
        return chain.with_starts(NearDiagonal())

    return model


def majority(problem, params):
    """Measure the larger class's own logit, x^M/(1+x^M)."""
    return problem.product(params)[0, 0]


def minority(problem, params):
    """Measure the smaller class's own logit."""
    return problem.product(params)[1, 1]


def critical_decay(depth, strength, of):
    r"""Predict the decay at which $b_k=(MN/n_k)(N\lambda^{M+1})^{1/M}$ is `strength` for the class of size `of(R)`."""

    def predicted(ratio):
        samples = np.asarray(ratio) + 1.0
        return ((strength * of(np.asarray(ratio)) / (depth * samples)) ** depth / samples) ** (1.0 / (depth + 1))

    return predicted


def boundaries(depth):
    """List the onsets of both classes at the global minimum and, from two layers on, the ends of their metastable phases."""
    found = []
    for name, of in (("majority", lambda r: r), ("minority", lambda r: 1.0 + 0.0 * r)):
        found.append(
            nct.phase.Boundary(f"{name} active", name, critical_decay(depth, nct.closed_form.onset(depth), of))
        )
        if depth > 1:
            end = critical_decay(depth, nct.closed_form.spinodal(depth), of)
            found.append(nct.phase.Boundary(f"{name} metastable", name, end, of="any"))
    return tuple(found)


for depth in DEPTHS:
    nct.phase.register_diagram(
        nct.phase.Diagram(
            id=f"deep-phases-{depth}",
            title=f"Phases of each class in a chain of {depth} layer{'s' * (depth > 1)}: imbalance against decay",
            statement=r"With $b_k=(MN/n_k)(N\lambda_H\prod\lambda_l)^{1/M}$ class k is active at the global minimum iff "
            r"$b_k<(M-1)^{(M-1)/M}/M$, metastable (on at a local minimum only) up to $\max_xMx^{M-1}/(x^M+1)^2$, and zero "
            "beyond.",
            along=nct.phase.Axis("ratio", "$R=n_A/n_B$", 1.2, 30.0, log=True),
            across=nct.phase.Axis("decay", r"$\lambda$ of every layer and of the features", 1e-3, 0.5, log=True),
            model=model_of(depth),
            measures={"majority": majority, "minority": minority},
            boundaries=boundaries(depth),
            hypotheses=("squared error", "no bias", "every width >= K"),
            sources=(
                DANG_2023,
                CHEN_2025.remark("Local minimisers: the strongest directions on, for some number of them."),
            ),
            method="flow+polish",
            seeds=16 if depth == 1 else 32,  # That none of 32 reaches a given local minimum has a chance of 1e-4.
        )
    )
