r"""Progressive collapse across the layers of a linear network: the exact case.

Progressive collapse: in a balanced linear network each layer divides the within-class variability by the same factor.

Theorem:
    For $f=\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ with orthonormal inputs, one-hot targets, n samples a class,
    from layers that are $\epsilon$ times orthogonal matrices and aligned with the classes,
    $C_l=\mathrm{tr}\Sigma_W/\mathrm{tr}\Sigma_B$ of the features before layer l+1 obeys
    $C_l(t)=C_0(\epsilon^2/u(t)^{2/L})^l$ with $\dot u=\frac LNu^{2-2/L}(\sqrt n-u)$, $u(0)=\epsilon^L$; so
    $C_{l+1}/C_l\to\epsilon^2/n^{1/L}$. The cosines of class means stay 0.
Hypotheses:
    - squared error
    - orthonormal inputs
    - one-hot targets, balanced classes, n >= 2
    - all hidden widths N
    - aligned orthogonal starts
Notation:
    Wang et al.: their bounds allow angles between inputs and unbalanced layers; this is the case of none.
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_networks import WANG_2025
from proofs_numeric.dynamics.chains import drawn_start, product
from proofs_numeric.hypotheses import SQUARED_ERROR
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import ROUNDED

# classes, samples a class, layers: two classes, and more of them; a key picks one of the first and two of the second
SHAPES = (((2, 3, 3), (2, 2, 4), (2, 5, 2)), ((3, 2, 2), (4, 2, 2), (4, 3, 2), (3, 2, 3)))


class Aligned(nct.problems.Starts):
    """Starts whose hidden factors are multiples of orthogonal matrices, aligned with the classes."""

    turned: Float[np.ndarray | jax.Array, ""]
    """0 within the theorem; 1 for a first factor that is reflected at a random direction."""

    def __call__(self, problem, key, scale):
        """All singular values `scale`."""
        width, classes = problem.widths[0], problem.classes
        *keys, last = jax.random.split(key, problem.depth)
        turns = [jnp.linalg.qr(jax.random.normal(one, (width, width), jnp.float64))[0] for one in keys]
        ends = [frame(problem), *turns]
        weights = [scale * up @ low.T for low, up in pairwise(ends)]
        direction = jax.random.normal(last, (width,), jnp.float64)
        mirror = jnp.eye(width) - 2.0 * self.turned * jnp.outer(direction, direction) / jnp.sum(direction**2)
        weights[0] = weights[0] @ mirror
        return nct.problems.ChainParams((*weights, scale * turns[-1][:, :classes].T), None, None)


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    compression: jax.Array
    discrimination: jax.Array
    height: jax.Array
    limit: jax.Array


def members(problem):
    """Samples x classes, 1 where a sample is of a class."""
    return jnp.asarray(problem.targets).T


def frame(problem):
    """An orthonormal basis of the inputs' space that begins with the normalised class sums."""
    sums = jnp.asarray(problem.inputs) @ members(problem)
    return jnp.linalg.qr(jnp.concatenate([sums, jnp.eye(sums.shape[0])], axis=1))[0] * _signs(sums)


def _signs(sums):
    """QR may reverse a column; the first ones are to be the class sums themselves."""
    left = jnp.linalg.qr(jnp.concatenate([sums, jnp.eye(sums.shape[0])], axis=1))[0]
    signs = jnp.sign(jnp.sum(left[:, : sums.shape[1]] * sums, axis=0))
    return jnp.concatenate([signs, jnp.ones(sums.shape[0] - sums.shape[1])])[None, :]


