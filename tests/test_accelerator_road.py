"""The road of accelerators, in lockstep, taken on a CPU: every seed ends as by the CPU's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import _batching, in_few_lengths, rounded_up, run_lanes
from nctheory.flow import ChunkPlan, Options, Status, as_key, diagnose, gather_ensemble
from nctheory.flow._backend import join_points, split_points
from nctheory.flow._lockstep import run_lockstep
from nctheory.flow._program import fresh
from nctheory.flow._tsit5 import UnrolledTsit5
from nctheory.problems import chain_gauge_penalty, singleton
from nctheory.problems._scales import ORDINARY
from nctheory.sweeps._survey import survey_blocks


class Hilltop(nct.Problem):
    r"""$\frac12|a|^2+\frac12b^2-\frac1{40}b^4+\frac15c^4$: a minimum at zero, beyond $|b|=\sqrt{10}$ a fall without end."""

    def init(self, key, scale):
        draw = scale * jax.random.normal(key, (6,), jnp.float64)
        return {"a": draw[:4].reshape(2, 2), "b": draw[4], "c": draw[5:]}

    def objective(self, params):
        a, b, c = params["a"], params["b"], params["c"]
        return 0.5 * jnp.sum(a**2) + 0.5 * b**2 - b**4 / 40 + 0.2 * jnp.sum(c**4)


def by_accelerator(problem, seeds, **options):
    family = singleton(problem)
    plan = ChunkPlan(family, np.zeros((seeds, 0)), np.arange(seeds), as_key(0), Options(light=True, **options), "gpu")
    parts = [plan.on_host(begin) for begin in plan.begins]
    records = diagnose(family, jax.tree.map(lambda *xs: np.concatenate(xs), *parts))
    return gather_ensemble(problem, np.arange(seeds), records)


@pytest.mark.parametrize("lanes", [1, 3, 8, 40])
def test_lockstep_does_to_every_item_what_lanes_do(lanes):
    # Halved down to 1; item i takes i + 1 steps, and two of them stand still.
    begun = {"x": 2.0 ** np.arange(13), "steps": np.arange(13), "wide": np.ones((13, 5, 20))}
    active = np.arange(13) % 6 != 4
    work = {
        "load": lambda r: (r, r["x"]),
        "advance": lambda lane: jax.tree.map(
            lambda new, old: jnp.where(lane[0]["x"] > 0.5, new, old),
            ({"x": lane[0]["x"] / 2, "steps": lane[0]["steps"] + 1, "wide": 2 * lane[0]["wide"]}, lane[1]),
            lane,
        ),
        "finished": lambda lane: lane[0]["x"] <= 0.5,
        "unload": lambda lane: lane[0] | {"x": lane[0]["x"] + lane[1]},
        "steps": 2,
    }
    found, same = (
        jax.jit(lambda rows, on, run=run: run(rows, on, lanes=lanes, **work))(begun, active)
        for run in (run_lockstep, run_lanes)
    )
    for name in begun:
        np.testing.assert_array_equal(found[name], same[name])
    np.testing.assert_array_equal(found["x"], np.where(active, 0.5 + begun["x"], begun["x"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {Status.CONVERGED, Status.DIVERGED}),
        ({"budget": 800}, {Status.DIVERGED, Status.BUDGET_SPENT}),
        ({"method": "polish", "budget": 60}, {Status.CONVERGED, Status.DIVERGED, Status.BUDGET_SPENT}),
    ],
)
def test_seeds_that_diverge_or_spend_their_budget_end_alike(options, expected):
    problem = Hilltop()
    found = by_accelerator(problem, 40, scale=2.0, **options)
    same = nct.solve(problem, 40, scale=2.0, light=True, workers=1, **options)
    assert expected <= {Status(code) for code in np.unique(found.status)}
    np.testing.assert_array_equal(found.status, same.status)
    ended = same.status == Status.CONVERGED
    np.testing.assert_allclose(found.value[ended], same.value[ended], atol=1e-12)
    np.testing.assert_array_equal(found.handovers, same.handovers)
    np.testing.assert_allclose(found.flow_time[ended], same.flow_time[ended], rtol=1e-6)


@pytest.mark.slow
def test_a_survey_is_the_same_by_either_road_and_in_any_chunks():
    problem = nct.unconstrained_features(
        counts=(2, 3), dim=2, loss="cross_entropy", weight_decay=(0.02, 0.02), bias=0.0
    )
    options = Options(light=True, workers=1)
    whole = survey_blocks(problem, np.arange(40), as_key(0), 5, None, options, "cpu")
    found = survey_blocks(problem, np.arange(40), as_key(0), 5, 16, options, "gpu")
    np.testing.assert_array_equal(found.status, whole.status)
    assert found.certified.all()
    assert whole.certified.all()
    assert found.reason == whole.reason
    assert found.counts() == whole.counts()
    np.testing.assert_allclose(found.value, whole.value, rtol=1e-14)
    assert found.grad_norm.max() <= found.worst.tolerance
    assert len(found.worst.seeds) == 5
    assert np.isin(found.worst.seeds, found.seeds).all()
    gradient = jax.vmap(problem.value_and_grad)(found.worst.params)[1]
    norms = np.sqrt(sum(np.sum(np.reshape(x, (5, -1)) ** 2, axis=1) for x in jax.tree.leaves(gradient)))
    np.testing.assert_allclose(norms, found.worst.grad_norm, rtol=1e-2)


@pytest.mark.parametrize("items", [32, 33])
def test_what_lies_on_an_accelerator_is_filled_up_there(monkeypatch, items):
    monkeypatch.setattr(_batching, "_at_hand", lambda x: x)  # as with an array that would have to be copied from one
    seen = []

    def sums(xs):
        seen.append(xs)
        return {"sum": xs["x"].sum(axis=1)}

    x = np.arange(2.0 * items).reshape(items, 2)
    found = in_few_lengths(sums, {"x": jnp.asarray(x)})
    assert isinstance(seen[0]["x"], jax.Array)
    assert seen[0]["x"].shape == (rounded_up(items, 2), 2)
    np.testing.assert_array_equal(found["sum"], x.sum(axis=1))
    assert isinstance(found["sum"], np.ndarray)


def test_points_are_taken_apart_and_joined_as_they_were(rng):
    family, vectors = singleton(Hilltop()), rng.normal(size=(3, 6))
    record = fresh(vectors, Options().settings(), 0, np.zeros((3, 0)), ORDINARY)
    apart = split_points(family, record)
    assert [x.shape for x in apart.point] == [(3, 2, 2), (3,), (3, 1)]
    np.testing.assert_array_equal(join_points(apart).point, vectors)


def test_rotations_of_narrow_spaces_go_by_the_direct_product(rng):
    problem = nct.deep_linear(widths=(3, 4, 2, 3), counts=(2, 2, 2), loss="mse", weight_decay=(0.1,) * 4)
    point, vector = (problem.init(jax.random.key(i), 1.0) for i in range(2))
    direct = chain_gauge_penalty(problem, point, vector, direct=True)
    for found, same in zip(jax.tree.leaves(direct), jax.tree.leaves(problem.gauge_penalty(point, vector)), strict=True):
        np.testing.assert_allclose(found, same, atol=1e-13)


def test_the_unrolled_method_has_the_order_of_the_one_it_writes_out():
    assert UnrolledTsit5().error_order(None) == 5
