"""A network's value by NumPy alone: its arrays by name, the formula in words, and a script that evaluates it."""

from typing import Any

import numpy as np

from nctheory.problems import ChainParams, DeepLinear, DeepNonlinear, Problem, is_loss

_ACTIVATIONS = {
    "identity": "X",
    "relu": "np.maximum(X, 0)",
    "leaky_relu": "np.where(X > 0, X, 0.01 * X)",
    "tanh": "np.tanh(X)",
    "absolute": "np.abs(X)",
}
_LOSSES = {
    "mse": "0.5 * np.sum((Z - a['targets']) ** 2, axis=0)",
    "cross_entropy": "np.sum(a['targets'], axis=0) * (Z.max(axis=0) + np.log(np.sum(np.exp(Z - Z.max(axis=0)), axis=0)))"
    " - np.sum(a['targets'] * Z, axis=0)",
}


def arrays_of(problem: Problem, params: Any) -> dict[str, np.ndarray]:
    """The numbers of a network and of its problem by name, for an NPZ file."""
    import jax

    if not _has_script(problem) or not isinstance(params, ChainParams):
        leaves = [*jax.tree.leaves(params)]
        numbers = list(jax.tree.leaves(problem))
        found = {f"parameters_{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        return found | {f"problem_{i}": np.asarray(leaf) for i, leaf in enumerate(numbers)}
    assert isinstance(problem, DeepLinear | DeepNonlinear)
    found = {f"W{i}": np.asarray(weight) for i, weight in enumerate(params.weights, start=1)}
    found["H"] = np.asarray(problem.inputs if params.features is None else params.features)
    columns = np.asarray(problem.targets).shape[1]
    linear = isinstance(problem, DeepLinear)
    found["targets"] = np.asarray(problem.targets)
    found["column_weight"] = np.asarray(problem.column_weight) if linear else np.full(columns, 1.0 / columns)
    found["multiplicity"] = np.asarray(problem.multiplicity) if linear else np.ones(columns)
    decay = np.asarray(problem.weight_decay)
    found["weight_decay"] = decay if params.features is not None else np.append(decay, 0.0)
    found["bias"] = np.zeros(len(found["targets"])) if params.bias is None else np.asarray(params.bias)
    found["bias_decay"] = np.asarray(0.0 if problem.bias_decay is None else problem.bias_decay)
    return found


def numpy_script(problem: Problem) -> str | None:
    """A script that reads the arrays `a` of an NPZ file and computes `value` in one forward pass; None where none is known.

    >>> import nctheory as nct
    >>> model = nct.deep_nonlinear(widths=(3, 3, 2), counts=(1, 1), loss="mse", weight_decay=(0.1,) * 3)
    >>> ends = nct.solve(model, seeds=1)
    >>> import jax
    >>> space = {"np": np, "a": arrays_of(model, jax.tree.map(lambda x: x[0], ends.params))}
    >>> exec(numpy_script(model), space)
    >>> bool(abs(space["value"] - ends.value[0]) < 1e-15)
    True
    """
    if not _has_script(problem):
        return None
    assert isinstance(problem, DeepLinear | DeepNonlinear)
    kinds = problem.activations if isinstance(problem, DeepNonlinear) else ("identity",) * problem.depth
    skips = problem.residual if isinstance(problem, DeepNonlinear) else (False,) * (problem.depth - 1)
    lines = ["X = a['H']", *_activated(kinds[0])]
    for layer in range(1, problem.depth):
        lines += [f"B, X = X, a['W{layer}'] @ X", *_activated(kinds[layer])]
        lines += ["X = X + B"] if skips[layer - 1] else []
    lines.append(f"Z = a['W{problem.depth}'] @ X + a['bias'][:, None]")
    lines.append(f"value = a['column_weight'] @ ({_LOSSES[problem.loss.name]})")
    decays = " + ".join(f"a['weight_decay'][{i - 1}] * np.sum(a['W{i}'] ** 2)" for i in range(1, problem.depth + 1))
    lines.append(f"value += 0.5 * ({decays})")
    lines.append("value += 0.5 * a['weight_decay'][-1] * np.sum(a['multiplicity'] * a['H'] ** 2)")
    lines.append("value += 0.5 * a['bias_decay'] * np.sum(a['bias'] ** 2)")
    return "\n".join(lines) + "\n"


def formula(problem: Problem) -> str:
    """The value in words."""
    if not _has_script(problem):
        return f"value = objective of {type(problem).__name__} at the parameters"
    assert isinstance(problem, DeepLinear | DeepNonlinear)
    kinds = problem.activations if isinstance(problem, DeepNonlinear) else ("identity",) * problem.depth
    loss = "|z - y|^2 / 2" if problem.loss.name == "mse" else "log sum exp(z) - <y, z>"
    return (
        f"X_0 = s_0(H), X_l = s_l(W_l X_(l-1)), Z = W_{problem.depth} X_{problem.depth - 1} + bias, "
        f"s = {', '.join(map(str, kinds))}; "
        f"value = sum_j column_weight_j ({loss})_j + sum_l weight_decay_l |W_l|^2 / 2 "
        "+ weight_decay_last sum_j multiplicity_j |h_j|^2 / 2 + bias_decay |bias|^2 / 2"
    )


def _activated(kind: Any) -> list[str]:
    return [] if kind == "identity" else [f"X = {_ACTIVATIONS[kind]}"]


def _has_script(problem: Problem) -> bool:
    """Whether this is one of the library's own chains, with a loss and activations that are written out above."""
    if type(problem) not in (DeepLinear, DeepNonlinear):
        return False
    assert isinstance(problem, DeepLinear | DeepNonlinear)
    if getattr(problem, "bias_row", None) is not None or not any(is_loss(problem.loss, name) for name in _LOSSES):
        return False
    kinds = problem.activations if isinstance(problem, DeepNonlinear) else ()
    return all(isinstance(kind, str) and kind in _ACTIVATIONS for kind in kinds)


__all__ = ["arrays_of", "formula", "numpy_script"]
