"""Hard codes, tokens under attention, phase diagrams on spheres, and codes in the report."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from benchmarks import spheres as benchmark
from nctheory.cli import main
from nctheory.phase import order_of
from nctheory.report import code_data, code_json, turning_pictures, write_report
from proofs_numeric.dynamics.attention_consensus import THEOREM as ATTENTION
from proofs_numeric.phases.five_codes import advantage, transition_at
from proofs_numeric.phases.layer_norm import model as layer_norm
from proofs_numeric.spheres.gnc_softmax_code import margin
from proofs_numeric.spheres.hard_codes import best_of_starts, largest_cosine, widest_angle, widest_margin
from proofs_numeric.spheres.orthoplex import bipyramid_value, pyramid_from, pyramid_value
from proofs_numeric.spheres.tammes_softmax import tammes_cosine

OCTAHEDRON = np.concatenate([np.eye(3), -np.eye(3)])


def near(code, rng, size=0.05):
    """A code with noise."""
    moved = code + size * rng.normal(size=code.shape)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def test_the_largest_angle_and_margin_near_known_codes(rng):
    assert abs(largest_cosine(widest_angle(near(OCTAHEDRON, rng)))) < 1e-9
    simplex = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    start = near(simplex, rng)
    code = widest_margin(start, start)
    np.testing.assert_allclose(code @ code.T, (4 * np.eye(4) - 1) / 3, atol=1e-7)


def test_a_margin_is_at_least_one_minus_the_cosine(rng):
    """With h_k = w_k, which the exact distance from hulls knows nothing of."""
    for _ in range(3):
        code = near(np.zeros((7, 3)), rng)
        assert float(margin(code)) >= 1 - largest_cosine(code) - 1e-12


@pytest.mark.parametrize("number", [8, pytest.param(10, marks=pytest.mark.slow)])
def test_tammes_angles_by_search(number):
    found = best_of_starts(number, starts=6 if number == 8 else 24)
    assert abs(largest_cosine(found[0]) - tammes_cosine(number)) < 1e-9
    assert abs(float(margin(found[0])) - 1 + tammes_cosine(number)) < 1e-8


@pytest.mark.parametrize("sharpness", [0.3, 5.0])
def test_softmax_attention_is_linear_at_consensus_with_one_rate(sharpness):
    """The Jacobian of the field at x_1 = … = x_n: the spectrum is 0 and -1 whatever the sharpness."""

    def field(flat):
        tokens = flat.reshape(4, 3)
        moves = jax.nn.softmax(sharpness * tokens @ tokens.T, axis=1) @ tokens
        return (moves - jnp.sum(tokens * moves, axis=1, keepdims=True) * tokens).ravel()

    jacobian = np.asarray(jax.jacfwd(field)(jnp.tile(jnp.asarray([1.0, 0.0, 0.0]), 4))).reshape(4, 3, 4, 3)
    tangent = jacobian[:, 1:, :, 1:].reshape(8, 8)
    found = np.sort(np.linalg.eigvals(tangent).real)
    np.testing.assert_allclose(found, [-1] * 6 + [0] * 2, atol=1e-12)


def test_the_flow_of_tokens_is_the_written_one(rng):
    problem: Any = ATTENTION.instances(jax.random.key(0))[0].problem
    tokens = np.asarray(problem.directions(problem.init(jax.random.key(1), 1.0)))
    sharp = float(problem.energy.sharpness)
    moves = np.exp(sharp * (tokens @ tokens.T - 1)) @ tokens / len(tokens)
    across = moves - np.sum(tokens * moves, axis=1, keepdims=True) * tokens
    np.testing.assert_allclose(-problem.value_and_grad(jnp.asarray(tokens))[1], across, rtol=1e-10, atol=1e-14)


def test_sizes_that_are_whole_are_those_of_samples():
    """One feature a class with weights, against the samples themselves: value, gradient and lower bound."""
    classes = layer_norm(0.3, 3.0)
    samples = nct.problems.spherical_features(counts=(3, 3, 1, 1), dim=3, weight_decay=0.3)
    point = classes.init(jax.random.key(0), 1.0)
    repeated = point._replace(features=jnp.asarray(point.features)[:, samples.labels])
    np.testing.assert_allclose(classes.objective(point), samples.objective(repeated), rtol=1e-14)
    np.testing.assert_allclose(
        nct.certify(classes, jax.tree.map(lambda x: x[None], point)).lower_bound,
        nct.certify(samples, jax.tree.map(lambda x: x[None], repeated)).lower_bound,
        rtol=1e-12,
    )
    by_hand, derived = classes.value_and_grad(point)[1], jax.grad(classes.objective)(point)
    for one, other in zip(jax.tree.leaves(by_hand), jax.tree.leaves(derived), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-14)


def test_smoothing_brings_the_pyramid_forward():
    assert abs(transition_at(1e-13) - 6.88507) < 1e-5
    assert transition_at(1e-3) < transition_at(1e-5) < transition_at(1e-13)
    assert abs(advantage(0.0, 6.0) - np.log(bipyramid_value(6.0) / pyramid_value(6.0))) < 1e-8


@pytest.mark.slow
def test_the_pyramid_begins_where_the_theorem_says():
    assert abs(pyramid_from() - 6.3003) < 1e-4


def test_shares_at_the_least_value():
    line = nct.phase.find_diagram("sphere-traps").boundaries[0]
    cells = {
        "status": np.array([[0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]),
        "value": np.array([[1.0, 1.0 + 1e-9, 1.1, 0.5], [2.0, 2.1, 2.2, 2.3], [1.0, 1.0, 1.0, 1.0]]),
        "lower_bound": np.full((3, 4), -np.inf),
    }
    np.testing.assert_allclose(order_of(cells, line, certified=False), [2 / 3, 0.25, np.nan])


@pytest.mark.slow
@pytest.mark.parametrize("identifier", ["layer-norm-minority", "five-codes"])
def test_boundaries_on_spheres_lie_where_they_are_predicted(identifier):
    found = nct.phase_diagram(identifier, grid=2, rows=2, seeds=8)
    assert found.outcome == "holds"
    assert all(one.judge(1.003) == "refuted" for one in found.located)


def made_up(vectors: Any = OCTAHEDRON, **more: Any) -> dict[str, Any]:
    """The codes of a theorem, as a file holds them."""
    row = {"parameters": {"K": 6, "tau": 2.0}, "value": 0.5, "vectors": np.asarray(vectors).tolist()}
    return {"schema_version": 1, "codes": "made-up", "title": "A code <b>", "rows": [row], **more}


def test_codes_turn_in_the_report(tmp_path):
    (tmp_path / "one.json").write_text(code_json(made_up()))
    (tmp_path / "two.json").write_text(code_json(made_up(2 * OCTAHEDRON)))
    (tmp_path / "three.json").write_text(code_json(made_up(rows=[{"vectors": "<script>"}])))
    (tmp_path / "four.json").write_text(code_json(made_up(schema_version=99)))
    report = write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count('<svg class="code"') == 1
    assert page.count("<line ") == 12  # edges of an octahedron
    assert "A code &lt;b&gt;" in page
    assert len(page) < 300_000
    assert len(report.left_out) == 3
    assert any("expected unit vectors" in line for line in report.left_out)


def test_places_of_a_turning_code():
    (flat,) = turning_pictures(made_up([[1.0, 0.0], [0.0, 1.0]]))
    assert flat["dots"] == [(1.0, -0.0, 1.0), (0.0, -1.0, 1.0)]
    assert json.loads(flat["told"])["flat"] is True
    (solid,) = turning_pictures(made_up())
    x, y, _ = np.transpose([dot[:3] for dot in solid["dots"]])
    depth = np.array([(pale - 0.25) / 0.375 - 1 for *_, pale in solid["dots"]])
    np.testing.assert_allclose(x**2 + y**2 + depth**2, 1.0, atol=5e-3)
    for wrong in ([[1.0]], [[1.0, 0.0, 0.0, 0.0]], [[[1.0, 0.0]]]):
        with pytest.raises(ValueError, match="vectors: expected 1 to 64 vectors"):
            turning_pictures(made_up(wrong))
    with pytest.raises(ValueError, match="rows: expected 1 to 3 codes, got 0"):
        turning_pictures(made_up(rows=[]))


def test_theorems_without_codes_have_none():
    assert code_data(nct.theorems.find_theorem("saxe-2layer"), jax.random.key(0)) is None


@pytest.mark.slow
def test_the_code_of_a_theorem_is_its_minimiser():
    data = code_data(nct.theorems.find_theorem("ntxent-simplex"), jax.random.key(0))
    assert data is not None
    for row in data["rows"]:
        np.testing.assert_allclose(np.linalg.norm(row["vectors"], axis=1), 1.0, atol=1e-12)
        gram = np.array(row["vectors"]) @ np.array(row["vectors"]).T
        assert np.min(gram) == pytest.approx(-1 / (row["parameters"]["n"] - 1), abs=1e-6)


def test_wrong_use_is_named(capsys):
    assert main(["verify", "ufm-sphere", "--codes"]) == 2
    assert "--codes: needs --out as well" in capsys.readouterr().err
    for seeds, repeats, name in ((0, 1, "seeds"), (1, 0, "repeats")):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            benchmark.compare(seeds, repeats)
