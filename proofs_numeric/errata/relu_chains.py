"""Claims about deep neural collapse behind ReLUs that one network refutes, in exact arithmetic where that can be."""

from fractions import Fraction

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022
from proofs_numeric.bibliography_of_nonlinear import DANG_2024, SUKENIK_2023, SUKENIK_2024
from proofs_numeric.nonlinear.low_rank import best_rank_two, coded, collapsed, objective, strength_at, value_at
from proofs_numeric.nonlinear.rational_network import PIECES, collapse_above, rational_cost
from proofs_numeric.nonlinear.relu_hexagon import CIRCULANT


def reproduce_few(seeds, key):
    """Evaluate the rational network at a decay at which neural collapse has a rational strength, and bound that below it."""
    # lambda = 27 s^4 makes 3 lambda^5 the fourth power of 81 s^5, and so b = 12 (3 lambda^5)^(1/4) = 972 s^5 rational.
    s = Fraction(1, 12)
    lam, b = 27 * s**4, 972 * s**5
    cost, exact = rational_cost(Fraction(999, 1000), lam)
    below = collapse_above(cost, b, 4)
    value = float(value_at(float(b), 4))
    figures = (
        ("classes, layers, decay of every factor", f"3, 4, {lam} = {float(lam):.6g}"),
        ("objective of the network, a fraction, in decimals", f"{float(cost):.9f}"),
        (
            "entries of its logits that are exactly those of a multiple of the identity",
            "9 of 9" if exact else "not all 9",
        ),
        ("neural collapse, least over all its scales", f"{value:.9f}"),
        (
            "pieces of its scales on which it is above the network, in fractions",
            f"{PIECES} of {PIECES}" if below else f"not all {PIECES}",
        ),
    )
    return nct.theorems.ErratumResult(exact and below, "arithmetic", figures)


def network_value(network, lam):
    """Return the least over its scale of the objective of a network at one sample a class and equal decays."""
    depth = len(network.weights)
    return value_at(strength_at(network.cost, depth, lam), depth)


def forward_value(network, lam):
    """Return the objective of a network by a forward pass, at the best scale, its factors of equal norms."""
    depth = len(network.weights)
    x = float(nct.closed_form.largest_root(np.asarray(strength_at(network.cost, depth, lam)), depth))
    stretch = (x**depth / (1 + x**depth)) ** (1 / (depth + 1))
    return objective([stretch * factor for factor in network.even()], lam)


def reproduce_many(seeds, key):
    """Evaluate coded networks in forward passes, at the decay of the published experiment."""
    figures, refuted = [], True
    for kind, number, depth, lam in (("graph", 5, 4, 0.004), ("graph", 6, 5, 0.004), ("bits", 4, 4, 0.002)):
        network = coded(kind, number, depth)
        classes = network.features.shape[1]
        found, collapse = forward_value(network, lam), network_value(collapsed(classes, depth), lam)
        figures.append(
            (f"{kind}, K = {classes}, L = {depth}, lambda = {lam}", f"{found:.7f}, neural collapse {collapse:.7f}")
        )
        refuted = refuted and found < collapse
    return nct.theorems.ErratumResult(refuted, "arithmetic", tuple(figures))


def reproduce_zero(seeds, key):
    """Evaluate the network of rank two at decays beyond those at which neural collapse costs as much as zero."""
    depth, network = 4, best_rank_two(3, 4)
    onset = nct.closed_form.onset(depth)
    lam = (1.01 * onset / depth) ** (depth / (depth + 1)) * (depth + 1) / (2 * collapsed(3, depth).cost)
    found, collapse = forward_value(network, lam), network_value(collapsed(3, depth), lam)
    last = (onset / depth) ** (depth / (depth + 1)) * (depth + 1) / (2 * network.cost)
    first = (onset / depth) ** (depth / (depth + 1)) * (depth + 1) / (2 * collapsed(3, depth).cost)
    figures = (
        ("decay beyond which neural collapse costs more than zero, K = 3, L = 4", f"{first:.6f}"),
        ("decay beyond which the network does", f"{last:.6f}"),
        (f"objective of the network at {lam:.6f}, zero has 1/2", f"{found:.7f}"),
    )
    return nct.theorems.ErratumResult(found < 0.5 and collapse == 0.5, "arithmetic", figures)


def reproduce_norm(seeds, key):
    """Compute the nuclear norms of circulants before and behind a ReLU."""
    cosines = np.cos(2 * np.pi * (np.arange(7)[:, None] - np.arange(7)) / 7)
    rows = [("seven cosines", cosines), ("the hexagon (1, 1, 0, -1, -1, 0)", CIRCULANT)]
    norms = [(name, np.linalg.norm(m, "nuc"), np.linalg.norm(np.maximum(m, 0), "nuc")) for name, m in rows]
    figures = tuple((f"nuclear norm of {name}, before and behind", f"{a:.6f}, {b:.6f}") for name, a, b in norms)
    return nct.theorems.ErratumResult(all(b > a + 0.1 for _, a, b in norms), "arithmetic", figures)


