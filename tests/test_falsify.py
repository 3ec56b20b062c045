"""The search for counterexamples: wrong theorems are refuted, right ones are not, and a search goes on where it stopped."""

import dataclasses
import json
import threading

import jax
import numpy as np
import pytest
from filelock import FileLock

import nctheory as nct
from nctheory.falsification import check_counterexample

SECONDS = 240.0
"""Enough on a busy machine for what takes a tenth of it: the searches below end with a find or their number of trials."""


def least_error(shift=0.0, wrong_for=lambda problem: False, shapes=((2, 2), (1, 1)), hypotheses=()):
    """The least squared error of two classes, whose decays a plain sampler draws: none is near the threshold on purpose."""

    def instances(key):
        rng = nct.theorems.numpy_rng(key)
        decays = 10.0 ** rng.uniform(-2.0, 0.3, size=(2 * len(shapes), 2))
        return [
            nct.Instance(
                nct.unconstrained_features(
                    counts=shapes[i % len(shapes)], dim=3, loss="mse", weight_decay=(float(one[0]), float(one[1]))
                ),
                {"n": shapes[i % len(shapes)][0], "lambda_W": float(one[0]), "lambda_H": float(one[1])},
            )
            for i, one in enumerate(decays)
        ]

    def predict(problem, more=0.0):
        strength = 2 * np.sqrt(max(problem.counts) * np.prod(np.asarray(problem.weight_decay)))
        value = 0.5 if strength >= 1.0 - shift else strength - strength**2 / 2
        return np.float64(value * (1 + 1e-4) if wrong_for(problem) else value + more)

    return nct.Theorem(
        id="least-error",
        title="The least squared error",
        hypotheses=hypotheses,
        sources=(),
        instances=instances,
        predict=predict,
        claims=(nct.GlobalValue("value", r"\min f", lambda value: value),),
        controls=(nct.Control("more", "a larger value", lambda problem: predict(problem, 1e-3)),),
    )


@pytest.mark.slow
def test_a_right_theorem_is_not_refuted_and_the_search_says_how_much_was_tried():
    lines = []
    found = nct.falsify(least_error(), SECONDS, seeds=8, trials=10, progress=lines.append)
    assert found.outcome == "nothing found"
    assert found.found is None
    assert found.trials == len(lines) == 10
    assert found.rounds == 2
    assert found.shapes == 2
    assert found.starts["random"] == 80
    assert min(found.starts[name] for name in ("low rank", "incidence of a graph", "orthoplex")) > 0
    assert sum(found.starts.values()) == sum(found.optimisers.values())
    assert found.thresholds > 0
    assert found.nearest_threshold < 0.01
    (tight,) = found.tightest
    assert 0.0 <= tight.ratio <= 1.0
    assert found.undecided == ()
    assert "tightest value" in str(found)


@pytest.mark.slow
def test_a_threshold_off_by_a_thousandth_is_found_though_no_instance_was_drawn_there():
    found = nct.falsify(least_error(shift=1e-3), SECONDS, seeds=8)
    assert found.outcome == "refuted"
    assert found.rounds == 2
    assert found.found is not None
    decays = [float(found.found.parameters[name]) for name in ("lambda_W", "lambda_H")]
    strength = 2 * np.sqrt(float(found.found.parameters["n"]) * np.prod(decays))
    assert 1.0 - 1e-3 <= strength < 1.0
    assert "confirmed with 50 digits" in found.found.note
    assert found.found.predicted == 0.5
    assert found.found.value < 0.5


@pytest.mark.slow
def test_a_formula_wrong_for_one_sample_a_class_alone_is_found():
    found = nct.falsify(least_error(wrong_for=lambda problem: max(problem.counts) == 1), SECONDS, seeds=8)
    assert found.outcome == "refuted"
    assert found.found is not None
    assert found.found.parameters["n"] == 1


@pytest.mark.slow
def test_a_formula_wrong_for_two_classes_alone_is_found():
    right = nct.catalogue()["ufm-ce-balanced"]

    def predict(problem):
        minimum = right.predict(problem)
        return minimum._replace(value=(1 + 1e-4) * minimum.value) if problem.classes == 2 else minimum

    found = nct.falsify(dataclasses.replace(right, id="two-classes", predict=predict), SECONDS, seeds=8)
    assert found.found is not None
    assert (found.found.parameters["K"], found.found.claim) == (2, "value")


@pytest.mark.slow
def test_the_corners_of_stated_hypotheses_are_tried_and_without_any_the_sampler_alone_is_believed():
    wrong = {"shapes": ((3, 3),), "wrong_for": lambda problem: max(problem.counts) == 1}
    balanced = nct.Hypothesis("balanced", lambda instance: len(set(instance.problem.counts)) == 1)
    bare = nct.falsify(least_error(**wrong), SECONDS, seeds=4, trials=40)
    assert (bare.outcome, bare.shapes) == ("nothing found", 1)
    assert bare.rounds > 2
    stated = nct.falsify(least_error(**wrong, hypotheses=(balanced,)), SECONDS, seeds=4, trials=60)
    assert stated.found is not None
    assert stated.found.parameters["n"] == 1


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped_and_comes_to_the_same(tmp_path):
    theorem = least_error()
    whole = nct.falsify(theorem, SECONDS, seeds=4, trials=6)
    part = nct.falsify(theorem, SECONDS, seeds=4, trials=3, out=tmp_path)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "trials").glob("*.json")}
    rest = nct.falsify(theorem, SECONDS, seeds=4, trials=6, out=tmp_path)
    assert (part.trials, rest.trials) == (3, 6)
    assert len(files) == 3
    assert all(file.stat().st_mtime_ns == at for file, at in files.items())
    assert [(one.claim, one.ratio, one.trial) for one in rest.tightest] == [
        (one.claim, one.ratio, one.trial) for one in whole.tightest
    ]
    assert rest.starts == whole.starts


