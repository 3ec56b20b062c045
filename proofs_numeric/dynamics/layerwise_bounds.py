"""Bounds on progressive collapse where inputs are only nearly orthogonal, at the minima that small aligned starts lead to."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography import WANG_2025
from proofs_numeric.dynamics.layerwise import compression as compressions
from proofs_numeric.dynamics.layerwise import discrimination as discriminations
from proofs_numeric.dynamics.layerwise import layers_of

# classes, samples a class, layers
SHAPES = ((2, 16, 3), (3, 16, 2), (2, 16, 4))
# theta, epsilon, and how the Gram matrix leaves the identity
CASES = ((0.002, 0.01, "together"), (0.01, 0.005, "apart"), (0.1, 0.02, "one"), (0.25, 0.1, "all"))


class MinimumNorm(nct.DeepLinear):
    """Points, not starts of a descent: balanced factors of the minimum-norm solution, all other singular values epsilon."""

    epsilon: Float[np.ndarray | jax.Array, ""]
    angle: Float[np.ndarray | jax.Array, ""]
    """theta: no entry of the inputs' Gram matrix is farther than theta/N from the identity's."""
    uneven: Float[np.ndarray | jax.Array, ""]
    """1 within the theorem; a factor on epsilon in the first layer."""
    left: Float[np.ndarray | jax.Array, "K K"]
    heights: Float[np.ndarray | jax.Array, "K"]
    right: Float[np.ndarray | jax.Array, "N N"]
    """Singular vectors and values of the product, with those of its null space."""

    def init(self, key, scale):
        """The inner frames are random, the product is the same whatever they are."""
        width, rank, depth = self.widths[0], self.classes, self.depth
        tops = jnp.asarray(self.heights) ** (1.0 / depth)
        frames = [jnp.asarray(self.right).T, *(turned(one, width) for one in jax.random.split(key, depth - 1))]
        weights = []
        for layer in range(depth - 1):
            rest = self.epsilon * jnp.where(layer == 0, self.uneven, 1.0) * jnp.ones(width - rank)
            weights.append((frames[layer + 1] * jnp.concatenate([tops, rest])[None, :]) @ frames[layer].T)
        weights.append((jnp.asarray(self.left) * tops[None, :]) @ frames[-1][:, :rank].T)
        return nct.ChainParams(tuple(weights), None, None)


def turned(key, width):
    """A product of three random reflections."""
    frame = jnp.eye(width)
    for direction in jax.random.normal(key, (3, width), jnp.float64):
        frame = frame - 2.0 * jnp.outer(frame @ direction, direction) / jnp.sum(direction**2)
    return frame


class Bounds(NamedTuple):
    """What is predicted of the features before every layer but the last, and before every layer."""

    least: jax.Array
    most: jax.Array
    discrimination: jax.Array


def near_orthonormal(rng, classes, n, angle, pattern):
    """Inputs whose Gram matrix is I + E with entries of E up to angle/N.

    E is random in "all" entries; or +-(angle/N) s s', whose norm is the angle, with signs s at random ("one"), or those of
    one class against the others: such samples are "together" with their class, or "apart", as the sign is.
    """
    total = classes * n
    if pattern == "all":
        entries = rng.uniform(-1.0, 1.0, size=(total, total))
        change = np.triu(entries) + np.triu(entries, 1).T
    else:
        contrast = np.repeat(np.where(np.arange(classes) == 0, 1.0, -1.0), n)
        signs = rng.choice([-1.0, 1.0], size=total) if pattern == "one" else contrast
        change = (-1.0 if pattern == "apart" else 1.0) * np.outer(signs, signs)
    values, vectors = np.linalg.eigh(np.eye(total) + angle / total * change)
    return np.linalg.qr(rng.normal(size=(total, total)))[0] @ (vectors * np.sqrt(values)) @ vectors.T


def draw_instances(shapes=SHAPES, cases=CASES, uneven=1.0):
    """Square inputs, N = Kn of them."""

    def draw(key):
        rng, drawn = nct.generator(key), []
        for classes, n, layers in shapes:
            total = classes * n
            for angle, epsilon, pattern in cases:
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
                drawn.append(nct.Instance(MinimumNorm.of(chain, **extra), shown))
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


def predict_with(angles=1.0, power=2.0, constant=32.0):
    """The bounds; for controls with theta left out, another power of epsilon, another constant."""

    def predict(problem):
        depth, classes = problem.depth, problem.classes
        total = problem.widths[0]
        theta, size = angles * problem.angle, problem.epsilon
        n = total / classes
        least = size**power * ((1.0 - theta) / n) ** (1.0 / depth)
        base = size**power * ((1.0 + theta) / n) ** (1.0 / depth)
        lost = theta**2 * (1.0 + theta) / (1.0 - theta)  # of the class means, outside the row space of Y X^+
        layers = jnp.arange(depth - 1)
        most = base / (1.0 - lost / (1.0 - lost) * base**layers)
        unbalance = size**2 * jnp.sqrt(total - 1.0 * classes)
        left = constant * (theta + 4.0 * unbalance) * (2.0 - (jnp.arange(depth) + 1.0) / depth)
        return Bounds(least * jnp.ones(depth - 1), most, 1.0 - left)

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="wang-layerwise-bounds",
        title="Progressive collapse across the layers of a linear network: bounds for nearly orthogonal inputs",
        statement=r"""Let $|X^\top X-I|\le\theta/N$ entrywise, $W_L\cdots W_1=Y(X^\top X)^{-1}X^\top$ with balanced factors
