"""Chains of ReLUs with squared error: instances of given strength, what neural collapse is there, and what is observed."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.deep.chains import strengths
from proofs_numeric.pool import log_uniform, near

START = {2: 1.5, 3: 1.6, 4: 1.7}
"""Scale of the starts by number of weight layers: small ones fall to zero, a local minimum."""
SPREAD = 0.3
"""Largest distance of the logarithms of two decays from their mean."""


class Prediction(NamedTuple):
    """What neural collapse says: the minimum of the linear chain, whose features can be taken without a negative entry."""

    minimum: nct.Minimum
    grams: jax.Array
    """The Gram matrices of the features behind every ReLU, (L-1) x N x N."""
    norms: jax.Array
    """The squared norms of all factors."""
    onset: float


def chain(widths, counts, decay):
    """Build the chain with a ReLU behind every layer but the last, on free features."""
    return nct.deep_nonlinear(widths=widths, counts=counts, loss="mse", weight_decay=decay)


def linear(problem):
    """Build the same chain without its ReLUs."""
    return nct.deep_linear(
        widths=problem.widths, counts=problem.counts, loss="mse", weight_decay=tuple(problem.weight_decay)
    )


def build_instance(rng, widths, counts, relative, spread=SPREAD):
    """Build the chain in which the strongest class has b = `relative` times the onset."""
    depth, samples = len(widths) - 1, sum(counts)
    target = relative * nct.closed_form.onset(depth) * max(counts) / (depth * samples)
    common = (target**depth / samples) ** (1 / (depth + 1))
    drawn = rng.uniform(-spread, spread, size=depth + 1)
    problem = chain(widths, counts, tuple((common * np.exp(drawn - drawn.mean())).tolist()))
    shown = {"L": depth, "K": len(counts), "d": min(widths[:-1]), "counts": "-".join(map(str, counts))}
    scale = START[depth] * (1.0 if relative < 1 else 0.4)
    return nct.Instance(problem, {**shown, "relative": float(relative)}, scale=scale)


def drawn_strengths(rng):
    """Draw relative strengths: weak decay, moderate decay, close to the onset on either side."""
    return log_uniform(rng, 0.05, 0.3), rng.uniform(0.4, 0.8), near(rng, False, 3e-3), near(rng, True, 3e-3)


def predict(problem):
    """State that the chain ends as the linear one does."""
    minimum = nct.global_minimum(linear(problem))
    singular = jnp.asarray(minimum.layer_singular_values)
    # Behind layer l the features of class k have the length s_k(H) s_k(W_1) ... s_k(W_l), one direction each.
    order = np.argsort(-np.asarray(problem.counts), kind="stable")
    labels = np.repeat(np.arange(problem.classes), problem.counts)
    place = np.argsort(order)[labels]
    grams, reached = [], singular[-1]
    for layer in singular[: problem.depth - 1]:
        reached = reached * layer
        square = reached[place] ** 2 / jnp.asarray(np.asarray(problem.counts, float)[labels])
        grams.append(jnp.where(jnp.asarray(labels[:, None] == labels[None, :]), square[:, None], 0.0))
    return Prediction(minimum, jnp.stack(grams), jnp.sum(singular**2, axis=1), nct.closed_form.onset(problem.depth))


def grams(problem, params):
    """Return the Gram matrices of the features behind every ReLU."""
    return jnp.stack([features.T @ features for features in problem.layers(params)[1:]])


def norms(problem, params):
    """Return the squared norms of all factors."""
    return jnp.stack([jnp.sum(factor**2) for factor in (*params.weights, params.features)])


def chain_claims():
    """Claim value, logits, the features behind every ReLU, and the norm of every factor."""
    return (
        nct.GlobalValue("value", r"\min f", lambda p: p.minimum.value),
        nct.Equality("logits", r"Z", lambda problem, params: problem.logits(params), lambda p: p.minimum.logits),
        nct.Equality("hidden grams", r"X_l^\top X_l", grams, lambda p: p.grams),
        nct.Equality("norms", r"|W_l|_F^2,|H|_F^2", norms, lambda p: p.norms),
    )


def off_by(relative, *names):
    """State some quantities larger by a relative error."""

    def wrong(problem):
        true = predict(problem)
        minimum = true.minimum._replace(
            **{name: (1 + relative) * getattr(true.minimum, name) for name in names if name in ("value", "logits")}
        )
        others = {name: (1 + relative) * getattr(true, name) for name in names if name in ("grams", "norms")}
        return true._replace(minimum=minimum, **others)

    return wrong


class NearCollapse(nct.problems.DeepNonlinear):
    """The same chain started near neural collapse, or near zero: close to the onset random starts rarely reach the former.

    Which of its end states is the minimum is for the certificate to say.
    """

    def init(self, key, scale):
        """Start with all classes on, one direction each, or all off, with a few per cent of noise."""
        drawn = jax.random.uniform(key, (), jnp.float64) + 1e7 * jnp.sum(jnp.log(jnp.asarray(self.weight_decay)))
        on = jnp.where(drawn - jnp.floor(drawn) > 0.4, 0.9, 0.0)
        counts = np.asarray(self.counts)
        labels = np.repeat(np.arange(self.classes), counts)
        # Every factor takes an equal part of a product of the targets' size.
        size = on * np.sqrt(counts.max()) ** (1 / self.factors)
        noise = super().init(key, 0.05)
        weights = tuple(
            size * jnp.zeros(w.shape).at[: self.classes, : self.classes].set(jnp.eye(self.classes)) + w
            for w in noise.weights
        )
        code = jnp.zeros((self.widths[0], len(labels))).at[labels, np.arange(len(labels))].set(1.0)
        return nct.problems.ChainParams(
            weights, size / np.sqrt(counts.max()) * code + jnp.asarray(noise.features), None
        )


def at_strength(problem, strength):
    """Return the chain with another strength b of its strongest class, and the same ratios of the decays."""
    factor = (strength / float(jnp.min(strengths(linear(problem))[3]))) ** (problem.depth / (problem.depth + 1))
    fields = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
    return NearCollapse(**{**fields, "weight_decay": np.asarray(factor * np.asarray(problem.weight_decay))})


def height(problem, params):
    """Return the inner product of the logits and the targets."""
    return jnp.sum(jnp.asarray(problem.targets) * problem.logits(params))


def far_around(problem):
    """Name strengths on either side of the onset."""
    return 0.5 * nct.closed_form.onset(problem.depth), 2.0 * nct.closed_form.onset(problem.depth)


def onset_claim(moved=1.0):
    """Claim where the minimum becomes zero, or that it does so elsewhere."""
    return nct.Threshold(
        "onset",
        r"b<(L-1)^{(L-1)/L}/L",
        at_strength,
        height,
        lambda p: moved * p.onset,
        far_around,
    )


RELU_CHAIN = nct.Hypothesis(
    "squared error, free features, a ReLU behind each of the layers 1, ..., L-1",
    lambda i: (
        nct.losses.is_loss(i.problem.loss, "mse")
        and i.problem.inputs is None
        and i.problem.depth >= 2
        and i.problem.activations == ("identity", *["relu"] * (i.problem.depth - 1))
        and not any(i.problem.residual)
    ),
)


def with_strength(change):
    """State the theorem with b of the linear chain changed: every decay times a factor that makes it so."""

    def changed(problem):
        model = linear(problem)
        factor = change(problem) ** (problem.depth / (problem.depth + 1))
        other = dataclasses.replace(model, weight_decay=factor * jnp.asarray(model.weight_decay))
        return predict(problem)._replace(minimum=nct.global_minimum(other))

    return changed


def just_below(problem):
    """Return by how much b is too large for a decay just below the onset, where the formula still has its root."""
    return 0.999 * nct.closed_form.onset(problem.depth) / float(jnp.min(strengths(linear(problem))[3]))


def wrong_versions(located=True):
    """List the wrong versions of a theorem that says that the chain ends as the linear one; the onset is `located` or not."""
    onset = nct.Control("onset 0.1 % off", "the onset larger by 0.1 %", versions=(onset_claim(1.001),))
    late = nct.Control(
        "onset 3 % late",
        "on up to 1.03 of the onset",
        with_strength(just_below),
        ("logits",),
        lambda instance: 1.0 < float(instance.parameters["relative"]) < 1.03,
    )
    return (
        *((onset, late) if located else ()),
        nct.Control(
            "one layer more",
            "b larger by (L+1)/L",
            with_strength(lambda problem: (problem.depth + 1) / problem.depth),
            ("value", "logits"),
            below_the_onset,
        ),
        nct.Control(
            "N left out",
            "b without N under the root",
            with_strength(lambda problem: sum(problem.counts) ** (-1 / problem.depth)),
            ("value", "logits"),
            below_the_onset,
        ),
        nct.Control(
            "value 1e-6 off",
            "value and logits larger by a relative 1e-6",
            off_by(1e-6, "value", "logits"),
            ("value", "logits"),
            below_the_onset,
        ),
        nct.Control(
            "features 1e-6 off",
            "Gram matrices larger by a relative 1e-6",
            off_by(1e-6, "grams"),
            ("hidden grams",),
            below_the_onset,
        ),
        nct.Control(
            "norms 1e-6 off",
            "norms larger by a relative 1e-6",
            off_by(1e-6, "norms"),
            ("norms",),
            below_the_onset,
        ),
    )


def below_the_onset(instance):
    """Tell whether some class is on."""
    return float(instance.parameters["relative"]) < 1.0
