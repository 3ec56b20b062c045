"""Fine-tuning of pretrained networks on few samples of other classes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.engine import float64, shown, untraced, whole_number
from nctheory.flow import as_key
from nctheory.networks._choice import chosen_layer, few_shot_variability
from nctheory.networks._data import Data
from nctheory.networks._measure import error_on
from nctheory.networks._modules import ModuleNetwork
from nctheory.networks._pretrained import Pretrained, checked_network, depth_of, finite_points
from nctheory.networks._probe import few_shots, layer_outputs
from nctheory.networks._train import TrainedNetworks, train
from nctheory.networks._tuned import TunedLayers, tuned_layers
from nctheory.networks._tuned_modules import TunedModule, tuned_module
from nctheory.problems import Params

CHOICES = ("head", "first", "last", "all", "nc")
"""What can be tuned by name: the head alone; beside it layer 1; layer L-1; all layers; the layer that the shots choose."""


@shown("test_accuracy")
class FineTuning(NamedTuple):
    """Networks after fine-tuning, with leading axes `seeds`, `episodes`; NaN where pretraining or tuning did not stay finite.

    No network is said to have converged: `grad_norm` tells how far from stationary each one is.
    """

    seeds: np.ndarray
    layers: np.ndarray
    """The mask of the weight layers that were trained, seeds x episodes x L; the last one, the head, always is."""
    skip: np.ndarray
    """The layer whose output has a connection to the logits; -1 for none."""
    trained_weights: np.ndarray
    """The number of parameters that were trained."""
    all_weights: int
    """The number of parameters of the whole network with the new head."""
    error: np.ndarray
    """The share of test samples that the network gets wrong."""
    fit: np.ndarray
    """The mean loss on the samples that it was tuned on."""
    fit_error: np.ndarray
    """The share of those that it gets wrong."""
    grad_norm: np.ndarray
    """The norm of the gradient in what was trained."""
    variability: np.ndarray
    """`few_shot_variability` of Z_0, …, Z_{L-1} on the shots before tuning, where it chose the layer; NaN elsewhere."""
    params: Params
    """All weights, tuned or not."""
    skip_weights: tuple[tuple[np.ndarray | None, ...], ...]
    """S of each seed and episode; None where there is no skip connection."""
    rows: np.ndarray
    """The training samples of each episode, episodes x number."""
    steps: int
    """Gradient evaluations of each network."""

    @property
    def test_accuracy(self) -> float:
        """The mean over seeds and episodes."""
        return float(np.nanmean(1.0 - self.error)) if np.isfinite(self.error).any() else float("nan")


@untraced()
@float64
def fine_tune(
    trained: TrainedNetworks,
    data: Data,
    *,
    layers: Sequence[int] | None = None,
    choose: str | None = None,
    skip: bool | int = False,
    shots: int | None = None,
    episodes: int = 1,
    key: int = 0,
    steps: int = 300,
    optimiser: str | Any = "adam",
    rate: float | None = None,
    scale: float = 1.0,
    weight_decay: Any = None,
    progress: Callable[[int], None] | None = None,
) -> FineTuning:
    r"""Train a new head and chosen layers of pretrained networks on other classes; the rest of each trunk stays as it is.

    `layers` are numbers of weight layers from 1 to L-1, or `choose` names them: "head" (none of them), "first", "last"
    (layer L-1), "all", or "nc": the layer that the collapse of the target's own few samples tells. That is the one above
    the features of least `few_shot_variability` (or L-1, where those are the last): layers below have brought the target
    classes together and stay, and it is the first that lets go of what it is given, which no layer above can bring back.
    It costs one forward pass of the shots, and sees no other sample. `skip` True is a connection from the
    output of the lowest trained layer to the logits with weights of its own, beginning at zero; a number is that from another
    layer, 0 being the inputs. (From layer L-1 there is none: the head reads it already.)

    `shots` samples of each class of the training set of `data` are drawn in every one of several `episodes`, which are the
    same whatever is tuned; without it all samples are taken. All `steps` are on all of these samples, from the trunk's
    weights and a head drawn by `key`, episode and seed, with `scale` (see `train` for `optimiser` and `rate`); every
    choice takes equally many gradient evaluations. Decays pull towards zero; `weight_decay` is by default that of
    pretraining (one number for modules). Layer l of a module is what its l-th output needs and none before it does. Every
    seed goes its own way, and one that did not stay finite is NaN. `progress` hears of every network.

    Raises ValueError, naming the argument, for a layer that does not exist, too few samples for the shots, data without a
    test set, and inputs of another size.

    >>> import nctheory as nct
    >>> mixture = nct.networks.gaussian_mixture(counts=(8,) * 4, dim=6, spread=0.2, test=10)
    >>> source, target = mixture.only(0, 1), mixture.only(2, 3)
    >>> trunk = nct.networks.train(nct.networks.network_on(source, (5, 5)), seeds=2, steps=100)
    >>> tuned = fine_tune(trunk, target, choose="first", shots=3, episodes=2, steps=50)
    >>> tuned.error.shape, tuned.trained_weights.tolist(), tuned.all_weights, tuned.layers[0, 0].tolist()
    ((2, 2), [[40, 40], [40, 40]], 65, [True, False, True])
    """
    network, root = checked_network(trained, data), as_key(key)
    depth = depth_of(network)
    if (layers is None) == (choose is None):
        raise ValueError("layers: expected either layers or choose")
    named = None if layers is None else _layer_numbers(layers, depth)
    if choose is not None and choose not in CHOICES:
        raise ValueError(f"choose: expected one of {', '.join(CHOICES)}, got {choose!r}")
    if choose == "nc" and shots is not None and shots < 2:
        raise ValueError("choose: expected two shots or more with 'nc', for one sample of a class has no variability")
    _check_skip(skip, depth, named == () or choose == "head")
    rows = samples_of(data, shots, episodes, key)
    found, points, skips = [], [], []
    for seed, point in finite_points(trained):
        for episode, some in enumerate(rows):
            x, y = data.inputs[some], data.labels[some]
            spread = np.full(depth, np.nan)
            if choose == "nc":
                spread = np.array([few_shot_variability(h, y) for h in layer_outputs(network, point, x)])
            tuned = named if choose is None else _chosen(choose, depth, spread)
            assert tuned is not None
            problem = _problem(
                network, point, x, y, data.classes, tuned=tuned, skip=_connection(skip, tuned, depth),
                weight_decay=weight_decay,
            )  # fmt: skip
            ends = train(
                problem, [seed], jax.random.fold_in(root, episode), steps=steps, optimiser=optimiser, rate=rate,
                scale=scale,
            )  # fmt: skip
            one, whole, across = _record(problem, ends, data)
            found.append({**one, "variability": spread})
            points.append(whole)
            skips.append(across)
            if progress is not None:
                progress(1)
    return _gathered(trained, rows, found, points, skips, steps)


def _problem(network: Pretrained, *samples: Any, **plan: Any) -> TunedLayers | TunedModule:
    """The problem of fine-tuning a network of either kind."""
    if isinstance(network, ModuleNetwork):
        return tuned_module(network, *samples, **plan)
    return tuned_layers(network, *samples, **plan)


def samples_of(data: Data, shots: int | None, episodes: int, key: int) -> np.ndarray:
    """The training samples of each episode."""
    if shots is not None:
        return few_shots(data.labels, shots, episodes, key)
    if episodes != 1:
        raise ValueError(f"episodes: expected 1 without shots, for all samples are taken, got {episodes}")
    return np.arange(len(data.labels))[None]


def _layer_numbers(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Increasing numbers of weight layers below the head."""
    wrong = [one for one in layers if isinstance(one, bool) or one not in range(1, depth)]
    if wrong or len(set(layers)) < len(layers):
        raise ValueError(f"layers: expected different ones of 1 to {depth - 1}, got {tuple(layers)}")
    return tuple(sorted(int(one) for one in layers))


