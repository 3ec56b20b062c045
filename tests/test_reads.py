"""A function of a user's own that reads something beside its arguments is computed on what that is now."""

import dataclasses
import functools
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import _reads
from nctheory.theorems import _registry

HERE = sys.modules[__name__]
FACTOR, WEIGHTS, ARRAY, SETTINGS, WIDTH = (
    1.0,
    [1.0, {"first": (1.0, 2.0)}],
    np.ones(2),
    types.SimpleNamespace(factor=1.0),
    2,
)
SQUARED = True


class Settings:
    """Numbers of a user's own, in an object that can be written to."""

    def __init__(self):
        self.factor = 1.0


OBJECT = Settings()


class Wells(nct.problems.Problem):
    """f(y) = factor sum_i (y_i^2 - 1)^2 + decay |y|^2, where the factor is read here and there: min f = n (decay - decay^2 /
    (4 factor)), at y_i^2 = 1 - decay / (2 factor)."""

    decay: jax.Array
    SHARE = 1.0

    def init(self, key, scale):
        return scale * jax.random.normal(key, (WIDTH,), jnp.float64)

    def objective(self, params):
        return self.SHARE * wells(params) + self.decay * jnp.sum(params**2)


def wells(y):
    return FACTOR * jnp.sum((y**2 - 1.0) ** 2)


class Scaled(nct.problems.Loss):
    """Squared error times a number that is read."""

    def value(self, logits, targets):
        return FACTOR * jnp.sum((logits - targets) ** 2, axis=0)


def problem():
    return Wells(jnp.asarray(0.3))


def minimum(factor, width=2):
    return width * (0.3 - 0.09 / (4 * factor))


def solved(one):
    return float(nct.solve(one, 4, light=True, tolerance=1e-8).value.min())


@pytest.fixture
def drops(monkeypatch):
    """Counts how often programs are dropped, and drops none."""
    found = []
    monkeypatch.setattr(_reads, "forget_programs", lambda: found.append(1))
    return found


def looked_at(*values):
    with _reads.reads_noted(*values):
        pass


def counted(start):
    """A function that reads a variable of the function around it, and what sets it."""
    number = start

    def read():
        return number

    def write(value):
        nonlocal number
        number = value

    return read, write


FIRST = [1.0]


def entry(first=FIRST):
    return first[0]


READ, WRITE = counted(1.0)
JITTED, VMAPPED = jax.jit(lambda y: FACTOR * y), jax.vmap(lambda y: FACTOR * y)
RULED = jax.custom_jvp(lambda y: y)
RULED.defjvp(lambda primals, tangents: (primals[0], FACTOR * tangents[0]))


def reading(text):
    """A function that computes an expression of this module's globals."""
    return eval(f"lambda y: {text}", HERE.__dict__)


def set_global(monkeypatch):
    monkeypatch.setattr(HERE, "FACTOR", 2.0)


def set_method(monkeypatch):
    monkeypatch.setattr(Wells, "objective", lambda self, params: 2.0 * wells(params))


def set_entry(entries):
    entries[0] += 1.0


