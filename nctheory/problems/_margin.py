"""Constructors of the losses of margins: hard-margin features as an augmented Lagrangian, and the vector-scaling loss."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from nctheory.engine import Array, Scalar, as_array, float64, is_traced, untraced
from nctheory.problems._chain import DeepLinear
from nctheory.problems._constructors import reduce_to_class_means, unconstrained_features
from nctheory.problems._margin_losses import MarginPenalty, ShiftPenalty, VectorScaling


def _vector(name: str, value: Sequence[float] | Array | None, classes: int, *, positive: bool) -> Array:
    if value is None:
        return jnp.ones(classes) if positive else jnp.zeros(classes)
    vector = as_array(value)
    kind = "positive" if positive else "finite"
    known = not is_traced(vector)
    bad = known and (not np.all(np.isfinite(vector)) or (positive and np.any(vector <= 0)))
    if vector.shape != (classes,) or bad:
        got = vector.tolist() if known else f"shape {vector.shape}"
        raise ValueError(f"{name}: expected {classes} {kind} numbers, one per class, got {got}")
    return jnp.asarray(vector)


@float64
def vector_scaling(
    classes: int,
    *,
    class_scale: Sequence[float] | Array | None = None,
    label_scale: Sequence[float] | Array | None = None,
    offset: Sequence[float] | Array | None = None,
    weight: float | Scalar = 1.0,
) -> VectorScaling:
    r"""The loss $\omega\log(1+\sum_{c\ne y}e^{\iota_c-\iota_y-\gamma_y(\delta_yz_y-\delta_cz_c)})$ for K = `classes`.

    `class_scale` delta and `label_scale` gamma are positive (default 1), `offset` iota any (default 0), `weight` omega > 0.
    Raises ValueError otherwise; only the shape of traced numbers is checked.

    >>> vector_scaling(3, offset=(1.0, 0.0, 0.0)).name
    'vector_scaling'
    """
    if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
        raise ValueError(f"classes: expected a whole number of at least 2, got {classes!r}")
    if not is_traced(weight) and not (np.isfinite(weight) and weight > 0):
        raise ValueError(f"weight: expected a finite positive number, got {weight}")
    return VectorScaling(
        class_scale=_vector("class_scale", class_scale, classes, positive=True),
        label_scale=_vector("label_scale", label_scale, classes, positive=True),
        offset=_vector("offset", offset, classes, positive=False),
        weight=jnp.asarray(weight, float),
    )


@untraced()
@float64
def support_vector_features(
    *,
    counts: Sequence[int],
    dim: int,
    multipliers: np.ndarray | Array,
    class_scale: Sequence[float] | Array | None = None,
    label_scale: Sequence[float] | Array | None = None,
    penalty: np.ndarray | Array | None = None,
    weight_decay: Sequence[float] = (1.0, 1.0),
    reduced: bool = True,
) -> DeepLinear:
    r"""The unconstrained-feature support vector machine, as an augmented Lagrangian with fixed multipliers.

    $$\min_{W,H}\tfrac{\lambda_W}2|W|^2+\tfrac{\lambda_H}2|H|^2\quad\text{s.t.}\quad
      \gamma_{y_i}(\delta_{y_i}w_{y_i}-\delta_cw_c)^\top h_i\ge1\quad(c\ne y_i).$$

    `multipliers` a (K x K, a[c, k] >= 0 for c != k, diagonal ignored) belong to the constraints of one sample of class k,
    in the Lagrangian with the sum over samples. The minimum of the problem returned is a lower bound on the program's for
    every a, and is attained at a feasible point with that value only if it **is** the program's.
    `penalty` rho > 0 has the same shape (default: the multipliers, their mean where they are zero). `counts` n_k;
    `dim` d; `reduced` takes one column per class, in which case the counts are array leaves and not static.

    Raises ValueError, naming the argument, for bad input.

    >>> import numpy as np
    >>> model = support_vector_features(counts=(2, 1), dim=2, multipliers=np.full((2, 2), 0.5))
    >>> model.loss.name, model.targets.shape
    ('margin_penalty', (2, 2))
    """
    classes = len(counts)
    if classes < 2:
        raise ValueError(f"counts: expected at least two classes, got {classes}")
    samples = float(sum(counts))
    given = _square("multipliers", multipliers, classes)
    if np.any(given < 0):
        raise ValueError(f"multipliers: expected none below 0 off the diagonal, got {given.min()}")
    if not np.any(given > 0):
        raise ValueError("multipliers: expected a positive one off the diagonal, got none")
    # The mean is over the K (K - 1) entries off the diagonal, which alone belong to constraints.
    mean = given.sum() / (classes * (classes - 1))
    stiff = np.where(given > 0, given, mean) if penalty is None else _square("penalty", penalty, classes)
    # The diagonal belongs to no constraint, and passes the test as 1.
    if np.any(stiff + np.eye(classes) <= 0):
        raise ValueError(f"penalty: expected positive entries off the diagonal, got {stiff.min()}")
    scale = _vector("class_scale", class_scale, classes, positive=True)
    # With equal class scales a constant added to the logits cancels in all margins, and the loss says so by its type.
    kind = ShiftPenalty if np.ptp(np.asarray(scale)) == 0.0 else MarginPenalty
    # The fit of a chain is a mean over samples, so that both carry a factor N.
    loss = kind(
        class_scale=scale,
        label_scale=_vector("label_scale", label_scale, classes, positive=True),
        multipliers=jnp.asarray(samples * given),
        penalty=jnp.asarray(samples * np.where(np.eye(classes) > 0, mean, stiff)),
    )
    full = unconstrained_features(counts=counts, dim=dim, loss=loss, weight_decay=weight_decay)
    if not reduced:
        return full
    # Without the static counts one compiled program serves all of them.
    return dataclasses.replace(reduce_to_class_means(full), counts=None)


def _square(name: str, value: np.ndarray | Array, classes: int) -> np.ndarray:
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.shape != (classes, classes) or not np.all(np.isfinite(matrix)):
        raise ValueError(f"{name}: expected a finite {classes} x {classes} matrix, got shape {matrix.shape}")
    return np.where(np.eye(classes) > 0, 0.0, matrix)