whose singular values beyond the K largest are $\epsilon$, but for $W_L$, which has none. Then, with
$q_\pm=\epsilon^2((1\pm\theta)/n)^{1/L}$ and $\rho=\theta^2(1+\theta)/(1-\theta)$,
$q_-\le C_{l+1}/C_l\le q_+/(1-\frac{\rho}{1-\rho}q_+^l)$, and
$D_l\ge1-32(\theta+4\delta)(2-(l+1)/L)$, where $\delta=|W_L^\top W_L-W_{L-1}W_{L-1}^\top|_F=\epsilon^2\sqrt{N-K}$.""",
        hypotheses=(
            "squared error, balanced classes, n at least 16",
            "Gram matrix of the inputs within theta/N of the identity, theta at most 1/4",
            "minimum-norm product, balanced factors, equal singular values beyond the K largest",
        ),
        notation="Wang et al.: theta, delta, epsilon, C_l and D_l as here; l counts the layers that samples have passed.",
        sources=(
            WANG_2025.remark(
                "The bound on D_l is from memory and its constants are unchecked: their term n^(-Omega(1)), which weakens "
                "it, is left out, so that a violation here would not refute theirs. The bounds on C_{l+1}/C_l are our own; "
                "theirs has the same order, with constants that are not checked."
            ),
        ),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Claim(
                "ratio from below",
                r"C_{l+1}/C_l\ge q_-",
                ratios,
                lambda b: b.least,
                kind="lower",
                scope="any point",
                terms=cancelling,
            ),
            nct.Claim(
                "ratio from above",
                r"C_{l+1}/C_l\le q_+/(1-\frac{\rho}{1-\rho}q_+^l)",
                ratios,
                lambda b: b.most,
                kind="upper",
                scope="any point",
                terms=cancelling,
            ),
            nct.Claim(
                "discrimination",
                r"D_l\ge1-32(\theta+4\delta)(2-(l+1)/L)",
                lambda problem, params: discriminations(problem, params, None),
                lambda b: b.discrimination,
                kind="lower",
                scope="any point",
            ),
        ),
        controls=(
            nct.Control(
                "no angles above", "theta left out of the upper bound", predict_with(0.0), ("ratio from above",)
            ),
            nct.Control(
                "no angles below", "theta left out of the lower bound", predict_with(0.0), ("ratio from below",)
            ),
            nct.Control("orthogonal means", "D_l >= 1", predict_with(constant=0.0), ("discrimination",)),
            nct.Control("first power", "epsilon in the place of its square", predict_with(power=1.0)),
            nct.Control(
                "uneven layers",
                "epsilon one and a half times as large in the first layer",
                predict_with(),
                outside=draw_instances(SHAPES[1:2], uneven=1.5),
            ),
        ),
        method="polish",
        several_basins=True,
        seeds=32,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
