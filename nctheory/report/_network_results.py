"""Results of networks made of what a file says of them, as their own tables and pictures take them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nctheory.measures import NCMetrics
from nctheory.networks import (
    AgainstInputs,
    HeadGaps,
    LayerBalances,
    LayerCollapse,
    NearestMeanBounds,
    Observed,
    ObservedGroup,
    ObservedStatistic,
    Panel,
    PeeledGap,
    RankCorrelations,
    Tally,
    Transfer,
    TuningChoices,
)
from nctheory.report._trained import TrainedLayers

Data = Mapping[str, Any]
"""The data of a file, as `read_network_file` gives them."""


def layers_of(data: Data) -> TrainedLayers:
    """The layers of trained networks."""
    test = None if data["test"] is None else metrics_of(data["test"])
    return TrainedLayers(**data["ends"], training=metrics_of(data), test=test)


def metrics_of(data: Data) -> NCMetrics:
    """Collapse metrics."""
    found: dict[str, Any] = {name: data[name] for name in NCMetrics._fields}
    found |= {"layers": None if data["layers"] is None else tuple(data["layers"])}
    return NCMetrics(**found)


def heads_of(data: Data) -> HeadGaps:
    """Certified distances along training."""
    return HeadGaps(**{name: data[name] for name in HeadGaps._fields})


def balances_of(data: Data) -> LayerBalances:
    """The balance of layers along training."""
    found: dict[str, Any] = {name: data[name] for name in LayerBalances._fields}
    found |= {"pairs": tuple(data["pairs"]), "whole": tuple(data["whole"])}
    return LayerBalances(**found)


def nearest_mean_of(data: Data) -> NearestMeanBounds:
    """Errors of the nearest mean, and bounds on them."""
    found: dict[str, Any] = {name: data[name] for name in NearestMeanBounds._fields}
    found |= {"layers": tuple(data["layers"]), "shots": tuple(data["shots"])}
    return NearestMeanBounds(**found)


def transfer_of(data: Data) -> tuple[Transfer, list[TuningChoices]]:
    """Transfer, and fine-tuning for each number of shots."""
    found: dict[str, Any] = {name: data[name] for name in Transfer._fields}
    against = data["against_inputs"]
    found |= {"layers": tuple(data["layers"]), "shots": tuple(data["shots"])}
    found |= {side: LayerCollapse(**data[side]) for side in ("source", "target")}
    found["against_inputs"] = AgainstInputs(**against | {"verdict": tuple(map(tuple, against["verdict"]))})
    found["correlations"] = RankCorrelations(**data["correlations"])
    tuned = [TuningChoices(**one | {"names": tuple(one["names"])}) for one in data["fine_tuning"]]
    return Transfer(**found), tuned


def features_of(data: Data) -> tuple[NCMetrics, PeeledGap | None]:
    """Metrics of features, and the distance of their head where there is one."""
    gap = data["peeled_gap"]
    if gap is None:
        return metrics_of(data), None
    known: dict[str, Any] = {name: float("nan") if one is None else one for name, one in gap.items()}
    known |= {name: gap[name] for name in ("theorem", "reason")} | {"weight_decay": tuple(gap["weight_decay"])}
    return metrics_of(data), PeeledGap(**known)


def observed_of(data: Data) -> tuple[Observed, list[Panel]]:
    """What an observation came out as, and the panels of its picture."""
    statistics = tuple(
        ObservedStatistic(
            one["name"], one["claim"], one["supports"], one["threshold"], one["values"], _tally(one), tuple(one["interval"]),
            tuple(one["effect"]), {name: _tally(of) for name, of in one["controls"].items()}, tuple(one["against"]),
            one["outcome"], one["reason"],
        )
        for one in data["statistics"]
    )  # fmt: skip
    groups = tuple(
        ObservedGroup(one["name"], one["grad_norm"], one["unrest"], one["error"], _mask(one["finite"]), one["numbers"])
        for one in data["groups"]
    )
    panels = [
        Panel(one["name"], one["label"], tuple(one["places"]), tuple(one["predicted"]), one["joined"])
        for one in data["panels"]
    ]
    found = Observed(
        data["observation"], data["title"], statistics, groups, data["seeds"], data["fixed_seeds"], data["share"],
        data["terminal"], data["key"], 0.0,
    )  # fmt: skip
    return found, panels


def _tally(data: Data) -> Tally:
    return Tally(data["supporting"], data["contradicting"], data["seeds"])


def _mask(values: list[bool]) -> np.ndarray:
    return np.array(values, bool)
