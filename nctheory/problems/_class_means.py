"""Chains on class means with class sizes that need not be whole, so that an imbalance can be varied continuously."""

from collections.abc import Sequence

import numpy as np

from nctheory.engine import Scalar, float64, stacked, whole_number
from nctheory.problems._chain import DeepLinear
from nctheory.problems._constructors import _bias, _decay
from nctheory.problems._losses import Loss, as_loss
from nctheory.problems._own_loss import check_loss


@float64
def class_mean_chain(
    *,
    sizes: Sequence[float] | Sequence[int] | np.ndarray,
    widths: Sequence[int],
    loss: str | Loss,
    weight_decay: Sequence[Scalar],
    bias: Scalar | None = None,
) -> DeepLinear:
    r"""A chain with free features in reduced form, one column a class, for class sizes $n_k>0$ that may be any real numbers.

    $$\sum_k\tfrac{n_k}{N}\ell(z_k,e_k)+\sum_l\tfrac{\lambda_l}2|W_l|^2+\tfrac{\lambda_H}2\sum_kn_k|h_k|^2
      (+\tfrac{\lambda_b}2|b|^2)$$

    For whole sizes it is `reduce_to_class_means` of the chain with those counts. `widths` is (d_0, …, d_L) with d_L = K, and
    `weight_decay` (lambda_1, …, lambda_L, lambda_H). Problems that differ in sizes and decays only have one shape.

    Raises ValueError, naming the argument, for sizes that are not positive and finite, and as `deep_linear` does.

    >>> import nctheory as nct
    >>> half = class_mean_chain(sizes=(2.5, 1.0), widths=(2, 2), loss="mse", weight_decay=(0.1, 0.1))
    >>> [round(float(q), 4) for q in half.column_weight]
    [0.7143, 0.2857]
    """
    n = np.asarray(sizes, np.float64)
    if n.ndim != 1 or n.size == 0 or not np.all(np.isfinite(n) & (n > 0)):
        raise ValueError(f"sizes: expected one positive number for each class, got {sizes}")
    if len(widths) < 2:
        raise ValueError(f"widths: expected (d_0, …, d_L) with at least two entries, got {tuple(widths)}")
    dims = tuple(whole_number(f"widths[{i}]", w) for i, w in enumerate(widths))
    if dims[-1] != n.size:
        raise ValueError(f"sizes: expected one per class, widths ends in K={dims[-1]}, got {n.size} sizes")
    if len(weight_decay) != len(dims):
        raise ValueError(
            f"weight_decay: expected {len(dims)} values (lambda_1, …, lambda_L, lambda_H), got {len(weight_decay)}"
        )
    resolved = as_loss(loss)
    if resolved.has_profile and not resolved.has_conjugate:
        raise ValueError(f"loss: {resolved.name} is certified from whole class counts; take deep_linear")
    # Column k is the mean of class k: its target is that of one sample, its weight n_k/N in the fit and n_k in the decay.
    targets = resolved.encode(np.eye(n.size))
    check_loss(resolved, targets)
    return DeepLinear(
        widths=dims,
        loss=resolved,
        targets=targets,
        column_weight=n / n.sum(),
        multiplicity=n,
        weight_decay=stacked([_decay(f"weight_decay[{i}]", lam) for i, lam in enumerate(weight_decay)]),
        bias_decay=_bias(bias),
        inputs=None,
        counts=None,
        reduced_form=True,
        bias_row=None,
    )
