"""`nctheory transfer`: networks trained on some classes, and what they are good for on others."""

import argparse
from typing import TYPE_CHECKING, Any

from nctheory.cli._commands import output_folder, report_console
from nctheory.cli._outputs import Outputs
from nctheory.cli._train_command import SUFFIXES, WIDTHS, common_run, installed, network_of, read_data
from nctheory.engine import Failure, Misuse, configure, wrong_arguments

if TYPE_CHECKING:
    from nctheory.networks import Data, Network

MOVED_WIDTHS = {"mlp": (64,) * 4}
"""The default widths of networks that are moved, where they differ."""


def transfer_command(args: argparse.Namespace) -> int:
    """Pretrain, probe the layers, fine-tune by every choice, print the tables and write them where asked; 0."""
    from nctheory.engine import write_atomically
    from nctheory.networks import train, transfer, tuning_choices
    from nctheory.report import TrainingProgress, transfer_figure, transfer_json, transfer_table, tuning_table

    folder = None if args.out is None else output_folder(args.out)
    configure()
    with wrong_arguments(), installed("transfer"):
        data = read_data(args)
        source, target = data.only(*args.source), data.only(*args.target)
        _check(args, source, target)
        source, network = network_of(args, source, args.hidden or (WIDTHS | MOVED_WIDTHS)[args.model])
        target = target.shaped(*source.inputs.shape[1:])
        learned = f"{len(source.labels)} samples of {data.name}, classes {_names(args.source)}"
        print(f"{args.seeds} networks {network.described} on {learned}")
        both = sorted(set(args.source) & set(args.target))
        print(
            f"target: {len(target.labels)} samples for training and {len(target.test_labels)} for test of classes "
            f"{_names(args.target)}{f'; {_names(both)} are source classes too' if both else ''}",
            flush=True,
        )
        with TrainingProgress() as progress:
            trained = train(
                network, args.seeds, args.key, steps=args.pretrain_steps, batch=args.batch, optimiser=args.optimiser,
                rate=args.rate, folder=None if folder is None else folder / "states", progress=progress,
            )  # fmt: skip
        if not trained.finite.any():
            raise Failure("transfer: no seed stayed finite in pretraining; try a smaller --rate")
        common = {"episodes": args.episodes, "key": args.key}
        found = transfer(trained, source, target, shots=args.shots, **common)
        console = report_console()
        console.print(transfer_table(found))
        tuned = []
        for number in (number for number in args.shots if number > 1):
            tuned.append(
                tuning_choices(trained, target, shots=number, steps=args.steps, rate=args.tuning_rate, **common)
            )
            console.print(tuning_table(tuned[-1]))
    if folder is not None:
        outputs = Outputs()
        with outputs.attempt():
            write_atomically(folder / "transfer.json", transfer_json(found, tuned, _run(args, source, target, network)))
        for suffix in SUFFIXES:
            with outputs.attempt():
                transfer_figure(found, tuned, folder / f"transfer{suffix}")
        print(f"written: transfer.json and transfer.png, .svg, .pdf in {folder}", flush=True)
        outputs.settle()
    return 0


def _run(args: argparse.Namespace, source: "Data", target: "Data", network: "Network") -> dict[str, Any]:
    """What was trained and moved, as files say it."""
    return common_run(args, network) | {
        "data": source.name,
        "source": _names(args.source),
        "target": _names(args.target),
        "source_samples": len(source.labels),
        "target_samples": len(target.labels),
        "test_samples": len(target.test_labels),
        "steps": args.pretrain_steps,
    }


def _names(classes: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, classes))


def _check(args: argparse.Namespace, source: "Data", target: "Data") -> None:
    """Misuse, before anything is trained."""
    for name, part in (("--source", source), ("--target", target)):
        if part.classes < 2 or 0 in part.counts:
            raise Misuse(f"{name}: expected two classes or more with samples of each, got {part.counts} samples")
    if max(args.shots) > min(target.counts):
        least = min(target.counts)
        raise Misuse(
            f"--shots: expected at most the {least} samples of the smallest target class, got {max(args.shots)}"
        )
    if len(target.test_labels) == 0:
        raise Misuse(f"--data: expected a test set with the target classes, got none in {args.data}")
    if args.tuning_rate is not None and not 0 < args.tuning_rate < float("inf"):
        raise Misuse(f"--tuning-rate: expected a positive number, got {args.tuning_rate}")
