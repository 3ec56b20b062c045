"""nctheory: the theorems of neural-collapse theory as executable claims.

Build a problem, solve it from many random starts, certify where each run ended, and hold a theorem against that:

>>> import nctheory as nct
>>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.1, 0.1))
>>> ensemble = nct.solve(model, seeds=8, key=0)
>>> bound = nct.certify(model, ensemble.params)
>>> minimum = nct.global_minimum(model)
>>> bool((abs(ensemble.value - minimum.value) < 1e-12).all() and (bound.gap < 1e-9).all())
True

The verbs, the constructors of problems and the words of a theorem stand here. Everything else stands in the namespace that
says what it is about: `problems`, `losses`, `closed_form`, `flow`, `certificates`, `landscape`, `measures`, `generalisation`,
`networks`, `sampling`, `theorems`, `falsification`, `sweeps`, `phase` and `report`.

Importing the package changes no JAX setting; its verbs compute in float64 and return NumPy arrays. The names are listed in
`__init__.pyi`; a room of the package is imported when the first of its names is used, and so is JAX.
"""

from typing import Any

import lazy_loader

from nctheory.engine import make_proofs_importable

make_proofs_importable()
_lazily, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__ or name.startswith("__"):
        return _lazily(name)
    from nctheory._moved import moved

    return moved(name)
