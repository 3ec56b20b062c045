r"""Progressive collapse across the layers of a linear network: the exact case.

A deep network does not collapse in its last layer alone: the features of the K classes come closer to their class
means from layer to layer. In a balanced linear network each layer divides the variability within classes by the same
factor, which depends on the size of the start, on the depth and on the number n of samples a class. It falls like a
power of the depth, from which one reads how much of a deep network the task needs. This is the exact case, on the
whole path.

Problem:
    $f(W_1,\dots,W_L)=\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ for $N=nK$ orthonormal inputs X of dimension N and one-hot
    labels Y. All layers are free and follow the gradient flow from $\epsilon$ times orthogonal matrices.
Theorem (Wang et al. 2025, number unchecked, for the order of the ratio; the exact case along the path is our own):
    For $f=\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ with orthonormal inputs, one-hot targets, n samples a class, from layers
    that are $\epsilon$ times orthogonal matrices and aligned with the classes,
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
Why:
    X is an orthogonal matrix, so $f=\frac1{2N}|W_L\cdots W_1-YX^\top|_F^2$, and $YX^\top=\sqrt nV^\top$ with the K
    orthonormal columns of $V=XY^\top/\sqrt n$. Aligned means that the product at the start is $\epsilon^LV^\top$. The
    flow keeps $W_l=R_l\,\mathrm{diag}(u^{1/L}I_K,\epsilon I_{N-K})R_{l-1}^\top$ with fixed orthogonal $R_l$, $R_0$
    beginning with V, and no second block in $W_L$: the gradients of the layers vanish on the second block, because
    $W_L$ and V do, and on the first one they give $\frac d{dt}u^{1/L}=\frac1Nu^{1-1/L}(\sqrt n-u)$, which is the
    equation of u. Class means of the inputs lie in the span of V, deviations from them are orthogonal to it, because
    the inputs are orthonormal. Each layer thus multiplies means by $u^{1/L}$ and deviations by $\epsilon$, and turns
    both: cosines stay what they are. In the end $u\to\sqrt n$.
Checked:
    All entries of all layers are integrated along the gradient flow, from random starts within the hypotheses, twice
    with different tolerances; their difference bounds the error. The logarithms of the variability before all layers,
    the largest cosine of class means there and the height u are held against the law at thirty times; the last ratio
    is extrapolated to infinite time. Each path must keep the imbalances that the flow conserves. All this is sampled:
    a law about every start is not certified by some.
Refuted by:
    One path that leaves the law by more than twice the integrator's error and rounding, or whose ratio tends to
    another limit. The same check must refute the first power of epsilon, ten per cent more samples a class, and the
    law for a start that is not aligned with the classes.
Example:
    Two classes of two inputs, two layers: by which factor the first one divides the variability, by the law and along
    a fresh flow.

    >>> root, t = np.sqrt(2), np.array([5.0, 10.0, 40.0])
    >>> u = root / (1 + (root / 0.04 - 1) * np.exp(-2 * root * t / 4))
    >>> problem = network(np.random.default_rng(0), classes=2, n=2, layers=2)
    >>> observe, start = lambda problem, params: compression(problem, params, None), nct.starts(problem, 1, scale=0.2)
    >>> found = nct.gradient_flow(problem, start, t, observe=observe, light=True).values[0]
    >>> (0.04 / u).round(6).tolist(), (found[:, 1] / found[:, 0]).round(6).tolist()
    ([0.056603, 0.02911, 0.028284], [0.056603, 0.02911, 0.028284])
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
from proofs_numeric.dynamics.layer_features import balanced_labels, compression, discrimination, members
from proofs_numeric.hypotheses import SQUARED_ERROR
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import ROUNDED

# Each shape is (classes, samples a class, layers). A key picks one of two classes, and two of more.
SHAPES = (((2, 3, 3), (2, 2, 4), (2, 5, 2)), ((3, 2, 2), (4, 2, 2), (4, 3, 2), (3, 2, 3)))


class Aligned(nct.problems.Starts):
    """Starts whose hidden factors are multiples of orthogonal matrices, aligned with the classes."""

    turned: Float[np.ndarray | jax.Array, ""]
    """It is 0 within the theorem, and 1 for a first factor that is reflected at a random direction."""

    def __call__(self, problem, key, scale):
        """Draw factors with all singular values `scale`."""
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
    """What is predicted of a path; all but the limit has a leading axis of times."""

    compression: jax.Array
    discrimination: jax.Array
    height: np.ndarray | jax.Array
    limit: jax.Array


def frame(problem):
    """Return an orthonormal basis of the inputs' space that begins with the normalised class sums."""
    sums = jnp.asarray(problem.inputs) @ members(problem)
    return jnp.linalg.qr(jnp.concatenate([sums, jnp.eye(sums.shape[0])], axis=1))[0] * _signs(sums)


