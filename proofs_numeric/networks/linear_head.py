r"""Within-class variability before a linear head.

A network that ends in two linear layers cannot fit its labels and keep much variability in the features between them. What
the classifier sees of it must be small where the fit is good; what it does not see lies off its row space, and there the
layer before can write only as far as it is out of balance with the classifier. Weight decay takes the imbalance away, and
with it the variability: so collapse is a matter of fit and balance, with no assumption on the layers below, which may be
anything.

Problem:
    A network $Z_l=\sigma_l(W_lZ_{l-1}+b_l1^\top)$ whose last two layers are linear, at any point of its parameters; the
    part of features within classes is $\mathrm{dev}\,Z$, each column less the mean of its class.
Theorem (Jacot, Sukenik, Wang and Mondelli 2025, number unchecked; the form and its constants are our own):
    With s the least singular value of $W_L$ that is not zero and $D=W_L^\top W_L-W_{L-1}W_{L-1}^\top$,
    $|\mathrm{dev}\,Z_{L-1}|_F^2\le\frac1{s^2}|\mathrm{dev}\,Z_L|_F^2+|D|_2\,|\mathrm{dev}\,Z_{L-2}|_F^2$.
Hypotheses:
    - a network whose last two layers are linear, with anything below them
    - any assignment of the samples to classes
Notation:
    Jacot et al.: the conclusion for networks that are nearly interpolating and nearly balanced; here both are measured.
Why:
    Let P project onto the row space of $W_L$. On it $|W_Lx|\ge s|x|$, so that
    $|P\,\mathrm{dev}\,Z_{L-1}|\le|\mathrm{dev}\,Z_L|/s$; biases are the same for all samples and have no part within classes.
    Off it $W_L$ vanishes, and $(I-P)W_{L-1}W_{L-1}^\top(I-P)=-(I-P)D(I-P)$, so that $|(I-P)W_{L-1}|_2^2\le|D|_2$ and
    $|(I-P)\,\mathrm{dev}\,Z_{L-1}|^2\le|D|_2\,|\mathrm{dev}\,Z_{L-2}|^2$. The two parts are orthogonal. Both sides are
    equal where the layers are balanced and the classifier is a frame, and where the layer before writes nothing but one
    direction that the classifier does not see.
Checked:
    At random starts and after 100 and 1000 steps of gradient descent the left side is held against the right one, to the
    rounding of features, singular values and imbalance, with classes in order and at random. Some starts are arranged so
    that both sides are equal, or the classifier is as uneven as can be.
Refuted by:
    One point at which the left side exceeds the right one by more than rounding. The same check must refute the bound with
    the imbalance left out, with its square, with the largest singular value, and with the fit left out.
Example:
    Both sides at a random start.

    >>> network = draw_instances(jax.random.key(0))[0].problem
    >>> with jax.enable_x64(True):
    ...     left, fit, imbalance, _ = sides(network, network.init(jax.random.key(0), 1.0))
    >>> bool(left**2 <= fit**2 + imbalance**2), bool(left <= fit)
    (True, False)
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import JACOT_2025
from proofs_numeric.conserved.vector_field import EPS, TINY, one, rounding_unit

ID = "linear-head"
SAMPLES = 9
# A shape is (widths, activation, linear layers at the end, biases, loss, how its starts are arranged).
SHAPES = (
    ((3, 4, 4, 2), "relu", 2, True, "cross_entropy", ""),
    ((3, 4, 5, 4, 2), "gelu", 3, True, "mse", ""),
    ((4, 5, 4, 3), "relu", 2, False, "mse", "frame"),
    ((4, 5, 4, 3), "tanh", 2, True, "mse", "uneven"),
    ((3, 4, 1, 4, 2), "tanh", 2, False, "cross_entropy", "unseen"),
)


class Arranged(nct.networks.FeedForward):
    """A network whose last two layers start balanced, with a classifier that is a `frame` or `uneven`, or so that the
    classifier sees nothing of what the layer before writes (`unseen`).
    """

    arrangement: str = eqx.field(static=True)

    def init(self, key, scale):
        """Draw a start, of which the last two layers are replaced."""
        point = super().init(key, scale)
        *_, below, middle, above = self.widths
        left, inner, right = (
            jnp.linalg.qr(jax.random.normal(jax.random.fold_in(key, i), (width, width), jnp.float64))[0]
            for i, width in enumerate((above, middle, below), start=1)
        )
        values = scale * jnp.linspace(0.9, 0.3 if self.arrangement == "uneven" else 0.9, above)
        seen, unseen = inner[:, :above], inner[:, above : above + 1]
        up = (left * values[None, :]) @ seen.T
        low = (
            0.95 * scale * unseen @ right[:, :1].T
            if self.arrangement == "unseen"
            else (seen * values[None, :]) @ right[:, :above].T
        )
        return point._replace(weights=(*point.weights[:-2], low, up))


def drawn(rng, shape, labels, decay):
    """Build a named instance on inputs without structure."""
    widths, activation, linear, bias, loss, arrangement = shape
    network = nct.networks.feed_forward(
        widths=widths,
        inputs=rng.normal(size=(widths[0], SAMPLES)),
        labels=labels,
        loss=loss,
        weight_decay=decay,
        activation=activation,
        linear=linear,
        bias=bias,
    )
    if arrangement:
        fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
        network = Arranged(**fields, arrangement=arrangement)
    shown = {"widths": "-".join(map(str, widths)), "activation": activation, "linear layers": linear, "loss": loss}
    shown |= {"biases": "yes" if bias else "no", "starts": arrangement or "normal", "decay": float(decay)}
    return nct.Instance(network, shown)


def draw_instances(key):
    """Draw for each shape two decays, with samples of a class beside each other, and with random classes."""
    rng = nct.theorems.numpy_rng(key)
    found = []
    for shape in SHAPES:
        classes = shape[0][-1]
        for labels in (np.arange(SAMPLES) * classes // SAMPLES, rng.permutation(np.arange(SAMPLES) % classes)):
            found.append(drawn(rng, shape, labels, 10.0 ** rng.uniform(-3, -1)))
    return found


def within(problem, features):
    """Return each column less the mean of its class: that of the samples with the same target."""
    targets = jnp.asarray(problem.targets)
    same = jnp.all(targets[:, :, None] == targets[:, None, :], axis=0).astype(float)
    return features - features @ (same / jnp.sum(same, axis=0)[None, :])


def sides(problem, params):
    """Return the left side, the two parts of the right side, and the error that rounding makes in them."""
    below, middle, above = problem.layers(params)[-3:]
    low, up = params.weights[-2:]
    singular = jnp.linalg.svd(up, compute_uv=False)
    gap = up.T @ up - low @ low.T
    imbalance = jnp.linalg.norm(gap, ord=2)
    parts = [jnp.linalg.norm(within(problem, z)) for z in (middle, above, below)]
    # Features within classes are differences of whole features, which are sums over what the layers below put out; singular
    # values are rounded relative to the largest, and the root of an imbalance d by at most the root of the rounding of d: D is
    # made of sums of as many products as W_L has rows and W_{L-1} columns, and its norm is rounded relative to its size.
    squares = jnp.sum(up**2) + jnp.sum(low**2)
    summed = up.shape[0] + low.shape[1] + up.shape[1]
    unit = rounding_unit(params)
    reach = jnp.linalg.norm(low) * jnp.linalg.norm(below) + jnp.linalg.norm(middle)
    error = unit * (reach + (jnp.linalg.norm(up) * reach + jnp.linalg.norm(above)) / singular[-1])
    error += unit * jnp.linalg.norm(up) / singular[-1] ** 2 * parts[1]
    error += jnp.sqrt(imbalance) * unit * jnp.linalg.norm(below) + jnp.sqrt(summed * EPS * squares) * parts[2]
    return parts[0], parts[1] / singular[-1], jnp.sqrt(imbalance) * parts[2], error


def share(right):
    """Observe the left side over a right side, and its rounding."""

    def observed(problem, params):
        left, _, _, error = sides(problem, params)
        return left / (right(problem, params) + error + TINY)

    def rounded(problem, params):
        error = sides(problem, params)[3]
        return error / (rounding_unit(params) * (right(problem, params) + error + TINY))

    return observed, rounded


def whole(problem, params):
    """Return the root of the right side."""
    _, fit, imbalance, _ = sides(problem, params)
    return jnp.hypot(fit, imbalance)


def fit_alone(problem, params):
    """Return the right side without the imbalance."""
    return sides(problem, params)[1]


def imbalance_alone(problem, params):
    """Return the right side without the fit."""
    return sides(problem, params)[2]


def squared(problem, params):
    """Return the root of the right side with the square of D."""
    _, fit, imbalance, _ = sides(problem, params)
    below = jnp.linalg.norm(within(problem, problem.layers(params)[-3]))
    return jnp.hypot(fit, imbalance**2 / (below + TINY))


def largest_value(problem, params):
    """Return the right side with the largest singular value of the classifier."""
    _, fit, imbalance, _ = sides(problem, params)
    singular = jnp.linalg.svd(params.weights[-1], compute_uv=False)
    return jnp.hypot(fit * singular[-1] / singular[0], imbalance)


def variability(right=whole):
    """State the bound, or a wrong version of it."""
    observed, rounded = share(right)
    return nct.UpperBound(
        "variability",
        r"|\mathrm{dev}\,Z_{L-1}|_F^2\le\frac1{s^2}|\mathrm{dev}\,Z_L|_F^2+|D|_2\,|\mathrm{dev}\,Z_{L-2}|_F^2",
        observed,
        lambda prediction: jnp.ones(()),
        scope="any point",
        terms=rounded,
        size=one,
    )


def started(*arrangements):
    """Tell the instances whose starts are arranged so."""
    return lambda instance: instance.parameters["starts"] in arrangements


def wrong(name, text, right, *arrangements):
    """Make a control of the bound, for instances whose starts are arranged so."""
    return nct.Control(name, text, versions=(variability(right),), applies=started(*arrangements))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.depth >= 2 and i.problem.activations[-2] == "identity",
            lambda i: i.problem.targets.shape[1] >= 2,
        ),
        sources=(JACOT_2025.remark("The mechanism; the form of the bound and its constants are our own."),),
        instances=draw_instances,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 100, 1000), rate=0.02),
        claims=(variability(),),
        controls=(
            wrong("balance left out", "the fit alone bounds the variability", fit_alone, "normal", "unseen"),
            wrong("fit left out", "the imbalance alone bounds it", imbalance_alone, "frame", "uneven"),
            wrong("largest singular value", "s the largest singular value of the classifier", largest_value, "uneven"),
            wrong("square of the imbalance", "|D|^2 in the place of |D|", squared, "unseen"),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
