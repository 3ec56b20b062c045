"""How seeds end, single precision, many problems at once, programs that are dropped, and wrong arguments."""

import subprocess
import sys
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import fast_compile, release_programs
from nctheory.flow._chebyshev import Chebyshev
from nctheory.flow._items import default_chunk
from nctheory.flow._record import Settings
from nctheory.flow._single import Points, flow_chunk, in_float32, memory_budget
from nctheory.problems import Scales, singleton
from nctheory.theorems import Run, flow_fidelity
from tests.helpers import SPURIOUS, first, model, usual_environment


def test_statuses_budget_and_divergence():
    problem = model("cross_entropy")
    starved = nct.solve(problem, 5, budget=3)
    assert starved.counts()["budget_spent"] == 5
    assert not starved.converged.any()
    hopeless = nct.solve(problem, 5, scale=1e200)
    assert not hopeless.converged.any()
    assert np.all(np.isin(hopeless.status, [nct.Status.DIVERGED, nct.Status.STALLED]))


def test_one_bad_seed_does_not_kill_the_others():
    class Trap(nct.problems.MinimalFactorisation):
        def init(self, key, scale):
            point = super().init(key, scale)
            return jax.numpy.where(jax.random.uniform(key) < 0.3, jax.numpy.nan, point)

    good = nct.problems.minimal_factorisation(np.diag([2.0, 1.0]), dim=2, weight_decay=(0.1, 0.1))
    trap = Trap(**{name: getattr(good, name) for name in good.__dataclass_fields__})
    ensemble = nct.solve(trap, 32)
    counts = ensemble.counts()
    assert counts["diverged"] > 0
    assert counts["converged"] == 32 - counts["diverged"]
    np.testing.assert_allclose(ensemble.value[ensemble.converged], 0.3, rtol=1e-12)


@pytest.mark.slow
def test_a_flow_in_single_precision_leads_to_the_same_ends():
    problem = model("cross_entropy", bias=0.1)
    single = nct.solve(problem, 16, flow_precision="float32")
    double = nct.solve(problem, 16)
    assert single.converged.all()
    assert np.all(single.grad_norm <= single.tolerance)
    np.testing.assert_allclose(single.value, double.value, rtol=1e-13)
    assert not np.array_equal(single.flow_time, double.flow_time)


def test_the_single_precision_program_holds_no_double():
    problem = model("cross_entropy", bias=0.1)
    settings = Settings(*(np.asarray(x) for x in (1e-10, 1e-3, 0.03, 1.0, 1000, True, True)))
    points = np.zeros((4, nct.problems.ravel(problem.init(jax.random.key(0), 1.0)).size))
    with jax.enable_x64(False):
        arguments = (
            in_float32(singleton(problem)),
            in_float32(Points(points, np.ones(4, bool), np.zeros((4, 0)), Scales(np.ones(4), np.ones(4)))),
            in_float32(settings),
        )
        program = str(jax.make_jaxpr(lambda *a: flow_chunk(*a, devices=(jax.devices()[0],)))(*arguments))
    assert "f32" in program
    assert "f64" not in program


def test_a_device_without_double_precision_needs_a_single_precision_flow():
    class Bare:
        platform = "tpu"

        def memory_stats(self):
            return {"bytes_limit": 2**30, "bytes_in_use": 2**29}

    assert memory_budget((Bare(), Bare())) == 2 * 2**27
    with pytest.raises(ValueError, match="flow_precision"):
        nct.solve(model(), 2, devices=[Bare()])


@pytest.mark.slow
@pytest.mark.parametrize("flow_precision", ["float64", "float32"])
def test_many_problems_are_solved_and_certified_as_each_alone(flow_precision):
    members = [model("cross_entropy", decay=(decay, 0.05), bias=0.1) for decay in (0.02, 0.05)]
    together = nct.solve_many(members, [3, 0, 5], key=2, flow_precision=flow_precision)
    bounds = nct.certificates.certify_many(members, together.params)
    assert together.converged.all()
    assert together.params.weights[0].shape == (2, 3, 3, 3)
    for i, member in enumerate(members):
        alone = nct.solve(member, [3, 0, 5], key=2, flow_precision=flow_precision)
        np.testing.assert_allclose(together.value[i], alone.value, rtol=1e-13)
        np.testing.assert_allclose(bounds.lower_bound[i], nct.certify(member, alone.params).lower_bound, rtol=1e-12)
    with pytest.raises(ValueError, match=r"members\[1\].*bias_decay 0.1, got None"):
        nct.solve_many([members[0], model("cross_entropy")])
    with pytest.raises(ValueError, match="at least one"):
        nct.solve_many([])
    with pytest.raises(ValueError, match="colour"):
        nct.solve_many(members, colour=1)
    with pytest.raises(ValueError, match=r"shape \(members, seeds, "):
        nct.certificates.certify_many(members, first(together.params))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["two minima", "three minima", "deep"])
