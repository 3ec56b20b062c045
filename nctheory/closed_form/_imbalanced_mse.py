"""Squared error with a free bias and class counts of any kind."""

import jax.numpy as jnp
import numpy as np

from nctheory.closed_form._minimum import Minimum, closed_form
from nctheory.closed_form._require import require
from nctheory.closed_form._spectral import class_target_spectrum, needs_two_free_factors, soft_threshold_minimum
from nctheory.engine import float64
from nctheory.problems import DeepLinear


@float64
@closed_form("ufm-mse-bias-imbalanced", generality=1)
def imbalanced_squared_error_minimum(problem: DeepLinear) -> Minimum:
    r"""Squared error with a free bias, any counts n: the bias-free problem on centred targets, b = n/N.

    With $D=\mathrm{diag}(n)$, $\bar Y_c=I-n1^\top/N$ and $U\mathrm{diag}(\sigma)V^\top=\bar Y_cD^{1/2}$, so that
    $\sigma_i^2$ are the eigenvalues of $D-nn^\top/N$, the class means satisfy
    $W\bar HD^{1/2}=U\mathrm{diag}((\sigma-N\lambda)_+)V^\top$, $\lambda=\sqrt{\lambda_W\lambda_H}$, and the value is
    $\sum_{\sigma_i>N\lambda}(\tfrac N2\lambda^2+\lambda(\sigma_i-N\lambda))+\sum_{\sigma_i\le N\lambda}\sigma_i^2/2N$.
    The width d may be any: only the d largest directions can be on, and no tie may lie at that cut.

    Our own closed form; for the spectrum compare arXiv:2411.17278 (number unchecked). For balanced counts it is that of
    Zhou et al., ICML 2022, with lambda_b = 0.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 1), dim=1, loss="mse", weight_decay=(0.1, 0.1), bias=0.0)
    >>> minimum = imbalanced_squared_error_minimum(model)
    >>> minimum.bias.tolist(), round(float(minimum.singular_values[0]), 6)  # sqrt(1.5) - 4 * 0.1
    ([0.75, 0.25], 0.824745)
    """
    needs_two_free_factors(problem)
    require(problem, labels=True, bias="free", classes=2)
    assert problem.counts is not None
    # The centred targets replace the targets, and the bias is the share n/N of each class.
    left, sigma, right = (jnp.asarray(x) for x in class_target_spectrum(problem.counts, problem.reduced_form))
    share = jnp.asarray(np.asarray(problem.counts) / sum(problem.counts))
    return soft_threshold_minimum(problem, left, sigma, right, share, "ufm-mse-bias-imbalanced")
