"""The claim that kernels of convolutions have at most as many directions as there are classes, which one point refutes."""

from typing import Any

import jax
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ZANGRANDO_2024
from proofs_numeric.networks.module_starts import channels

DECAY, STEPS, RATE = 0.08, 2000, 0.5


def reproduce(seeds, key):
    """Descend to critical points of one convolution that has a channel for each position of each of two images."""
    problem: Any = channels(nct.theorems.numpy_rng(jax.random.key(key)), DECAY).problem
    few = min(seeds, 6)
    paths = nct.gradient_descent(
        problem, nct.starts(problem, few, key), [0, STEPS], RATE, observe=lambda network, point: point, compare=False
    )
    points = jax.tree.map(lambda x: np.asarray(x[:, 1]), paths.values)
    kernels = points["convolutions"][0]["kernel"].reshape(few, 18, 9)
    values = np.linalg.svd(kernels, compute_uv=False)
    slopes = jax.vmap(lambda point: problem.value_and_grad(point)[1])(points)
    gradient = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(slopes))
    inside = np.asarray(problem.inputs).reshape(3, 2, -1)
    spread = float(np.max(np.abs(inside - inside[:1])))
    figures = (
        (f"gradient of {few} networks, largest entry", f"{gradient:.1e}"),
        ("variability of the images within each of 2 classes", f"{spread:.1g}"),
        ("singular values 3 to 8 of the kernel, least of all", f"{values[:, 2:8].min():.3g}"),
        ("singular value 9, largest of all", f"{values[:, 8].max():.1e}"),
    )
    refuted = gradient < 1e-9 * DECAY and spread == 0.0 and values[:, 7].min() > 0.1 and values[:, 8].max() < 1e-9
    return nct.theorems.ErratumResult(bool(refuted), "sampled", figures)


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N40",
        title="Kernels of convolutions have at most rank K where classes have no variability",
        published="What is known of dense layers, that at a critical point with decay and without variability within classes "
        "a layer has at most rank K, the number of classes, holds of the kernel of a convolution as a matrix from patches to "
        "channels.",
        why="A convolution reads each sample at P positions, and the mean of a class is another one at each of them. Behind a "
        "ReLU different channels may be at work at different positions, and each asks for a direction of its own.",
        instead="The rank is at most KP, which is attained; or K, if what differs between the positions of a sample counts as "
        "variability (module-tcv-rank).",
        convention="Coupled decay of all arrays; one convolution without biases, a mean over four positions, a linear head.",
        sources=(ZANGRANDO_2024.remark("Dense layers, of which it is true; the continuation is not theirs."),),
        reproduce=reproduce,
        theorem="module-tcv-rank",
    )
)
