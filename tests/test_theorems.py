"""Theorems: verdicts, tolerances that are derived, controls and wrong theorems that are refuted, power that is real."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jsonschema
import numpy as np
import pytest
import scipy.stats

import nctheory as nct
from nctheory.theorems import Run, TheoremFileError, corrected_bounds, failure_bound
from tests.test_tangents import Own

IDS = ("red-nuclear", "ufm-ce-balanced", "ufm-mse-nobias", "ufm-mse-bias")
CHAPTERS = (
    "ufm-ce-balanced",
    "ufm-mse-nobias",
    "hong-ling-ce",
    "deep-mse-linear",
    "gk-deep-ce-linear",
    "nrc",
    "conservation",
    "kawaguchi",
)
"""One of each kind of problem, certificate and search; the README's first command takes them all."""
SAMPLED = ("deep-ce-best", "gk-deep-ce-linear", "laurent-vonbrecht")
SCHEMA = json.loads((Path(nct.__file__).parent / "report" / "verdict.schema.json").read_text())


@pytest.mark.parametrize(
    ("method", "instances", "seeds", "light"),
    [
        (nct.Solve(), 1, 1000, True),
        (nct.Solve(), 20, 1000, False),
        (nct.Solve(flow=False), 1, 20_000, False),
        (nct.Integrate(), 20, 1000, True),
        (nct.Census(), 1, 1025, False),
    ],
)
def test_programs_are_compiled_for_the_work_they_do(method, instances, seeds, light):
    problem = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))  # 12 parameters
    few = method.few_seeds_are_light
    assert nct.theorems.VerifyOptions().for_work(few, [problem] * instances, seeds).light is light
    assert nct.theorems.VerifyOptions(light=True).for_work(few, [problem] * 100, 10**6).light is True


def _less(minimum):
    return jax.tree.map(lambda x: 0.9 * x if isinstance(x, jax.Array | np.ndarray) else x, minimum)


def small_theorem(predict=nct.closed_form.squared_error_minimum, controls=None, claims=None, loss="mse", **change):
    """A theorem with two small instances of one shape."""

    def instances(key):
        return [
            nct.Instance(
                nct.unconstrained_features(counts=(2, 2), dim=3, loss=loss, weight_decay=(lam, 2 * lam)),
                {"lambda_W": lam},
            )
            for lam in (0.05, 0.15)
        ]

    general = nct.Control("a tenth less", "everything smaller by a tenth", lambda p: _less(true(p)))
    double = nct.Control("double", "twice the value", lambda p: true(p)._replace(value=2 * true(p).value), ("value",))
    true = nct.closed_form.squared_error_minimum if loss == "mse" else nct.closed_form.cross_entropy_minimum
    parts: dict[str, Any] = dict(
        id="small",
        title="small",
        statement="",
        hypotheses=(),
        notation="",
        sources=(),
        instances=instances,
        predict=predict,
        claims=claims or nct.theorems.collapse_claims(bias=False),
        controls=controls or (double, *nct.theorems.collapse_controls(true, bias=False), general),
    )
    return nct.Theorem(**{**parts, **change})


def test_what_rests_on_a_tested_convexity_is_sampled():
    def exact(problem):
        decay = tuple(float(x) for x in problem.weight_decay)
        return nct.closed_form.squared_error_minimum(
            nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=decay)
        )

    def of(loss):
        double = nct.Control(
            "double", "twice the value", lambda p: exact(p)._replace(value=2 * exact(p).value), ("value",)
        )
        claims = tuple(claim for claim in nct.theorems.collapse_claims(bias=False) if claim.name == "value")
        return small_theorem(exact, (double,), claims, loss)

    proved, tested = (nct.verify(of(loss), seeds=8) for loss in ("mse", Own(nct.losses.mse())))
    assert proved.outcome == tested.outcome == "holds"
    assert (proved.claims[0].evidence, tested.claims[0].evidence) == ("certified", "sampled")
    assert "not proved" in str(tested.claims[0].why)
    assert (proved.certified, tested.certified) == (16, 0)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", CHAPTERS)
