"""Values as JSON has them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_value(value: Any, *, named: bool = False) -> Any:
    """The value in numbers, text, lists and dictionaries, with None in the place of numbers that are not finite.

    Arrays of any library become lists, and so do tuples; with `named` those of named fields become dictionaries.
    Raises TypeError for anything else.

    >>> import numpy as np
    >>> json_value({"gap": np.array([0.5, np.inf]), 2: (np.float64(1.0), True, None, "K"), "name": np.array(["a"])})
    {'gap': [0.5, None], '2': [1.0, True, None, 'K'], 'name': ['a']}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): json_value(one, named=named) for name, one in value.items()}
    if named and hasattr(value, "_asdict"):
        return json_value(value._asdict(), named=named)
    if isinstance(value, list | tuple):
        return [json_value(one, named=named) for one in value]
    array = np.asarray(value)
    if array.dtype.kind not in "biufUO" or (array.dtype.kind == "O" and not array.ndim):
        raise TypeError(f"json_value: expected numbers, text, lists and dictionaries, got {type(value).__name__}")
    return json_value(array.tolist(), named=named)
