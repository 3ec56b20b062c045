r"""Within-class variability before the head of modules.

Before a linear head within-class variability is bounded by fit and balance where one linear layer writes the features
(linear-head). In residual networks and in transformers none does: the features are a sum of what the embedding and all
blocks write. But that sum is linear in all that is written, whatever norms and attention stand before it, and so is the mean
over positions. With all that writes as one layer the bound is the same, and with the last block alone it is false.

Problem:
    A module of flax at any point of its parameters, whose features are $h_n=\sum_bW_b^\top a_{bn}+c$ with kernels $W_b$,
    constants c, and $a_b$ what enters them, its mean over positions where there are several; the logits are $Vh_n+v$. The
    part within classes is $\mathrm{dev}$, each sample less the mean of its class.
Theorem (after Jacot, Sukenik, Wang and Mondelli 2025, number unchecked; form, constants and the sum over writers our own):
    With s the least singular value of V that is not zero and $D=V^\top V-\sum_bW_b^\top W_b$,
    $|\mathrm{dev}\,h|_F^2\le\frac1{s^2}|\mathrm{dev}\,z|_F^2+|D|_2\sum_b|\mathrm{dev}\,a_b|_F^2$.
Hypotheses:
    - convolutions with two linear layers at the end, residual blocks with norms or without, or a transformer
    - a head of full rank
Notation:
    Jacot et al.: feed-forward networks with a linear tail, which are nearly interpolating and nearly balanced.
Why:
    All writers are one linear layer $W=(W_1^\top,\dots,W_B^\top)$ with $a=(a_1,\dots,a_B)$ below it, to which that theorem
    applies: on the row space of V the features are at most $|\mathrm{dev}\,z|/s$, and off it
    $(I-P)WW^\top(I-P)=-(I-P)D(I-P)$. Constants, biases and positions have no part within classes. Both sides are equal where
    layers are balanced and the head is a frame, and where all that is written is one direction that the head does not see.
    Decay does not make D small where blocks read the stream too: it balances writers with all that reads (module-balance).
Checked:
    At random starts and after 50 and 300 steps of gradient descent the left side is held against the right one on the flax
    modules that `nctheory train` trains, to the rounding of features, singular values and imbalance; what enters each
    writer is what its layer notes in the module's own pass. Some starts are arranged so that both sides are equal, or the
    head is as uneven as can be. All this is sampled.
Refuted by:
    One point at which the left side exceeds the right one by more than rounding. The same check must refute the bound for
    the last block as the only writer, with the imbalance left out, with its square, with the largest singular value, and
    with the fit left out.
Example:
    What writes the features of a transformer of one block, and the numbers that enter at each position.

    >>> with jax.enable_x64(True):
    ...     network = draw_heads(jax.random.key(0))[9].problem
    ...     found = sizes(network)
    >>> [(".".join(map(str, path)), found[path][1]) for path in writers(network.make)]
    [('embedding', 4), ('blocks.0.attention.out', 4), ('blocks.0.down', 8)]
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import JACOT_2025
from proofs_numeric.conserved.vector_field import EPS, TINY, norm, one, rounding_unit
from proofs_numeric.networks.layers import of_kind, singular_values
from proofs_numeric.networks.module_instances import IMAGE, drawn, shown
from proofs_numeric.networks.module_layers import array_at, entering, replaced, sizes

ID = "module-linear-head"
SAMPLES, CLASSES = 6, 2


def writers(form):
    """Return the paths of the kernels that write the features."""
    if isinstance(form, nct.networks.ConvNet):
        return [("tail", form.linear - 2)]
    block = [("attention", "out"), ("down",)] if isinstance(form, nct.networks.Transformer) else [("down",)]
    return [("embedding",), *(("blocks", i, *name) for i in range(form.blocks) for name in block)]


class Arranged(nct.networks.ModuleNetwork):
    """A module whose first writer and head start balanced, with a head that is a `frame` or `uneven`, or so that the head
    sees nothing of what the first writer writes (`unseen`); the other writers write nothing, and nothing that varies enters
    those of an `unseen` one.
    """

    starts_at: str = eqx.field(static=True)

    def init(self, key, scale):
        """Draw a start, or arrange it."""
        point = super().init(key, scale)
        if self.starts_at == "normal":
            return point
        first, *others = writers(self.make)
        below, middle = array_at(point, first).shape
        left, inner, right = (
            jnp.linalg.qr(jax.random.normal(jax.random.fold_in(key, i), (width, width), jnp.float64))[0]
            for i, width in enumerate((CLASSES, middle, below), start=1)
        )
        values = jnp.linspace(0.9, 0.3 if self.starts_at == "uneven" else 0.9, CLASSES)[None, :]
        seen, unseen = inner[:, :CLASSES], inner[:, CLASSES : CLASSES + 1]
        unread = self.starts_at == "unseen"
        written = 0.95 * unseen @ right[:, :1].T if unread else (seen * values) @ right[:, :CLASSES].T
        point = replaced(replaced(point, first, written.T), ("head",), ((left * values) @ seen.T).T)
        silent = [("blocks", i, "up") for i in range(self.make.blocks)] if unread else []
        for path in (*others, *silent):
            point = replaced(point, path, jnp.zeros_like(array_at(point, path)))
        return point


def headed(rng, make, shape, decay, starts="normal", **options):
    """Build a named instance."""
    inputs = rng.normal(size=(SAMPLES, *shape))
    labels = rng.permutation(np.arange(SAMPLES) % CLASSES)
    instance = drawn(rng, make, decay, shape, data=nct.networks.Data(inputs, labels), **options)
    return nct.Instance(
        of_kind(Arranged, instance.problem, starts_at=starts), {**instance.parameters, "starts": starts}
    )


def draw_heads(key):
    """Draw convolutions, residual blocks and transformers, with starts of every kind."""
    rng = nct.theorems.numpy_rng(key)
    level = (10.0 ** rng.uniform(-2, -1, size=12)).tolist()
    conv, long = (nct.networks.ConvNet((3, 4), linear, IMAGE, CLASSES) for linear in (2, 3))
    plain = nct.networks.ResidualMLP(4, 2, 3, CLASSES, False, activation="gelu")
    normed = nct.networks.ResidualMLP(4, 2, 3, CLASSES)
    thin = nct.networks.ResidualMLP(4, 1, 1, CLASSES)
    reader = nct.networks.Transformer(4, 1, 2, length=3, features=4, classes=CLASSES)
    return [
        headed(rng, conv, IMAGE, level[0]),
        headed(rng, long, IMAGE, level[1], loss="cross_entropy"),
        headed(rng, conv, IMAGE, level[2], "frame"),
        headed(rng, conv, IMAGE, level[3], "uneven"),
        headed(rng, plain, (3,), level[4]),
        headed(rng, normed, (3,), level[5], loss="cross_entropy"),
        headed(rng, normed, (3,), level[6], "frame"),
        headed(rng, normed, (3,), level[7], "uneven"),
        headed(rng, thin, (1,), level[8], "unseen"),
        headed(rng, reader, (3, 4), level[9]),
        headed(rng, reader, (3, 4), level[10], "frame"),
        headed(rng, reader, (3, 4), level[11], "uneven"),
    ]


def within(problem, features):
    """Return the samples, which lie first, less the mean of their class: that of the samples with the same target."""
    targets = jnp.asarray(problem.targets)
    same = jnp.all(targets[:, :, None] == targets[:, None, :], axis=0).astype(float)
    return features - same @ features / jnp.sum(same, axis=0)[:, None]


def below(problem, params, chosen):
    """Return what enters the writers, side by side, as N x everything, and the writers as everything x features."""
    into = dict(zip(sizes(problem), entering(problem, params), strict=True))
    means = [jnp.mean(into[path], axis=1) for path in chosen]
    kernels = [array_at(params, path).reshape(x.shape[1], -1) for path, x in zip(chosen, means, strict=True)]
    return jnp.concatenate(means, axis=1), jnp.concatenate(kernels)


def constants(problem, params):
    """Bound the norm of what is added to the features of each sample: biases of the writers, and positions."""
    added = [array_at(params, path, "bias") for path in writers(problem.make) if problem_has_bias(problem)]
    added += [params["positions"]] if "positions" in params else []
    return sum((norm(x) for x in added), jnp.zeros(()))


def problem_has_bias(problem):
    """Tell whether layers have biases."""
    return getattr(problem.make, "bias", True)


def sides(problem, params, last=False):
    """Return the left side, the two parts of the right side, and the error that rounding makes in them.

    With `last` the last writer is taken for the only one.
    """
    chosen = writers(problem.make)
    features, logits = (z.T for z in problem.layers(params)[-2:])
    entered, low = below(problem, params, chosen[-1:] if last else chosen)
    up = problem.head(params)[0]
    singular = singular_values(up)
    imbalance = jnp.linalg.norm(up.T @ up - low.T @ low, ord=2)
    parts = [norm(within(problem, x)) for x in (features, logits, entered)]
    # Features are sums over all that enters the writers, at every position, and of constants, which cancel within classes;
    # the rest is as in linear-head: singular values are rounded relative to the largest, and the root of an imbalance by at
    # most the root of the rounding of its sums of products.
    positions = max(p for path, (p, _, _) in sizes(problem).items() if path in chosen)
    whole_entered, whole_low = below(problem, params, chosen)
    unit, count = rounding_unit(params), features.shape[0]
    reach = positions**0.5 * norm(whole_low) * reached(problem, params) + norm(features)
    reach += count**0.5 * constants(problem, params)
    error = unit * (reach + (norm(up) * reach + norm(logits)) / singular[-1])
    error += unit * norm(up) / singular[-1] ** 2 * parts[1]
    squares, summed = norm(up) ** 2 + norm(low) ** 2, up.shape[0] + low.shape[0] + up.shape[1]
    error += jnp.sqrt(imbalance) * unit * norm(whole_entered) + jnp.sqrt(summed * EPS * squares) * parts[2]
    return parts[0], parts[1] / singular[-1], jnp.sqrt(imbalance) * parts[2], error


def reached(problem, params):
    """Return the norm of what enters the writers at all positions, before means over positions are taken."""
    into = dict(zip(sizes(problem), entering(problem, params), strict=True))
    return norm(*(into[path] for path in writers(problem.make)))


def share(right, last=False):
    """Observe the left side over a right side, and its rounding."""

    def observed(problem, params):
        left, *told, error = sides(problem, params, last)
        return left / (right(problem, params, *told) + error + TINY)

    def rounded(problem, params):
        _, *told, error = sides(problem, params, last)
        return error / (rounding_unit(params) * (right(problem, params, *told) + error + TINY))

    return observed, rounded


def whole(problem, params, fit, imbalance):
    """Return the root of the right side."""
    return jnp.hypot(fit, imbalance)


def fit_alone(problem, params, fit, imbalance):
    """Return the right side without the imbalance."""
    return fit


def imbalance_alone(problem, params, fit, imbalance):
    """Return the right side without the fit."""
    return imbalance


def squared(problem, params, fit, imbalance):
    """Return the root of the right side with the square of D."""
    entered = within(problem, below(problem, params, writers(problem.make))[0])
    return jnp.hypot(fit, imbalance**2 / (norm(entered) + TINY))


def largest_value(problem, params, fit, imbalance):
    """Return the right side with the largest singular value of the head."""
    singular = singular_values(problem.head(params)[0])
    return jnp.hypot(fit * singular[-1] / singular[0], imbalance)


def variability(right=whole, last=False):
    """State the bound, or a wrong version of it."""
    observed, rounded = share(right, last)
    return nct.UpperBound(
        "variability",
        r"|\mathrm{dev}\,h|_F^2\le\frac1{s^2}|\mathrm{dev}\,z|_F^2+|D|_2\sum_b|\mathrm{dev}\,a_b|_F^2",
        observed,
        lambda prediction: jnp.ones(()),
        scope="any point",
        terms=rounded,
        size=one,
    )


def known(instance):
    """Tell whether a module is one of which the theorem speaks."""
    make = instance.problem.make
    two = isinstance(make, nct.networks.ConvNet) and make.linear >= 2
    return two or isinstance(make, nct.networks.ResidualMLP | nct.networks.Transformer)


def full(instance):
    """Tell whether there are as many features as classes, so that a head drawn at random has full rank."""
    make = instance.problem.make
    return instance.problem.classes <= (make.channels[-1] if isinstance(make, nct.networks.ConvNet) else make.width)


def wrong(name, text, right=whole, last=False, **wanted):
    """Make a control of the bound, for instances of these parameters."""
    return nct.Control(name, text, versions=(variability(right, last),), applies=shown(**wanted))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(known, full),
        sources=(JACOT_2025.remark("The mechanism; constants and the sum over writers are our own."),),
        instances=draw_heads,
        predict=lambda problem: None,
        method=nct.theorems.Train(steps=(0, 50, 300), rate=0.02),
        seeds=16,
        claims=(variability(),),
        controls=(
            wrong(
                "the last block alone",
                "the last block taken for all that writes",
                last=True,
                starts="unseen",
            ),
            wrong("balance left out", "the fit alone bounds it", fit_alone, starts=("normal", "unseen")),
            wrong("fit left out", "the imbalance alone bounds it", imbalance_alone, starts=("frame", "uneven")),
            wrong("largest singular value", "s the largest singular value of the head", largest_value, starts="uneven"),
            wrong("square of the imbalance", "|D|^2 in the place of |D|", squared, starts="unseen"),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
