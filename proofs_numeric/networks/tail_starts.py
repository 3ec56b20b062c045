"""Networks with linear tails, some of which start where the bounds on their rank are equalities."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.networks.layers import named, of_kind

SAMPLES, UNSEEN, REACH = 8, (0.15, 0.1), 0.9
# A shape is (widths, activation, linear layers at the end, biases, loss, how its starts are arranged).
SHAPES = (
    ((5, 6, 3), "identity", 2, False, "mse", "unseen"),
    ((6, 5, 2), "identity", 2, True, "mse", "unseen"),
    ((3, 5, 5, 1), "relu", 2, False, "mse", "neurons"),
    ((4, 5, 5, 4, 3), "relu", 3, True, "cross_entropy", "normal"),
    ((4, 5, 5, 2), "tanh", 2, False, "mse", "normal"),
    ((3, 5, 4, 5, 3), "gelu", 3, True, "mse", "normal"),
)


class Tailed(nct.networks.FeedForward):
    """A network whose starts may be arranged."""

    starts_at: str = eqx.field(static=True)

    def init(self, key, scale):
        """Draw a start, or arrange it."""
        point = super().init(key, scale)
        arranged = {"unseen": self.unseen, "neurons": self.neurons}.get(self.starts_at)
        if arranged is None:
            return point
        biases = point.biases and tuple(jnp.zeros_like(b) for b in point.biases)
        return point._replace(weights=arranged(key), biases=biases)

    def unseen(self, key):
        r"""Return two linear layers at a critical point, and directions of `UNSEEN` sizes added to the first.

        For data of the form $X=\sqrt N\sum_ju_je_j^\top$, $Y=\sqrt N\sum_jc_jv_je_j^\top$ with orthonormal u, v and e it is
        $W_1=\sum_ja_jq_ju_j^\top$, $W_2=\sum_jb_jv_jq_j^\top$ with $c_j-a_jb_j=\sqrt{\lambda_1\lambda_2}$ and
        $\lambda_1a_j^2=\lambda_2b_j^2$. What is added is orthogonal to all u on one side and to all q on the other.
        """
        inputs, targets = jnp.asarray(self.inputs), jnp.asarray(self.targets)
        low, up = self.weight_decay[0], self.weight_decay[1]
        below, inside, modes = self.widths
        left, sizes, right = jnp.linalg.svd(targets @ inputs.T / inputs.shape[1], full_matrices=False)
        turn = jnp.linalg.qr(jax.random.normal(key, (inside, inside), jnp.float64))[0]
        whole = jnp.linalg.qr(jnp.concatenate([right.T, jnp.eye(below)], axis=1))[0]
        product = sizes - jnp.sqrt(low * up)
        a, b = jnp.sqrt(product * jnp.sqrt(up / low)), jnp.sqrt(product * jnp.sqrt(low / up))
        added = slice(modes, modes + len(UNSEEN))
        first = (turn[:, :modes] * a[None, :]) @ right
        first = first + (turn[:, added] * jnp.asarray(UNSEEN)[None, :]) @ whole[:, added].T
        return first, (left * b[None, :]) @ turn[:, :modes].T

    def neurons(self, key):
        r"""Return a critical point with two neurons of size a behind a ReLU, each for one of two samples at an obtuse angle.

        The tail is $W_2=sqw^\top$, $W_3=sq^\top$ with w uniform on the two, and $s^2=2a^2$ where both targets are those of
        `draw_instances`: the gradients in a and s are $(z-y)s^2\rho/\sqrt2+2\lambda a$ and $(z-y)sa\sqrt2\rho+2\lambda s$.
        """
        inputs = jnp.asarray(self.inputs)
        units = inputs / jnp.linalg.norm(inputs, axis=0, keepdims=True)
        two = jnp.eye(self.widths[1])[:, :2]
        turn = jax.random.normal(key, (self.widths[2], 1), jnp.float64)
        turn = turn / jnp.linalg.norm(turn)
        strength = 2.0**0.5 * REACH
        shared = jnp.sum(two, axis=1, keepdims=True) / 2.0**0.5
        return REACH * two @ units.T, strength * turn @ shared.T, strength * turn.T


def data_of(rng, shape, decay):
    """Draw the inputs and what is fitted to them."""
    widths, _, _, _, loss, arrangement = shape
    if arrangement == "unseen":
        modes = widths[-1]
        basis = rng.normal(size=(SAMPLES, modes))
        basis = np.linalg.qr(basis - basis.mean(axis=0))[0]  # biases are not asked for
        into, out = (np.linalg.qr(rng.normal(size=(width, modes)))[0] for width in (widths[0], modes))
        sizes = rng.uniform(0.8, 1.2, modes)
        root = SAMPLES**0.5
        return {"inputs": root * into @ basis.T, "targets": root * out @ (sizes[:, None] * basis.T)}
    if arrangement == "neurons":
        angle, size = rng.uniform(1.8, 2.4), rng.uniform(1.0, 1.5)
        plane = np.linalg.qr(rng.normal(size=(widths[0], 2)))[0]
        inputs = size * plane @ np.array([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
        target = 2**0.5 * REACH**3 * size + decay[0] * 2**0.5 / (REACH * size)
        return {"inputs": inputs, "targets": np.full((1, 2), target)}
    labels = {"labels": rng.permutation(np.arange(SAMPLES) % widths[-1])}
    drawn = labels if loss == "cross_entropy" else {"targets": rng.normal(size=(widths[-1], SAMPLES))}
    return {"inputs": rng.normal(size=(widths[0], SAMPLES)), **drawn}


def draw_instances(key):
    """Draw for each shape two decays, which differ between the layers but where two neurons are arranged."""
    rng = nct.theorems.numpy_rng(key)
    found = []
    for shape in SHAPES:
        widths, activation, linear, bias, loss, arrangement = shape
        for level in 10.0 ** rng.uniform(-2, -1, size=2):
            spread = (
                np.ones(len(widths) - 1)
                if arrangement == "neurons"
                else 10.0 ** rng.uniform(-0.3, 0.3, len(widths) - 1)
            )
            decay = tuple((level * spread).tolist())
            network = nct.networks.feed_forward(
                widths=widths,
                loss=loss,
                weight_decay=decay,
                activation=activation,
                linear=linear,
                bias=bias,
                **data_of(rng, shape, decay),
            )
            found.append(named(of_kind(Tailed, network, starts_at=arrangement), starts=arrangement))
    return found
