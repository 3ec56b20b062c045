"""Results made by hand, of every kind that has a picture, and hard cases of each."""

import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

from nctheory.flow import Status
from nctheory.networks import HeadGaps, LayerBalances
from nctheory.sweeps import Grid, SweepResult
from nctheory.theorems import ClaimResult, ControlResult, InstanceResult, Verdict

LONG = "the_share_of_all_seeds_whose_minority_classes_have_collapsed onto one $another, or else have not " * 3


def filled(cls: type, **given: Any) -> Any:
    """A dataclass whose other fields are nothing in particular."""
    nothing: tuple[Any, ...] = ("", 0, 0.0, False, None, (), {})
    rest = {}
    for name, hint in typing.get_type_hints(cls).items():
        kinds = typing.get_args(hint) if type(None) in typing.get_args(hint) else (typing.get_origin(hint) or hint,)
        rest[name] = next((one for one in nothing if type(one) in kinds), "")
    return cls(**{**rest, **given})


def verdict(
    ratios: Sequence[float] = (0.2, 0.004, 0.0),
    controls: Sequence[float | None] = (3e5, 4e12),
    name: str = "a-theorem",
    more: str = "",
) -> Verdict:
    """A verdict whose claims and controls have these ratios; a control of None was not run."""
    claims = [
        filled(ClaimResult, name=f"claim {i}{more}", instances=3, violations=int(x > 1), tolerance_ratio=x)
        for i, x in enumerate(ratios)
    ]
    wrong = [
        filled(
            ControlResult, name=f"off by {i}{more}", tolerance_ratio=0.0 if x is None else x,
            status="not run" if x is None else "refuted" if x > 1 else "not refuted",
        )
        for i, x in enumerate(controls)
    ]  # fmt: skip
    row = filled(InstanceResult)
    return filled(
        Verdict, theorem=name, outcome="holds", claims=tuple(claims), controls=tuple(wrong), instances=(row,),
        instances_supporting=1, seeds_run=1600, supporting=1600, evidence="sampled", resolution=3e-9,
    )  # fmt: skip


def sweep(
    axes: dict[str, Any], seeds: int = 3, failed: Any = (), scale: float = 1.0, names: Sequence[str] = ("height",)
) -> SweepResult:
    """A sweep whose numbers fall along the axes; `failed` cells, or all of them, did not converge."""
    grid = Grid(tuple(axes), tuple(np.asarray(one) for one in axes.values()))
    shape = (*grid.shape, seeds)
    value = scale * (1.0 + np.arange(np.prod(shape)).reshape(shape) / np.prod(shape))
    status = np.full(shape, int(Status.CONVERGED))
    if failed == "all":
        status[:] = 99
        value = np.full(shape, np.nan)
    for cell in () if failed == "all" else failed:
        status[cell] = 99
    engine = {"value": value, "lower_bound": value, "gap_rounding": 0.0 * value, "grad_norm": value, "status": status}
    measures = dict.fromkeys(names, value**2)
    return SweepResult(grid, np.arange(seeds), {**engine, **measures}, 1, 0, ())


