r"""Late generalisation of a linear student, at finite size.

A linear student that learns a linear teacher by gradient flow forgets its start in every eigendirection of the data at the
rate of the eigenvalue. The training loss weighs a direction by that eigenvalue and the test loss does not, so that the test
loss falls later: directions in which the data hardly vary count fully in it, and those in which they do not vary at all are
never learned.

Problem:
    n samples $x_i$ with labels $\langle w_*,x_i\rangle$, $\dot w=-\nabla\frac1{2n}\sum_i\langle w-w_*,x_i\rangle^2$ from a
    start $w_0$ in d dimensions; training loss $L_{tr}=\frac1n\sum_i\langle w-w_*,x_i\rangle^2$ and test loss
    $L_{gen}=|w-w_*|^2$, that of standard normal inputs.
Theorem (Levi, Beck and Bar-Sinai 2024, number unchecked; in our own words):
    With the eigenvalues $\nu_k$ of $\frac1n\sum_ix_ix_i^\top$ and the components $c_k$ of $w_0-w_*$ along its eigenvectors
    $v_k$, $w-w_*=\sum_kc_ke^{-\nu_kt}v_k$, $L_{tr}=\sum_k\nu_kc_k^2e^{-2\nu_kt}$ and $L_{gen}=\sum_kc_k^2e^{-2\nu_kt}$. For
    $d>n$ the test loss tends to the squared length of the part of $w_0-w_*$ that no sample has seen.
Hypotheses:
    - at least one weight
    - a matrix of second moments: positive semidefinite and not zero
Notation:
    Levi et al.: the empirical covariance of the training data, and T and S for the teacher and the student. Their law for many
    samples and weights is the theorem grok-linear-limit.
Why:
    The gradient is $\frac1n\sum_ix_ix_i^\top(w-w_*)$, a linear flow. The derivative of $L_{gen}$ is $-2L_{tr}$.
Checked:
    The weights are integrated along the gradient flow from random starts, twice with different tolerances; their difference
    bounds the error. Weights and both losses are held against the formula at sixteen times, for fewer and for more samples
    than weights. All this is sampled.
Refuted by:
    One path that leaves the formula by more than twice the integrator's error and rounding. The same check must refute times
    longer by 1e-6, losses that fall at the rate of the weights, a test loss without the directions of eigenvalue zero, and one
    that is weighed by eigenvalues as the training loss is.
Example:
    Six weights and four samples: both losses at the start, and the test loss that is left.

    >>> problem = draw_instances(jax.random.key(0))[-1].problem
    >>> start = nct.starts(problem, 1)[0]
    >>> with jax.enable_x64(True):
    ...     told = predict_with()(problem, jnp.asarray(start), jnp.asarray([0.0, 1e4]))
    ...     left = [float(told.train[1, 0]), float(told.test[1, 0] / told.test[0, 0])]
    >>> left[0] < 1e-12, 0.0 < left[1] < 1.0
    (True, True)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import LEVI_2024

ID = "grok-linear"
SIZES = ((6, 24), (6, 12), (6, 6), (6, 4))
"""Weights and samples."""
TIMES = tuple(np.geomspace(0.05, 40.0, 16).tolist())
"""They are the times at which a path is held against the formula (conventional)."""


class Curve(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    weights: jax.Array
    """Less those of the teacher."""
    train: jax.Array
    test: jax.Array


def draw_instances(key):
    """Draw for each size three data sets with a teacher."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for weights, samples in SIZES:
        for _ in range(3):
            data = rng.normal(size=(samples, weights))
            problem = nct.problems.quadratic(data.T @ data / samples, rng.normal(size=weights))
            spec = nct.theorems.TrajectorySpec(TIMES, tolerance=1e-12)
            drawn.append(nct.Instance(problem, {"d": weights, "n": samples}, 1.0, spec))
    return drawn


def away(problem, params, start):
    """Return w - w_*."""
    return params - problem.centre


def train_loss(problem, params, start):
    """Return the training loss."""
    off = params - problem.centre
    return (off @ (jnp.asarray(problem.matrix) @ off))[None]


def loss_of_new_inputs(problem, params, start):
    """Return the test loss."""
    return jnp.sum((params - problem.centre) ** 2)[None]


def predict_with(time=1.0, rate=2.0, atom=1.0, weighed=False):
    """Predict for times multiplied by a number, losses that fall at `rate` times the eigenvalue, `atom` times the part of
    eigenvalue zero, or a test loss that is weighed as the training loss.
    """

    def predict(problem, start, times):
        values, vectors = jnp.linalg.eigh(jnp.asarray(problem.matrix))
        values = jnp.maximum(values, 0.0)
        begun = vectors.T @ (start - problem.centre)
        fall = jnp.exp(-values[None, :] * time * jnp.asarray(times)[:, None])
        seen = values > 1e-10 * values[-1]
        squares = begun[None, :] ** 2 * fall**rate
        kept = jnp.where(seen, 1.0, atom)[None, :] * squares
        train = jnp.sum(squares * values[None, :], axis=1)[:, None]
        return Curve((begun[None, :] * fall) @ vectors.T, train, train if weighed else jnp.sum(kept, axis=1)[:, None])

    return predict


def is_covariance(matrix):
    """Tell whether a matrix is positive semidefinite up to rounding, and not zero."""
    values = np.linalg.eigvalsh(matrix)
    return bool(values[-1] > 0 and values[0] > -1e-12 * values[-1])


def underdetermined(instance):
    """Tell whether there are more weights than samples."""
    return instance.parameters["d"] > instance.parameters["n"]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: len(i.problem.centre) >= 1,
            lambda i: is_covariance(np.asarray(i.problem.matrix)),
        ),
        sources=(
            LEVI_2024.remark("Read as an abstract; the solution of the flow is elementary and in our own words."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Trajectory("weights", "w(t)-w_*", away, lambda c: c.weights),
            nct.Trajectory("training loss", r"\sum\nu_kc_k^2e^{-2\nu_kt}", train_loss, lambda c: c.train),
            nct.Trajectory("test loss", r"\sum c_k^2e^{-2\nu_kt}", loss_of_new_inputs, lambda c: c.test),
        ),
        controls=(
            nct.Control("1e-6 late", "times longer by a relative 1e-6", predict_with(time=1 + 1e-6)),
            nct.Control(
                "rate of the weights",
                "losses that fall as e^(-nu t)",
                predict_with(rate=1.0),
                claims=("training loss", "test loss"),
            ),
            nct.Control(
                "unseen part forgotten",
                "the test loss without the eigenvalue zero",
                predict_with(atom=0.0),
                claims=("test loss",),
                applies=underdetermined,
            ),
            nct.Control("one loss for both", "L_gen = L_tr", predict_with(weighed=True), claims=("test loss",)),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
