r"""Progressive collapse across the layers of a linear network: bounds for nearly orthogonal inputs.

Bounds on progressive collapse where inputs are only nearly orthogonal, at the minima that small aligned starts lead to.

Theorem:
    Let $G=X^\top X$ with $|G-I|\le\theta/N$ entrywise, $W_L\cdots W_1=YG^{-1}X^\top$ with balanced factors
    whose singular values beyond the K largest are $\epsilon$, but for $W_L$, which has none. Then, with
    $q_\pm=\epsilon^2((1\pm\theta)/n)^{1/L}$ and $\rho=\theta^2(1+\theta)/(1-\theta)$,
    $q_-\le C_{l+1}/C_l\le q_+/(1-\frac{\rho}{1-\rho}q_+^l)$. With $T=YG^{-1}Y^\top$ the class sums of the features before
    layer l+1 have the Gram matrix $n^2T^{l/L-1}+\epsilon^{2l}(YGY^\top-n^2T^{-1})$, whose largest cosine is $1-D_l$.
Hypotheses:
    - squared error
    - one-hot targets, balanced classes, n >= 2
    - Gram matrix of the inputs within theta/N of the identity, theta <= 1/4
    - minimum-norm product, balanced factors, equal singular values beyond the K largest
Notation:
    Wang et al.: theta, epsilon, C_l and D_l as here; l counts the layers that samples have passed.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import WANG_2025
from proofs_numeric.conserved.vector_field import one
from proofs_numeric.dynamics.layerwise import balanced_labels, layers_of
from proofs_numeric.dynamics.layerwise import compression as compressions
from proofs_numeric.dynamics.layerwise import discrimination as discriminations
from proofs_numeric.dynamics.minimum_norm import MinimumNorm, minimum_norm, near_orthonormal, nearly_orthonormal
from proofs_numeric.hypotheses import SQUARED_ERROR
from proofs_numeric.pool import log_uniform, pick

# classes, samples a class, layers; a key picks one of each group
SHAPES = (((2, 16, 3), (2, 2, 4), (2, 5, 2)), ((4, 6, 2), (5, 3, 3)), ((3, 16, 2), (2, 16, 4)))
# theta from and to, epsilon from and to, and how the Gram matrix leaves the identity
CASES = (
    (1e-6, 1e-5, 0.01, 0.03, "together"),
    (1e-3, 1e-2, 0.005, 0.01, "apart"),
    (0.03, 0.1, 0.01, 0.05, "one"),
    (0.1, 0.25, 0.05, 0.1, "all"),
)


class Bounds(NamedTuple):
    """What is predicted of the features before every layer but the last, and before every layer."""

    least: jax.Array
    most: jax.Array
    cosines: jax.Array


def draw_instances(groups=SHAPES, cases=CASES, uneven=1.0):
    """Square inputs, N = Kn of them."""

    def draw(key):
        rng, drawn = nct.theorems.numpy_rng(key), []
        for group in groups:
            ((classes, n, layers),) = pick(rng, group)
            total = classes * n
            for *ranges, pattern in cases:
                angle, epsilon = log_uniform(rng, *ranges[:2]), log_uniform(rng, *ranges[2:])
                chain = nct.deep_linear(
                    widths=(total,) * layers + (classes,),
                    inputs=near_orthonormal(rng, classes, n, angle, pattern),
                    targets=np.repeat(np.eye(classes), n, axis=1),
                    loss="mse",
                    weight_decay=(0.0,) * layers,
                )
                left, heights, right = np.linalg.svd(chain.targets @ np.linalg.pinv(chain.inputs))
                numbers = {"epsilon": epsilon, "angle": angle, "uneven": uneven}
                extra = {name: np.asarray(number) for name, number in numbers.items()}
                extra |= {"left": left, "heights": heights, "right": right}
                shown = {"K": classes, "n": n, "L": layers, "theta": angle, "epsilon": epsilon, "angles": pattern}
                drawn.append(nct.Instance(chain.with_starts(MinimumNorm(**extra)), shown))
        return drawn

    return draw


def ratios(problem, params):
    """C_{l+1}/C_l for l = 0, ..., L-2."""
    found = compressions(problem, params, None)
    return found[1:] / found[:-1]


def cancelling(problem, params):
    """Size of the terms that cancel: the features, relative to what is left of them within the classes."""
    of = jnp.asarray(problem.targets).T
    left = []
    for features in layers_of(problem, params):
        means = features @ of / jnp.sum(of, axis=0)[None, :]
        left.append(jnp.sqrt(jnp.sum(features**2) / jnp.sum((features - means @ of.T) ** 2)))
    return jnp.max(ratios(problem, params) * jnp.stack(left)[1:])


def cosines(problem, params):
    """The largest cosine of two class means, of the features before each layer."""
    return 1.0 - discriminations(problem, params, None)


def mean_grams(problem, power_of_gram=1.0, outside=1.0):
    """Gram matrices of the class sums before each layer, from that of the inputs alone; `outside` of their second term."""
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
    """Of two different vectors with this Gram matrix."""
    size = jnp.sqrt(jnp.diagonal(gram))
    return jnp.max(gram / size[:, None] / size[None, :] - 2.0 * jnp.eye(gram.shape[0]))


def predict_with(angles=1.0, power=2.0, **wrong):
    """The bounds and cosines; for controls with theta left out, another power of epsilon, other Gram matrices."""

    def predict(problem):
        depth, classes = problem.depth, problem.classes
        total = problem.widths[0]
        theta, size = angles * problem.starts.angle, problem.starts.epsilon
        n = total / classes
        least = size**power * ((1.0 - theta) / n) ** (1.0 / depth)
        base = size**power * ((1.0 + theta) / n) ** (1.0 / depth)
        lost = theta**2 * (1.0 + theta) / (1.0 - theta)  # of the class means, outside the row space of Y X^+
        layers = jnp.arange(depth - 1.0)
        most = base / (1.0 - lost / (1.0 - lost) * base**layers)
        between = jnp.stack([largest_cosine(gram) for gram in mean_grams(problem, **wrong)])
        return Bounds(least * jnp.ones(depth - 1), most, between)

    return predict


def no_cosine(problem):
    """Class means at right angles."""
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
