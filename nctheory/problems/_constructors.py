"""Constructors that check every argument before anything is computed."""

from collections.abc import Sequence

import numpy as np

from nctheory.engine import Array, Scalar, as_array, float64, is_traced, stacked, whole_number
from nctheory.problems._chain import DeepLinear, weighted_as_decayed
from nctheory.problems._gauge import ChainParams
from nctheory.problems._losses import Loss, as_loss
from nctheory.problems._own_loss import check_loss
from nctheory.problems._starts import check_normal_starts


def _check_several(name: str, values: object, form: str) -> None:
    """ValueError for a number where one for each class, layer or factor is expected."""
    try:
        len(values)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ValueError(f"{name}: expected a sequence {form}, got {values!r}") from None


def _counts(counts: Sequence[int]) -> tuple[int, ...]:
    _check_several("counts", counts, "(n_1, …, n_K)")
    if len(counts) == 0:
        raise ValueError("counts: expected at least one class, got none (K must be at least 1)")
    return tuple(whole_number(f"counts[{k}]", n) for k, n in enumerate(counts))


def _decay(name: str, value: object) -> Array:
    """A non-negative finite scalar as an array leaf; tracers pass, so that a grid can be vmapped over."""
    try:
        leaf = as_array(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a number, got {value!r}") from error
    if leaf.shape != ():
        raise ValueError(f"{name}: expected a scalar, got shape {leaf.shape}")
    if not is_traced(leaf) and not (np.isfinite(leaf) and leaf >= 0.0):
        raise ValueError(f"{name}: expected a finite decay of at least 0, got {leaf}")
    return leaf


def _bias(bias: object) -> Array | None:
    if bias is None:
        return None
    kinds = "bias: expected None (no bias), 0.0 (free) or a decay lambda_b > 0 (regularised)"
    if isinstance(bias, bool | str):
        raise ValueError(f"{kinds}, got {bias!r}")
    try:
        return _decay("bias", bias)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{kinds}, got {bias!r}") from error


@float64
def deep_linear(
    *,
    widths: Sequence[int],
    loss: str | Loss,
    weight_decay: Sequence[Scalar],
    counts: Sequence[int] | None = None,
    targets: np.ndarray | Array | None = None,
    inputs: np.ndarray | Array | None = None,
    bias: Scalar | None = None,
) -> DeepLinear:
    r"""A linear chain $Z = W_L \cdots W_1 H + b 1^\top$ of any depth.

    `widths` is (d_0, …, d_L): W_l is d_l x d_{l-1} and H is d_0 x N, with d_L = K. With free features (no `inputs`)
    give `counts` (n_1, …, n_K) or `targets` (K x N), and `weight_decay` (lambda_1, …, lambda_L, lambda_H). With
    `inputs` X (d_0 x N) and `targets` Y (K x N) there is no H, and `weight_decay` is (lambda_1, …, lambda_L).
    `bias` is None (no bias), 0.0 (free) or lambda_b > 0. The squared error is 1/2 |z - y|^2, and the fit is the
    mean over samples.

    Raises ValueError, naming the argument, for widths or counts below 1, a negative decay, a bias that is none of
    the three, or shapes that do not match.

    >>> chain = deep_linear(widths=(8, 8, 4), counts=(5,) * 4, loss="mse", weight_decay=(1e-3, 1e-3, 1e-3))
    >>> chain.factors
    3
    """
    _check_several("widths", widths, "(d_0, …, d_L)")
    if len(widths) < 2:
        raise ValueError(f"widths: expected (d_0, …, d_L) with at least two entries, got {tuple(widths)}")
    dims = tuple(whole_number(f"widths[{i}]", w) for i, w in enumerate(widths))
    resolved = as_loss(loss)
    if counts is not None:
        _check_several("counts", counts, "(n_1, …, n_K)")
    classes = tuple(counts) and _counts(counts) if counts is not None else None
    if counts is not None and classes is not None and len(classes) != dims[-1]:
        raise ValueError(f"counts: expected one per class, widths ends in K={dims[-1]}, got {len(classes)} counts")
    if (classes is None) == (targets is None):
        raise ValueError("counts, targets: expected exactly one of the two")
    if inputs is not None and targets is None:
        raise ValueError("targets: expected a K x N array, because inputs are given")

    encoded = _encoded(resolved, classes, targets, dims[-1])
    check_loss(resolved, encoded)
    samples = encoded.shape[1]
    # The inputs are checked against the shapes known by now: d_0 rows, and N columns as in the targets.
    given = None
    if inputs is not None:
        given = _matrix("inputs", inputs, rows=dims[0], what="d_0")
        if given.shape[1] != samples:
            raise ValueError(f"inputs: expected N={samples} columns as in targets, got {given.shape[1]}")

    # Every layer has a decay, and so have the features where they are free.
    expected = len(dims) - 1 + (given is None)
    form = "(lambda_1, …, lambda_L)" if given is not None else "(lambda_1, …, lambda_L, lambda_H)"
    _check_several("weight_decay", weight_decay, form)
    if len(weight_decay) != expected:
        raise ValueError(f"weight_decay: expected {expected} values {form}, got {len(weight_decay)}")
    decay = stacked([_decay(f"weight_decay[{i}]", lam) for i, lam in enumerate(weight_decay)])
    return DeepLinear(
        widths=dims,
        loss=resolved,
        targets=encoded,
        column_weight=np.full(samples, 1.0 / samples),
        multiplicity=np.ones(samples),
        weight_decay=decay,
        bias_decay=_bias(bias),
        inputs=given,
        counts=classes,
        reduced_form=False,
        bias_row=None,
    )


def _encoded(
    resolved: Loss, classes: tuple[int, ...] | None, targets: np.ndarray | Array | None, rows: int
) -> np.ndarray | Array:
    """The targets, K x N, of class counts or as they are given; raises ValueError where the loss does not take them."""
    if classes is not None:
        # Samples are sorted by class, and the loss makes its targets of their one-hot labels.
        labels = np.repeat(np.arange(len(classes)), classes)
        encoded = resolved.encode(np.eye(len(classes))[:, labels])
    else:
        encoded = _matrix("targets", targets, rows=rows, what="K")
    if classes is None:
        resolved.check_targets(np.asarray(encoded))
    if resolved.has_profile and classes is None:
        # The profile bounds the loss by the margin of one label, which a column must therefore have.
        given_labels = np.asarray(encoded)
        if np.any((given_labels != 0) & (given_labels != 1)) or np.any(given_labels.sum(axis=0) != 1):
            raise ValueError(f"targets: {resolved.name} expects one-hot columns")
    return encoded


def _matrix(name: str, value: object, rows: int, what: str) -> Array:
    matrix = as_array(value)
    if matrix.ndim != 2 or matrix.shape[0] != rows or matrix.shape[1] < 1:
        raise ValueError(f"{name}: expected a matrix of {what}={rows} rows and at least one column, got {matrix.shape}")
    if not is_traced(matrix) and not np.all(np.isfinite(matrix)):
        raise ValueError(f"{name}: expected finite entries, got NaN or infinity")
    return matrix


def unconstrained_features(
    *,
    counts: Sequence[int],
    dim: int,
    loss: str | Loss,
    weight_decay: Sequence[Scalar],
    bias: Scalar | None = None,
) -> DeepLinear:
    r"""The unconstrained-feature model: the two-factor chain $Z = W H + b 1^\top$ with W and H both free.

    `counts` (n_1, …, n_K); `dim` d; `weight_decay` (lambda_W, lambda_H); `bias` None (no bias), 0.0 (free), or
    lambda_b > 0. Objective: $\frac1N\sum_i \ell(z_i, y_i) + \frac{\lambda_W}2|W|^2 + \frac{\lambda_H}2|H|^2
    (+ \frac{\lambda_b}2|b|^2)$.

    Raises ValueError, naming the argument, for bad input.

    >>> model = unconstrained_features(counts=(5,) * 4, dim=8, loss="cross_entropy", weight_decay=(5e-3, 5e-3))
    >>> model.widths, model.counts
    ((8, 4), (5, 5, 5, 5))
    """
    checked = _counts(counts)
    width = whole_number("dim", dim)
    _check_several("weight_decay", weight_decay, "(lambda_W, lambda_H)")
    if len(weight_decay) != 2:
        raise ValueError(f"weight_decay: expected (lambda_W, lambda_H), got {len(weight_decay)} values")
    return deep_linear(widths=(width, len(checked)), counts=checked, loss=loss, weight_decay=weight_decay, bias=bias)


@float64
def reduce_to_class_means(problem: DeepLinear) -> DeepLinear:
    r"""The same problem with one column per class: fit weighted by n_k/N, |h_k|^2 weighted by n_k.

    For a loss convex in the logits the global minimum is the same: averaging the features of a class lowers both terms
    (lemma `red-nc1`, own wording; Zhu et al. 2021, number unchecked).

    Raises ValueError for given inputs or targets that are not class labels, and for a law of starts, which draws N columns.

    >>> full = unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    >>> reduce_to_class_means(full).targets.shape
    (2, 2)
    """
    if problem.inputs is not None or problem.counts is None:
        raise ValueError("problem: the reduced form needs free features and class counts")
    if problem.reduced_form:
        return problem
    if not weighted_as_decayed(problem):
        raise ValueError(
            "problem: the reduced form needs samples of equal weight, got others (those of a minibatch, say)"
        )
    check_normal_starts(problem, "reduced form")
    n = np.asarray(problem.counts, dtype=np.float64)
    # Samples are sorted by class, so that the first of a class comes after all those of the classes before it.
    first = np.concatenate([[0], np.cumsum(problem.counts)[:-1]])
    return DeepLinear(
        widths=problem.widths,
        loss=problem.loss,
        targets=problem.targets[:, first],
        column_weight=n / sum(problem.counts),
        multiplicity=n,
        weight_decay=problem.weight_decay,
        bias_decay=problem.bias_decay,
        inputs=None,
        counts=problem.counts,
        reduced_form=True,
        bias_row=None,
    )


@float64
def lift_to_samples(problem: DeepLinear, params: ChainParams) -> ChainParams:
    """The parameters of the reduced form as parameters of the full problem: each class mean repeated n_k times.

    Raises ValueError for a problem without free features or class counts.

    >>> import jax
    >>> import nctheory as nct
    >>> full = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> means = nct.problems.reduce_to_class_means(full)
    >>> with jax.enable_x64(True):
    ...     point = means.init(jax.random.key(0), 1.0)
    ...     same = bool(abs(full.objective(lift_to_samples(full, point)) - means.objective(point)) < 1e-14)
    >>> same
    True
    """
    if problem.counts is None or params.features is None:
        raise ValueError("problem: lifting needs free features and class counts")
    # A sample gets the feature of its class, in the order of the classes.
    labels = np.repeat(np.arange(len(problem.counts)), problem.counts)
    return params._replace(features=params.features[..., labels])