def reproduce_hexagon(seeds, key):
    """Evaluate the hexagon by a forward pass at the onset of neural collapse, and look for others from random starts."""
    lam = (0.25 / 6 / 6**0.5) ** (2 / 3)  # b = 1/2
    size = 0.4375577 * 6 * lam  # r^2 = 6 u lambda
    left, values, right = np.linalg.svd(np.sqrt(size) * CIRCULANT)
    first, features = left * np.sqrt(values)[None, :], np.sqrt(values)[:, None] * right
    behind = np.maximum(first @ features, 0.0)
    last = np.linalg.solve(behind @ behind.T + 6 * lam * np.eye(6), behind).T
    fit = np.sum((last @ behind - np.eye(6)) ** 2) / 12
    found = float(fit + 0.5 * lam * sum(np.sum(factor**2) for factor in (first, last, features)))
    problem = nct.deep_nonlinear(widths=(6, 6, 6), counts=(1,) * 6, loss="mse", weight_decay=(lam,) * 3)
    ends = nct.solve(problem, seeds, key, scale=1.5)
    lowest = float(np.min(ends.value[ends.converged], initial=0.5))
    figures = (
        ("classes, layers, decay of every factor", f"6, 2, {lam:.9f} (b = 1/2)"),
        ("neural collapse, and zero", "0.5"),
        ("the hexagon, by a forward pass", f"{found:.7f}"),
        (f"lowest of {seeds} random starts", f"{lowest:.7f}"),
    )
    return nct.theorems.ErratumResult(found < 0.493, "arithmetic", figures)


CONVENTION = "fit 1/(2N)|Z-Y|^2, decays lambda/2, H free, a ReLU behind the layers 1, ..., L-1."

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N26",
        title="Deep neural collapse is optimal behind ReLUs for few classes",
        published="Networks below deep neural collapse need many classes: with a few it is the global optimum of the deep "
        "unconstrained-feature model at any depth.",
        why="With three classes and four layers a network whose features have rank two up to the last hidden layer costs 2.15 "
        "per cent less, at every decay.",
        instead="Optimal for two classes (dnc-binary). For K >= 3 and L >= 4 a network lies below it at every decay: "
        "relu-rank2.",
        convention=CONVENTION,
        sources=(
            SUKENIK_2024.remark(
                "Their experiments have networks below neural collapse for K = 3, 4, 5 too, so that the claim is a reading of "
                "the theorem for many classes and not theirs. The exact network is our own."
            ),
        ),
        reproduce=reproduce_few,
        theorem="relu-rank2",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N2",
        title="Deep neural collapse is optimal behind ReLUs",
        published="What is proved of deep neural collapse for two classes or two layers goes on for more of both.",
        why="Networks that code classes by the edges of a graph, or by bits, have hidden features of low rank, which depth "
        "makes cheap, and one ReLU tells all classes apart.",
        instead="Networks below it, and by how much: sukenik-srg and relu-rank2.",
        convention=CONVENTION,
        sources=(
            SUKENIK_2023.remark("The theorem for two classes, which is right (dnc-binary)."),
            SUKENIK_2024.remark(
                "Refutes the continuation; its setting L = 4, K = 10, lambda = 0.004 is the first line."
            ),
        ),
        reproduce=reproduce_many,
        theorem="sukenik-srg",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N34",
        title="Behind ReLUs all is zero beyond the onset of neural collapse",
        published="The decay beyond which zero is the global minimiser of a ReLU chain is that of the linear chain.",
        why="It is where neural collapse begins to cost more than zero, and other networks cost less there.",
        instead="So it is for two classes (dnc-binary); for K = 3, L = 4 the network of relu-rank2 costs less than zero up to "
        "a decay 2.2 per cent larger, and with two layers and six classes that of relu-hexagon up to b = 0.5198, not 1/2.",
        convention=CONVENTION,
        sources=(
            DANG_2024.remark(
                "Thresholds of collapse of the models they treat, which are right; the extension is not theirs."
            ),
        ),
        reproduce=reproduce_zero,
        theorem="relu-rank2",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N3",
        title="A ReLU does not raise the nuclear norm",
        published="|max(Z, 0)|_* <= |Z|_* for every matrix Z.",
        why="Cutting a matrix of rank two on a circle makes one of full rank, with new frequencies.",
        instead="It holds for two columns (dnc-binary), for rank one, and where max(Z, 0) has orthogonal columns.",
        convention="Nuclear norms of matrices as they stand.",
        sources=(
            TIRER_2022.remark(
                "Their theorem for a ReLU assumes that the norms agree at the minimum; the inequality is met around it."
            ),
        ),
        reproduce=reproduce_norm,
        theorem="relu-hexagon",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N36",
        title="With two layers and a ReLU neural collapse is optimal at every decay",
        published="The two-layer model with a ReLU has the minima of the linear one: neural collapse below its onset, zero "
        "beyond.",
        why="Next to the onset no network can put out all classes anyway, and six classes on a hexagon share features: before "
        "the ReLU these have rank two. It came up when the theorem was verified.",
        instead="For K >= 6 a network lies below it for 0.43996 <= b <= 0.51981 (relu-hexagon). For K <= 5 none was found "
        "(tirer-bruna-relu), and of more than six classes nothing is said outside of this range.",
        convention=CONVENTION + " b = 2K(N lambda_1 lambda_2 lambda_H)^(1/2).",
        sources=(
            TIRER_2022.remark("Their theorem assumes that the ReLU leaves the nuclear norm alone; here it does not."),
        ),
        reproduce=reproduce_hexagon,
        theorem="relu-hexagon",
    )
)
