"""`nctheory measure`: the collapse metrics of features that any framework has exported."""

import argparse
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nctheory.cli._commands import check_file, report_console
from nctheory.cli._outputs import Outputs
from nctheory.engine import Misuse, configure, wrong_arguments

if TYPE_CHECKING:
    import numpy as np

PARTS = ("features", "labels", "weights", "bias")


def measure_command(args: argparse.Namespace) -> int:
    """Print the metrics of a file, and write them where asked; 0."""
    from nctheory.engine import write_atomically
    from nctheory.measures import nc_metrics
    from nctheory.networks import peeled_gap
    from nctheory.report import metrics_json, metrics_table

    if args.loss is None and (args.decay is not None or args.bias_decay is not None):
        raise Misuse("--decay, --bias-decay: expected --loss with them")
    if args.target == "minimiser" and (args.loss is None or args.decay is None):
        raise Misuse("--target minimiser: expected --loss and --decay with it")
    check_file("json", args.json)
    arrays = _of_csv(args.file) if args.file.endswith(".csv") else _arrays(args.file)
    if args.loss is not None and "weights" not in arrays:
        raise Misuse(f"--loss: expected an array 'weights' in {args.file}, got {', '.join(arrays)}")
    configure()
    with wrong_arguments():
        gap = None
        if args.loss is not None:
            # The head reads the last layer.
            features = arrays["features"]
            last = list(features.values())[-1] if isinstance(features, dict) else features
            labels = arrays["labels"]
            if args.ignore is not None and len(last) == len(labels):
                last, labels = last[labels != args.ignore], labels[labels != args.ignore]
            gap = peeled_gap(
                last, labels, arrays["weights"], arrays.get("bias"),
                loss=args.loss, weight_decay=args.decay, bias_decay=args.bias_decay,
            )  # fmt: skip
        aimed = {"loss": args.loss, "weight_decay": gap.weight_decay, "bias_decay": _bias_decay(args, arrays)} if (
            gap is not None and args.target == "minimiser"
        ) else {}  # fmt: skip
        found = nc_metrics(
            arrays["features"], arrays["labels"], arrays.get("weights"), arrays.get("bias"),
            target=args.target, ignore=args.ignore, absent=args.absent, **aimed,
        )  # fmt: skip
    report_console().print(metrics_table(found, gap))
    if args.json is not None:
        outputs = Outputs()
        with outputs.attempt():
            write_atomically(Path(args.json), metrics_json(found, gap, args.file, args.line))
            print(f"written: {args.json}", flush=True)
        outputs.settle()
    return 0


def _bias_decay(args: argparse.Namespace, arrays: dict[str, Any]) -> float | None:
    """The decay of the bias where the head has one: none at all where nothing is said of it."""
    if "bias" not in arrays:
        return None
    return 0.0 if args.bias_decay is None else args.bias_decay


def _of_csv(name: str) -> "dict[str, np.ndarray | dict[str, np.ndarray]]":
    """Features and labels of a CSV file: one sample a row, the label last."""
    from nctheory.networks import read_csv

    try:
        with wrong_arguments():
            features, labels = read_csv(name)
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"FILE: cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
    return {"features": features, "labels": labels}


def _arrays(name: str) -> "dict[str, np.ndarray | dict[str, np.ndarray]]":
    """The arrays of an NPZ file by what they are; several layers, features/NAME, as a dictionary in the file's order."""
    import numpy as np

    try:
        held = np.load(name, allow_pickle=False)
        if isinstance(held, np.ndarray):
            raise Misuse(f"FILE: expected an NPZ file with features and labels, got the one array of {name}")
        with held:
            loaded = {key: held[key] for key in held.files}
    except OSError as error:
        raise Misuse(f"FILE: cannot read {name}: {error.strerror or error}") from error
    except (ValueError, zipfile.BadZipFile) as error:
        raise Misuse(
            f"FILE: expected an NPZ file of plain arrays, as numpy.savez writes it, or a CSV file, got {name}"
        ) from error
    unknown = [key for key in loaded if key not in PARTS and not key.startswith("features/")]
    if unknown:
        raise Misuse(
            f"FILE: expected arrays named features (or features/NAME of several layers), labels, weights, bias; got "
            f"{', '.join(unknown)} in {name}"
        )
    layers = {key.removeprefix("features/"): value for key, value in loaded.items() if key.startswith("features/")}
    if layers and "features" in loaded:
        raise Misuse(f"FILE: expected features or features/NAME, got both in {name}")
    found: dict[str, np.ndarray | dict[str, np.ndarray]] = {key: loaded[key] for key in PARTS if key in loaded}
    if layers:
        found["features"] = layers
    for part in ("features", "labels"):
        if part not in found:
            raise Misuse(f"FILE: expected an array {part!r}, got {', '.join(loaded) or 'none'} in {name}")
    return found
