"""The benchmark's peers solve the same problem as the engine, and its judge and command line can say no."""

import doctest
import json
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import nctheory as nct
from benchmarks import __main__ as command
from benchmarks import jobs, json_lines, measure, suite_profile, tables
from benchmarks.descent import descend
from benchmarks.first_result import run as run_in_terminal
from benchmarks.gradients import factors, join, numpy_gradient, one_hot, split, value_and_gradient
from benchmarks.jobs import Job, problem_of, starts
from benchmarks.peers import REFERENCE, Ends, Peer, Prepared, load_peers
from benchmarks.peers.numpy_batched import prepare as prepare_numpy
from benchmarks.peers.ours import prepare_solve

TINY = Job("mse", classes=2, dim=2, per_class=2, decay=0.05, seeds=4, lanes=2, rows=2, tuned=4)
JOBS = (
    Job("cross_entropy", classes=3, dim=4, per_class=2, decay=0.01, bias=True),
    Job("mse", classes=3, dim=4, per_class=2, decay=0.01),
    Job("mse", classes=2, dim=3, per_class=2, decay=0.02, hidden=(4, 3)),
)
each_job = pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)


def engine_gradients(job, points):
    """Values and gradients of the engine, as flat vectors."""
    problem = problem_of(job)

    def one(vector):
        value, slope = problem.value_and_grad(nct.problems.unravel(problem, vector))
        return value, nct.problems.ravel(slope)

    values, slopes = jax.vmap(one)(points)
    return np.asarray(values), np.asarray(slopes)


@each_job
def test_numpy_gradients_are_the_engines(job, rng):
    points = rng.normal(size=(3, job.parameters))
    values, slopes = engine_gradients(job, points)
    np.testing.assert_allclose(join(numpy_gradient(job)(split(job, points))), slopes, atol=1e-13)
    value, slope = value_and_gradient(job, points[0], one_hot(job))
    np.testing.assert_allclose(value, values[0], rtol=1e-13)
    np.testing.assert_allclose(slope, slopes[0], atol=1e-13)


@each_job
def test_torch_gradients_are_the_engines(job, rng):
    torch = pytest.importorskip("torch")
    from benchmarks.peers.torch_batched import by_hand, by_vmap
    from benchmarks.peers.torch_loop import objective

    points = rng.normal(size=(2, job.parameters))
    values, slopes = engine_gradients(job, points)
    params = split(job, torch.from_numpy(points))
    for make in (by_hand, by_vmap):
        np.testing.assert_allclose(join([part.numpy() for part in make(job)(params)]), slopes, atol=1e-13)
    np.testing.assert_allclose(float(objective(job)([part[0] for part in params])), values[0], rtol=1e-13)


@each_job
def test_flat_vectors_are_the_engines(job):
    problem = problem_of(job)
    key = jax.random.fold_in(jax.random.key(jobs.KEY), 1)
    start = problem.init(key, np.float64(1.0))
    np.testing.assert_array_equal(starts(job, 2)[1], nct.problems.ravel(start))
    stacked = jax.tree.map(lambda x: np.asarray(x)[None], start)
    np.testing.assert_array_equal(join(factors(job, stacked))[0], nct.problems.ravel(start))
    assert jax.tree.structure(measure.engine_params(job, starts(job, 2))) == jax.tree.structure(start)
    assert job.parameters == starts(job, 2).shape[1]


def test_numpy_and_ours_end_at_the_same_certified_value():
    ours, numpy_ends = (prepare(TINY).run(4) for prepare in (prepare_solve("polish"), prepare_numpy))
    values = []
    for ends in (ours, numpy_ends):
        assert ends.points is not None
        found = measure.judge(TINY, ends.points)
        assert found.converged.all()
        assert found.certified.all()
        values.append(engine_gradients(TINY, ends.points)[0])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


