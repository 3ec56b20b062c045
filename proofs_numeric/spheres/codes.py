"""Theorems about unit vectors whose minimisers are frames of classes: predictions, claims and wrong versions."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.simplex import directions, orthogonal


class Code(NamedTuple):
    """What a theorem says of the minimisers: the value, and the inner products of all vectors."""

    value: jax.Array
    gram: jax.Array


def drawn(build_instance, pools, ranges) -> Callable[[jax.Array], list[nct.Instance]]:
    """Make what draws, with a key, one shape of each pool, and for each a number of every range, evenly in its logarithm."""

    def draw_instances(key):
        rng = nct.theorems.numpy_rng(key)
        return [
            build_instance(*shape, log_uniform(rng, *ends))
            for pool in pools
            for shape in pick(rng, pool)
            for ends in ranges
        ]

    return draw_instances


def repeated(gram: np.ndarray | jax.Array, counts: tuple[int, ...]) -> jax.Array:
    """Return the Gram matrix of vectors that coincide within classes, from that of the classes."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return jnp.asarray(gram)[labels][:, labels]


def one_each(problem) -> tuple[int, ...]:
    """Return the counts of an energy with one vector a class."""
    return getattr(problem.energy, "counts", None) or (1,) * problem.energy.vectors


def simplex_code(value_of, counts_of=one_each, frame_of=directions) -> Callable[..., Code]:
    """Make the prediction of a simplex of classes, with the value that `value_of(problem)` returns."""
    return lambda problem: Code(value_of(problem), repeated(frame_of(len(counts_of(problem))), counts_of(problem)))


def ends_claim() -> nct.Equality:
    """Claim that every descent ends at the minimum."""
    return nct.Equality(
        "ends",
        r"f=\min f\mathrm{\ at\ every\ end}",
        lambda problem, params: problem.objective(params),
        lambda c: c.value,
        scope="critical points",
        of_value=True,
    )


def code_claims(ends: bool = True) -> tuple[nct.theorems.Claim, ...]:
    """Claim the minimum, the inner products and, if `ends`, that all descents end there."""
    claims = (
        nct.GlobalValue("value", r"\min f", lambda c: c.value),
        nct.Equality("gram", r"UU^\top", lambda problem, params: problem.gram(params), lambda c: c.gram),
    )
    return (*claims, ends_claim()) if ends else claims


def code_controls(predict, wrong_value, what, outside=None, frame_of=orthogonal) -> tuple[nct.Control, ...]:
    """List wrong versions: another value (`what` says which), another frame, 1e-6 off, and instances outside, if any."""
    counts = one_each

    def framed(problem):
        return predict(problem)._replace(gram=repeated(frame_of(len(counts(problem))), counts(problem)))

    def stretched(problem):
        true = predict(problem)
        return Code(true.value, (1 + 1e-6) * jnp.asarray(true.gram))

    controls = (
        nct.Control(what[0], what[1], lambda p: predict(p)._replace(value=wrong_value(p)), ("value",)),
        nct.Control("another frame", "directions of another frame", framed, ("gram",)),
        nct.Control("1e-6 larger", "inner products larger by a relative 1e-6", stretched, ("gram",)),
    )
    if outside is None:
        return controls
    name, words, draw = outside
    return (*controls, nct.Control(name, words, claims=("ends",), outside=draw))
