"""A small theorem whose parts a test replaces."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

import nctheory as nct

SCHEMA = json.loads((Path(nct.__file__).parent / "report" / "verdict.schema.json").read_text())


def _less(minimum):
    return jax.tree.map(lambda x: 0.9 * x if isinstance(x, jax.Array | np.ndarray) else x, minimum)


def small_theorem(predict=nct.closed_form.squared_error_minimum, controls=None, claims=None, loss="mse", **change):
    """A theorem with two small instances of one shape."""

    def instances(key):
        return [
            nct.Instance(
                nct.unconstrained_features(counts=(2, 2), dim=3, loss=loss, weight_decay=(lam, 2 * lam)),
                {"lambda_W": lam},
            )
            for lam in (0.05, 0.15)
        ]

    general = nct.Control("a tenth less", "everything smaller by a tenth", lambda p: _less(true(p)))
    double = nct.Control("double", "twice the value", lambda p: true(p)._replace(value=2 * true(p).value), ("value",))
    true = nct.closed_form.squared_error_minimum if loss == "mse" else nct.closed_form.cross_entropy_minimum
    parts: dict[str, Any] = dict(
        id="small",
        title="small",
        statement="",
        hypotheses=(),
        notation="",
        sources=(),
        instances=instances,
        predict=predict,
        claims=claims or nct.theorems.collapse_claims(bias=False),
        controls=controls or (double, *nct.theorems.collapse_controls(true, bias=False), general),
    )
    return nct.Theorem(**{**parts, **change})
