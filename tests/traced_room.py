"""A package of functions whose traced programs are kept in a folder of the test."""

import contextlib

import jax
import numpy as np

from nctheory.engine import _programs, _traced
from tests.helpers import computing

ROOM = """
import typing
import jax, jax.numpy as jnp

traced = []

class Found(typing.NamedTuple):
    low: typing.Any
    pair: tuple

def squared(x, power=2, by=3.0):
    traced.append(x.shape)
    return Found(by * x**power, (jnp.linalg.eigvalsh(jnp.outer(x, x)), None, {"sum": x.sum()}))

def drawn(key, x):
    traced.append(x.shape)
    return jax.random.normal(key, x.shape, x.dtype) + x

def wrong(x):
    traced.append(x.shape)
    raise ValueError("x: expected another")

def weak(x):
    return jnp.asarray(2.0) * 1

def stateful(x):
    traced.append(x.shape)
    from nctheory.engine import read_own_state
    read_own_state()
    return x

def activated(x):
    from nctheory.problems import ACTIVATIONS
    return ACTIVATIONS["relu"](x)

def told(x):
    traced.append(x.shape)
    jax.debug.callback(lambda y: None, x)
    return 2 * x
"""


@contextlib.contextmanager
def kept_room(folder, monkeypatch):
    """Functions of a package that counts as one of those that compute, in a process that has compiled nothing yet."""
    monkeypatch.setattr(_traced, "_FOLDER", None)
    monkeypatch.setattr(_traced, "_own", 0)
    monkeypatch.setattr(_traced, "LOOK_AGAIN", 0.0)
    monkeypatch.setattr(_programs, "_cached_program", lambda key: None)
    with computing(ROOM, folder, monkeypatch) as module:
        _traced.keep_traced_programs(folder / "kept")
        yield module


def files():
    assert _traced._FOLDER is not None
    return sorted(_traced._FOLDER.iterdir())


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert x.dtype == y.dtype
        assert x.weak_type == y.weak_type
        np.testing.assert_array_equal(x, y)
