"""Claims about the training of networks that one run refutes: the form of the decay, and balance past a connection."""

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import DU_2018, MARCOTTE_2025, ZHAO_2026
from proofs_numeric.networks.module_spaces import block_pairs, gram, spaces

DECAY, STEPS = 5e-3, 4000
RATES = {"adam": 1e-2, "sgd": 0.05}


def sum_of_rows(weights):
    """Return the norm of the sum of the rows relative to that of all of them, for every seed: 0 at neural collapse."""
    return np.linalg.norm(weights.sum(axis=1), axis=1) / np.linalg.norm(weights, axis=(1, 2))


def shown(numbers):
    """Return a median with the least and the largest number."""
    return f"{np.median(numbers):.2g} [{numbers.min():.2g}, {numbers.max():.2g}]"


def reproduce_form(seeds, key):
    """Train networks with cross-entropy by Adam and by momentum, the decay within the gradient and beside it."""
    data = nct.networks.gaussian_mixture(counts=(8, 8, 8, 8), dim=6, spread=0.3, key=key)
    network = nct.networks.network_on(data, (8, 8), loss="cross_entropy", weight_decay=DECAY, activation="tanh")
    figures, found = [], {}
    for optimiser, form in (("adam", "coupled"), ("adam", "decoupled"), ("sgd", "coupled"), ("sgd", "decoupled")):
        ends = nct.networks.train(
            network,
            seeds,
            key,
            steps=STEPS,
            optimiser=optimiser,
            rate=RATES[optimiser],
            schedule="constant" if optimiser == "sgd" else "cooled",
            decoupled=form == "decoupled",
            checkpoints=(0,),
        )
        first, last = (np.asarray(x.params.weights[-1]) for x in (ends.at(0), ends))
        found[optimiser, form] = sum_of_rows(last)
        name = "momentum" if optimiser == "sgd" else "Adam"
        figures.append(
            (
                f"{name}, {form}: sum of the classifier's rows over their norm",
                f"{shown(found[optimiser, form])}, training error at most {float(np.max(ends.error)):.2g}",
            )
        )
    told = (1 - RATES["sgd"] * DECAY) ** STEPS * first.sum(axis=1)
    off = float(np.max(np.abs(last.sum(axis=1) - told)) / np.max(np.abs(told)))
    figures.append(("momentum, decoupled: that sum off (1 - eta lambda)^t of its start, relatively", f"{off:.1e}"))
    apart = bool(np.min(found["adam", "decoupled"]) > 10 * np.max(found["adam", "coupled"]))
    return nct.theorems.ErratumResult(apart and off < 1e-9, "sampled", tuple(figures))


def residual_imbalances(network, params, found):
    """Return the norm of the imbalance of each space relative to its Gram matrices."""
    rows = []
    for space in found:
        above, below = gram(params, space.read), gram(params, space.written)
        rows.append(np.linalg.norm(above - below) / np.linalg.norm(above + below))
    return rows


def reproduce_blocks(seeds, key):
    """Polish residual networks to stationary points, and measure the balance of blocks and that of the stream."""
    mixture = nct.networks.gaussian_mixture(counts=(4,) * 6, dim=3, spread=0.2, key=key)
    data = nct.networks.Data(
        mixture.inputs, mixture.labels % 2
    )  # each class in three places, so that blocks are needed
    make = nct.networks.ResidualMLP(3, 2, 3, 2, normalised=False, activation="tanh")
    network = nct.networks.module_on(data, make, weight_decay=DECAY)
    few = min(seeds, 6)
    ends = nct.networks.polish(nct.networks.train(network, few, key, steps=500), evaluations=1500)
    points = [jax.tree.map(lambda x, i=i: np.asarray(x[i]), ends.params) for i in range(few)]
    stream = [space for space in spaces(network) if space.kind == "stream"]
    balanced = np.array([residual_imbalances(network, point, stream) for point in points])
    paired = np.array([max(residual_imbalances(network, point, block_pairs(make))) for point in points])
    figures = (
        (f"gradient of {few} residual networks, largest norm", f"{np.max(ends.grad_norm):.1e}"),
        (
            "norm of what the first block writes",
            shown(np.linalg.norm(ends.params["blocks"][0]["down"]["kernel"], axis=(1, 2))),
        ),
        ("imbalance of the stream, over its size", shown(balanced)),
        ("imbalance of a block and what reads next, the larger one of two", shown(paired)),
    )
    refuted = bool(np.max(balanced) < 1e-3) and bool(np.min(paired) > 0.05)
    return nct.theorems.ErratumResult(refuted, "sampled", figures)


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N31",
        title="The form of the weight decay does not matter for neural collapse",
        published="Weight decay leads to neural collapse whether it is a part of the gradient or acts beside it, with any "
        "optimiser that is used.",
        why="With cross-entropy the rows of the classifier's gradient sum to zero, but what Adam makes of it entry by entry "
        "does not. Decay within the gradient makes that sum shrink all the same; decay beside it balances what Adam writes "
        "anew at every step, and the sum stays.",
        instead="Plain gradient descent makes the same steps with both forms, and with momentum the sum shrinks by a known "
        "factor with either (nc0-optimizers). With Adam and decoupled decay the rows do not sum to zero, which neural "
        "collapse needs.",
        convention="Full-batch training, mean cross-entropy, one decay for all layers, no biases.",
        sources=(
            ZHAO_2026.remark(
                "Refutes the claim, which is a habit of practice and no theorem; the figures are our own."
            ),
        ),
        reproduce=reproduce_form,
        theorem="nc0-optimizers",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N38",
        title="Neighbouring blocks of a residual network balance",
        published="What is known of the layers of feed-forward networks, that neighbours have the same Gram matrices at "
        "stationary points with decay, goes on past residual connections, block by block.",
        why="What a block writes is added to what all blocks below wrote, and is read by all blocks above and by the head. "
        "The symmetry that makes neighbours balance acts on all of these at once.",
        instead="Within a block it is true, and for the whole stream: all that is written into it against all that is read "
        "(module-balance).",
        convention="Coupled decay of all arrays; residual blocks without norms.",
        sources=(
            DU_2018.remark("Feed-forward networks alone; the continuation is not theirs."),
            MARCOTTE_2025.remark("The laws within blocks, which are right; that of the stream is our own form."),
        ),
        reproduce=reproduce_blocks,
        theorem="module-balance",
    )
)