def _signs(sums):
    """Return the signs that undo what QR may reverse: the first columns are to be the class sums themselves."""
    left = jnp.linalg.qr(jnp.concatenate([sums, jnp.eye(sums.shape[0])], axis=1))[0]
    signs = jnp.sign(jnp.sum(left[:, : sums.shape[1]] * sums, axis=0))
    return jnp.concatenate([signs, jnp.ones(sums.shape[0] - sums.shape[1])])[None, :]


def network(rng, classes, n, layers, turned=0.0):
    """Draw N = Kn orthonormal inputs of dimension N for a network with aligned starts."""
    total = classes * n
    chain = nct.deep_linear(
        widths=(total,) * layers + (classes,),
        inputs=np.linalg.qr(rng.normal(size=(total, total)))[0],
        targets=np.repeat(np.eye(classes), n, axis=1),
        loss="mse",
        weight_decay=(0.0,) * layers,
    )
    return chain.with_starts(Aligned(np.asarray(turned)))


def draw_instances(groups=SHAPES, turned=0.0, seed=0):
    """Draw for three shapes four sizes of the start each, on the same inputs."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for classes, n, layers in (shape for i, group in enumerate(groups) for shape in pick(rng, group, i + 1)):
            problem = network(rng, classes, n, layers, turned)
            for _ in range(4):
                size = log_uniform(rng, 0.1, 0.3)
                # The height goes from size^L to sqrt(n), in the time of the flow of the mean over N samples.
                slow = {2: 1.0, 3: 1.5, 4: 3.0}[layers] * size ** (2 - layers)
                last = classes * n * slow * (12.0 + np.log(1 / size)) / np.sqrt(n)
                shown = {"K": classes, "n": n, "L": layers, "epsilon": size}
                spec = nct.theorems.TrajectorySpec(tuple((np.arange(1, 31) * last / 30).tolist()))
                drawn.append(nct.Instance(problem, shown, scale=size, trajectory=spec))
        return drawn

    return draw


def orthonormal_inputs(instance):
    """Tell whether the Gram matrix of the inputs is the identity."""
    gram = np.transpose(instance.problem.inputs) @ instance.problem.inputs
    return float(np.max(np.abs(gram - np.eye(len(gram))))) < ROUNDED


def wide_layers(instance):
    """Tell whether all layers but the last are N x N."""
    problem = instance.problem
    return set(problem.widths[:-1]) == {problem.inputs.shape[1]}


def orthogonal_start(instance):
    """Tell whether all factors of a start are one multiple of orthogonal matrices, aligned with the class sums."""
    start, problem = drawn_start(instance), instance.problem
    grams = [w @ w.T / instance.scale**2 for w in start.weights]
    whole = product(problem, start, start) @ frame(problem) / instance.scale**problem.depth
    off = [gram - np.eye(len(gram)) for gram in grams] + [whole - np.eye(*whole.shape)]
    return max(float(jnp.max(jnp.abs(x))) for x in off) < ROUNDED


def log_compression(problem, params, start):
    """Return log C_l: of a curve that spans powers of epsilon squared every layer is to count alike."""
    return jnp.log(compression(problem, params, start))


def height(problem, params, start):
    """Return the mean of the product's diagonal on the normalised class sums."""
    return jnp.trace(product(problem, params, start) @ frame(problem)[:, : problem.classes]) / problem.classes


def last_ratio(problem, params, start):
    """Return C_{L-1} / C_{L-2}."""
    found = compression(problem, params, start)
    return found[-1] / found[-2]


def predict_with(power=2.0, samples=1.0):
    """State the law with another power of epsilon, or another number of samples a class."""

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
