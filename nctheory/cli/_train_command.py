"""`nctheory train`: networks trained from many seeds, and the collapse of their layers."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nctheory.cli._commands import output_folder, report_console
from nctheory.cli._outputs import Outputs
from nctheory.engine import Failure, Misuse, configure, wrong_arguments

if TYPE_CHECKING:
    from nctheory.networks import Data, Network, TrainedNetworks

SUFFIXES = (".png", ".svg", ".pdf")
WIDTHS = {"mlp": (64,) * 5, "convolutions": (16, 32, 32), "residual": (64,) * 5, "transformer": (32,) * 2}
"""The default widths of the models."""


def train_command(args: argparse.Namespace) -> int:
    """Train, print the metrics of the layers, and write them where asked; 0."""
    from nctheory.networks import error_on, layer_metrics, nearest_mean_bounds, polish, train
    from nctheory.report import TrainingProgress, trained_table

    for option in ("checkpoints", "shots"):
        if getattr(args, option) is not None and args.out is None:
            raise Misuse(f"--{option}: expected --out DIR with it, for what is seen then is drawn there")
    folder = None if args.out is None else output_folder(args.out)
    configure()
    with wrong_arguments(), installed("train"):
        data = read_data(args)
        data, network = network_of(args, data, args.hidden or WIDTHS[args.model])
        everything = set(range(data.classes))
        if lacking := sorted(everything - set(data.labels.tolist())):
            raise Misuse(f"--data: expected training samples of every class, got none of class {lacking[0]}")
        if args.shots is not None and set(data.test_labels.tolist()) != everything:
            raise Misuse("--shots: expected test samples of every class, got none of some")
        print(f"{args.seeds} networks {network.described} on {len(data.labels)} samples of {data.name}", flush=True)
        with TrainingProgress() as progress:
            trained = train(
                network, args.seeds, args.key, steps=args.steps, batch=args.batch, optimiser=args.optimiser, rate=args.rate,
                schedule=args.schedule, decoupled=args.decoupled, checkpoints=checkpoints_of(args),
                folder=None if folder is None else folder / "states",
                client=args.scheduler, progress=progress,
            )  # fmt: skip
        drawn = along_training(args, trained)
        if args.polish is not None and trained.finite.any():
            trained = polish(trained, evaluations=args.polish)
    if not trained.finite.any():
        raise Failure("train: no seed stayed finite; try a smaller --rate")
    found, tested, error = layer_metrics(trained), None, None
    if len(data.test_labels):
        error = error_on(trained, data.test_inputs, data.test_labels)
        if set(data.test_labels.tolist()) == everything:
            tested = layer_metrics(trained, data.test_inputs, data.test_labels)
    report_console().print(trained_table(trained, found, error))
    if args.shots is not None:
        drawn["nearest-mean"] = nearest_mean_bounds(trained, data, args.shots)
    if folder is not None:
        _write(folder, run_of(args, data, network), trained, (found, tested, error), drawn)
    return 0


def _write(
    folder: Path, run: dict[str, Any], trained: "TrainedNetworks", measured: tuple[Any, Any, Any], drawn: dict[str, Any]
) -> None:
    """All weights, and numbers and pictures of the layers and of everything else that was asked for, by its name."""
    import io

    import numpy as np

    from nctheory.engine import write_atomically
    from nctheory.report import layers_figure, layers_json, network_json, plot, trained_layers

    outputs, (found, tested, error) = Outputs(), measured
    with outputs.attempt():
        held = io.BytesIO()
        np.savez(held, **_arrays(trained))
        write_atomically(folder / "networks.npz", held.getvalue())
    with outputs.attempt():
        write_atomically(folder / "layers.json", layers_json(trained_layers(trained, found, tested, error), run))
    for suffix in SUFFIXES:
        with outputs.attempt():
            layers_figure(trained, found, folder / f"layers{suffix}", tested)
        for name, result in drawn.items():
            with outputs.attempt():
                plot(result, folder / f"{name}{suffix}")
    for name, result in drawn.items():
        with outputs.attempt():
            write_atomically(folder / f"{name}.json", network_json(result, run))
    names = ("layers", *drawn)
    files = ", ".join(["networks.npz", *(f"{name}.json" for name in names)])
    print(f"written: {files} and {', '.join(f'{name}.png' for name in names)}, .svg, .pdf in {folder}", flush=True)
    outputs.settle()


def run_of(args: argparse.Namespace, data: "Data", network: "Network") -> dict[str, Any]:
    """What was trained, on what and how, as files say it."""
    return common_run(args, network) | {
        "data": data.name,
        "samples": len(data.labels),
        "test_samples": len(data.test_labels),
        "classes": data.classes,
        "decoupled": args.decoupled,
        "schedule": args.schedule,
        "steps": args.steps,
        "polish": args.polish,
    }


def common_run(args: argparse.Namespace, network: "Network") -> dict[str, Any]:
    """What `train` and `transfer` say alike of a training."""
    from nctheory.networks import OPTIMISERS

    return {
        "command": args.line,
        "network": network.described,
        "loss": args.loss,
        "decay": args.decay,
        "optimiser": args.optimiser,
        "rate": OPTIMISERS[args.optimiser] if args.rate is None else args.rate,
        "batch": args.batch,
        "seeds": args.seeds,
        "key": args.key,
    }


def checkpoints_of(args: argparse.Namespace) -> tuple[int, ...]:
    """The numbers of steps at which training is looked at: from zero on, ever further apart, for most happens early.

    >>> checkpoints_of(argparse.Namespace(checkpoints=4, steps=1000))
    (0, 16, 125, 422)
    """
    number = args.checkpoints or 0
    return tuple(sorted({round(args.steps * (i / number) ** 3) for i in range(number)}))


def along_training(args: argparse.Namespace, trained: "TrainedNetworks") -> dict[str, Any]:
    """What the checkpoints tell, by the name of its picture."""
    import numpy as np

    from nctheory.networks import HOMOGENEOUS, FeedForward, head_gaps, layer_balances, momentum_time

    if args.checkpoints is None or not trained.finite.any():
        return {}
    found: dict[str, Any] = {}
    network, heads = trained.network, head_gaps(trained)
    if np.isfinite(heads.gap).any() or np.isfinite(heads.efficiency).any():
        found["heads"] = heads
    homogeneous = isinstance(network, FeedForward) and set(network.activations) <= HOMOGENEOUS and network.depth > 1
    if homogeneous and args.optimiser == "sgd" and args.schedule == "constant" and not args.decoupled:
        found["balance"] = layer_balances(trained, momentum_time(args.rate))
    return found


def network_of(args: argparse.Namespace, data: "Data", widths: tuple[int, ...]) -> "tuple[Data, Network]":
    """The network that was asked for, and the data in the shape that it reads."""
    from nctheory.networks import model_for, module_on, network_on

    if args.model == "mlp":
        return data, network_on(
            data, widths, loss=args.loss, weight_decay=args.decay, activation=args.activation, linear=args.linear,
            bias=args.bias,
        )  # fmt: skip
    if args.activation != "relu" and args.model == "transformer":
        raise Misuse(f"--activation: expected the default with --model {args.model}, got {args.activation}")
    if args.linear > 1 and args.model != "convolutions":
        raise Misuse(f"--linear: expected 1 with --model {args.model}, got {args.linear}")
    shaped, make = model_for(args.model, data, widths, args.linear, args.activation)
    return shaped, module_on(shaped, make, loss=args.loss, weight_decay=args.decay)


@contextmanager
def installed(command: str) -> Iterator[None]:
    """What is not installed is a wrong command, and says how to have it."""
    try:
        yield
    except ImportError as error:
        raise Misuse(f"{command}: {error}") from error


def read_data(args: argparse.Namespace) -> "Data":
    """The data that were asked for."""
    from nctheory import networks

    if args.data == "digits":
        data = networks.digits()
    elif Path(args.data).is_dir():
        data = networks.idx(args.data)
    elif Path(args.data).suffix == ".npz":
        data = networks.npz(args.data)
    elif Path(args.data).suffix == ".csv":
        data = networks.csv(args.data)
    else:
        raise Misuse(f"--data: expected digits, a folder of IDX files, FILE.npz or FILE.csv, got {args.data!r}")
    if args.counts is None:
        return data
    return data.take(args.counts * data.classes if len(args.counts) == 1 else args.counts)


def _arrays(trained: "TrainedNetworks") -> dict[str, Any]:
    """The parameters of all seeds by name, and how each training ended."""
    found: dict[str, Any] = {"seeds": trained.seeds, **trained.network.arrays(trained.params)}
    return found | {"value": trained.value, "grad_norm": trained.grad_norm, "error": trained.error}
