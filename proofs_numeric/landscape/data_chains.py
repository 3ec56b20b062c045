"""This file draws linear networks on given data for the theorems about their saddles, and says what these assume."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric import thresholds
from proofs_numeric.pool import log_uniform


def fit_at_zero(problem, params):
    """Compute |Y|^2/2N: the value of a critical point is this less what its directions take off."""
    return jnp.sum(jnp.asarray(problem.targets) ** 2) / (2 * problem.targets.shape[1])


def data_instance(rng, widths, samples=None):
    """Draw normal inputs of a random scale and noisy targets; unless given, there are three more samples than inputs."""
    problem = data_chain(rng, widths, samples)
    shown = {"widths": "-".join(map(str, widths)), "L": len(widths) - 1, "N": problem.targets.shape[1]}
    return nct.Instance(problem, shown)


def data_chain(rng, widths, samples=None):
    """Draw the problem of `data_instance`."""
    samples = (
        widths[0] + 3 if samples is None else samples
    )  # One number serves for all data sets, and so does one compiled program.
    inputs = log_uniform(rng, 0.3, 3.0) * rng.normal(size=(widths[0], samples))
    targets = rng.normal(size=(widths[-1], samples)) + rng.normal(size=(widths[-1], widths[0])) @ inputs
    return nct.deep_linear(
        widths=widths, inputs=inputs, targets=targets, loss="mse", weight_decay=(0.0,) * (len(widths) - 1)
    )


def value(problem, params):
    """Observe the objective, which tells the sets of directions apart."""
    return problem.objective(params)


def _undecayed(instance):
    problem = instance.problem
    return (
        nct.losses.is_loss(problem.loss, "mse")
        and not np.any(np.asarray(problem.weight_decay))
        and problem.bias_decay is None
    )


def _full_rank(matrix):
    return np.linalg.matrix_rank(matrix) == min(matrix.shape)


def _spectrum(problem):
    """Find the eigenvalues of Sigma = Y X^T (X X^T)^-1 X Y^T, in falling order."""
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    return np.linalg.eigvalsh(y @ np.linalg.pinv(x) @ x @ y.T)[::-1]


def _distinct(instance):
    eigenvalues = _spectrum(instance.problem)
    gaps = np.append(-np.diff(eigenvalues), eigenvalues[-1])
    return bool(np.all(gaps > thresholds.DISTINCT * eigenvalues[0]))


UNDECAYED = nct.Hypothesis("squared error, no decay, no bias", _undecayed)
INVERTIBLE = nct.Hypothesis(
    "X X^T invertible",
    lambda i: _full_rank(np.asarray(i.problem.inputs) @ np.asarray(i.problem.inputs).T),
)
CORRELATED = nct.Hypothesis(
    "X Y^T of full rank, d_L <= d_0",
    lambda i: (
        i.problem.widths[-1] <= i.problem.widths[0]
        and _full_rank(np.asarray(i.problem.inputs) @ np.asarray(i.problem.targets).T)
    ),
)
DISTINCT = nct.Hypothesis("Sigma with distinct positive eigenvalues (so d_L <= d_0)", _distinct)


def projections(problem):
    """Build critical points of all listed values, in the list's order: projections of the least-squares solution."""
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    solution = y @ np.linalg.pinv(x)
    vectors = np.linalg.eigh(solution @ x @ y.T)[1][:, ::-1]
    layers = [[] for _ in range(problem.depth)]
    for one in nct.closed_form.data_critical_values(problem):
        basis = vectors[:, list(one.directions)]
        for layer, (rows, cols) in enumerate(zip(problem.widths[1:], problem.widths[:-1], strict=True)):
            weight = np.zeros((rows, cols))
            if problem.depth == 1:
                weight = basis @ basis.T @ solution
            elif layer == 0:
                weight[: one.rank] = basis.T @ solution
            elif layer == problem.depth - 1:
                weight[:, : one.rank] = basis
            else:
                weight[: one.rank, : one.rank] = np.eye(one.rank)
            layers[layer].append(weight)
    return nct.problems.ChainParams(tuple(jnp.asarray(np.stack(weights)) for weights in layers), None, None)