def draw_instances(groups=SHAPES, turned=0.0, seed=0):
    """For three shapes four sizes of the start each; N = Kn orthonormal inputs of dimension N."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for classes, n, layers in (shape for i, group in enumerate(groups) for shape in pick(rng, group, i + 1)):
            total = classes * n
            inputs = np.linalg.qr(rng.normal(size=(total, total)))[0]
            widths = (total,) * layers + (classes,)
            for _ in range(4):
                size = log_uniform(rng, 0.1, 0.3)
                chain = nct.deep_linear(
                    widths=widths,
                    inputs=inputs,
                    targets=np.repeat(np.eye(classes), n, axis=1),
                    loss="mse",
                    weight_decay=(0.0,) * layers,
                )
                # From u = size^L to sqrt(n), in time of the flow of the mean over N samples.
                slow = {2: 1.0, 3: 1.5, 4: 3.0}[layers] * size ** (2 - layers)
                last = total * slow * (12.0 + np.log(1 / size)) / np.sqrt(n)
                shown = {"K": classes, "n": n, "L": layers, "epsilon": size}
                problem = chain.with_starts(Aligned(np.asarray(turned)))
                spec = nct.theorems.TrajectorySpec(tuple((np.arange(1, 31) * last / 30).tolist()))
                drawn.append(nct.Instance(problem, shown, scale=size, trajectory=spec))
        return drawn

    return draw


def orthonormal_inputs(instance):
    """Whether the Gram matrix of the inputs is the identity."""
    gram = np.transpose(instance.problem.inputs) @ instance.problem.inputs
    return float(np.max(np.abs(gram - np.eye(len(gram))))) < ROUNDED


def balanced_labels(instance):
    """Whether the targets are one-hot, with as many samples of each class, two at least."""
    targets = np.asarray(instance.problem.targets)
    counts = targets.sum(axis=1)
    return set(np.unique(targets)) == {0.0, 1.0} and np.ptp(counts) == 0 and counts[0] >= 2


def wide_layers(instance):
    """Whether all layers but the last are N x N."""
    problem = instance.problem
    return set(problem.widths[:-1]) == {problem.inputs.shape[1]}


def orthogonal_start(instance):
    """Whether the hidden factors of a start are one multiple of orthogonal matrices, and the product sees the class sums."""
    start, problem = drawn_start(instance), instance.problem
    grams = [w @ w.T / instance.scale**2 for w in start.weights]
    whole = product(problem, start, start) @ frame(problem) / instance.scale**problem.depth
    off = [gram - np.eye(len(gram)) for gram in grams] + [whole - np.eye(*whole.shape)]
    return max(float(jnp.max(jnp.abs(x))) for x in off) < ROUNDED


def layers_of(problem, params):
    """Features before every layer, the inputs first."""
    features = [jnp.asarray(problem.inputs)]
    for weight in params.weights[:-1]:
        features.append(weight @ features[-1])
    return features


def compression(problem, params, start):
    """C_l = tr Sigma_W / tr Sigma_B of the features before each layer."""
    of = members(problem)
    counts = jnp.sum(of, axis=0)
    ratios = []
    for features in layers_of(problem, params):
        means = features @ of / counts[None, :]
        within = jnp.sum((features - means @ of.T) ** 2)
        centred = means - jnp.mean(means, axis=1, keepdims=True)
        ratios.append(within / jnp.sum(counts * jnp.sum(centred**2, axis=0)))
    return jnp.stack(ratios)


def log_compression(problem, params, start):
    """Of a curve that spans powers of epsilon squared every layer is to count alike."""
    return jnp.log(compression(problem, params, start))


def discrimination(problem, params, start):
    """D_l = 1 - the largest cosine of two class means, of the features before each layer."""
    of = members(problem)
    found = []
    for features in layers_of(problem, params):
        means = features @ of
        means = means / jnp.sqrt(jnp.sum(means**2, axis=0, keepdims=True))
        found.append(1.0 - jnp.max(means.T @ means - 2.0 * jnp.eye(of.shape[1])))
    return jnp.stack(found)


def height(problem, params, start):
    """Mean singular value of the product on the classes."""
    return jnp.trace(product(problem, params, start) @ frame(problem)[:, : problem.classes]) / problem.classes


def last_ratio(problem, params, start):
    """C_{L-1} / C_{L-2}."""
    found = compression(problem, params, start)
    return found[-1] / found[-2]


def predict_with(power=2.0, samples=1.0):
    """The law with another power of epsilon, or another number of samples a class."""

    def predict(problem, start, times):
        depth, of = problem.depth, members(problem)
        n = samples * jnp.sum(of[:, 0])
        total, classes = of.shape
        size = jnp.sqrt(jnp.sum(start.weights[0] ** 2) / total)
        u = nct.closed_form.mode_height(depth, jnp.sqrt(n), size**depth, times / total)
        factor = size**power / u ** (2.0 / depth)
        first = ((n - 1.0) / n) / (1.0 / n - 1.0 / (classes * n))
        ratios = first * factor[:, None] ** jnp.arange(1.0 * depth)[None, :]
        limit = size**power / n ** (1.0 / depth)
        return Curve(ratios, jnp.ones_like(ratios), u, limit)

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="wang-layerwise",
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            orthonormal_inputs,
            balanced_labels,
            wide_layers,
            orthogonal_start,
        ),
        sources=(
            WANG_2025.remark(
                "The order of the ratio. The exact case along the whole path is our own; the constants of their bounds are "
                "not checked."
            ),
        ),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory(
                "compression",
                r"\log C_l",
                log_compression,
                lambda c: jnp.log(c.compression),
            ),
            nct.Trajectory(
                "discrimination",
                "D_l",
                discrimination,
                lambda c: c.discrimination,
            ),
            nct.Trajectory(
                "height",
                "u",
                height,
                lambda c: c.height,
            ),
            nct.Limit(
                "last ratio",
                r"C_{l+1}/C_l\to\epsilon^2/n^{1/L}",
                last_ratio,
                lambda c: c.limit,
                vanishing="geometric",
                resolution=1e-5,
                because="extrapolated from three ends of a path that has not quite arrived",
            ),
        ),
        controls=(
            nct.Control("first power", "epsilon in the place of its square", predict_with(power=1.0)),
            nct.Control(
                "more samples", "10 % more samples a class", lambda p, x, t: predict_with(samples=1.1)(p, x, t)
            ),
            nct.Control(
                "turned",
                "a start that is not aligned with the classes",
                predict_with(),
                outside=draw_instances(SHAPES[:1], turned=1.0, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
