"""Problem tables and small tools shared by the tests."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np

import nctheory as nct
from nctheory.engine import FAST_COMPILE_OPTIONS, _code, _identity

LIGHT_FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in FAST_COMPILE_OPTIONS.items())
"""`FAST_COMPILE_OPTIONS` as the compiler reads it from the environment."""

BIASES = (None, 0.0, 0.3)
LOSSES = ("mse", "cross_entropy")
SPURIOUS: dict[str, Any] = dict(counts=(10,) * 6, dim=2, loss="cross_entropy", weight_decay=(1e-3, 1e-3), bias=0.0)
"""Too narrow a model, with many local minima."""


class Linear(nct.problems.Energy):
    """<A, G> of the Gram matrix: its bound is a semidefinite program."""

    convex: ClassVar[bool] = True
    matrix: np.ndarray

    @property
    def vectors(self):
        return self.matrix.shape[0]

    def value(self, gram):
        return jnp.sum(self.matrix * gram)


def usual_environment() -> dict[str, str]:
    """The environment of a process that compiles as a user's does."""
    others = os.environ["XLA_FLAGS"].replace(LIGHT_FLAGS, "").strip()
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return {**kept, "XLA_FLAGS": others} if others else kept  # the compiler takes a blank for the name of a file


@contextlib.contextmanager
def computing(source: str, folder: Path, monkeypatch) -> Iterator[Any]:
    """A module `computing` of this source, in a package that counts as one of those whose functions have an identity."""
    (folder / "computing").mkdir()
    (folder / "computing" / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(_identity, "PACKAGES", (*_identity.PACKAGES, "computing"))
    _code._digest.cache_clear()
    monkeypatch.setattr(_code, "_READ", dict(_code._READ))
    yield importlib.import_module("computing")
    del sys.modules["computing"]
    _code._digest.cache_clear()


@contextlib.contextmanager
def unchecked_types() -> Iterator[None]:
    """Within it arguments of a wrong type come as far as they do in a user's process, where nothing checks annotations."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def model(loss: str | nct.Loss = "mse", counts=(3, 2, 1), dim=3, decay=(0.03, 0.05), bias=None):
    """A small unconstrained-feature model."""
    return nct.unconstrained_features(counts=counts, dim=dim, loss=loss, weight_decay=decay, bias=bias)


def random_points(problem, number, rng, scale=1.0):
    """Random parameters with a leading seeds axis."""
    shapes = jax.eval_shape(lambda: problem.init(jax.random.key(0), 1.0))
    return jax.tree.map(lambda leaf: scale * rng.normal(size=(number, *leaf.shape)), shapes)


def first(tree):
    """The first item along the seeds axis."""
    return jax.tree.map(lambda x: x[0], tree)


def brute_force_hessian(problem, point):
    """Dense Hessian by autodiff of the objective alone, as a second opinion on the hand-written gradient."""
    return np.asarray(
        jax.hessian(lambda v: problem.objective(nct.problems.unravel(problem, v)))(nct.problems.ravel(point))
    )
