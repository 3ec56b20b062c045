"""nctheory: the theorems of neural-collapse theory as executable claims.

Build a problem, solve it from many random starts, certify where each run ended, and hold a theorem against that:

>>> import nctheory as nct
>>> model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.1, 0.1))
>>> ensemble = nct.solve(model, seeds=8, key=0)
>>> bound = nct.certify(model, ensemble.params)
>>> minimum = nct.global_minimum(model)
>>> bool((abs(ensemble.value - minimum.value) < 1e-12).all() and (bound.gap < 1e-9).all())
True

Importing the package changes no JAX setting; its verbs compute in float64 and return NumPy arrays. Its names stand in
`__init__.pyi`; a room of the package is imported when the first of its names is used, and so is JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
