"""What is written of trained networks, in the words of networks.schema.json, and how it is read again."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import numpy as np
from jsonschema.exceptions import best_match

from nctheory.engine import json_value, shown
from nctheory.networks import HeadGaps, LayerBalances, NearestMeanBounds
from nctheory.report._trained import TrainedLayers

SCHEMAS = {
    "nctheory layers 1": "layers",
    "nctheory heads 1": "heads",
    "nctheory balance 1": "balance",
    "nctheory nearest-mean 1": "nearest-mean",
    "nctheory transfer 2": "transfer",
    "nctheory observation 2": "observation",
    "nctheory metrics 2": "features",
}
"""What a file of networks calls its schema, and the definition in networks.schema.json that it follows."""
_WRITTEN = {
    HeadGaps: "nctheory heads 1",
    LayerBalances: "nctheory balance 1",
    NearestMeanBounds: "nctheory nearest-mean 1",
}


@shown()
class NetworkFile(NamedTuple):
    """A file of networks as it was read: arrays are of NumPy, with NaN for null."""

    kind: str
    """A value of `SCHEMAS`."""
    folder: str
    """The folder of the file, relative to that of the report."""
    data: dict[str, Any]


def network_json(result: HeadGaps | LayerBalances | NearestMeanBounds, run: Mapping[str, Any] | None = None) -> str:
    """A result along training, or of the nearest mean, as JSON, with what was trained (`run`, as `nctheory train` tells it).

    Numbers that are not finite become null.

    >>> one = np.ones((1, 1))
    >>> text = network_json(HeadGaps(np.array([10]), one, one, one * np.inf, one, one, None))
    >>> json.loads(text)["gap"], json.loads(text)["schema"]
    ([[None]], 'nctheory heads 1')
    """
    return as_json({"schema": _WRITTEN[type(result)], "run": run, **result._asdict()})


def layers_json(found: TrainedLayers, run: Mapping[str, Any] | None = None) -> str:
    """How training ended, and the metrics of all layers on training and test samples, as JSON.

    >>> import nctheory as nct
    >>> from nctheory.report import trained_layers
    >>> mixture = nct.networks.gaussian_mixture(counts=(6, 6), dim=3, spread=0.1)
    >>> ends = nct.networks.train(nct.networks.network_on(mixture, (4,)), seeds=2, steps=20)
    >>> json.loads(layers_json(trained_layers(ends, nct.networks.layer_metrics(ends))))["ends"]["steps"]
    20
    """
    ends = found._asdict()
    of_training, of_test = ends.pop("training"), ends.pop("test")
    tested = None if of_test is None else of_test._asdict()
    return as_json({"schema": "nctheory layers 1", "run": run, "ends": ends, "test": tested, **of_training._asdict()})


def as_json(data: Mapping[str, Any]) -> str:
    """Values as JSON, in lines, named tuples as objects."""
    return json.dumps(json_value(data, named=True), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_network_file(data: Mapping[str, Any], folder: str = "") -> NetworkFile:
    """A file of networks, held against its schema, and its arrays against each other.

    Raises ValueError, which says where it differs, for anything else.

    >>> read_network_file({"schema": "nctheory heads 1", "run": None})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: heads: 'steps' is a required property...
    """
    kind = SCHEMAS.get(str(data.get("schema")))
    if kind is None:
        known = ", ".join(repr(name) for name in SCHEMAS)
        raise ValueError(f"schema: expected one of {known}, got {data.get('schema')!r}; compute it anew")
    worst = best_match(_validator(kind).iter_errors(data))
    if worst is not None:
        raise ValueError(f"{'.'.join(map(str, worst.absolute_path)) or kind}: {worst.message[:200]}")
    # A metric of one layer alone is one number.
    single = kind == "features" and data["layers"] is None
    return NetworkFile(kind, folder, _Arrays(single).read(_definitions()[kind], data, ()))


def network_schemas() -> frozenset[str]:
    """The names of all schemas of networks without their version, by which older files are known too."""
    return frozenset(name.rsplit(" ", 1)[0] for name in SCHEMAS)


class _Arrays:
    """Lists with named axes become arrays; axes of one name are equally long throughout a file."""

    def __init__(self, single: bool) -> None:
        self._sizes: dict[str, int] = {}
        self._single = single

    def read(self, schema: Mapping[str, Any], value: Any, where: tuple[str, ...]) -> Any:
        """The value with arrays in it; ValueError, naming the place, where axes do not fit."""
        if "anyOf" in schema and value is not None:
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        if "axes" in schema:
            return self._array(schema, value, ".".join(where))
        if "$ref" in schema:
            schema = _definitions()[schema["$ref"].rsplit("/", 1)[-1]]
        if isinstance(value, dict):
            parts, other = schema.get("properties", {}), schema.get("additionalProperties")
            rest = other if isinstance(other, dict) else {}
            return {name: self.read(parts.get(name, rest), one, (*where, name)) for name, one in value.items()}
        if isinstance(value, list):
            return [self.read(schema.get("items", {}), one, (*where, str(i))) for i, one in enumerate(value)]
        return value

    def _array(self, schema: Mapping[str, Any], value: Any, where: str) -> Any:
        axes = [axis for axis in schema["axes"] if not (self._single and axis == "layers")]
        of_words = "items" in schema  # words, or marks, which the schema has held already
        found = np.array(value, dtype=object) if of_words else _numbers(value)
        if found is None:
            raise ValueError(f"{where}: expected numbers, {_spelt(axes)}, in rows of one length")
        open_ended = axes[-1:] == ["..."]
        wanted = axes[:-1] if open_ended else axes
        if found.ndim < len(wanted) or (found.ndim > len(wanted) and not open_ended):
            raise ValueError(f"{where}: expected {_spelt(axes)}, got {found.ndim} axes")
        for axis, size in zip(wanted, found.shape, strict=False):
            known = axis if isinstance(axis, int) else self._sizes.setdefault(axis, size)
            if size != known or size == 0:
                raise ValueError(f"{where}: expected {known or 1} along the axis of {axis}, got {size}")
        return value if of_words else found


def _numbers(value: Any) -> np.ndarray | None:
    """Nested lists of numbers as an array, with NaN for None; None for anything else."""
    try:
        found = np.array(value, dtype=object)
        if all(one is None or type(one) in (int, float) for one in found.flat):
            return np.array(found, dtype=float)
    except (ValueError, OverflowError):  # of rows that differ further down, and of numbers that are too large
        pass
    return None


def _spelt(axes: list[Any]) -> str:
    return " x ".join(map(str, axes)) or "one number"


@cache
def _schema() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "networks.schema.json").read_text(encoding="utf-8"))


def _definitions() -> dict[str, Any]:
    return _schema()["$defs"]


@cache
def _validator(kind: str) -> Any:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": _definitions()})