def _check_skip(skip: bool | int, depth: int, head_alone: bool) -> None:
    if skip is True and head_alone:
        raise ValueError("skip: expected the number of a layer where no layer is trained, got True")
    if not isinstance(skip, bool) and skip not in range(depth - 1):
        raise ValueError(f"skip: expected True, False or a layer from 0 to {depth - 2}, got {skip!r}")


def _chosen(choose: str, depth: int, spread: np.ndarray) -> tuple[int, ...]:
    """The layers of a choice by name."""
    if choose == "nc":
        return (chosen_layer(spread),)
    return {"head": (), "first": (1,), "last": (depth - 1,), "all": tuple(range(1, depth))}[choose]


def _connection(skip: bool | int, tuned: tuple[int, ...], depth: int) -> int | None:
    """The layer whose output the skip connection takes."""
    if not isinstance(skip, bool):
        return int(skip)
    return tuned[0] if skip and tuned[0] < depth - 1 else None


def _record(
    problem: TunedLayers | TunedModule, ends: TrainedNetworks, data: Data
) -> tuple[dict[str, Any], Params, np.ndarray | None]:
    """What is kept of one network."""
    point = jax.tree.map(lambda x: np.asarray(x[0]), ends.params)
    mask = np.isin(np.arange(1, problem.depth + 1), (*problem.tuned, problem.depth))
    one = {
        "layers": mask, "skip": -1 if problem.skip is None else problem.skip,
        "trained_weights": sum(x.size for x in jax.tree.leaves(point)),
        "error": error_on(ends, data.test_inputs, data.test_labels)[0],
        "fit": ends.fit[0], "fit_error": ends.error[0] if ends.finite[0] else np.nan, "grad_norm": ends.grad_norm[0],
    }  # fmt: skip
    whole = jax.tree.map(np.asarray, problem.whole(point))
    across = problem.skip_weights(point)
    return one, whole, None if across is None else np.asarray(across)


def _gathered(
    trained: TrainedNetworks, rows: np.ndarray, found: list[dict[str, Any]],
    points: list[Params], skips: list[np.ndarray | None], steps: int,
) -> FineTuning:  # fmt: skip
    """The record of all seeds and episodes; seeds that tell nothing are NaN, and trained nothing."""
    seeds, episodes = len(trained.seeds), whole_number("episodes", len(rows))

    def spread(parts: list[Any], empty: Any) -> np.ndarray:
        known = np.stack([np.asarray(part) for part in parts])
        out = np.full((seeds, episodes, *known.shape[1:]), empty, known.dtype)
        out[trained.finite] = known.reshape(-1, episodes, *known.shape[1:])
        return out

    empty: dict[str, Any] = {"layers": False, "skip": -1, "trained_weights": 0}
    fields = {name: spread([one[name] for one in found], empty.get(name, np.nan)) for name in found[0]}
    params = jax.tree.map(lambda *leaves: spread(list(leaves), np.nan), *points)
    across = np.full((seeds, episodes), None, dtype=object)
    for place, one in zip(np.argwhere(np.repeat(trained.finite[:, None], episodes, axis=1)), skips, strict=True):
        across[tuple(place)] = one
    everything = sum(x.size for x in jax.tree.leaves(points[0]))
    return FineTuning(
        seeds=trained.seeds, **fields, all_weights=everything, params=params, skip_weights=tuple(map(tuple, across)),
        rows=rows, steps=steps,
    )  # fmt: skip
