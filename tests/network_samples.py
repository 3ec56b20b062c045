"""Results of trained networks made by hand, of every kind that has a file, and these files."""

import json
from typing import Any

import numpy as np

from nctheory.measures import NCMetrics
from nctheory.networks import (
    AgainstInputs,
    LayerCollapse,
    NearestMeanBounds,
    Observed,
    ObservedGroup,
    ObservedStatistic,
    PeeledGap,
    RankCorrelations,
    Tally,
    Transfer,
    TuningChoices,
    find_observation,
)
from nctheory.report import layers_json, metrics_json, network_json, observed_json, transfer_json
from nctheory.report._nearest_mean import draw_nearest_mean
from nctheory.report._observed import draw_observed
from nctheory.report._trained import TrainedLayers, draw_layers, draw_metrics
from nctheory.report._transferred import draw_transfer
from tests.picture_samples import LONG, balances, heads

LAYERS = ("inputs", "layer 1", "layer 2")
RUN = {
    "command": "nctheory train --linear 2", "network": "4-6-5-3", "data": "a mixture", "samples": 12, "test_samples": 9,
    "classes": 3, "loss": "mse", "decay": 0.02, "decoupled": False, "optimiser": "adam", "rate": 0.01,
    "schedule": "cooled", "batch": None, "steps": 60, "polish": None, "seeds": 3, "key": 0,
}  # fmt: skip
MOVED = {
    "command": "nctheory transfer", "network": "4-6-3", "data": "a mixture", "source": "0, 1", "target": "2, 3",
    "source_samples": 12, "target_samples": 12, "test_samples": 6, "loss": "cross_entropy", "decay": 0.02,
    "optimiser": "adam", "rate": 0.01, "batch": None, "steps": 60, "seeds": 2, "key": 0,
}  # fmt: skip


def falling(*shape: int, lost: bool = False, least: float = 0.01) -> np.ndarray:
    """Positive numbers, all different, that fall along the second axis; with `lost` the last seed has none."""
    found = least + np.exp(-np.arange(np.prod(shape)).reshape(shape) / 7.0)
    if lost:
        found[-1] = np.nan
    return found


def metrics(seeds: int | None = 3, layers: tuple[str, ...] | None = LAYERS, lost: bool = False) -> NCMetrics:
    """Metrics of seeds x layers, or of less, three classes each; with `lost` the last seed has none."""
    lead = (*(() if seeds is None else (seeds,)), *(() if layers is None else (len(layers),)))
    found: dict[str, Any] = {}
    for name in NCMetrics._fields[1:-1]:
        shape = (*lead, 3) if name.endswith("by_class") else lead
        found[name] = falling(*shape, lost=lost) if shape else 0.25
    return NCMetrics(counts=np.array([5, 4, 3]), **found, layers=layers)


def layers(lost: bool = False) -> TrainedLayers:
    """Three seeds with test samples and a bound; the last one may be lost."""
    names = ("value", "fit", "grad_norm", "error", "test_error", "head_bounds")
    ends: dict[str, Any] = {name: (1.0 + i) * falling(3, lost=lost) for i, name in enumerate(names)}
    both: dict[str, Any] = {name: metrics(lost=lost) for name in ("training", "test")}
    return TrainedLayers(described="4-6-5-3", steps=60, seeds=np.arange(3), **ends, **both)


def nearest_mean(lost: bool = False, shots: tuple[int, ...] = (1, 5)) -> NearestMeanBounds:
    """Three seeds, whose bounds from the training set are exceeded in the last layers."""
    plain = [factor * falling(3, 3, lost=lost) for factor in (0.1, 0.9, 0.05)]
    many = [factor * falling(3, 3, len(shots), lost=lost) for factor in (0.2, 0.19, 0.21, 0.8, 1.2, 0.1)]
    return NearestMeanBounds(LAYERS, shots, *plain, *many, guessing=2.0 / 3.0)


