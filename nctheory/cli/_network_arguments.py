"""The arguments of `train`, `transfer` and `observe`, with the words of their help."""

import argparse

from nctheory.cli._numbers import classes, whole, whole_numbers


def add_networks(commands: argparse._SubParsersAction) -> None:
    """Add `train` and `transfer`."""
    learn = commands.add_parser("train", help="networks from many seeds, and the collapse of their layers")
    _add_pretraining(learn, "five times; channels 16,32,32; as many blocks of one width", 16)
    learn.add_argument("--steps", type=whole(1), default=2000, metavar="N", help="steps (default 2000)")
    learn.add_argument(
        "--schedule", choices=("cooled", "constant", "cosine"), default="cooled",
        help="course of the rate (default cooled: falling to zero over the last fifth)",
    )  # fmt: skip
    learn.add_argument("--decoupled", action="store_true", help="decay beside the gradient, not in it")
    learn.add_argument("--scheduler", metavar="ADDRESS", help="train on the workers of a Dask scheduler")
    learn.add_argument(
        "--polish", type=whole(1), metavar="N", help="then lower the gradient by N evaluations of L-BFGS a seed"
    )
    learn.add_argument(
        "--checkpoints", type=whole(1), metavar="N",
        help="look at N points on the way: draw the certified distance of the heads from the unconstrained-feature model, "
        "and with --optimiser sgd --schedule constant the balance of the layers against the gradient flow's (needs --out)",
    )  # fmt: skip
    learn.add_argument(
        "--shots", type=whole_numbers, metavar="N[,N...]",
        help="hold errors of the nearest class mean of N samples, and of all, against their bounds in every layer, with the "
        "test set as the population (needs --out)",
    )  # fmt: skip
    learn.add_argument(
        "--out", metavar="DIR",
        help="write networks.npz, layers.json and pictures into a folder, and keep the states of training there: the "
        "same command goes on where it was interrupted",
    )  # fmt: skip
    moved = commands.add_parser("transfer", help="networks trained on some classes, probed and fine-tuned on others")
    moved.add_argument("--source", type=classes, required=True, metavar="K[-K],...", help="classes of pretraining")
    moved.add_argument("--target", type=classes, required=True, metavar="K[-K],...", help="classes to move to")
    moved.add_argument(
        "--shots", type=whole_numbers, default=(5,), metavar="N[,N...]", help="samples of a target class (default 5)"
    )
    moved.add_argument("--episodes", type=whole(1), default=10, metavar="N", help="draws of the shots (default 10)")
    _add_pretraining(moved, "four times; channels 16,32,32; as many blocks of one width", 4)
    moved.add_argument(
        "--pretrain-steps", type=whole(1), default=2000, metavar="N", help="steps of pretraining (default 2000)"
    )
    moved.add_argument("--steps", type=whole(1), default=300, metavar="N", help="of fine-tuning (default 300)")
    moved.add_argument("--tuning-rate", type=float, metavar="R", help="learning rate of fine-tuning (default 1e-2)")
    moved.add_argument("--out", metavar="DIR", help="write transfer.json, a picture and training states into a folder")


def _add_pretraining(learn: argparse.ArgumentParser, times: str, seeds: int) -> None:
    """Add data, form and training of networks; the default widths are the model's."""
    learn.add_argument(
        "--model", choices=("mlp", "convolutions", "residual", "transformer"), default="mlp",
        help="default mlp, without biases unless --bias; the others have biases and norms",
    )  # fmt: skip
    learn.add_argument(
        "--data", default="digits", metavar="DATA", help="digits, a folder of IDX files (MNIST), FILE.npz or FILE.csv"
    )
    learn.add_argument(
        "--counts", type=whole_numbers, metavar="N[,N...]", help="training samples of each class (default: all)"
    )
    learn.add_argument(
        "--hidden",
        type=whole_numbers,
        metavar="W,W,...",
        help=f"hidden widths (default 64, {times})",
    )
    learn.add_argument("--linear", type=whole(1), default=1, metavar="L", help="linear layers at the end (default 1)")
    learn.add_argument(
        "--activation", choices=("relu", "leaky_relu", "tanh", "gelu", "identity"), default="relu", help="default relu"
    )
    learn.add_argument("--bias", action="store_true", help="layers with biases, decayed like the weights")
    learn.add_argument("--loss", choices=("mse", "cross_entropy"), default="mse", help="default mse")
    learn.add_argument("--batch", type=whole(1), metavar="N", help="samples a step, drawn at random (default: all)")
    learn.add_argument("--decay", type=float, default=1e-3, metavar="L", help="coupled weight decay (default 1e-3)")
    learn.add_argument("--seeds", type=whole(1), default=seeds, metavar="N", help=f"networks (default {seeds})")
    learn.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
    learn.add_argument("--optimiser", choices=("adam", "muon", "sgd"), default="adam", help="default adam")
    learn.add_argument("--rate", type=float, metavar="R", help="learning rate (default: the optimiser's usual one)")


def add_observations(commands: argparse._SubParsersAction) -> None:
    """Add `observe`."""
    seen = commands.add_parser("observe", help="empirical claims about trained networks, by rules fixed beforehand")
    seen.add_argument(
        "observations",
        nargs="*",
        metavar="ID|FILE.py",
        help="identifiers, or files that register observations (default: all)",
    )
    seen.add_argument(
        "--seeds", type=whole(1), metavar="N", help="seeds (default: the number that was fixed, mostly 16)"
    )
    seen.add_argument(
        "--quick", action="store_true", help="an eighth of the seeds, which is too few to decide anything"
    )
    seen.add_argument("--key", type=whole(0), default=0, metavar="K", help="random key (default 0)")
    seen.add_argument("--json", metavar="FILE", help="write all numbers as JSON")
    seen.add_argument("--out", metavar="DIR", help="write numbers and pictures (PNG, SVG, PDF) into a folder")