def test_the_polish_stays_in_the_basin_that_the_flow_chose(case):
    problem = {
        "two minima": lambda: nct.unconstrained_features(**SPURIOUS),
        "three minima": lambda: nct.unconstrained_features(**{**SPURIOUS, "counts": (5,) * 10, "dim": 3}),
        "deep": lambda: nct.deep_linear(
            widths=(4, 4, 4), counts=(6, 5, 3, 2), loss="mse", weight_decay=(1e-2, 1e-2, 1e-2)
        ),
    }[case]()
    scale = 1.5 if case == "deep" else 1.0
    seeds = 48 if case == "three minima" else 96
    ensemble = nct.solve(problem, seeds, scale=scale, chunk=64)
    assert ensemble.converged.all()
    assert len(np.unique(np.round(ensemble.value, 5))) >= 2
    run = Run(jax.random.key(0), ensemble.seeds, scale=scale)
    same, compared = flow_fidelity(problem, ensemble, run, seeds)
    assert compared == seeds
    assert same >= seeds - 1
    if case == "three minima":  # the comparison can tell: polishing from the start ends elsewhere
        hasty = nct.solve(problem, seeds, method="polish", chunk=64)
        assert flow_fidelity(problem, hasty, run, seeds)[0] < 40


def test_known_spurious_minima_of_the_free_bias_model():
    ensemble = nct.solve(nct.unconstrained_features(**SPURIOUS), 128, chunk=128)
    values, hits = np.unique(np.round(ensemble.value, 7), return_counts=True)
    np.testing.assert_allclose(values, [0.1621821, 0.1734104], atol=1e-7)
    assert 0.02 < hits[1] / 128 < 0.15


