r"""The rank of layers and the variability within classes.

Weight decay keeps of a layer only what the data ask for. Where the features that enter a layer differ between classes alone,
the data ask for no more directions than there are classes, and at a critical point the layer has no more: its other
singular values are written by the variability within classes, divided by the decay. Off a critical point the gradient adds
to that. It holds for every layer of any network, with any loss, and for any way of putting the samples into groups.

Problem:
    $f=\mathrm{fit}+\sum_l\frac{\lambda_l}2(|W_l|_F^2+|b_l|^2)$, fit the mean loss of a network
    $Z_l=\sigma_l(W_lZ_{l-1}+b_l1^\top)$, whose samples are put into K groups; $\mathrm{dev}\,Z$ is Z, each column less the
    mean of its group.
Theorem (after Zangrando, Deidda, Brugiapaglia, Guglielmi and Tudisco 2024, number unchecked; our own form, no constants):
    Let $G_l=\partial\mathrm{fit}/\partial(W_lZ_{l-1}+b_l1^\top)$, $g_l=\partial f/\partial W_l$ and
    $E_l=g_l-G_l(\mathrm{dev}\,Z_{l-1})^\top$. At any point, for every layer and every i,
    $\sigma_{K+i}(W_l)\le\sigma_i(E_l)/\lambda_l$, so that $\mathrm{dist}_F(W_l,\mathrm{rank}\le K)\le|E_l|_F/\lambda_l$; at a
    critical point that is $|G_l(\mathrm{dev}\,Z_{l-1})^\top|_F/\lambda_l$.
Hypotheses:
    - some layer with more than K rows and columns
    - all decays > 0
Notation:
    Zangrando et al.: the total cluster variation is $|\mathrm{dev}\,Z|_F^2$, up to a factor, and the point is critical.
Why:
    $g_l=G_lZ_{l-1}^\top+\lambda_lW_l$, and $Z_{l-1}$ is dev Z plus a matrix of K different columns, whose rank is at most K.
    So $\lambda_lW_l-E_l$ has rank at most K, and the inequality is Weyl's for singular values; the sum of its squares is
    that of Eckart and Young. Biases do not enter. Both sides are equal where $E_l$ is what is left of $\lambda_lW_l$ beside
    its K largest singular values: where the part between the groups is at its optimum and larger than the part within.
Checked:
    At random starts and after 100 and 1000 steps of gradient descent both sides are computed for all layers, the gradient
    before the activations by differentiation through the network, and held against each other to the rounding of singular
    values. Some starts are arranged so that both sides are equal, at critical points and where the fit within groups is
    perfect, with linear layers and with ReLUs.
Refuted by:
    One layer at one point with a singular value above the bound by more than rounding. The same check must refute K - 1 in
    the place of K, twice the decay, a decay off by 1e-6, and the bound with the gradient or with the variability left out.
Example:
    The two sides at a start with equality, for the first layer.

    >>> network = draw_instances(jax.random.key(0))[0].problem
    >>> with jax.enable_x64(True):
    ...     left, right, _ = map(np.asarray, sides(network, network.init(jax.random.key(0), 1.0), 0))
    >>> bool(np.allclose(left, right, atol=1e-12)), bool(left[0] > 0.01)
    (True, True)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ZANGRANDO_2024
from proofs_numeric.conserved.vector_field import one, relative, zero
from proofs_numeric.networks.layers import backward, backward_size, named, of_kind, singular_values

ID = "tcv-rank"
GROUPS, EACH = 2, 5
# A shape is (widths, activation, linear layers at the end, biases, loss, how its starts are arranged).
SHAPES = (
    ((5, 6, 4), "identity", 2, False, "mse", "critical"),
    ((6, 5, 4), "identity", 2, True, "mse", "fitted"),
    ((5, 6, 4), "relu", 1, True, "mse", "critical"),
    ((6, 6, 4), "leaky_relu", 1, True, "mse", "fitted"),
    ((4, 5, 4, 2), "tanh", 1, True, "cross_entropy", "normal"),
    ((5, 4, 4, 3), "gelu", 2, False, "mse", "normal"),
)


class Grouped(nct.networks.FeedForward):
    """A network whose samples are in groups of `EACH`, one after the other, and whose starts may be arranged."""

    starts_at: str = eqx.field(static=True)

    def init(self, key, scale):
        r"""Draw a start, which is arranged for two layers and data of the form $X=\sqrt N\sum_ju_je_j^\top$,
        $Y=\sqrt N\sum_jc_jv_je_j^\top$ with orthonormal u, v and e, the first K of the e constant in each group.

        Then $W_1=\sum_jw_jq_ju_j^\top$ and $W_2=\sum_jw_jv_jq_j^\top$ make the fit's gradients $(w_j^2-c_j)w_j$ in each of
        these directions, and with equal decays f is critical for $w_j^2=c_j-\lambda$. Where the start is "fitted", $w_j^2=c_j$
        for j > K. Biases that make all neurons positive and add nothing to the logits leave that of the first layer as it is.
        """
        point = super().init(key, scale)
        if self.starts_at == "normal":
            return point
        inputs, targets = jnp.asarray(self.inputs), jnp.asarray(self.targets)
        modes = self.widths[-1]
        left, sizes, right = jnp.linalg.svd(targets @ inputs.T / inputs.shape[1], full_matrices=False)
        turn = jnp.linalg.qr(jax.random.normal(jax.random.fold_in(key, 1), (self.widths[1], modes), jnp.float64))[0]
        between = jnp.arange(modes) < GROUPS
        kept = (between if self.starts_at == "fitted" else jnp.ones(modes, bool)).astype(jnp.float64)
        values = jnp.sqrt(sizes - kept * self.weight_decay[0])
        low, up = (turn * values[None, :]) @ right, (left * values[None, :]) @ turn.T
        if self.activations[0] == "identity":
            return point._replace(
                weights=(low, up), biases=point.biases and tuple(jnp.zeros_like(b) for b in point.biases)
            )
        raised = 1.0 + jnp.max(jnp.abs(low @ inputs), axis=1)
        return point._replace(weights=(low, up), biases=(raised, -up @ raised))


def orthonormal(rng, rows, columns):
    """Draw orthonormal columns."""
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def arranged_data(rng, widths):
    """Draw inputs and targets that have the same singular directions, K of them between the groups."""
    modes, samples = widths[-1], GROUPS * EACH
    between = np.kron(np.eye(GROUPS), np.ones((EACH, 1))) @ orthonormal(rng, GROUPS, GROUPS) / np.sqrt(EACH)
    within = rng.normal(size=(samples, modes - GROUPS)).reshape(GROUPS, EACH, -1)
    within = np.linalg.qr((within - within.mean(axis=1, keepdims=True)).reshape(samples, -1))[0]
    basis = np.hstack([between, within])
    sizes = np.concatenate([rng.uniform(0.8, 1.2, GROUPS), rng.uniform(0.2, 0.4, modes - GROUPS)])
    inputs = np.sqrt(samples) * orthonormal(rng, widths[0], modes) @ basis.T
    targets = np.sqrt(samples) * orthonormal(rng, modes, modes) @ (sizes[:, None] * basis.T)
    return inputs, targets


def shaped(rng, shape, decay):
    """Build a named instance."""
    widths, activation, linear, bias, loss, arrangement = shape
    if arrangement == "normal":
        labels = np.repeat(np.arange(GROUPS), EACH)
        data = {"inputs": rng.normal(size=(widths[0], GROUPS * EACH)), "labels": labels}
    else:
        data = dict(zip(("inputs", "targets"), arranged_data(rng, widths), strict=True))
    network = nct.networks.feed_forward(
        widths=widths, loss=loss, weight_decay=decay, activation=activation, linear=linear, bias=bias, **data
    )
    return named(of_kind(Grouped, network, starts_at=arrangement), starts=arrangement)


def draw_instances(key):
    """Draw for each shape two decays, which differ between the layers where the starts are not arranged."""
    rng = nct.theorems.numpy_rng(key)
    found = []
    for shape in SHAPES:
        for level in 10.0 ** rng.uniform(-2.5, -1, size=2):
            layers = len(shape[0]) - 1
            spread = 10.0 ** rng.uniform(-0.3, 0.3, size=layers) if shape[-1] == "normal" else np.ones(layers)
            found.append(shaped(rng, shape, tuple((level * spread).tolist())))
    return found


def deviations(features):
    """Return each column less the mean of its group."""
    groups = features.reshape(features.shape[0], GROUPS, EACH)
    return (groups - jnp.mean(groups, axis=2, keepdims=True)).reshape(features.shape)


def sides(problem, params, layer, rank=GROUPS, gradient=1.0, variability=1.0):
    """Return the singular values of W_l beyond a rank, as many of those of E_l over the decay, and the rounding in both.

    The part of the gradient and that of the variability in E_l are multiplied by what is given.
    """
    slopes, below = backward(problem, params)
    weight, decay = params.weights[layer], problem.weight_decay[layer]
    slope, part = problem.value_and_grad(params)[1].weights[layer], slopes[layer] @ deviations(below[layer]).T
    left, right = singular_values(weight)[rank:], singular_values(gradient * slope - variability * part) / decay
    # A singular value is rounded relative to the largest. g_l and G_l are computed by programs of their own, so that of
    # the terms of G_l none needs to cancel.
    error = jnp.linalg.norm(weight) + backward_size(problem, params, layer) * jnp.linalg.norm(below[layer]) / decay
    return left, right[: len(left)], error


def wide_layers(problem):
    """Return the numbers of the layers with more than K rows and columns, from 0 on."""
    return [i for i in range(problem.depth) if min(problem.widths[i], problem.widths[i + 1]) > GROUPS]


def rounded(problem, params):
    """Return the rounding of both sides of all layers, relative to the right one."""
    found = []
    for layer in wide_layers(problem):
        _, right, error = sides(problem, params, layer)
        found.append(relative(error, right[0], error, params))
    return jnp.linalg.norm(jnp.stack(found))


def excess(whole, rank=GROUPS, decay=1.0, **parts):
    """Observe by how much the left sides exceed the right ones, relative to the largest singular value on the right.

    They are the norms of all singular values where `whole`, and else single ones; the decay is multiplied by `decay`.
    """

    def observed(problem, params):
        found = []
        for layer in wide_layers(problem):
            size = sides(problem, params, layer)[1][0]
            left, right, error = sides(problem, params, layer, rank, **parts)
            right = right / decay
            if whole:
                left, right = (jnp.linalg.norm(x, keepdims=True) for x in (left, right))
            found.append(relative(left[: len(right)] - right[: len(left)], size, error, params))
        return jnp.concatenate(found)

    return observed


def distance(**version):
    """State the bound on the distance, or a wrong version of it."""
    statement = r"\mathrm{dist}_F(W_l,\mathrm{rank}\le K)\le|g_l-G_l(\mathrm{dev}\,Z_{l-1})^\top|_F/\lambda_l"
    return nct.UpperBound(
        "distance", statement, excess(True, **version), zero, scope="any point", terms=rounded, size=one
    )


def single(**version):
    """State the bound on each singular value, or a wrong version of it."""
    statement = r"\sigma_{K+i}(W_l)\le\sigma_i(g_l-G_l(\mathrm{dev}\,Z_{l-1})^\top)/\lambda_l"
    return nct.UpperBound(
        "singular values", statement, excess(False, **version), zero, scope="any point", terms=rounded, size=one
    )


def started(*arrangements):
    """Tell the instances whose starts are arranged so."""
    return lambda instance: instance.parameters["starts"] in arrangements


def wrong(name, text, *arrangements, **version):
    """Make a control of both bounds, for instances whose starts are arranged so."""
    return nct.Control(name, text, versions=(distance(**version), single(**version)), applies=started(*arrangements))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: bool(wide_layers(i.problem)),
            lambda i: bool(np.all(np.asarray(i.problem.weight_decay) > 0)),
        ),
        sources=(ZANGRANDO_2024.remark("At critical points, with constants; the form at any point is our own."),),
        instances=draw_instances,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 100, 1000), rate=0.02),
        claims=(distance(), single()),
        controls=(
            wrong("rank one lower", "K - 1 for K", "critical", "fitted", rank=GROUPS - 1),
            wrong("twice the decay", "2 lambda for lambda", "critical", "fitted", decay=2.0),
            wrong("decay 1e-6 off", "a decay larger by a relative 1e-6", "critical", "fitted", decay=1.0 + 1e-6),
            wrong("gradient left out", "the bound of critical points at any point", "fitted", gradient=0.0),
            wrong("variability left out", "the gradient alone bounds the distance", "critical", variability=0.0),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
