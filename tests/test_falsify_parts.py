"""Parts of the search: families of starts, neighbours of instances, edits, kinks of a formula, files of a find."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import nctheory as nct
from nctheory import cli
from nctheory.falsification import check_counterexample, structured_starts
from nctheory.falsification._chain_starts import before_activation, chain_shape, chain_start, fitted
from nctheory.falsification._changes import located_change, predicted_structure
from nctheory.falsification._codes import FAMILIES, incidence, low_rank
from nctheory.falsification._edits import edited
from nctheory.falsification._files import predicted_number, save_counterexample
from nctheory.falsification._lines import DISTANCES, boundaries
from nctheory.falsification._numpy_check import arrays_of, numpy_script
from nctheory.falsification._optimisers import OPTIMISERS, value_and_gradient
from nctheory.falsification._places import Place, drawn_places, instance_at
from nctheory.falsification._proposals import Change, propose
from nctheory.falsification._records import Effort, TrialRecord, Violation
from nctheory.falsification._reduce import Found
from nctheory.falsification._result import nearest
from nctheory.falsification._starts import Known, leaf_shapes
from nctheory.falsification._trial import thresholds_at
from nctheory.problems import shape_of
from nctheory.theorems import Move, find_theorem, moved_draws, numpy_rng
from tests.collapse_of_relu_chains import collapse_theorem, network, predict
from tests.test_falsify import least_error


def linear(widths=(5, 4, 3), counts=(2, 1, 1), **change):
    decays = (0.01,) * len(widths)
    return nct.deep_linear(widths=widths, counts=counts, loss="mse", weight_decay=decays, **change)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dim", [1, 2, 5, 12])
@pytest.mark.parametrize("classes", [1, 2, 3, 10])
def test_a_family_has_a_column_for_each_class_and_no_more_rows_than_asked_for(family, dim, classes):
    features = FAMILIES[family](dim, classes, np.random.default_rng(0))
    assert features.shape[1] == classes
    assert features.shape[0] <= max(dim, 1)
    assert np.all(np.isfinite(features))


def test_the_incidence_matrix_of_the_complete_graph_has_rank_five_for_ten_classes():
    edges = incidence(10, 10, np.random.default_rng(3))
    assert edges.shape == (5, 10)
    assert len({tuple(column) for column in edges.T}) == 10
    assert np.linalg.matrix_rank(edges) == 5
    # One layer behind a ReLU tells the ten classes apart again, though its input has rank five.
    before = before_activation(np.eye(10), edges, "relu")
    assert np.linalg.matrix_rank(before, tol=1e-9) == 5
    np.testing.assert_allclose(np.maximum(before, 0.0), np.eye(10), atol=1e-12)


def test_low_rank_features_are_non_negative_and_of_lower_rank():
    for seed in range(10):
        features = low_rank(6, 4, np.random.default_rng(seed))
        assert np.min(features) >= 0
        assert np.linalg.matrix_rank(features) < 4


@pytest.mark.parametrize("problem", [linear(), linear(bias=0.1), network(nct.deep_nonlinear, 3, 3, 5, 0.01)])
def test_every_family_has_starts_of_every_chain_and_all_are_points_of_it(problem):
    vectors, counts = structured_starts(problem, 18, np.random.default_rng(0))
    assert vectors.shape == (18, nct.problems.size(problem))
    assert counts == dict.fromkeys(FAMILIES, 2)
    assert np.all(np.isfinite(vectors))
    assert len(np.unique(vectors.round(12), axis=0)) == 18


def test_a_linear_chain_starts_near_the_logits_that_it_should_have_in_balance():
    problem = linear(widths=(6, 6, 3), counts=(1, 1, 1))
    shape = chain_shape(problem)
    assert shape is not None
    point = chain_start(shape, "one direction a class", np.random.default_rng(1))
    factors = (*point.weights, np.asarray(point.features))
    product = factors[1] @ factors[0] @ factors[2]
    assert np.argmax(product, axis=0).tolist() == [0, 1, 2]
    norms = [np.linalg.norm(factor) for factor in factors]
    assert max(norms) < 1.5 * min(norms)


def test_a_chain_with_inputs_and_a_problem_that_is_no_chain_have_starts_too():
    given = nct.deep_linear(
        widths=(4, 3, 2), targets=np.eye(2)[:, [0, 1, 1]], inputs=np.arange(12.0).reshape(4, 3), loss="mse",
        weight_decay=(0.1, 0.1),
    )  # fmt: skip
    assert sum(structured_starts(given, 9, np.random.default_rng(0))[1].values()) == 9
    factorisation = nct.problems.minimal_factorisation(np.eye(3), dim=3, weight_decay=(0.1, 0.1))
    vectors, counts = structured_starts(factorisation, 4, np.random.default_rng(0))
    assert vectors.shape == (4, nct.problems.size(factorisation))
    assert sum(counts.values()) == 4


def test_ends_of_other_trials_are_moved_cut_and_joined():
    small, large = linear((2, 2, 2), (1, 1)), linear((4, 4, 4), (1, 1, 1, 1))
    point = np.arange(1.0, nct.problems.size(small) + 1)
    known = [Known(leaf_shapes(small), point)]
    vectors, counts = structured_starts(large, 30, np.random.default_rng(0), known)
    assert {name for name in counts if name not in FAMILIES} == {
        "minimiser with classes, samples or units taken away or added",
        "two smaller minimisers side by side",
    }
    assert "minimiser at neighbouring numbers" in structured_starts(small, 30, np.random.default_rng(0), known)[1]
    assert fitted(np.ones((2, 3)), (3, 2)).tolist() == [[1, 1], [1, 1], [0, 0]]
    joined = nct.problems.unravel(large, vectors[FAMILIES.__len__() + 1])
    noise = np.abs(joined.weights[0][:2, 2:]).max()
    np.testing.assert_allclose(joined.weights[0][2:, 2:], joined.weights[0][:2, :2], atol=8 * noise + 1e-9)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_lowers_the_value_or_leaves_the_point(name):
    problem = network(nct.deep_nonlinear, 3, 3, 5, 0.01)
    start = structured_starts(problem, 1, np.random.default_rng(0))[0][0]
    end = OPTIMISERS[name](problem, start)
    before, after = (value_and_gradient(problem, x)[0] for x in (start, end))
    assert after < before or (name.startswith("polish") and np.array_equal(start, end))


@pytest.mark.slow
def test_low_rank_starts_reach_below_collapse_for_three_classes_and_four_layers():
    problem = network(nct.deep_nonlinear, 3, 4, 6, 0.01)
    starts = structured_starts(problem, 18, np.random.default_rng(0))[0]
    ends = [OPTIMISERS["L-BFGS (SciPy), then polish"](problem, start) for start in starts]
    assert min(value_and_gradient(problem, end)[0] for end in ends) < 0.99 * predict(problem)


@pytest.mark.slow
def test_incidence_matrices_reach_below_collapse_for_ten_classes_and_three_layers():
    problem = network(nct.deep_nonlinear, 10, 3, 10, 0.003)
    shape, rng = chain_shape(problem), np.random.default_rng(0)
    assert shape is not None
    starts = [nct.problems.ravel(chain_start(shape, "incidence of a graph", rng)) for _ in range(12)]
    with threadpool_limits(1, user_api="blas"):
        ends = [OPTIMISERS["L-BFGS (SciPy), then polish"](problem, np.asarray(start)) for start in starts]
    assert min(value_and_gradient(problem, end)[0] for end in ends) < 0.99 * predict(problem)


def test_points_are_solved_from_in_chunks_of_one_width_whatever_their_number():
    problem = linear((3, 3), (1, 1, 1))
    points = nct.starts(problem, 7)
    whole = nct.solve_from(problem, points)
    parts = nct.solve_from(problem, points, chunk=4)
    polished = nct.solve_from(problem, points, method="polish", chunk=4, light=True)
    np.testing.assert_array_equal(whole.seeds, parts.seeds)
    np.testing.assert_allclose(parts.value, whole.value, rtol=1e-13)
    assert np.all(parts.flow_time > 0)
    assert not np.any(polished.flow_time)
    assert polished.converged.all()
    np.testing.assert_allclose(polished.value, whole.value, rtol=1e-9)
    with pytest.raises(ValueError, match="chunk: expected at least 1, got 0"):
        nct.solve_from(problem, points, chunk=0)
    with pytest.raises(ValueError, match="method: expected"):
        nct.solve_from(problem, points, method="walk")


def test_moved_draws_keep_whole_numbers_and_the_law_and_move_little_for_little():
    def draw(moves):
        with moved_draws(moves):
            rng = numpy_rng(jax.random.key(4))
            return (
                rng.integers(100),
                rng.uniform(2.0, 3.0, size=50),
                rng.permutation(6),
                rng.normal(1.0, 2.0),
                rng.uniform(),
            )

    still, none, near, far = (draw(moves) for moves in ((), (Move(1, 0.0),), (Move(1, 1e-3),), (Move(1, 1.0),)))
    for one in (none, near, far):
        assert one[0] == still[0]
        assert one[2].tolist() == still[2].tolist()
    for one, told in ((none, 0.0), (near, 1e-3)):
        assert np.max(np.abs(one[1] - still[1])) <= told
        assert abs(one[3] - still[3]) <= 20 * told
        assert abs(one[4] - still[4]) <= told
    assert np.all((far[1] >= 2.0) & (far[1] <= 3.0))
    assert np.mean(np.abs(far[1] - still[1])) > 0.1


def test_a_place_is_the_same_instance_again_and_its_neighbour_is_near():
    theorem, root = collapse_theorem(3, 3, 4), jax.random.key(0)
    place, instance = drawn_places(theorem, root, 3)[2]
    again, near = instance_at(theorem, root, place), instance_at(theorem, root, place.moved(7, 1e-3))
    assert again is not None
    assert near is not None
    assert again.parameters == instance.parameters
    ratio = float(near.parameters["lambda"]) / float(instance.parameters["lambda"])
    assert 0.0 < abs(np.log(ratio)) < 5e-3
    assert Place.of(json.loads(json.dumps(place.moved(7, 1e-3).edit("classes", 2).plain()))).edits == (("classes", 2),)
    with pytest.raises(ValueError, match="place: expected"):
        Place.of([1, 2])


def test_edits_make_what_the_constructors_make_and_stay_within_the_hypotheses():
    theorem, root = collapse_theorem(4, 3, 6), jax.random.key(0)
    place, instance = drawn_places(theorem, root, 0)[0]
    less = edited(theorem, instance, (("classes", 3), ("width", 4), ("digits", 1)))
    assert less is not None
    decay = float(less.parameters["lambda"])
    assert dict(less.parameters) == {"K": 3, "L": 3, "d": 4, "n": 1, "lambda": decay}
    assert f"{decay:.0e}" == f"{float(instance.parameters['lambda']):.0e}"
    made = network(nct.deep_nonlinear, 3, 3, 4, decay)
    point = np.random.default_rng(0).normal(size=nct.problems.size(made))
    assert value_and_gradient(less.problem, point)[0] == pytest.approx(value_and_gradient(made, point)[0], rel=1e-14)
    assert edited(theorem, instance, (("classes", 4),)) is None  # nothing to change
    assert edited(theorem, instance, (("samples", 1),)) is None
    assert instance_at(theorem, root, place.edit("classes", 1)) is None


def test_a_problem_with_one_inner_width_is_edited_like_others():
    """A factorisation names the widths between its factors alone, of which there may be one."""
    theorem = nct.catalogue()["red-schatten"]
    with jax.enable_x64(True):
        instances = theorem.instances(jax.random.key(0))
    widths = {len(getattr(one.problem, "widths", ())) for one in instances}
    assert 1 in widths
    for one in instances:
        less = edited(theorem, one, (("scale", 0.1),))
        assert less is not None
        assert len(getattr(less.problem, "weight_decay", ())) == len(getattr(one.problem, "weight_decay", ()))


def test_an_edit_follows_tuples_that_are_shown_and_leaves_out_those_it_does_not_know():
    theorem, root = collapse_theorem(4, 3, 6), jax.random.key(0)
    instance = drawn_places(theorem, root, 0)[0][1]
    assert isinstance(instance.problem, nct.problems.DeepNonlinear)
    counts, widths = instance.problem.counts, instance.problem.widths
    shown = {"counts": counts, "widths": np.array(widths), "other": (1.5, 2.5), "name": "a"}
    less = edited(
        theorem, dataclasses.replace(instance, parameters={**instance.parameters, **shown}), (("classes", 3),)
    )
    assert less is not None
    assert isinstance(less.problem, nct.problems.DeepNonlinear)
    assert counts is not None
    assert less.parameters["counts"] == less.problem.counts == counts[:3]
    assert less.parameters["widths"] == less.problem.widths
    assert "other" not in less.parameters
    assert less.parameters["name"] == "a"


@pytest.mark.parametrize("reduced", [False, True])
def test_fewer_samples_are_those_of_a_model_with_fewer(reduced):
    model = linear((3, 3), (4, 4, 4))
    fewer = linear((3, 3), (2, 2, 2))
    if reduced:
        model, fewer = (nct.problems.reduce_to_class_means(one) for one in (model, fewer))
    anything = nct.Hypothesis("anything", lambda instance: True)
    theorem = least_error(hypotheses=(anything,))
    found = edited(theorem, nct.Instance(model, {"n": 4, "N": 12, "secret": 0.5}), (("samples", 2),))
    assert found is not None
    assert dict(found.parameters) == {"n": 2, "N": 6}  # what cannot be recognised is no longer shown
    point = np.random.default_rng(0).normal(size=nct.problems.size(fewer))
    assert value_and_gradient(found.problem, point)[0] == pytest.approx(value_and_gradient(fewer, point)[0], rel=1e-14)
    assert edited(least_error(), nct.Instance(model, {"n": 4}), (("samples", 2),)) is None  # no hypothesis is stated


@pytest.mark.parametrize(
    "problem",
    [
        linear(bias=0.1),
        nct.problems.reduce_to_class_means(linear((3, 3), (3, 2, 1))),
        nct.unconstrained_features(counts=(2, 3), dim=3, loss="cross_entropy", weight_decay=(0.1, 0.2), bias=None),
        nct.deep_nonlinear(
            widths=(4, 4, 4, 2), counts=(2, 1), loss="cross_entropy", weight_decay=(0.1, 0.2, 0.3, 0.4),
            activation=("tanh", "leaky_relu"), residual=(True, False), nonnegative_features=True, bias=0.3,
        ),
        nct.deep_nonlinear(
            widths=(4, 3, 2), inputs=np.arange(12.0).reshape(4, 3) / 7, targets=np.eye(2)[:, [0, 1, 1]], loss="mse",
            weight_decay=(0.1, 0.2), activation="absolute",
        ),
    ],
)  # fmt: skip
def test_the_script_in_numpy_is_the_objective(problem):
    rng = np.random.default_rng(0)
    point = rng.normal(size=nct.problems.size(problem))
    script = numpy_script(problem)
    assert script is not None
    space = {"np": np, "a": arrays_of(problem, nct.problems.unravel(problem, point))}
    exec(script, space)
    assert space["value"] == pytest.approx(value_and_gradient(problem, point)[0], rel=1e-14)


def test_a_problem_with_another_loss_has_no_script():
    model = nct.deep_linear(widths=(2, 2), counts=(1, 1), loss=nct.losses.focal(2.0), weight_decay=(0.1, 0.1))
    assert numpy_script(model) is None


@pytest.mark.parametrize(("off", "alone"), [(-0.1, True), (0.1, False)])
def test_a_value_above_the_predicted_minimum_is_no_test_for_numpy_alone(off, alone, tmp_path):
    theorem, root = least_error(), jax.random.key(0)
    place, instance = drawn_places(theorem, root, 0)[0]
    told = predicted_number(theorem, "value", instance.problem)
    assert told is not None
    point = np.zeros(nct.problems.size(instance.problem))
    found = Found(place, instance, 0, Violation("value", 0, 0.1, 1e-12, "", told + off, point))
    save_counterexample(tmp_path, theorem, root, found, Effort(4, 4), "own.py")
    (file,) = tmp_path.glob("test_*.py")
    text = file.read_text()
    assert ("assert value < PREDICTED - TOLERANCE" in text) == alone
    assert (f"load_theorem_file({str(Path('own.py').absolute())!r})" in text) != alone


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"form": 1}', '{"form": 2}', "null"])
def test_files_that_are_no_counterexamples_are_refused(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"file: expected a counterexample that .* wrote, got .*x\.json"):
        check_counterexample(file)


def decays_of(problem):
    return np.asarray(problem.weight_decay)


def of_decays(problem):
    return 2 * np.sqrt(max(problem.counts) * np.prod(decays_of(problem)))


@pytest.mark.slow
def test_boundaries_on_a_line_of_scaled_decays_are_tried_on_both_sides_at_relative_distances():
    small = nct.Hypothesis("decays below 30", lambda instance: bool(np.max(instance.problem.weight_decay) < 30.0))
    theorem, root = least_error(hypotheses=(small,)), jax.random.key(0)
    place, instance = drawn_places(theorem, root, 0)[0]
    onset, edge = boundaries(theorem, root, place, 0, lambda: False)
    for distance in (1e-1, 3e-4):
        below, above = (instance_at(theorem, root, one) for one in onset.sides(distance))
        assert below is not None
        assert above is not None
        # The threshold is at 1, and each decay is moved by the relative distance.
        assert np.log(of_decays(below.problem)) == pytest.approx(-distance, abs=3e-5)
        assert np.log(of_decays(above.problem)) == pytest.approx(distance, abs=3e-5)
    inside, outside = edge.sides(1e-3)
    assert instance_at(theorem, root, outside) is None
    last = instance_at(theorem, root, inside)
    assert last is not None
    assert np.max(decays_of(last.problem)) == pytest.approx(30.0 * np.exp(-1e-3), rel=1e-6)
    # What is shown follows, and the ratio of the decays stays.
    shown = [float(last.parameters[name]) for name in ("lambda_W", "lambda_H")]
    assert shown == decays_of(last.problem).tolist()
    first = decays_of(instance.problem)
    assert shown[0] / shown[1] == pytest.approx(first[0] / first[1], rel=1e-12)
    assert list(boundaries(theorem, root, place, 0, lambda: True)) == []


def test_without_a_hypothesis_the_line_is_that_of_the_sampler():
    theorem, root = vanishing(), jax.random.key(0)
    found = 0
    for place, _ in drawn_places(theorem, root, 0)[:2]:
        for one in boundaries(theorem, root, place, 3, lambda: False):
            found += 1
            sides = [instance_at(theorem, root, there) for there in one.sides(1e-3)]
            ratios = [of_decays(side.problem) for side in sides if side is not None]
            assert len(ratios) == 2
            assert min(ratios) < 1.0 < max(ratios)
            assert np.abs(np.log(ratios)).max() < 2e-3
    assert found > 0


def vanishing(hypotheses=()):
    """The same theorem with the strength of the minimiser, which vanishes beyond the threshold."""
    theorem = least_error(hypotheses=hypotheses)
    return dataclasses.replace(
        theorem, predict=lambda problem: (theorem.predict(problem), np.float64(max(0.0, 1.0 - of_decays(problem))))
    )


def test_the_first_round_has_a_boundary_of_each_shape_before_the_second_instance_of_any():
    anything = nct.Hypothesis("anything", lambda instance: True)
    theorem = vanishing((anything,))
    proposals = propose(theorem, jax.random.key(0), 0, [])
    places = list(proposals.places)
    assert len(set(places)) == len(places)
    drawn = [position for position, place in enumerate(places) if not place.edits]
    assert drawn[:3] == [0, 3, 6]  # two sides of the onset after each of the two shapes
    assert len(proposals.changes) == 2
    assert len(places) == 4 + 2 * 2 * len(DISTANCES)
    assert proposals.locating <= set(places)
    assert places == list(propose(theorem, jax.random.key(0), 0, []).places)
    late = list(propose(theorem, jax.random.key(0), 0, [], lambda: True).places)
    assert late == [place for place in places if not place.edits]


WRONG = """
import nctheory as nct
from tests.test_falsify import least_error
nct.register(least_error(wrong_for=lambda problem: True))
"""


@pytest.mark.slow
def test_the_command_finds_saves_and_checks(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nctheory.cli._falsify_command.configure", lambda: None)
    file, out = tmp_path / "wrong.py", tmp_path / "out"
    file.write_text(WRONG)
    arguments = ["falsify", str(file), "--seconds", "60", "--seeds", "4", "--trials", "2"]
    assert cli.main([*arguments, "--out", str(out), "--json", str(tmp_path / "found.json")]) == 1
    told = capsys.readouterr()
    assert "round 0, trial 0" in told.err
    assert f"nctheory falsify {file} --check {out / 'least-error-value.json'}" in told.out
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert (found["outcome"], found["found"]["claim"]) == ("refuted", "value")
    assert cli.main(["falsify", str(file), "--check", str(out / "least-error-value.json")]) == 1
    assert "claim 'value' fails" in capsys.readouterr().out
    # The file names a theorem that is not in the catalogue: nothing is run because a JSON file says so.
    other = tmp_path / "other.json"
    other.write_text(
        (out / "least-error-value.json").read_text().replace('"theorem": "least-error"', '"theorem": "no-such"')
    )
    (tmp_path / "least-error-value.npz").write_bytes((out / "least-error-value.npz").read_bytes())
    assert cli.main(["falsify", "--check", str(other)]) == 2
    assert "expected the theorem as well" in capsys.readouterr().err
    assert cli.main(["falsify", str(file), "--check", str(other)]) == 2
    assert "is about 'no-such', got 'least-error'" in capsys.readouterr().err


def test_a_counterexample_to_another_version_of_the_theorem_is_told_from_one_to_this(tmp_path, monkeypatch):
    def cannot(*arguments):
        raise IndexError("no third class")

    # A formula that does not know smaller instances costs no find.
    monkeypatch.setattr("nctheory.falsification._falsify.reduced", cannot)
    lines = []
    found = nct.falsify(
        least_error(wrong_for=lambda problem: True), 60, seeds=4, trials=1, out=tmp_path, progress=lines.append
    )
    assert lines[-1].startswith("the instance is kept as it is: reducing it ended with IndexError: no third class")
    assert found.found is not None
    assert found.found.file is not None
    assert not check_counterexample(found.found.file, least_error()).violated
    with pytest.raises(ValueError, match="no longer draws"):
        check_counterexample(found.found.file, least_error(shapes=((3, 3),)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["falsify"], "theorem: expected an identifier or a file, got none"),
        (["falsify", "no-such"], "unknown identifier 'no-such'"),
        (["falsify", "ufm-mse-nobias", "--seconds", "0"], "--seconds: expected a positive number, got 0"),
        (["falsify", "ufm-mse-nobias", "--key", "-1"], "--key: expected at least 0"),
        (["falsify", "ufm-mse-nobias", "--trials", "0"], "trials: expected a whole number of at least 1, got 0"),
        (["falsify", "ufm-mse-nobias", "--out", "/dev/null/x"], "--out: cannot write"),
        (["falsify", "--check", "no-such.json"], "file: cannot read no-such.json"),
    ],
)
def test_wrong_use_of_the_command_exits_2_and_says_what_was_expected(arguments, said, capsys, monkeypatch):
    monkeypatch.setattr("nctheory.cli._falsify_command.configure", lambda: None)
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_the_distance_from_a_threshold_is_that_of_the_real_numbers_where_all_else_agrees():
    base = {"K": 2, "bias": "none", "lambda": 1.0}
    change = Change(dict(base), dict(base))

    def record(**shown):
        return TrialRecord(0, 0, Place(0, 0), {**base, **shown}, "()", {}, {}, {}, {}, (), None, None)

    assert nearest([record(**{"lambda": 1.25}), record(**{"lambda": 1.1})], [change]) == pytest.approx(0.1)
    assert nearest([record(bias=0.5), record(K=3)], [change]) == np.inf


@pytest.mark.parametrize("identifier", ["ufm-mse-bias", "hong-ling-ce", "dnc-binary"])
def test_every_threshold_that_applies_to_an_instance_is_located_at_one(identifier):
    """Whatever the order of the draw: a threshold may apply to few instances of a shape, and not to the second."""
    theorem, root = find_theorem(identifier), jax.random.key(0)
    drawn = dict(drawn_places(theorem, root, 0))

    def thresholds(places):
        return {claim.location for place in places for claim in thresholds_at(theorem, drawn[place])}

    proposals = propose(theorem, root, 0, [], lambda: True)
    order = list(proposals.places)
    assert set(order) == set(drawn)
    assert thresholds(proposals.locating) == thresholds(drawn) != set()
    # Each is located at the first shape to which it applies, before any other instance is taken a second time.
    shapes = dict.fromkeys(shape_of(drawn[place].problem) for place in order)
    early = order[: len(shapes) + len(thresholds(drawn))]
    assert thresholds(place for place in early if place in proposals.locating) == thresholds(drawn)


class Reading(dict):
    """What is shown of an instance, and which of it was asked for."""

    def __init__(self, shown):
        super().__init__(shown)
        self.asked = set()

    def __getitem__(self, name):
        self.asked.add(name)
        return super().__getitem__(name)


@pytest.mark.parametrize(
    "identifier", ["nrc", "hong-ling-ce", "dang-relu-ce", "ufm-mse-bias", "ufm-mse-bias-imbalanced"]
)
def test_conditions_ask_the_problem_and_not_a_word_that_moved_decays_make_untrue(identifier):
    """A search moves the decays of an instance and keeps its words, which then say nothing of the side of a boundary."""
    theorem = find_theorem(identifier)
    drawn = [instance for _, instance in drawn_places(theorem, jax.random.key(0), 0)]
    words = {name for instance in drawn for name, value in instance.parameters.items() if isinstance(value, str)}
    assert "regime" in words
    for instance in drawn:
        asked = Reading(instance.parameters)
        one = dataclasses.replace(instance, parameters=asked)
        assert one.parameters is asked
        for claim in theorem.claims:
            claim.applies(one)
        for hypothesis in theorem.hypotheses:
            hypothesis.holds(one)
        assert not asked.asked & words


def test_a_kink_of_the_second_derivative_is_located_from_the_formula_alone():
    theorem, root = least_error(shapes=((2, 2),)), jax.random.key(0)

    def strength(seed, part):
        instance = instance_at(theorem, root, place.moved(seed, part))
        assert instance is not None
        return 2 * np.sqrt(2 * np.prod([float(instance.parameters[name]) for name in ("lambda_W", "lambda_H")]))

    hits = 0
    for place, _ in drawn_places(theorem, root, 0):
        for seed in range(4):
            found = located_change(theorem, root, place, seed, lambda: False)
            crosses = (strength(seed, 0.0) - 1) * (strength(seed, 1.0) - 1) < 0
            assert not (crosses and found is None)
            if found is not None and crosses:
                hits += 1
                low, high = sorted((strength(seed, found[0]), strength(seed, found[1])))
                assert low <= 1.0 <= high
                assert high - low < 1e-3
    assert hits > 1
    assert located_change(theorem, root, drawn_places(theorem, root, 0)[0][0], 0, lambda: True) is None
    model = drawn_places(theorem, root, 0)[0][1].problem
    assert predicted_structure(theorem, model) == (((), 1, 0),)
