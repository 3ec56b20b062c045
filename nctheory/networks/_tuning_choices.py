"""What to fine-tune: every usual choice, and the one by collapse, on the same shots at the same cost."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.engine import float64, shown, untraced
from nctheory.flow import starts
from nctheory.networks._data import Data
from nctheory.networks._fine_tune import fine_tune
from nctheory.networks._pretrained import checked_network, depth_of
from nctheory.networks._train import TrainedNetworks


@shown()
class TuningChoices(NamedTuple):
    """Fine-tuning by several choices of what is trained, each array seeds x choices x episodes."""

    names: tuple[str, ...]
    """The choices."""
    seeds: np.ndarray
    error: np.ndarray
    """The share of test samples that the network gets wrong."""
    fit: np.ndarray
    """The mean loss on the shots at the end."""
    trained_weights: np.ndarray
    """The number of parameters that were trained."""
    all_weights: int
    """The number of parameters of the whole network with the new head."""
    layer: np.ndarray
    """The layer that the choice "nc" trained, seeds x episodes; 0 of a seed that did not stay finite."""
    shots: int
    steps: int
    """Gradient evaluations of each network, the same for every choice."""

    def against(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The error of each choice less that of another: the mean, and its standard error over seeds and over episodes.

        Differences are paired: both see the same shots and begin with the same head. Squares of the two standard errors are
        added; of a single seed or episode there is none. Raises ValueError for a choice that is not there.
        """
        if name not in self.names:
            raise ValueError(f"name: expected one of {', '.join(self.names)}, got {name!r}")
        known = self.error[np.isfinite(self.error).all(axis=(1, 2))]
        apart = known - known[:, [self.names.index(name)]]
        squares = np.zeros(len(self.names))
        for axis, others in ((0, 2), (2, 0)):
            number = apart.shape[axis]
            if number > 1:
                squares += np.var(apart.mean(axis=others), axis=0 if axis == 0 else -1, ddof=1) / number
        return apart.mean(axis=(0, 2)), np.sqrt(squares)


@untraced()
@float64
def tuning_choices(
    trained: TrainedNetworks,
    data: Data,
    *,
    shots: int,
    episodes: int = 10,
    key: int = 0,
    progress: Callable[[int], None] | None = None,
    **training: Any,
) -> TuningChoices:
    """`fine_tune` of the head alone, of each layer, of all of them and of the one that "nc" chooses, with and without a skip.

    Every choice takes the same steps from the same starts on the same shots; `training` is what `fine_tune` takes (steps,
    optimiser, rate, scale, weight_decay). "head + inputs" is a linear classifier on the last features and the
    inputs together: what no trained layer deserves credit for; "from scratch" is all layers from random weights, as the
    networks were before pretraining: what pretraining deserves no credit for. Raises ValueError as `fine_tune` does.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(8,) * 4, dim=6, spread=0.2, test=10)
    >>> source, target = mixture.only(0, 1), mixture.only(2, 3)
    >>> trunk = nct.networks.train(nct.networks.network_on(source, (5,)), seeds=2, steps=100)
    >>> found = tuning_choices(trunk, target, shots=3, episodes=2, steps=20)
    >>> found.names
    ('head', 'head + inputs', 'layer 1', 'nc', 'from scratch')
    """
    depth = depth_of(checked_network(trained, data))
    plans: dict[str, dict[str, Any]] = {"head": {"choose": "head"}, "head + inputs": {"choose": "head", "skip": 0}}
    for layer in range(1, depth):
        plans[f"layer {layer}"] = {"layers": (layer,)}
        if layer < depth - 1:  # the head reads what the last layer puts out already
            plans[f"layer {layer} + skip"] = {"layers": (layer,), "skip": True}
    for choose in ("all", "nc") if depth > 2 else ("nc",):
        plans[choose] = {"choose": choose}
        if depth > 2:
            plans[f"{choose} + skip"] = {"choose": choose, "skip": True}
    common: dict[str, Any] = {"shots": shots, "episodes": episodes, "key": key, "progress": progress, **training}
    found = [fine_tune(trained, data, **plan, **common) for plan in plans.values()]
    plans["from scratch"] = {}
    found.append(fine_tune(_untrained(trained), data, choose="all", **common))
    by_choice = found[list(plans).index("nc")]
    error, fit, trained_weights = (
        np.stack([getattr(one, name) for one in found], axis=1) for name in ("error", "fit", "trained_weights")
    )
    layers = by_choice.layers[:, :, :-1]
    return TuningChoices(
        tuple(plans), trained.seeds, error, fit, trained_weights, found[0].all_weights,
        np.where(layers.any(axis=-1), layers.argmax(axis=-1) + 1, 0), shots, found[0].steps,
    )  # fmt: skip


def _untrained(trained: TrainedNetworks) -> TrainedNetworks:
    """Networks of the same form and seeds at random starts; a seed that was lost stays so."""
    begun = starts(trained.network, trained.seeds)
    return trained._replace(params=jax.tree.map(np.asarray, begun))