def test_the_judge_rejects_ends_that_stop_short_or_elsewhere():
    points = starts(TINY, 2).copy()
    points[1] = 0.0  # critical, but not a minimum
    found = measure.judge(TINY, points)
    assert found.converged.tolist() == [False, True]
    assert not found.certified.any()


def test_a_descent_leaves_diverged_seeds_behind():
    points = np.stack([starts(TINY, 1)[0], np.full(TINY.parameters, 1e200)])
    with np.errstate(all="ignore"):
        ends, counts = descend(numpy_gradient(TINY), split(TINY, points), 0.5, 5000)
    assert counts[1] <= 20
    assert measure.judge(TINY, join(ends)[:1]).certified.all()


@pytest.mark.slow
def test_a_failing_peer_does_not_stop_the_others():
    def prepare(job):
        raise RuntimeError("out of luck")

    def stop_short(job):
        return Prepared(lambda seeds: Ends(starts(job, seeds), 1.0))

    ours = next(peer for peer in load_peers()[0] if peer.name == REFERENCE)
    peers = [ours, Peer("broken", prepare), Peer("idle", stop_short, lambda job: 2)]
    rows = measure.measure(TINY, peers, repeats=2, target=1e-3, most=4, say=lambda what: None)
    assert [row.timed for row in rows] == [True, False, True]
    assert rows[0].ratios == [1.0, 1.0]
    assert (rows[0].certified, rows[2].certified) == (rows[0].seeds, 0)
    assert "out of luck" in rows[1].note
    assert "stop short" in rows[2].note
    lines = tables.results_table(rows, peak=1e9).splitlines()
    assert len({len(line) for line in lines}) == 1
    report = command.Report({"repeats": 2}, {}, [], peak=1e9, loads=[1.0], rows=rows)
    assert json.loads(report.to_json())["rows"][2]["converged"] == 0
    assert lines[2] in report.text()


@pytest.mark.parametrize(
    "arguments",
    [["--jobs", "nothing"], ["--peers", "nothing"], ["--repeats", "0"], ["--seeds", "-1"], ["--seeds", "nan"], ["--x"]],
    ids=" ".join,
)
def test_wrong_use_exits_2(arguments, capsys):
    try:
        code = command.main([*arguments, "--no-growth"])
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert arguments[0] in capsys.readouterr().err


def test_an_unwritable_folder_exits_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command.main(["--quick", "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err


def test_jobs_have_their_own_names_and_the_doctests_run():
    assert len({job.name for job in jobs.JOBS}) == len(jobs.JOBS)
    assert set(jobs.DEFAULT) | set(jobs.QUICK) <= {job.name for job in jobs.JOBS}
    modules: list[types.ModuleType] = [jobs, json_lines, tables, suite_profile]
    for module in modules:
        outcome = doctest.testmod(module)
        assert outcome.attempted > 0
        assert outcome.failed == 0


def test_the_first_result_is_there_when_the_bar_counts_seeds():
    waits = "import time; print('\\x1b[2Kufm  \\x1b[32m0/64\\x1b[0m seeds', flush=True); time.sleep(0.3)"
    first, end = run_in_terminal(
        [sys.executable, "-c", f"{waits}; print('ufm 32/64 seeds', flush=True); time.sleep(0.2)"]
    )
    assert 0.3 <= first <= end - 0.2
    with pytest.raises(RuntimeError, match="exit status 0, first result None"):
        run_in_terminal([sys.executable, "-c", waits])
    with pytest.raises(RuntimeError, match="exit status 3"):
        run_in_terminal([sys.executable, "-c", "print('8/8 seeds'); raise SystemExit(3)"])


def test_the_list_of_slow_tests_names_tests_that_exist():
    root = Path(__file__).parents[1]
    for line in (root / "tests" / "slow_tests.txt").read_text().split():
        file, *_, name = line.split("::")
        # A test, what has an example, or the module whose own docstring has one.
        last = name.rsplit(".", 1)[-1]
        assert last == (root / file).stem or last in (root / file).read_text(), line
