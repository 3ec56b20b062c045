r"""Records of perceptrons that learn from a perceptron: Hebb's rule, and samples of the version space.

The version space is the cone of all students that agree with the teacher on the examples. Under a normal prior the teacher is
itself a sample of the posterior, so that a Markov chain that starts at the teacher is in equilibrium from its first step on;
all that it has to do is to forget the teacher.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from proofs_numeric.conserved.vector_field import TINY
from proofs_numeric.statistics.experiments import Experiment

SIZES = (4, 8, 16)
"""Numbers of weights, of which limits are extrapolated."""
LARGEST = 2.5
"""The largest load."""
COMMITTEES = (1, 2, 3)
"""Numbers of students who vote."""
FLIGHT = 0.4 * math.pi
"""The time of a flight (measured: at a quarter of a turn and more the next student is on the other side of the version space,
at 0.3 pi it remembers the last one; here each flight leaves half or less of that)."""
FLIGHTS = 4
"""Flights between two students (measured: see the theorem's terms, which hold what is left of the teacher)."""
MOST_BOUNCES = 10_000
"""A chain with more bounces is lost, and its record not a number (measured: up to 90 a flight on 48 examples)."""
DATA_SETS = 8
"""Data sets of Hebb's rule in a trial, whose mean counts."""


def fly(key, student, signed, flights):
    """Return the ends of some flights of a time `FLIGHT` each, from normal velocities, within the version space.

    `signed` are the examples times their labels, weights x examples, zero for one that does not count. Between two
    reflections at its walls the paths of the normal law are ellipses, w(t) = w cos t + v sin t (Pakman and Paninski), so that
    all is exact.
    """
    gram = signed.T @ signed
    own = jnp.diagonal(gram)
    velocities = jax.random.normal(key, (flights, student.size), jnp.float64)
    beginnings = velocities @ signed

    def bounce(now):
        (student, velocity, slacks, speeds), left, flight, count, ends = now
        # a cos t + b sin t vanishes first where cot t = -b/a is largest.
        steep = jnp.where(own > 0, -speeds / slacks, -jnp.inf)
        wall = jnp.argmax(steep)
        until = jnp.arctan2(1.0, steep[wall])
        time, hits = jnp.minimum(until, left), until < left
        c, s = jnp.cos(time), jnp.sin(time)
        student, velocity = c * student + s * velocity, c * velocity - s * student
        slacks, speeds = c * slacks + s * speeds, c * speeds - s * slacks
        # At the wall the slack is zero, and what rounding makes of any slack is no less than that.
        slacks = jnp.maximum(jnp.where(hits & (jnp.arange(slacks.size) == wall), 0.0, slacks), TINY)
        turned = jnp.where(hits, -2.0 * speeds[wall] / jnp.where(own[wall] > 0, own[wall], 1.0), 0.0)
        # The next flight begins where this one ends, with a new velocity.
        ends = ends.at[flight].set(jnp.where(hits, ends[flight], student))
        flight = jnp.where(hits, flight, flight + 1)
        velocity = jnp.where(hits, velocity + turned * signed[:, wall], velocities[jnp.minimum(flight, flights - 1)])
        speeds = jnp.where(hits, speeds + turned * gram[wall], beginnings[jnp.minimum(flight, flights - 1)])
        return (student, velocity, slacks, speeds), jnp.where(hits, left - time, FLIGHT), flight, count + 1, ends

    first = (student, velocities[0], student @ signed, beginnings[0])
    start = (first, jnp.asarray(FLIGHT), jnp.asarray(0), jnp.asarray(0), jnp.full(velocities.shape, jnp.nan))
    return jax.lax.while_loop(lambda now: (now[2] < flights) & (now[3] < MOST_BOUNCES), bounce, start)[-1]


def angle(first, second):
    """Return the angle of two vectors over pi: the probability that they disagree."""
    cosine = first @ second / (jnp.linalg.norm(first) * jnp.linalg.norm(second))
    return jnp.arccos(jnp.clip(cosine, -1.0, 1.0)) / jnp.pi


def labelled(key, weights, counted, most):
    """Draw a teacher and `most` examples times their labels, of which the first ones count."""
    first, second = jax.random.split(key)
    teacher = jax.random.normal(first, (weights,), jnp.float64)
    examples = jax.random.normal(second, (weights, most), jnp.float64)
    return teacher, examples * jnp.sign(teacher @ examples)[None, :] * counted[None, :]


class VersionSpaces(Experiment):
    """A record of students of perceptrons of all `sizes`, at one load."""

    load: jax.Array = eqx.field(kw_only=True)
    r"""$\alpha$, at most `LARGEST`, for which the numbers of examples are whole."""
    sizes: tuple[int, ...] = eqx.field(static=True, kw_only=True, default=SIZES)
    flights: int = eqx.field(static=True, kw_only=True, default=FLIGHTS)

    def trial(self, key):
        """Return for each size Hebb's error, what one flight fewer changes, and the errors of the committees."""
        keys = jax.random.split(key, len(self.sizes))
        return jnp.concatenate([self.at_size(k, weights) for k, weights in zip(keys, self.sizes, strict=True)])

    def counted(self, weights):
        """Return ones for the examples that count, of as many as the largest load has."""
        return (jnp.arange(int(LARGEST * weights), dtype=jnp.float64) < jnp.round(self.load * weights)).astype(
            jnp.float64
        )

    def hebb(self, key, weights):
        """Return the mean error of the sum of all labelled examples over some data sets."""

        def one(key):
            teacher, signed = labelled(key, weights, self.counted(weights), int(LARGEST * weights))
            return angle(teacher, jnp.sum(signed, axis=1))

        return jnp.mean(jax.vmap(one)(jax.random.split(key, DATA_SETS)))

    def students(self, key, weights):
        """Return the teacher with all ends of flights from it."""
        begun, flown = jax.random.split(key)
        teacher, signed = labelled(begun, weights, self.counted(weights), int(LARGEST * weights))
        ends = fly(flown, teacher, signed, self.flights * COMMITTEES[-1])
        return jnp.concatenate([teacher[None], ends])

    def at_size(self, key, weights):
        """Return the numbers of one size: Hebb's error, what one flight fewer changes, and errors of the committees.

        Teacher and students are samples of one posterior, so that each may be the teacher of those after it, in turn.
        """
        first, second = jax.random.split(key)
        everyone = self.students(second, weights)
        units = everyone / jnp.linalg.norm(everyone, axis=1, keepdims=True)
        early = self.flights - 1
        before = jnp.mean(jax.vmap(angle)(units[:-early], units[early:]))
        after = jnp.mean(jax.vmap(angle)(units[: -self.flights], units[self.flights :]))
        apart = units[:: self.flights]
        turns = [jnp.roll(apart, -turn, axis=0) for turn in range(len(apart))]
        errors = [
            jnp.mean(jnp.stack([angle(one[0], jnp.sum(one[1 : n + 1], axis=0)) for one in turns])) for n in COMMITTEES
        ]
        return jnp.stack([self.hebb(first, weights), before - after, *errors])