def test_the_catalogue_holds_and_every_control_is_refuted(identifier):
    """One theorem or two of each chapter, from another key than the command's; the README's first command takes them all."""
    theorem = nct.theorems.find_theorem(identifier)
    verdict = nct.verify(identifier, quick=True, key=1)
    assert verdict.outcome == "holds", verdict.reasons
    value = next((claim for claim in verdict.claims if claim.kind == "global value"), None)
    if value is not None:
        assert value.evidence == ("sampled" if identifier in SAMPLED else "certified")
    least = 0.5 if theorem.method.name == "census" else 0.95
    assert verdict.supporting >= least * verdict.seeds_run
    assert verdict.instances_supporting == len(verdict.instances)
    assert all(control.status == "refuted" for control in verdict.controls)
    refuting = {name for control in verdict.controls for name in control.claims}
    assert refuting == {claim.name for claim in verdict.claims}
    assert all(claim.violations == 0 and claim.checked > 0 and claim.seen for claim in verdict.claims)
    assert verdict.fidelity_same == verdict.fidelity_compared
    if identifier in IDS:
        assert verdict.converged == verdict.certified == verdict.supporting == verdict.seeds_run
        assert all(row.index_off_gauge == 0 and row.nullity_off_gauge == 0 and row.unique for row in verdict.instances)
        assert verdict.evidence == "certified"
    jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)


@pytest.mark.parametrize("identifier", sorted(nct.catalogue()))
def test_every_theorem_is_written_to_the_standard(identifier):
    theorem = nct.theorems.find_theorem(identifier)
    drawn = theorem.draw(jax.random.key(3))  # holds every instance against every hypothesis
    assert len(drawn) >= 10
    assert len(theorem.controls) >= 3
    assert theorem.hypotheses
    assert theorem.notation
    assert "$" in theorem.statement
    assert all(source.citation and source.number and source.bibtex.startswith("@") for source in theorem.sources)
    again = theorem.draw(jax.random.key(3))
    assert [dict(a.parameters) for a in drawn] == [dict(b.parameters) for b in again]


@pytest.mark.parametrize("identifier", IDS[1:])
def test_instances_cover_the_hypotheses(identifier):
    """Over a few keys: both sides of the threshold and close to it, weak decay, K from 2, n from 1, unequal decays."""
    drawn: list[Any] = [
        one for key in range(8) for one in nct.theorems.find_theorem(identifier).draw(jax.random.key(key))
    ]
    c = np.array([one.parameters["c"] for one in drawn])
    decay = np.array([one.problem.weight_decay for one in drawn])
    classes = np.array([one.problem.classes for one in drawn])
    assert np.any((c > 0.998) & (c < 1))
    assert np.any((c > 1) & (c < 1.002))
    assert c.min() < 0.01
    assert classes.min() == 2
    assert classes.max() >= 6
    assert min(one.problem.counts[0] for one in drawn) == 1
    assert np.ptp(np.log10(decay[:, 0] / decay[:, 1])) > 2
    for key in range(4):
        sizes = {
            (i.parameters["K"], i.parameters["d"], i.parameters["n"])
            for i in nct.theorems.find_theorem(identifier).draw(jax.random.key(key))
        }
        assert len(sizes) >= 3


def test_a_wrong_theorem_is_refuted_with_a_counterexample():
    def slightly_wrong(problem):
        true = nct.closed_form.squared_error_minimum(problem)
        return true._replace(weight_norm=true.weight_norm * (1 + 1e-7))

    verdict = nct.verify(small_theorem(slightly_wrong), seeds=8)
    assert verdict.outcome == "refuted"
    assert [c.name for c in verdict.claims if c.violations] == ["weight_norm"]
    assert verdict.worst is not None
    assert verdict.worst.claim == "weight_norm"
    assert verdict.worst.tolerance_ratio > 1
    assert verdict.worst.command.startswith("nctheory verify small --instance")
    again = nct.verify(small_theorem(slightly_wrong), seeds=[verdict.worst.seed], instance=verdict.worst.instance)
    assert again.outcome == "refuted"
    assert again.worst is not None
    assert again.worst.residual == pytest.approx(verdict.worst.residual, rel=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_wrong_minimum_is_refuted_from_either_side(sign):
    def wrong(problem):
        true = nct.closed_form.cross_entropy_minimum(problem)
        return true._replace(value=true.value * (1 + sign * 1e-8))

    verdict = nct.verify(small_theorem(wrong, loss="cross_entropy"), seeds=4)
    assert verdict.outcome == "refuted"
    assert verdict.claims[0].violations == verdict.claims[0].checked == 8


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


def test_bad_calls_of_verify():
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
    with pytest.raises(ValueError, match=r"got Diagram; it is registered by nctheory\.phase\.register_diagram"):
        nct.register(nct.phase.diagrams()["mse-collapse"])
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
