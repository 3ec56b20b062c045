"""What a verdict says of small theorems, and files, calls and reports of theorems."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import jsonschema
import numpy as np
import pytest
import scipy.stats

import nctheory as nct
from nctheory.theorems import Run, TheoremFileError, corrected_bounds, failure_bound
from tests.helpers import unchecked_types
from tests.small_theorems import SCHEMA, small_theorem


@pytest.mark.slow
def test_resolution_is_the_error_that_is_caught():
    """An error a little above the reported resolution is refuted; one far below it is not."""
    base = nct.verify(small_theorem(), seeds=8)
    for claim in base.claims:
        assert claim.resolution < 1e-6
        if claim.name == "self_duality":
            continue

        def off(factor, name=claim.name):
            def predict(problem):
                true = nct.closed_form.squared_error_minimum(problem)
                return true._replace(**{name: getattr(true, name) * factor})

            return nct.verify(small_theorem(predict), seeds=8)

        for sign in (1, -1):
            assert off(1 + sign * 1.5 * claim.resolution).outcome == "refuted", (claim.name, sign)
        assert off(1 + 1e-3 * claim.resolution).outcome == "holds", claim.name


def test_a_control_that_is_right_makes_the_verdict_inconclusive():
    same = nct.Control("not wrong at all", "nothing", nct.closed_form.squared_error_minimum)
    verdict = nct.verify(small_theorem(controls=(same,)), seeds=4)
    assert verdict.outcome == "inconclusive"
    assert any("not wrong at all" in reason for reason in verdict.reasons)


def test_a_starved_solver_is_inconclusive_and_supports_nothing():
    verdict = nct.verify(small_theorem(), seeds=4, options=nct.theorems.VerifyOptions(budget=5))
    assert verdict.outcome == "inconclusive"
    assert verdict.supporting == verdict.converged == 0
    assert verdict.basin_bound == verdict.formula_bound == 1.0


NAN = (
    nct.Control("nan", "no number", lambda p: nct.closed_form.squared_error_minimum(p)._replace(weight_norm=jnp.nan)),
)


@pytest.mark.slow
def test_upper_and_lower_bounds():
    def claims(kind, scope, factor):
        observe = lambda p, x: jnp.sum(x.weights[0] ** 2)  # noqa: E731
        return (kind("norm", "", observe, lambda m: m.weight_norm * factor, scope, resolution=0.2, because="a test"),)

    for kind, good, bad in ((nct.UpperBound, 1.1, 0.9), (nct.LowerBound, 0.9, 1.1)):
        good_verdict = nct.verify(small_theorem(claims=claims(kind, "minimisers", good), controls=NAN), seeds=4)
        assert good_verdict.claims[0].violations == 0
        assert good_verdict.claims[0].seen
        assert np.isnan(good_verdict.claims[0].resolution)
        assert 0.05 < good_verdict.claims[0].slack < 0.2
        bad_verdict = nct.verify(small_theorem(claims=claims(kind, "critical points", bad), controls=NAN), seeds=4)
        assert bad_verdict.outcome == "refuted"
    far = nct.verify(small_theorem(claims=claims(nct.UpperBound, "minimisers", 3.0), controls=NAN), seeds=4)
    assert not far.claims[0].seen
    assert any("tightened" in reason for reason in far.reasons)
    anywhere = nct.verify(small_theorem(claims=claims(nct.UpperBound, "any point", 1.1), controls=NAN), seeds=4)
    assert anywhere.claims[0].checked == 16  # starts and ends of four seeds on two instances
    assert anywhere.outcome == "refuted"


@pytest.mark.parametrize("scope", ["minimisers", "critical points", "any point"])
def test_an_observation_that_is_no_number_supports_nothing(scope):
    bad = (nct.Equality("nan", "", lambda p, x: jnp.nan * jnp.sum(x.weights[0]), lambda m: m.value, scope),)
    verdict = nct.verify(small_theorem(claims=bad, controls=NAN), seeds=2)
    assert verdict.outcome == "inconclusive"
    assert verdict.supporting == 0


def observed_at(claim, problem, points):
    observer = claim.observer
    return np.asarray(jax.vmap(lambda point: observer(problem, point))(points))


@pytest.mark.slow
def test_tolerance_covers_worse_end_states_and_grows_with_them(rng):
    """End states moved a little in all directions: residuals stay within the derived tolerance, and use it."""
    problem = nct.unconstrained_features(counts=(3,) * 3, dim=4, loss="cross_entropy", weight_decay=(0.02, 0.05))
    claims = nct.theorems.collapse_claims(bias=False)
    minimum = nct.closed_form.cross_entropy_minimum(problem)
    evidence = nct.Solve().gather(claims, nct.Instance(problem, {}), Run(jax.random.key(0), np.arange(16)))
    moved = jax.tree.map(lambda x: x + 1e-6 * rng.normal(size=x.shape), evidence.ensemble.params)
    gradients = jax.vmap(lambda x: nct.problems.ravel(problem.value_and_grad(x)[1]))(moved)
    rough = evidence.ensemble._replace(params=moved, grad_norm=np.linalg.norm(gradients, axis=1))
    observed = {claim: observed_at(claim, problem, moved) for claim in claims}
    loose = dataclasses.replace(evidence, ensemble=rough, observed=observed)
    for claim in claims[1:]:
        predicted = claim.prediction(problem, minimum)
        fine, coarse = claim.check(evidence, predicted), claim.check(loose, predicted)
        assert fine.tolerance_ratio <= 1
        assert 1e-3 < coarse.tolerance_ratio <= 1, claim.name
        assert np.max(coarse.residual) > 1e3 * np.max(fine.residual), claim.name
        assert coarse.relative_resolution > 1e3 * fine.relative_resolution, claim.name


def test_failure_bound_is_clopper_pearson():
    assert failure_bound(0, 100) == pytest.approx(1 - 0.05**0.01)
    for failures, trials in ((1, 50), (7, 300)):
        bound = failure_bound(failures, trials)
        assert scipy.stats.binom.cdf(failures, trials, bound) == pytest.approx(0.05)
    assert failure_bound(0, 0) == 1.0
    with pytest.raises(ValueError, match="failures"):
        failure_bound(3, 2)


def test_corrected_bounds_are_those_of_holm():
    alone, together = corrected_bounds([0], [59])[0], corrected_bounds([0] * 10, [59] * 10)
    assert alone == pytest.approx(failure_bound(0, 59), rel=1e-9)
    assert together[0] == pytest.approx(1 - (0.05 / 10) ** (1 / 59), rel=1e-9)  # the first step is Bonferroni's
    mixed = corrected_bounds([0, 0, 2], [1000, 10, 50])
    assert mixed[0] < mixed[2] < mixed[1] < 1
    # At the bound of the weakest all others are rejected already, so that it needs no correction.
    assert mixed[1] == pytest.approx(failure_bound(0, 10), rel=1e-6)
    for failures, trials in (([3], [2]), ([0, 0], [1])):
        with pytest.raises(ValueError, match="failures"):
            corrected_bounds(failures, trials)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": ()}, "makes no claim"),
        ({"controls": ()}, "no control"),
        ({"id": "two words"}, "id: expected up to 80 letters"),
        (
            {"controls": (nct.Control("c", "c", nct.closed_form.squared_error_minimum, claims=("nope",)),)},
            "unknown claims",
        ),
    ],
)
def test_an_incomplete_theorem_is_refused(change, message):
    theorem = small_theorem()
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(theorem, **change)


def test_predictions_of_the_wrong_shape_are_refused():
    wrong = (nct.Equality("gram", "", lambda p, x: x.weights[0] @ x.weights[0].T, lambda m: jnp.zeros((3, 3))),)
    with pytest.raises(ValueError, match="observes shape"):
        nct.verify(
            small_theorem(claims=wrong, controls=(nct.Control("c", "c", nct.closed_form.squared_error_minimum),)),
            seeds=2,
        )


def test_a_prediction_is_a_number_and_what_it_misses_is_told():
    """No number is refused, NaN leaves undecided and says so, and a wrong number stands beside the one that was found."""
    true = nct.closed_form.squared_error_minimum

    def outcome(predict):
        value = (nct.GlobalValue("value", r"\min f", lambda found: found),)
        double = nct.Control("double", "twice the value", lambda problem: 2 * true(problem).value)
        return nct.verify(small_theorem(predict, (double,), value), seeds=2)

    with pytest.raises(ValueError, match=r"predicted: claim 'value' expects a number or an array .* got dict"):
        outcome(lambda problem: {"value": 1.0})
    blind = outcome(lambda problem: float("nan"))
    assert blind.outcome == "inconclusive"
    assert "instance 1: claims value could not be decided: the prediction of value is not finite" in blind.reasons
    wrong = outcome(lambda problem: 1.01 * float(true(problem).value))
    assert wrong.outcome == "refuted"
    (reason,) = [one for one in wrong.reasons if "fails on" in one]
    first = small_theorem().draw(jax.random.key(0))[0].problem
    assert isinstance(first, nct.problems.DeepLinear)
    found = float(true(first).value)
    assert f"value {found:.6g}" in reason
    assert f"predicted {1.01 * found:.12g}" in reason
    assert "below" not in reason
    assert reason.endswith("and on 1 more instance)")
    low = outcome(lambda problem: 0.99 * float(true(problem).value))
    assert any(f"predicted {0.99 * found:.12g}, below the lower bound {found:.6g}" in one for one in low.reasons)


def test_what_is_no_instance_is_refused():
    problems = [one.problem for one in small_theorem().draw(jax.random.key(0))]
    with pytest.raises(ValueError, match=r"instances: expected Instance\(problem, parameters\), got DeepLinear at 0"):
        dataclasses.replace(small_theorem(), instances=lambda key: problems).draw(jax.random.key(0))


def test_bad_calls_of_verify():
    with pytest.raises(
        ValueError, match=r"unknown identifier 'ufm-ce'; did you mean ufm-ce-balanced or ufm-ce-landscape\?"
    ):
        nct.verify("ufm-ce")
    with pytest.raises(ValueError, match="unknown identifier 'nope'"):
        nct.verify("nope")
    with pytest.raises(ValueError, match="seeds"):
        nct.verify(small_theorem(), seeds=0)
    with pytest.raises(ValueError, match="instance: expected 0 to 1"):
        nct.verify(small_theorem(), instance=2)


def test_theorem_files(tmp_path, monkeypatch):
    with pytest.raises(TheoremFileError, match="does not exist"):
        nct.theorems.load_theorem_file(tmp_path / "missing.py")
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(TheoremFileError, match="registers no theorem"):
        nct.theorems.load_theorem_file(tmp_path / "empty.py")
    diagrams: dict[str, Any] = dict(nct.phase.diagrams())
    told = r"got Diagram; it is registered by nctheory\.phase\.register_diagram"
    with unchecked_types(), pytest.raises(ValueError, match=told):
        nct.register(diagrams["mse-collapse"])
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(ValueError, match=r"unknown identifier 'empty'; did you mean the file empty\.py\?"):
            nct.theorems.find_theorem("empty")
    (tmp_path / "broken.py").write_text("import not_a_module\n")
    with pytest.raises(TheoremFileError, match=r"does not import.*not_a_module"):
        nct.theorems.load_theorem_file(tmp_path / "broken.py")
    (tmp_path / "thief.py").write_text(
        "import dataclasses, nctheory as nct\n"
        "nct.register(dataclasses.replace(nct.theorems.find_theorem('red-nuclear'), title='mine'))\n"
    )
    with pytest.raises(TheoremFileError, match="taken by"):
        nct.theorems.load_theorem_file(tmp_path / "thief.py")


def test_verdict_json_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    verdict = nct.verify(small_theorem(), seeds=2)
    file = tmp_path / "verdict.json"
    verdict.to_json(file)
    jsonschema.validate(json.loads(file.read_text()), SCHEMA)
    before = file.read_bytes()
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        dataclasses.replace(verdict, seconds=1.0).to_json(file)
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["verdict.json"]


@pytest.mark.slow
def test_a_flow_in_single_precision_gives_the_same_verdict():
    single = nct.verify(
        "ufm-mse-nobias", seeds=8, quick=True, options=nct.theorems.VerifyOptions(flow_precision="float32")
    )
    assert single.outcome == "holds"
    assert single.supporting == single.seeds_run
    assert all(control.refuted for control in single.controls)
