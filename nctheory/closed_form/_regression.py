"""Neural regression collapse: squared error with real targets and free features."""

import jax.numpy as jnp

from nctheory.closed_form._minimum import Minimum, closed_form
from nctheory.closed_form._require import require
from nctheory.closed_form._spectral import needs_two_free_factors, soft_threshold_minimum
from nctheory.engine import float64
from nctheory.problems import DeepLinear


@float64
@closed_form("nrc")
def regression_minimum(problem: DeepLinear) -> Minimum:
    r"""Real targets Y (n x M), free features, a free bias: $W H=U\,\mathrm{diag}((\sigma-M\lambda)_+)V^\top$ for the
    centred targets $Y-\bar Y=U\,\mathrm{diag}(\sigma)V^\top$, and $b=\bar y$.

    In the paper's terms, $\Sigma=\frac1M(Y-\bar Y)(Y-\bar Y)^\top$ and $c=\lambda_W\lambda_H$ with its
    $\lambda_H=M$ times ours: $WW^\top=\sqrt{\lambda_H/\lambda_W}(\Sigma^{1/2}-\sqrt cI)_+$, the positive part taken in the
    eigenbasis of $\Sigma$. Without a bias the same holds for targets that are not centred (our own addition). The
    feature dimension d may be any: only the d largest directions can be on, and no tie may lie at that cut; the paper has
    d >= n.

    Andriopoulos, Dong, Guo, Zhao, Ross, NeurIPS 2024, Theorem 4.1, for c < lambda_min and c > lambda_max; the spectral form
    between them is our correction.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import numpy as np, nctheory as nct
    >>> targets = np.array([[1.0, -1.0, 3.0, 1.0]])
    >>> model = nct.deep_linear(widths=(2, 1), targets=targets, loss="mse", weight_decay=(0.1, 0.1), bias=0.0)
    >>> minimum = regression_minimum(model)
    >>> minimum.bias.tolist(), round(float(minimum.singular_values[0]), 6)  # sqrt(8) - 4 * 0.1
    ([1.0], 2.428427)
    """
    needs_two_free_factors(problem)
    require(problem, labels=False)
    targets, offset = jnp.asarray(problem.targets), None
    multiplicity = jnp.asarray(problem.multiplicity)
    # A free bias is the mean of the targets, and centres them.
    if problem.bias_decay is not None:
        offset = targets @ multiplicity / jnp.sum(multiplicity)
        targets = targets - offset[:, None]
    # Columns count with their multiplicity: the SVD is that of Y diag(m)^{1/2}, from which the weight is taken off again.
    root = jnp.sqrt(multiplicity)
    left, sigma, right = jnp.linalg.svd(targets * root[None, :], full_matrices=False)
    return soft_threshold_minimum(problem, left, sigma, right / root[None, :], offset, "nrc")
