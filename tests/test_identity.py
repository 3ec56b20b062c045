"""What an object is, in words: equal for what makes one program, different for what could make another, or not told at all."""

import dataclasses
import enum
import functools
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import _code, _identity
from nctheory.engine._identity import NoIdentity, identity
from nctheory.problems import as_family
from tests.helpers import computing, model

ROOT = Path(__file__).parent.parent
ROOM = """
import dataclasses, enum, functools
import jax, jax.numpy as jnp

class Kind(enum.Enum):
    A = 1
    B = 2

@dataclasses.dataclass(frozen=True)
class Numbers:
    low: float
    many: tuple = ()

class Plain:
    def __init__(self, x):
        self.x = x

class Slotted:
    __slots__ = ("x",)

class Called(Plain):
    def __call__(self):
        return self.x

def scaled(x, by=2.0):
    return by * x

@jax.jit
def compiled(x):
    return 2.0 * x

renamed = jax.jit(scaled)

def times(by, more=None):
    def inner(x, shift=0.0):
        return by * x + shift + 1.0
    return inner

class More(Numbers):
    pass

class Table(dict):
    pass

def pair():
    return (lambda x: x + 1.0), (lambda x: x + 2.0), (lambda x: x - 1.0)

def inner_pair():
    return (lambda x: (lambda y: y + x)(1.0)), (lambda x: (lambda y: y * x)(1.0))

def itself():
    def f(n):
        return f(n - 1) if n else 0
    return f
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package that counts as one of those that compute."""
    with computing(ROOM, tmp_path, monkeypatch) as module:
        yield module


def different(room):
    """Objects no two of which are alike."""
    plus, more, minus = room.pair()
    added, multiplied = room.inner_pair()
    return [
        1, 1.0, True, "1", b"1", None, ..., 1j, -0.0, 0.0, float("nan"), (), [], {}, frozenset(), (1,), (1, 1), ((1,), 1), [1],
        {"a": 1}, {"a": 2}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, frozenset({1, 2}), frozenset({1}),
        np.float32(1), np.float64(1), np.int64(1), np.asarray(1.0), jnp.asarray(1.0), jnp.asarray(np.float64(1.0)),
        np.ones(1), np.ones((1, 1)), np.zeros(1), np.dtype("f4"), np.dtype("f8"),
        jax.random.key(0), jax.random.key(1), jax.random.key(0, impl="rbg"),
        room.Kind.A, room.Kind.B, room.Kind, room.Numbers, room.Numbers(1.0), room.Numbers(2.0), room.Numbers(1.0, (1,)),
        room.Plain, room.Plain(1), room.Plain(2), room.Plain((1,)),
        room.scaled, room.compiled, functools.partial(room.scaled, 1.0), functools.partial(room.scaled, by=1.0),
        room.times(1.0), room.times(2.0), room.times(1), plus, more, minus, added, multiplied, room.itself(),
        jax.tree.structure((1, 2)), jax.tree.structure([1, 2]), jax.tree.structure((1, (2,))), jax.tree.structure((1, None)),
        jax.tree.structure({"a": 1}), jax.tree.structure({"b": 1}),
        jax.tree.structure(model("mse")), jax.tree.structure(model("cross_entropy")),
        jax.tree.structure(model("mse", bias=0.1)), jax.tree.structure(model("mse", dim=4)),
        jax.tree.structure(as_family([model("mse")])[0]), jax.local_devices()[0], jnp.tanh, np.tanh, jax.nn.relu,
    ]  # fmt: skip


def test_what_differs_in_anything_has_another_identity(room):
    texts = [identity(one) for one in different(room)]
    for i, one in enumerate(texts):
        assert texts.index(one) == i, f"{texts.index(one)} and {i}: {one}"


def test_the_same_made_again_is_the_same(room):
    assert [identity(one) for one in different(room)] == [identity(one) for one in different(room)]


def test_another_process_says_the_same():
    code = "import jax, nctheory as nct; from nctheory.engine._identity import identity; "
    code += "from nctheory.problems import as_family"
    made = "nct.unconstrained_features(counts=(3, 2, 1), dim=3, loss='mse', weight_decay=(0.03, 0.05))"
    asked = (
        f"(frozenset('abc'), {{'a': (1.5, None)}}, jax.tree.structure(as_family([{made}])[0]), nct.solve.__wrapped__)"
    )
    says = f"{code}; print(identity({asked}))"
    texts = set()
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", says],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(found.stdout)
    assert len(texts) == 1


def test_a_changed_file_is_another_function(room):
    before = identity(room.scaled)
    file = Path(str(room.__file__))
    file.write_text(ROOM.replace("return by * x", "return by * x * 1"))
    _code._digest.cache_clear()
    assert identity(room.scaled) != before


class Mine(nct.Loss):
    pass


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Data:
    x: int


def of_a_file(x):
    return x


def test_what_is_a_users_own_has_none(room):
    held = room.Slotted()
    held.x = 1
    more = room.More(1.0)
    object.__setattr__(more, "hidden", 2)
    shown = types.FunctionType(model.__code__, {}, "made")  # of no file
    in_report = types.FunctionType(model.__code__, {"__name__": "nctheory.report._page"}, "shown")

    @functools.wraps(room.scaled)
    def dressed(x):
        return -x

    wrapped = room.times(of_a_file)
    room.replaced = dressed  # under a name of the room, and not of its file
    dressed.__qualname__ = "replaced"
    for one in (
        of_a_file, lambda x: x, Mine, Colour.RED, Data(1), Data, dressed, wrapped, held, room.Called(1), object(), iter(()),
        np.asarray([object()]), jax.jit(of_a_file), room.renamed,
        jax.jit(room.times(1.0)), functools.partial(of_a_file, 1), {"a": of_a_file},
        threading.Lock(), more, room.Table(), np.ma.masked_array([1.0], [True]), shown, in_report,
    ):  # fmt: skip
        with pytest.raises(NoIdentity):
            identity(one)


def test_numbers_that_are_not_known_have_none():
    @jax.jit
    def traced(x):
        with pytest.raises(NoIdentity):
            identity((x, 1))
        return x

    traced(1.0)


def test_a_cell_that_is_not_filled_has_none(room, monkeypatch):
    def outer():
        def inner():
            return later

        with pytest.raises(NoIdentity, match="not there yet"):
            identity(inner)
        later = 1
        return later

    monkeypatch.setattr(_identity, "PACKAGES", (*_identity.PACKAGES, __name__.split(".")[0]))
    outer()
