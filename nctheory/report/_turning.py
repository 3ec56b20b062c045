"""Codes on circles and spheres as data, and as a small turning picture within the page of a report."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from nctheory.flow import solve
from nctheory.problems import Params, Problem, SphericalFeatures, UnitVectors
from nctheory.report._codes import TILT, nearest_pairs
from nctheory.theorems import Theorem

SCHEMA_VERSION = 1
SEEDS = 8
"""Starts of which the lowest end is drawn (conventional)."""
MOST_CODES, MOST_VECTORS = 3, 64
"""The number of codes of a theorem, and of vectors in each (conventional: more are not told apart in a small picture)."""
DRAWS = 4
"""Draws of instances that are searched for codes (conventional)."""
WORDS = 4
"""Parameters that are named below a picture (conventional)."""


def code_data(theorem: Theorem, key: Any) -> dict[str, Any] | None:
    """The codes at the lowest ends of a theorem's first instances on circles and spheres, one for each number of vectors and
    dimension, as plain values; None for a theorem that has none."""
    chosen: dict[tuple[int, int], Any] = {}
    # A draw may hold none in so few dimensions: then the next one is looked at.
    for draw in range(DRAWS):
        for instance in theorem.instances(jax.random.fold_in(key, draw) if draw else key):
            shape = _shape(instance.problem)
            if shape is not None and shape not in chosen and len(chosen) < MOST_CODES:
                chosen[shape] = instance
        if chosen or not any(
            isinstance(one.problem, UnitVectors | SphericalFeatures) for one in theorem.instances(key)
        ):
            break
    if not chosen:
        return None
    rows = []
    for instance in chosen.values():
        ends = solve(instance.problem, seeds=SEEDS, light=True)
        value = np.where(ends.converged, ends.value, np.inf)
        if not np.isfinite(value).any():
            continue
        best = int(np.argmin(value))
        code = directions_of(instance.problem, _taken(ends.params, best))
        parameters = {
            name: one if isinstance(one, int | str) else float(one) for name, one in instance.parameters.items()
        }
        rows.append({"parameters": parameters, "value": float(value[best]), "vectors": code.tolist()})
    return (
        {"schema_version": SCHEMA_VERSION, "codes": theorem.id, "title": theorem.title, "rows": rows} if rows else None
    )


def code_json(data: Mapping[str, Any]) -> str:
    """`code_data` as JSON."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def directions_of(problem: Problem, params: Params) -> Float[np.ndarray, "m d"]:
    """The unit vectors of a point: all of them, or one feature of every class."""
    if isinstance(problem, UnitVectors):
        return np.asarray(problem.directions(params))
    assert isinstance(problem, SphericalFeatures)
    first = np.searchsorted(problem.labels, np.arange(problem.classes))
    found = np.asarray(params.features, float)[:, first].T
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def turning_pictures(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The codes of `code_data` as the page draws them: lines and dots seen from one side, and what turns them, as JSON.

    Raises ValueError for what are no codes.
    """
    rows = data["rows"]
    if not 0 < len(rows) <= MOST_CODES:
        raise ValueError(f"rows: expected 1 to {MOST_CODES} codes, got {len(rows)}")
    return [_picture(np.asarray(row["vectors"], float), row) for row in rows]


def _picture(code: np.ndarray, row: Mapping[str, Any]) -> dict[str, Any]:
    """One code: places and how pale they are at the first moment, and all its numbers."""
    if code.ndim != 2 or code.shape[1] not in (2, 3) or not 0 < len(code) <= MOST_VECTORS:
        raise ValueError(f"vectors: expected 1 to {MOST_VECTORS} vectors of 2 or 3 entries, got shape {code.shape}")
    if not np.allclose(np.linalg.norm(code, axis=1), 1.0, atol=1e-6):
        raise ValueError("vectors: expected unit vectors")
    flat = code.shape[1] == 2
    points = np.pad(code, ((0, 0), (0, 3 - code.shape[1])))
    # As in `animate_codes`: about the vertical axis, then towards the reader; on a circle, within the plane of the page.
    lean = (
        np.eye(3) if flat else np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])
    )
    x, y, depth = np.round(points @ lean.T, 4).T
    depth = np.ones_like(depth) if flat else depth  # on a circle nothing lies behind
    pairs = nearest_pairs(points)
    told = {"points": np.round(points, 5).tolist(), "pairs": pairs, "flat": flat, "tilt": round(float(TILT), 5)}
    return {
        "told": json.dumps(told, separators=(",", ":")),
        "lines": [(x[i], -y[i], x[j], -y[j], _opacity(0.5 * (depth[i] + depth[j]))) for i, j in pairs],
        "dots": [(a, -b, _opacity(c)) for a, b, c in zip(x, y, depth, strict=True)],
        "words": _words(row["parameters"]),
    }


def _opacity(depth: float) -> float:
    """What is behind is paler, as in the script of the page."""
    return round(0.25 + 0.75 * (1.0 + float(depth)) / 2.0, 3)


def _words(parameters: Mapping[str, Any]) -> str:
    """The first parameters in few words."""
    shown = [
        f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in parameters.items()
    ]
    return ", ".join(shown[:WORDS])


def _shape(problem: Problem) -> tuple[int, int] | None:
    """Number of vectors and dimension of a code that can be drawn."""
    if isinstance(problem, UnitVectors):
        shape = problem.vectors, problem.dim
    elif isinstance(problem, SphericalFeatures):
        shape = problem.classes, problem.dim
    else:
        return None
    return shape if shape[1] <= 3 and shape[0] <= MOST_VECTORS else None


def _taken(params: Params, seed: int) -> Params:
    return jax.tree.map(lambda leaf: leaf[seed], params)