def transferred(shots: tuple[int, ...] = (2,), episodes: int = 2) -> tuple[Transfer, list[TuningChoices]]:
    """Two seeds, and fine-tuning by six choices."""
    sides: dict[str, Any] = {side: LayerCollapse(*(falling(2, 3) for _ in range(3))) for side in ("source", "target")}
    errors: dict[str, Any] = {
        f"{name}_error": 0.5 * falling(2, len(shots), 3, episodes) for name in ("probe", "nearest_mean")
    }
    told = (("inputs", "worse", "undecided"),) * len(shots)
    against = AgainstInputs(falling(len(shots), 3), falling(len(shots), 3), told)
    size = (2, 3, 2, len(shots))
    correlations = RankCorrelations(falling(2, *size), *(falling(*size) for _ in range(4)))
    found = Transfer(
        seeds=np.arange(2), layers=LAYERS, shots=shots, against_inputs=against, correlations=correlations, shared=0,
        **sides, **errors,
    )  # fmt: skip
    names = ("head", "head + inputs", "layer 1", "all", "nc", "from scratch")
    size = (2, len(names), episodes)
    weights = np.broadcast_to(np.array([9, 18, 27, 45, 27, 45])[None, :, None], size)
    tuned = [
        TuningChoices(
            names,
            np.arange(2),
            0.3 * falling(*size),
            falling(*size),
            weights,
            45,
            np.ones((2, episodes), int),
            number,
            20,
        )
        for number in shots
    ]
    return found, tuned


def observed(seeds: int = 4, outcome: Any = "not observed") -> Observed:
    """What an observation of the package might come out as, for the panels of `progressive-collapse`."""
    known = find_observation("progressive-collapse")
    groups = tuple(
        ObservedGroup(
            name, falling(seeds), falling(seeds), falling(seeds), np.ones(seeds, bool),
            {panel.name: (1.0 + i) * falling(seeds, 5) for panel in known.panels} | {"single": falling(seeds)},
        )
        for i, name in enumerate(("networks", *(one.name for one in known.controls)))
    )  # fmt: skip
    ratio = ObservedStatistic(
        "trace ratio", "the ratio falls", "below", 1.0, falling(seeds), Tally(0, seeds, seeds), (0.0, 0.6),
        (0.5, 0.4, float("nan")), {"random features": Tally(0, seeds, seeds)}, ("random features",), outcome, "it does not",
    )  # fmt: skip
    return Observed(known.id, known.title, (ratio,), groups, seeds, 16, 0.5, 0.01, 0, 1.0)


def files() -> dict[str, dict[str, Any]]:
    """A file of every kind, by its name, as it is read."""
    nan = float("nan")
    gap = PeeledGap(0.1, 2.0, (0.02, 0.01), 0.3, 0.2, "ufm-mse-nobias", 0.19, 0.36, nan, None)
    texts = {
        "run/layers.json": layers_json(layers(lost=True), RUN),
        "run/heads.json": network_json(heads(), RUN),
        "run/balance.json": network_json(balances(), RUN),
        "run/nearest-mean.json": network_json(nearest_mean(), RUN),
        "transfer.json": transfer_json(*transferred(), MOVED),
        "one.observed.json": observed_json(observed(), None, "nctheory observe one"),
        "features.json": metrics_json(metrics(None), gap, "features.npz", "nctheory measure features.npz"),
        "single.json": metrics_json(metrics(None, None)),
    }
    return {name: json.loads(text) for name, text in texts.items()}


PICTURES = {
    "layers": lambda: draw_layers(layers()),
    "layers of long names": lambda: draw_metrics([("samples", metrics(1, (LONG, "b")))], LONG),
    "nearest mean with a lost seed": lambda: draw_nearest_mean(nearest_mean(lost=True)),
    "transfer": lambda: draw_transfer(*transferred((2, 5))),
    "observed": lambda: draw_observed(observed(), find_observation("progressive-collapse").panels),
}
"""Their pictures."""