def phase(
    along: tuple[float, float] = (20.0, 90.0), across: tuple[float, float] = (0.02, 0.09), log: bool = True,
    size: tuple[int, int] = (6, 6), cells: Any = None, boundaries: Sequence[str] = ("onset",), predicted: bool = True,
    found: bool = True, loop: bool = False, label: str = "size", step: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The data of a phase diagram over axes of these ranges."""
    spread = np.geomspace if log else np.linspace
    x, y = (spread(*ends, number) for ends, number in zip((along, across), size, strict=True))
    number = np.maximum(np.add.outer(np.linspace(0.0, 1.0, size[0]), np.linspace(1.0, -1.0, size[1])), 0.0)
    shown = number if cells is None else np.full(size, cells)
    line = [float(z) for z in spread(across[0] * 1.2, across[1] * 0.9, size[0])]
    none = [None] * size[0]

    def boundary(i: int, name: str) -> dict[str, Any]:
        factor = 1.0 + 0.002 * i
        return {
            "name": name, "order": label, "of": "minimum", "outcome": "holds" if predicted else "observed",
            "along": x.tolist(), "predicted": [factor * z for z in line] if predicted else none,
            "low": [0.98 * factor * z for z in line] if found else none,
            "high": [1.02 * factor * z for z in line] if found else none,
        }  # fmt: skip

    up = np.where(y[:, None] > np.median(y), 1.0, 0.0) + np.zeros(5)
    return {
        "diagram": "a-diagram", "outcome": "holds" if predicted else "observed",
        "along": axis("ratio", along, log, x, step), "across": axis("decay", across, log, y, step),
        "pictures": [{"order": label, "of": "minimum", "cells": [[None if np.isnan(c) else c for c in row] for row in shown]}],
        "boundaries": [boundary(i, name) for i, name in enumerate(boundaries)],
        "loop": {
            "at": 0.1, "order": label, "outcome": "holds", "values": y.tolist(), "up": up.tolist(), "down": up.tolist(),
            "predicted_up": float(y[-2]), "predicted_down": float(y[1]),
        } if loop else None,
    }  # fmt: skip


def axis(name: str, ends: tuple[float, float], log: bool, values: np.ndarray, step: float | None) -> dict[str, Any]:
    """The data of an axis of a phase diagram."""
    label = rf"$\lambda$ of every layer and of the features, {name}"
    return {
        "name": name, "label": label, "log": log, "step": step, "low": ends[0], "high": ends[1],
        "values": values.tolist(),
    }  # fmt: skip


def dynamics(
    kinds: Sequence[str] = ("trajectory",),
    components: int = 3,
    times: Any = None,
    logarithmic: bool = False,
    name: str = "modes",
    size: float = 1.0,
) -> dict[str, Any]:
    """The data of paths with one claim of each of these kinds."""
    at = np.linspace(0.1, 6.0, 12) if times is None else np.asarray(times)
    scales = [0.01, 0.02, 0.04]

    def curve(kind: str) -> dict[str, Any]:
        if kind == "order":
            middle = size * np.array(scales)[:, None] ** 2
            predicted: Any = [2.0] * 3
        else:
            middle = size * np.outer(1.0 - 0.9 * np.exp(-np.arange(at.size)), 1.0 + np.arange(components))
            band = np.stack([middle] * 3)
            predicted = band.tolist() if kind == "trajectory" else [1.0] * 3
        return {
            "name": name, "kind": kind, "statement": r"u_i^\top W_L\cdots W_1 v_i", "logarithmic": logarithmic,
            "observed": np.stack([0.9 * middle, middle, 1.1 * middle]).tolist(), "predicted": predicted,
            "components": [f"entry ({i + 1}, 1)" for i in range(components)],
        }  # fmt: skip

    return {
        "dynamics": "a-path", "outcome": "holds", "seeds": 8, "descent": False, "times": at.tolist(),
        "initial_scales": scales, "parameters": {"widths": "4-5-3", "largest": 1.3},
        "curves": [curve(kind) for kind in kinds],
    }  # fmt: skip


def census(
    rows: Sequence[tuple[float, int, str]] = ((0.5, 0, "minimum"), (0.7, 1, "strict saddle"), (0.9, 2, "degenerate")),
    title: str = "a census",
) -> dict[str, Any]:
    """The data of a census with these rows: value, index, kind."""
    return {
        "census": title,
        "rows": [
            {"value": value, "index": index, "kind": kind, "starts": 1 + 9 * index, "rank": 1,
             "eigenvalues": [-0.3] * index + [0.0, 0.2, 40.0]}
            for value, index, kind in rows
        ],
        "descents": [{"from": 1, "side": 1, "to": 0, "value": 0.5}] if len(rows) > 1 else [],
    }  # fmt: skip


def heads(steps: Sequence[int] = (0, 10, 300, 20_000), decay: bool = True, lost: Sequence[int] = ()) -> HeadGaps:
    """Three seeds whose gap falls along these steps; `lost` checkpoints are not finite, and without decay there is no gap."""
    fallen = np.geomspace(1.0, 1e-3, len(steps)) * np.array([[0.7], [0.8], [0.99]])
    fallen[:, list(lost)] = np.nan
    gap = fallen if decay else np.full_like(fallen, np.nan)
    return HeadGaps(np.array(steps), gap, 0.9 * gap, gap, 0.9 * gap, 1.0 - fallen, "ufm-mse-nobias" if decay else None)


def balances(pairs: int = 3, decay: float = 0.1, lost: bool = False, told: bool = True) -> LayerBalances:
    """Two seeds, the second of which may be lost, and an imbalance that decays a little slower than is told."""
    steps = np.array([0, 10, 40, 90])
    told_of = np.exp(-2.0 * decay * steps)[None, :, None] * np.array([[[2.0]], [[3.0]]]) * np.ones(pairs)
    seen = told_of * np.exp(1e-3 * steps)[None, :, None]
    if lost:
        seen[1] = np.nan
    predicted = told_of if told else np.full_like(told_of, np.nan)
    names = tuple(f"layers {i} and {i + 1}" for i in range(1, pairs + 1))
    off = np.abs(seen - predicted) / 4.0
    return LayerBalances(steps, 0.1 * steps, names, (False,) * (pairs - 1) + (True,), seen, predicted, off)