@pytest.mark.slow
def test_importing_and_solving_leave_the_host_program_alone():
    code = """
import sys
import jax, jax.numpy as jnp, numpy as np
import nctheory as nct
assert not {"scipy.stats", "scipy.linalg", "scipy.optimize", "matplotlib", "rich"} & sys.modules.keys()  # seconds to import
assert jnp.zeros(1).dtype == jnp.float32
p = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
e = nct.solve(p, 3)
b, m = nct.certify(p, e.params), nct.global_minimum(p)
assert e.value.dtype == np.float64 and b.gap.dtype == np.float64 and m.value.dtype == np.float64
assert np.all(np.abs(e.value - m.value) < 1e-13) and np.all(b.gap < 1e-13)
assert nct.measures.class_means(jnp.ones((2, 4)), np.array([0, 0, 1, 1]), 2).dtype == np.float64
assert jnp.zeros(1).dtype == jnp.float32 and not jax.config.jax_enable_x64
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=usual_environment())


def test_chunks_fit_the_memory_they_are_given():
    small, large = model(), nct.unconstrained_features(counts=(50,) * 10, dim=64, loss="mse", weight_decay=(0.1, 0.1))
    assert default_chunk(small, 2**20) > default_chunk(large, 2**20) >= 1


BAD = [
    ({"seeds": 0}, "seeds: expected at least 1, got 0"),
    ({"seeds": [1, -2]}, "seeds"),
    ({"key": -1}, "key"),
    ({"method": "newton"}, "method.*'newton'"),
    ({"tolerance": 0.0}, "tolerance"),
    ({"scale": float("nan")}, "scale"),
    ({"budget": 0}, "budget"),
    ({"chunk": 0}, "chunk"),
    ({"workers": 0}, "workers"),
    ({"memory": 0}, "memory"),
    ({"flow_precision": "half"}, "flow_precision"),
    ({"flow_precision": "float32", "method": "flow"}, "flow_precision"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        nct.solve(model(), **arguments)


def test_progress_counts_every_seed():
    seen = []
    nct.solve(model(), 20, chunk=8, progress=seen.append)
    assert sum(seen) == 20


def test_first_of_an_ensemble_is_a_point():
    problem = model()
    assert first(nct.solve(problem, 2).params).features.shape == (3, 6)


@pytest.mark.slow
def test_releasing_programs_keeps_results():
    double = jax.jit(lambda x: 2.0 * x)
    before = double(jnp.ones(3))
    assert not release_programs(10**9)
    held = Path("/proc/self/maps").exists()
    assert release_programs(0) == held
    np.testing.assert_array_equal(double(jnp.ones(3)), before)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="memory maps are read from Linux's /proc")
def test_programs_used_long_ago_are_dropped(monkeypatch):
    """Twelve shapes under a bound on the maps that is met before all are compiled: as many as fit are kept."""
    from nctheory.engine import _programs

    def shape(width):
        return nct.unconstrained_features(counts=(1, 1), dim=width, loss="mse", weight_decay=(0.1, 0.1))

    def maps() -> int:
        found = _programs.held_maps()
        assert found is not None
        return found

    release_programs(0)
    begun = maps()
    first_found = nct.solve(shape(2), 4, method="polish")
    each = maps() - begun
    assert each > 0
    oldest = next(iter(_programs._PROGRAMS))
    bound = begun + 4 * each
    monkeypatch.setattr(_programs, "max_maps", lambda: bound)
    held, kept = [], []
    for width in range(3, 15):
        nct.solve(shape(width), 4, method="polish")
        held.append(maps())
        kept.append(len(_programs._PROGRAMS))
    assert oldest not in _programs._PROGRAMS
    assert max(kept) < len(held)  # of the twelve and the first
    assert max(held) <= bound + each  # a shape's own programs come on top
    again = nct.solve(shape(2), 4, method="polish")
    for x, y in zip(jax.tree.leaves(first_found), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_program_used_last_is_dropped_last(monkeypatch):
    from nctheory.engine import _programs

    squares = fast_compile(lambda x: jnp.sum(x**2))
    monkeypatch.setattr(_programs, "_PROGRAMS", type(_programs._PROGRAMS)())
    for n in (1, 2, 3, 1):
        assert float(squares(jnp.ones(n))) == n
    kinds = list(_programs._PROGRAMS)
    assert [leaf.shape for kind in kinds for leaf in kind if hasattr(leaf, "shape")] == [(2,), (3,), (1,)]
    answers = iter([100, 50, 50])
    monkeypatch.setattr(_programs, "held_maps", lambda: next(answers))
    assert release_programs(99)
    assert list(_programs._PROGRAMS) == kinds[2:]
    assert float(squares(jnp.ones(2))) == 2


def test_maps_are_counted_when_they_may_be_too_many(monkeypatch):
    """Of 10,000 maps 1,000 are held, so that 2,000 more may come four times before they are counted again."""
    from nctheory.engine import _programs

    counts = []
    monkeypatch.setattr(_programs, "max_maps", lambda: 10_000)
    monkeypatch.setattr(_programs, "held_maps", lambda: counts.append(1_000) or counts[-1])
    monkeypatch.setattr(_programs, "_ROOM", _programs._Room())
    seen = []
    for _ in range(11):
        assert not release_programs()
        seen.append(len(counts))
    assert seen == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]
    assert not release_programs(1_000)  # one who names a limit wants to know
    assert len(counts) == 4
    monkeypatch.setattr(_programs, "max_maps", lambda: 2_999)
    assert [(release_programs(), len(counts))[1] for _ in range(3)] == [5, 6, 7]


@pytest.mark.slow
def test_the_stabilised_integrator_has_order_two_and_its_interval():
    matrix = jnp.asarray([[3.0, 1.0], [1.0, 2.0]])
    term = diffrax.ODETerm(lambda t, y, args: -matrix @ y - 0.1 * y**3)

    def end(solver, step, **options):
        found = diffrax.diffeqsolve(term, solver, 0.0, 1.0, step, jnp.ones(2), **options).ys
        assert found is not None
        return np.asarray(found)

    exact = end(diffrax.Tsit5(), 0.01, stepsize_controller=diffrax.PIDController(rtol=1e-11, atol=1e-11))
    errors = [np.linalg.norm(end(Chebyshev(min_stages=10), 1.0 / n) - exact) for n in (16, 32, 64)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, 2.0, atol=0.15)
    for stages in (4, 10, 16, 300):
        # Where the rates are not known beforehand the step takes as many stages as they need; here it is told small ones.
        rates = jnp.linspace(1e-3, 0.72 * stages**2, 2000)
        decay = diffrax.ODETerm(lambda t, y, args, rates=rates: -rates * y)
        solver = Chebyshev(min_stages=stages)
        blind = solver.init(decay, 0.0, 1.0, jnp.ones(2000), None)._replace(
            direction=jnp.eye(2000)[0], curvature=jnp.asarray(1e-3)
        )
        after = solver.step(decay, 0.0, 1.0, jnp.ones(2000), None, blind, False)[0]
        stable = float(rates[np.argmax(np.abs(np.asarray(after)) > 1.0)])
        np.testing.assert_allclose(stable, 2 / 3 * (stages**2 - 1) * (1 - 2 / 15 * 2 / 13), rtol=0.01)


def test_a_stabilised_step_takes_the_stages_that_its_stiffest_rate_needs():
    for stiff in (10.0, 1e3, 1e6):
        rates = jnp.geomspace(1e-3, stiff, 400)
        decay = diffrax.ODETerm(lambda t, y, args, rates=rates: -rates * y)
        solver, y = Chebyshev(), jnp.ones(400)
        state = solver.init(decay, 0.0, 1.0, y, None)
        for _ in range(8):
            y, _, _, state, _ = solver.step(decay, 0.0, 1.0, y, None, state, False)
        needed = np.sqrt(1 + stiff / 0.65)
        assert np.all(np.abs(np.asarray(y)) <= 1.0)
        assert max(4, 0.9 * needed) <= int(state.evaluations) - 2 <= max(4, 1.1 * needed + 1)