@pytest.mark.slow
def test_a_trial_that_cannot_be_read_is_done_anew(tmp_path):
    theorem = least_error()
    nct.falsify(theorem, SECONDS, seeds=4, trials=2, out=tmp_path)
    file = tmp_path / "trials" / "000001.json"
    before = file.read_text()
    file.write_text(before[: len(before) // 2])
    nct.falsify(theorem, SECONDS, seeds=4, trials=2, out=tmp_path)
    assert json.loads(file.read_text())["ratios"] == json.loads(before)["ratios"]


def test_the_folder_of_another_search_is_refused(tmp_path):
    nct.falsify(least_error(), SECONDS, seeds=4, trials=1, out=tmp_path)
    with pytest.raises(ValueError, match=r"out: .* holds a search with key 0, this one has 1"):
        nct.falsify(least_error(), SECONDS, 1, seeds=4, trials=1, out=tmp_path)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), True])
def test_a_budget_that_is_no_positive_number_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds: expected a positive number, got"):
        nct.falsify("ufm-mse-nobias", seconds)


def test_other_bad_input_is_refused_before_anything_is_computed():
    with pytest.raises(ValueError, match="unknown identifier 'no-such'"):
        nct.falsify("no-such")
    with pytest.raises(ValueError, match="seeds: expected a whole number of at least 1, got 0"):
        nct.falsify("ufm-mse-nobias", seeds=0)
    with pytest.raises(ValueError, match="trials: expected a whole number of at least 1, got 0"):
        nct.falsify("ufm-mse-nobias", trials=0)


def test_a_theorem_that_predicts_nothing_anywhere_is_refused():
    def predict(problem):
        raise nct.NoClosedForm("nothing is known")

    theorem = dataclasses.replace(least_error(), predict=predict)
    with pytest.raises(ValueError, match=r"predicts nothing on any of its instances.*nothing is known"):
        nct.falsify(theorem, SECONDS, seeds=2)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", ["saxe-2layer", "kawaguchi", "wang-layerwise-bounds"])
def test_theorems_about_paths_critical_points_and_their_own_starts_are_searched_by_their_own_method(identifier):
    found = nct.falsify(identifier, SECONDS, seeds=4, trials=1)
    assert (found.outcome, found.trials) == ("nothing found", 1)
    assert set(found.starts) == {"random"}


@pytest.mark.slow
def test_a_violation_that_is_one_of_a_path_is_found_and_checked_by_its_file(tmp_path):
    right = nct.catalogue()["saxe-2layer"]

    def predict(problem, start, times):
        return jax.tree.map(lambda x: 1.01 * x, right.predict(problem, start, times))

    wrong = dataclasses.replace(right, predict=predict)
    found = nct.falsify(wrong, SECONDS, seeds=4, out=tmp_path)
    assert found.found is not None
    assert found.found.point is None
    assert found.found.file is not None
    assert check_counterexample(found.found.file, wrong).violated
    assert not check_counterexample(found.found.file, right).violated


@pytest.mark.slow
def test_a_claim_that_no_trial_decided_is_named():
    right = nct.catalogue()["ufm-mse-nobias"]
    found = nct.falsify(right, SECONDS, seeds=4, trials=1)
    assert found.undecided == ("onset",)  # no threshold is located in the first trial
    assert "not searched: no trial decided onset" in str(found)


@pytest.mark.slow
def test_a_claim_about_a_threshold_is_held_against_a_located_one(tmp_path):
    right = nct.catalogue()["ufm-mse-nobias"]
    late = next(one for one in right.controls if one.name == "onset at 1.001")
    wrong = dataclasses.replace(right, claims=tuple(late.version_of(claim) for claim in right.claims))
    found = nct.falsify(wrong, SECONDS, seeds=8, out=tmp_path)
    assert found.found is not None
    assert (found.found.claim, found.found.predicted) == ("onset", 1.001)
    assert found.found.residual == pytest.approx(1e-3, rel=0.2)
    assert found.found.file is not None
    assert check_counterexample(found.found.file, wrong).violated
    assert not check_counterexample(found.found.file, right).violated
    (test,) = tmp_path.glob("test_*.py")
    assert "check_counterexample" in test.read_text()


@pytest.mark.slow
def test_a_trial_that_another_process_is_at_work_on_is_waited_for(tmp_path):
    theorem = least_error()
    whole = nct.falsify(theorem, SECONDS, seeds=4, trials=4)
    nct.falsify(theorem, SECONDS, seeds=4, trials=1, out=tmp_path)
    lines = []
    lock = FileLock(tmp_path / "trials" / "000001.lock", thread_local=False)
    lock.acquire()
    timer = threading.Timer(4.0, lock.release)
    timer.start()
    found = nct.falsify(theorem, SECONDS, seeds=4, trials=4, out=tmp_path, progress=lines.append)
    timer.join()
    assert [int(line.split("trial ")[1].split()[0]) for line in lines] == [2, 3, 1]
    assert [(one.claim, one.ratio) for one in found.tightest] == [(one.claim, one.ratio) for one in whole.tightest]
    assert found.starts == whole.starts
