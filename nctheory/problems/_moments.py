"""Squared error with very many samples: the flow closes on a number of columns that does not depend on N."""

from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nctheory.engine import Array, Scalar, float64
from nctheory.problems._chain import DeepLinear, weighted_as_decayed
from nctheory.problems._gauge import ChainParams
from nctheory.problems._losses import is_loss
from nctheory.problems._starts import check_normal_starts


class MomentChain(DeepLinear):
    r"""A squared-error chain in the coordinates $C = HQ^\top$; see `moment_form`, which builds it."""

    samples: int = eqx.field(static=True)
    """N, the number of samples that it stands for."""
    known: int = eqx.field(static=True)
    """The number r of leading columns, which span the targets and the constant row."""

    def normal_start(self, key: PRNGKeyArray, scale: Scalar) -> ChainParams:
        """The law of H Q^T for H as of a `DeepLinear`: normal columns, then the Cholesky factor of a Wishart matrix.

        The last d_0 columns R need only have the right law of $RR^\top$, because the flow commutes with rotations of
        them; $RR^\top$ is Wishart with N - r degrees of freedom (Bartlett 1933).
        """
        # The known columns are normal as they are, and entries of the others serve below the diagonal of Bartlett's factor.
        plain = super().normal_start(key, scale)
        features = cast(Array, plain.features)
        dim, free = self.widths[0], self.samples - self.known
        unit = scale / dim**0.5
        # The squares on the diagonal are chi-square with N - r, N - r - 1, … degrees of freedom, a gamma variable times 2.
        degrees = free - jnp.arange(1.0 * dim)
        squared = 2.0 * jax.random.gamma(jax.random.fold_in(key, 1), 0.5 * degrees, dtype=jnp.float64)
        root = jnp.tril(features[:, self.known :], -1) + jnp.diag(unit * jnp.sqrt(squared))
        return plain._replace(features=jnp.concatenate([features[:, : self.known], root], axis=1))


@float64
def moment_form(problem: DeepLinear) -> DeepLinear:
    r"""The same gradient flow with r + d_0 columns instead of N, for squared error and free features.

    With squared error $\dot H$ is affine in H, so H(t) stays in the span of its start, the targets and the constant row.
    Let the rows of Q be an orthonormal basis of that span, the r <= K+1 first of them spanning Y and $1^\top$. In the
    coordinates $C = HQ^\top$ objective and flow are those of a chain with targets $YQ^\top$, which do not depend on
    the seed, and with the bias multiplying the row $(Q1)^\top$. Starts are drawn from the law of $H_0Q^\top$, so a seed's
    start is not the image of the same seed's start in the full problem. Statements about the within-class
    variability stay visible: it is the norm of the last d_0 columns.

    A problem that would not become smaller is returned as it is. `expand_moments` leads back to samples.

    Raises ValueError for another loss, given inputs, the reduced form, and for a law of starts, which draws N columns.

    >>> import nctheory as nct
    >>> full = nct.unconstrained_features(counts=(1000,) * 4, dim=8, loss="mse", weight_decay=(5e-4, 5e-4))
    >>> moment_form(full).targets.shape
    (4, 12)
    """
    if not is_loss(problem.loss, "mse") or problem.inputs is not None or problem.reduced_form:
        raise ValueError(
            f"problem: the moment form needs squared error, free features and one column per sample, got loss "
            f"{problem.loss.label}, inputs {'given' if problem.inputs is not None else 'None'}, "
            f"reduced form {problem.reduced_form}"
        )
    if isinstance(problem, MomentChain):
        return problem
    if not weighted_as_decayed(problem):
        raise ValueError(
            "problem: the moment form needs samples of equal weight, got others (those of a minibatch, say)"
        )
    check_normal_starts(problem, "moment form")
    targets = np.asarray(problem.targets)
    samples, dim = targets.shape[1], problem.widths[0]
    # Q has the known rows of the basis first, and then d_0 rows that are orthogonal to the targets and to 1.
    basis = span_basis(problem)
    known = basis.shape[0]
    if known + dim >= samples:
        return problem
    columns = known + dim
    # (Q1)^T is what the bias multiplies; like YQ^T it is zero on the last d_0 columns.
    row = np.concatenate([basis @ np.ones(samples), np.zeros(dim)])
    return MomentChain(
        widths=problem.widths,
        loss=problem.loss,
        targets=jnp.asarray(np.concatenate([targets @ basis.T, np.zeros((targets.shape[0], dim))], axis=1)),
        column_weight=jnp.full((columns,), 1.0 / samples),
        multiplicity=jnp.ones((columns,)),
        weight_decay=problem.weight_decay,
        bias_decay=problem.bias_decay,
        inputs=None,
        counts=None,
        reduced_form=False,
        bias_row=jnp.asarray(row),
        samples=samples,
        known=known,
    )


def span_basis(problem: DeepLinear) -> Float[np.ndarray, "r N"]:
    """Orthonormal basis of the span of the targets' rows and the constant row (class indicators, where there are classes)."""
    targets = np.asarray(problem.targets)
    if problem.counts is not None:
        # The indicators of the classes are orthogonal, the k-th of length sqrt(n_k), and their sum is 1^T.
        return targets / np.sqrt(np.sum(targets, axis=1, keepdims=True))
    # The right singular vectors of [Y; 1^T] with singular values above rounding span its rows.
    rows = np.concatenate([targets, np.ones((1, targets.shape[1]))])
    _, singular, right = np.linalg.svd(rows, full_matrices=False)
    return right[singular > 1e-12 * singular[0]]


@float64
def expand_moments(problem: DeepLinear, moments: DeepLinear, params: ChainParams, key: PRNGKeyArray) -> ChainParams:
    r"""A point of the full `problem` whose image in its moment form `moments` is `params` (no seeds axis).

    The last d_0 rows of Q, the span of the within-class part of the start, are drawn at random by `key`.
    Returns `params` itself where the moment form is the problem.

    >>> import jax
    >>> import nctheory as nct
    >>> full = nct.unconstrained_features(counts=(50, 50), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    >>> short = nct.problems.moment_form(full)
    >>> with jax.enable_x64(True):
    ...     point = short.init(jax.random.key(0), 1.0)
    ...     long = expand_moments(full, short, point, jax.random.key(1))
    ...     apart = float(abs(full.objective(long) - short.objective(point)))
    >>> long.features.shape, apart < 1e-12
    ((2, 100), True)
    """
    if not isinstance(moments, MomentChain) or params.features is None:
        return params
    basis = jnp.asarray(span_basis(problem))
    # The last rows of Q are random ones, less their part in the known span and made orthonormal; then H = CQ.
    draw = jax.random.normal(key, (moments.widths[0], moments.samples), jnp.float64)
    inside, _ = jnp.linalg.qr((draw - (draw @ basis.T) @ basis).T)
    rows = jnp.concatenate([basis, inside.T])
    return params._replace(features=params.features @ rows)