CHANGES = {
    "global": (reading("FACTOR * y"), set_global),
    "of a function that it calls": (reading("wells(y)"), set_global),
    "within a nested function": (reading("(lambda x: FACTOR * x)(y)"), set_global),
    "class": (problem(), lambda m: m.setattr(Wells, "SHARE", 2.0)),
    "a class's function": (problem(), set_global),
    "method": (problem(), set_method),
    "entry": (reading("WEIGHTS[0]"), lambda m: set_entry(WEIGHTS)),
    "deep entry": (reading("WEIGHTS[1]"), lambda m: m.setitem(WEIGHTS[1], "first", (1.0, 3.0))),
    "array": (reading("ARRAY @ y"), lambda m: set_entry(ARRAY)),
    "namespace": (reading("SETTINGS.factor"), lambda m: m.setattr(SETTINGS, "factor", 2.0)),
    "object": (reading("OBJECT.factor"), lambda m: m.setattr(OBJECT, "factor", 2.0)),
    "module": (reading("HERE.FACTOR"), set_global),
    "around": (READ, lambda m: WRITE(2.0)),
    "default": (entry, lambda m: set_entry(FIRST)),
    "jitted": (JITTED, set_global),
    "vmapped": (VMAPPED, set_global),
    "derivative": (RULED, set_global),
    "partial": (functools.partial(wells, 1.0), set_global),
    "bound": (problem().objective, set_global),
    "loss": (nct.unconstrained_features(counts=(1, 1), dim=2, loss=Scaled(), weight_decay=(0.1, 0.1)), set_global),
    "filtered": (eqx.filter_jit(wells), set_global),
    "in containers": ({"one": [(wells,)]}, set_global),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_of_what_is_read_drops_programs_once(kind, drops, monkeypatch):
    value, change = CHANGES[kind]
    looked_at(value)
    drops.clear()  # another test may have changed it, and changed it back
    looked_at(value)
    assert not drops
    change(monkeypatch)
    looked_at(value)
    looked_at(value)
    assert len(drops) == 1


def test_what_is_not_read_changes_nothing(drops, monkeypatch):
    looked_at(problem(), wells)
    drops.clear()
    monkeypatch.setattr(HERE, "SQUARED", False)
    looked_at(Wells(jnp.asarray(0.7)), wells)  # numbers of a problem are arguments of its program
    assert not drops


def test_a_function_that_counts_its_calls_drops_nothing(drops):
    calls = []

    def counting(y):
        calls.append(1)
        return y

    for _ in range(3):
        with _reads.reads_noted(counting):
            counting(1.0)
            looked_at(counting)  # as a verb within a verb does
    assert not drops
    assert len(calls) == 3


def test_a_verb_within_a_verb_looks_at_what_that_one_has_not_seen(drops, monkeypatch):
    looked_at(wells)
    drops.clear()
    with _reads.reads_noted(entry):  # of a callback say
        set_global(monkeypatch)
        looked_at(wells)
        looked_at(wells)
    assert len(drops) == 1


def test_the_librarys_own_are_not_looked_at():
    theorem = nct.theorems.find_theorem("ufm-ce-balanced")
    chain = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    assert not list(_reads._owned((theorem, chain, jnp.sum, np.linalg.norm, dataclasses.replace, "text", 1.0), set()))


def test_what_cannot_be_looked_at_is_passed_over(drops):
    loop = []
    loop.append(loop)
    deep = functools.reduce(lambda inner, _: [inner], range(10_000), [])
    gone = jnp.ones(2)
    gone.delete()
    for value in (lambda: loop, lambda: deep, lambda: gone, lambda: np.array([{}], object), lambda: jax.random.key(0)):
        bound = types.FunctionType(value.__code__, globals(), closure=value.__closure__)
        looked_at(bound, deep)
        looked_at(bound, deep)
    assert not drops
    jax.make_jaxpr(lambda y: [looked_at(wells, y), y])(1.0)


@pytest.mark.slow
def test_verbs_compute_on_what_is_read_now(monkeypatch):
    one = problem()
    assert solved(one) == pytest.approx(minimum(1.0), abs=1e-12)
    points = nct.solve(one, 2, light=True).params[0]
    curvature = nct.hessian_report(one, points).eigenvalues
    monkeypatch.setattr(HERE, "FACTOR", 3.0)
    assert solved(one) == pytest.approx(minimum(3.0), abs=1e-12)
    # The second derivatives are factor (12 y^2 - 4) + 2 decay, at the same points.
    moved = 3.0 * (curvature - 0.6) + 0.6
    np.testing.assert_allclose(nct.hessian_report(one, points).eigenvalues, moved, rtol=1e-12)
    monkeypatch.setattr(HERE, "WIDTH", 3)
    assert solved(one) == pytest.approx(minimum(3.0, 3), abs=1e-12)


@pytest.mark.slow
def test_a_loss_computes_on_what_it_reads_now(monkeypatch):
    def bounds(loss, scale):
        chain = nct.unconstrained_features(counts=(1, 1), dim=2, loss=loss, weight_decay=(0.1 * scale, 0.1 * scale))
        ends = nct.solve(chain, 4, light=True)
        return float(ends.value.min()) / scale, float(nct.certify(chain, ends.params).lower_bound.max()) / scale

    # With its factor, and decays as much larger, a loss has as much larger a minimum.
    first = bounds(Scaled(), 1.0)
    monkeypatch.setattr(HERE, "FACTOR", 3.0)
    np.testing.assert_allclose(bounds(Scaled(), 3.0), first, rtol=1e-7)


@pytest.mark.slow
def test_a_theorem_computes_on_what_it_reads_now(monkeypatch):
    chain = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    theorem = nct.Theorem(
        id="reads-a-global",
        title="A distance in units that are read",
        hypotheses=(),
        sources=(),
        instances=lambda key: [nct.Instance(chain, {})],
        predict=lambda one: jnp.linalg.norm(nct.closed_form.global_minimum(one).product),
        claims=(nct.Equality("norm", "the norm of the logits", observed_norm, predicted=lambda found: found),),
        controls=(nct.Control("doubled", "twice as long", lambda one: 2.0 * theorem.predict(one)),),
    )
    monkeypatch.setattr(_registry._THEOREMS, "_known", _registry._THEOREMS.all() | {theorem.id: theorem})
    assert nct.verify(theorem.id, seeds=4).outcome == "holds"
    monkeypatch.setattr(HERE, "FACTOR", 2.0)
    assert nct.verify(theorem.id, seeds=4).outcome == "refuted"
    monkeypatch.setattr(HERE, "FACTOR", 1.0)
    assert nct.verify(theorem.id, seeds=4).outcome == "holds"


def observed_norm(problem, params):
    return FACTOR * jnp.linalg.norm(problem.logits(params))
