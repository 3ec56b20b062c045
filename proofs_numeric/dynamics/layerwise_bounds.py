r"""Progressive collapse across the layers of a linear network: bounds for nearly orthogonal inputs.

That each layer of a linear network divides the variability within classes by one factor is exact for orthogonal
inputs. Real inputs have angles between them. If these are small, and training has ended where small starts lead, the
factor still lies between two bounds that close up as the angles vanish; K, n and the depth enter as before. How far
class means are apart before each layer can even be computed exactly, from the inner products of the inputs alone.

Problem:
    $f(W_1,\dots,W_L)=\frac1{2N}|W_L\cdots W_1X-Y|_F^2$ for $N=nK$ inputs X of dimension N, nearly orthonormal, and
    one-hot labels Y. Nothing is trained: the points are minima of f with the product of least norm, and balanced
    layers.
Theorem (Wang et al. 2025, number unchecked, for the order of the ratio; these bounds are our own):
    Let $G=X^\top X$ with $|G-I|\le\theta/N$ entrywise, $W_L\cdots W_1=YG^{-1}X^\top$ with balanced factors whose
    singular values beyond the K largest are $\epsilon$, but for $W_L$, which has none. Then, with
    $q_\pm=\epsilon^2((1\pm\theta)/n)^{1/L}$ and $\rho=\theta^2(1+\theta)/(1-\theta)$,
    $q_-\le C_{l+1}/C_l\le q_+/(1-\frac{\rho}{1-\rho}q_+^l)$. With $T=YG^{-1}Y^\top$ the class sums of the features
    before layer l+1 have the Gram matrix $n^2T^{l/L-1}+\epsilon^{2l}(YGY^\top-n^2T^{-1})$, whose largest cosine is
    $1-D_l$.
Hypotheses:
    - squared error
    - one-hot targets, balanced classes, n >= 2
    - Gram matrix of the inputs within theta/N of the identity, theta <= 1/4
    - minimum-norm product, balanced factors, equal singular values beyond the K largest
Notation:
    Wang et al.: theta, epsilon, C_l and D_l as here; l counts the layers that samples have passed.
Why:
    The product is $T^{1/2}V^\top$ with the orthonormal columns of $V=XG^{-1}Y^\top T^{-1/2}$. By balance
    $(W_l\cdots W_1)^\top W_l\cdots W_1=VT^{l/L}V^\top+\epsilon^{2l}(I-VV^\top)$ for $l<L$, and
    $V^\top XY^\top=nT^{-1/2}$ gives the Gram matrix of the class sums. Deviations from class means are XP,
    $PY^\top=0$, and $V^\top XP=T^{-1/2}YP=0$: each layer multiplies them by $\epsilon$ exactly. So
    $C_{l+1}/C_l=\epsilon^2B_l/B_{l+1}$, where $B_l$ is the trace of the Gram matrix with the mean over the classes
    removed on both sides. The eigenvalues of G are within $1\pm\theta$, those of T between $n/(1+\theta)$ and
    $n/(1-\theta)$. Hence $T^{(l+1)/L-1}\preceq(\frac n{1-\theta})^{1/L}T^{l/L-1}$; the second term grows by
    $\epsilon^2$, which is no more, because $\epsilon$ is not among the K largest. This is the lower bound. With
    $R=YGY^\top-n^2T^{-1}\succeq0$ one has $R\preceq\theta^2YGY^\top$: it is $BD^{-1}B^\top\preceq\theta^2A$ for the
    blocks A, B, D of G along the classes and across them, and this holds because it holds for 2 x 2 matrices with
    entries a, b, d and eigenvalues $\mu,\nu$ within $1\pm\theta$:
    $ad-b^2=\mu\nu\ge(1-\theta^2)(\frac{\mu+\nu}2)^2\ge(1-\theta^2)ad$. As $\theta^2\le\rho$,
    $R\preceq\frac\rho{1-\rho}n^2T^{-1}$, and $\epsilon^{2l}R\preceq\frac\rho{1-\rho}q_+^ln^2T^{l/L-1}$. Leaving out
    the second term of $B_{l+1}$ and using $1+x\le1/(1-x)$, where x is below 1 because theta is at most 1/4, gives the
    upper bound.
Checked:
    Layers with the properties of the hypotheses are built with random inner frames, and polished as minima of f. At
    these points and at those that the polish leaves, variabilities and cosines are measured on the features
    themselves, layer by layer, and held against the bounds and the formula, for thetas from 1e-6 to 1/4 and four kinds
    of angles, to rounding. All this is sampled: inequalities about every such network are not certified by some.
Refuted by:
    One network with a ratio outside the bounds, or a cosine off the formula by more than rounding. The same check must
    refute both bounds without theta, class means at right angles, a power of T larger by one per cent, the Gram matrix
    without its second term, the first power of epsilon, and the bounds for layers that are not balanced.
Example:
    Two classes of two inputs, two layers, theta and epsilon 0.1: both bounds, and the ratio at two minima with random
    inner frames, where a fresh flow stays.

    >>> problem = network(np.random.default_rng(0), (2, 2, 2), angle=0.1, epsilon=0.1, pattern="all")
    >>> low, high, rho = 0.01 * np.sqrt(0.9 / 2), 0.01 * np.sqrt(1.1 / 2), 0.01 * 1.1 / 0.9
    >>> [round(float(bound), 6) for bound in (low, high / (1 - rho / (1 - rho)))]
    [0.006708, 0.007509]
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, seeds=2), [1.0], observe=ratios, light=True)
    >>> paths.values.round(6).ravel().tolist()
    [0.007086, 0.007086]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import WANG_2025
from proofs_numeric.conserved.vector_field import one
from proofs_numeric.dynamics.layer_features import balanced_labels, compression, discrimination, features_by_layer
from proofs_numeric.dynamics.minimum_norm import MinimumNorm, minimum_norm, near_orthonormal, nearly_orthonormal
from proofs_numeric.hypotheses import SQUARED_ERROR
from proofs_numeric.pool import log_uniform, pick

# Each shape is (classes, samples a class, layers). A key picks one of each group.
SHAPES = (((2, 16, 3), (2, 2, 4), (2, 5, 2)), ((4, 6, 2), (5, 3, 3)), ((3, 16, 2), (2, 16, 4)))
# A case is the range of theta, that of epsilon, and how the Gram matrix leaves the identity.
CASES = (
    (1e-6, 1e-5, 0.01, 0.03, "together"),
    (1e-3, 1e-2, 0.005, 0.01, "apart"),
    (0.03, 0.1, 0.01, 0.05, "one"),
    (0.1, 0.25, 0.05, 0.1, "all"),
)


class Bounds(NamedTuple):
    """What is predicted: bounds for the ratios of neighbouring layers, and the cosines before every layer."""

    least: jax.Array
    most: jax.Array
    cosines: jax.Array


def network(rng, shape, angle, epsilon, pattern, uneven=1.0):
    """Draw N = Kn inputs of dimension N for a network whose starts are its minimum-norm solutions."""
    classes, n, layers = shape
    total = classes * n
    inputs, targets = near_orthonormal(rng, classes, n, angle, pattern), np.repeat(np.eye(classes), n, axis=1)
    chain = nct.deep_linear(
        widths=(total,) * layers + (classes,),
        inputs=inputs,
        targets=targets,
        loss="mse",
        weight_decay=(0.0,) * layers,
    )
    left, heights, right = np.linalg.svd(targets @ np.linalg.pinv(inputs))
    numbers = {"epsilon": epsilon, "angle": angle, "uneven": uneven}
    extra = {name: np.asarray(number) for name, number in numbers.items()}
    return chain.with_starts(MinimumNorm(**extra, left=left, heights=heights, right=right))


def draw_instances(groups=SHAPES, cases=CASES, uneven=1.0):
    """Draw one shape of each group for every case."""

    def draw(key):
        rng, drawn = nct.theorems.numpy_rng(key), []
        for group in groups:
            ((classes, n, layers),) = pick(rng, group)
            for *ranges, pattern in cases:
                angle, epsilon = log_uniform(rng, *ranges[:2]), log_uniform(rng, *ranges[2:])
                problem = network(rng, (classes, n, layers), angle, epsilon, pattern, uneven)
                shown = {"K": classes, "n": n, "L": layers, "theta": angle, "epsilon": epsilon, "angles": pattern}
                drawn.append(nct.Instance(problem, shown))
        return drawn

    return draw


def ratios(problem, params):
    """Return C_{l+1}/C_l for l = 0, ..., L-2."""
    found = compression(problem, params, None)
    return found[1:] / found[:-1]


def cancelling(problem, params):
    """Return the size of the terms that cancel: the features, relative to what is left of them within the classes."""
    of = jnp.asarray(problem.targets).T
    left = []
    for features in features_by_layer(problem, params):
        means = features @ of / jnp.sum(of, axis=0)[None, :]
        left.append(jnp.sqrt(jnp.sum(features**2) / jnp.sum((features - means @ of.T) ** 2)))
    return jnp.max(ratios(problem, params) * jnp.stack(left)[1:])


def cosines(problem, params):
    """Return the largest cosine of two class means, of the features before each layer."""
    return 1.0 - discrimination(problem, params, None)


def mean_grams(problem, power_of_gram=1.0, outside=1.0):
    """Return the Gram matrices of the class sums before each layer, from that of the inputs alone.

    Wrong versions have another `power_of_gram`, or only a share `outside` of the second term.
    """
    inputs, of = jnp.asarray(problem.inputs), jnp.asarray(problem.targets).T
    gram, n = inputs.T @ inputs, jnp.sum(of[:, 0])
    whole = of.T @ jnp.linalg.solve(gram, of)
    values, basis = jnp.linalg.eigh(whole)
    beyond = of.T @ gram @ of - n**2 * (basis / values[None, :]) @ basis.T
    found = []
    for layer in range(problem.depth):
        kept = values ** (-power_of_gram * (1.0 - layer / problem.depth))
        found.append(
            n**2 * (basis * kept[None, :]) @ basis.T + outside * problem.starts.epsilon ** (2 * layer) * beyond
        )
    return found


def largest_cosine(gram):
    """Return the largest cosine of two different vectors with this Gram matrix."""
    size = jnp.sqrt(jnp.diagonal(gram))
    return jnp.max(gram / size[:, None] / size[None, :] - 2.0 * jnp.eye(gram.shape[0]))


def predict_with(angles=1.0, power=2.0, **wrong):
    """State the bounds and cosines, or wrong ones: a share `angles` of theta, another power of epsilon, other Grams."""

    def predict(problem):
        depth, classes = problem.depth, problem.classes
        total = problem.widths[0]
        theta, size = angles * problem.starts.angle, problem.starts.epsilon
        n = total / classes
        least = size**power * ((1.0 - theta) / n) ** (1.0 / depth)
        base = size**power * ((1.0 + theta) / n) ** (1.0 / depth)
        # At most this share of the class sums is outside the row space of the product.
        lost = theta**2 * (1.0 + theta) / (1.0 - theta)
        layers = jnp.arange(depth - 1.0)
        most = base / (1.0 - lost / (1.0 - lost) * base**layers)
        between = jnp.stack([largest_cosine(gram) for gram in mean_grams(problem, **wrong)])
        return Bounds(least * jnp.ones(depth - 1), most, between)

    return predict


def no_cosine(problem):
    """Predict class means at right angles."""
    found = predict_with()(problem)
    return found._replace(cosines=jnp.zeros_like(found.cosines))


LIMIT = "an inequality, attained as theta tends to 0: met at the smallest theta, which is below 1e-5"


THEOREM = nct.register(
    nct.Theorem(
        id="wang-layerwise-bounds",
        docstring=__doc__,
        hypotheses=(
            SQUARED_ERROR,
            balanced_labels,
            nearly_orthonormal,
            minimum_norm,
        ),
        sources=(
            WANG_2025.remark(
                "The bounds on C_{l+1}/C_l are our own; theirs has the same order, with constants that are not checked. They "
                "bound D_l from below where inputs and factors are only nearly so; here it is computed exactly."
            ),
        ),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.LowerBound(
                "ratio from below",
                r"C_{l+1}/C_l\ge q_-",
                ratios,
                lambda b: b.least,
                scope="any point",
                terms=cancelling,
                resolution=2e-5,
                because=LIMIT,
            ),
            nct.UpperBound(
                "ratio from above",
                r"C_{l+1}/C_l\le q_+/(1-\frac{\rho}{1-\rho}q_+^l)",
                ratios,
                lambda b: b.most,
                scope="any point",
                terms=cancelling,
                resolution=2e-5,
                because=LIMIT,
            ),
            nct.Equality(
                "discrimination",
                r"1-D_l=\max_{k\ne k'}\cos",
                cosines,
                lambda b: b.cosines,
                scope="any point",
                terms=one,
                size=one,
                applies=lambda i: i.parameters["theta"] > 1e-4,
            ),
        ),
        controls=(
            nct.Control(
                "no angles above", "theta left out of the upper bound", predict_with(0.0), ("ratio from above",)
            ),
            nct.Control(
                "no angles below", "theta left out of the lower bound", predict_with(0.0), ("ratio from below",)
            ),
            nct.Control("orthogonal means", "D_l = 1", no_cosine, ("discrimination",)),
            nct.Control(
                "power of T",
                "the power l/L-1 of T larger by 1 %",
                predict_with(power_of_gram=1.01),
                ("discrimination",),
            ),
            nct.Control("row space only", "the second term left out", predict_with(outside=0.0), ("discrimination",)),
            nct.Control("first power", "epsilon in the place of its square", predict_with(power=1.0)),
            nct.Control(
                "uneven layers",
                "epsilon one and a half times as large in the first layer",
                predict_with(),
                outside=draw_instances(SHAPES[1:2], uneven=1.5),
            ),
        ),
        method=nct.Solve(flow=False),
        several_basins=True,
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
