"""Phase diagrams: boundaries are found where they are, and a prediction that is off is refuted."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from filelock import FileLock, Timeout

import nctheory as nct
from nctheory.cli import main
from nctheory.phase import locate, order_of

QUICK = ("mse-collapse", "ce-collapse", "bias-frame", "minority-collapse")


def exact(boundary):
    """Phase by a known curve: 1 below it."""
    asked = []

    def ordered(rows, where):
        asked.append(rows.size)
        return (where < boundary[rows]).astype(float)

    return ordered, asked


@pytest.mark.parametrize("shape", ["straight", "curved", "steep", "stepped"])
def test_a_boundary_is_bracketed_on_every_row(shape):
    x = np.linspace(0, 1, 64)
    curve = {
        "straight": 0.5 * x + 0.2,
        "curved": 0.5 + 0.4 * np.sin(5 * x),
        "steep": x**8,
        "stepped": 0.2 + 0.6 * (x > 0.55),
    }
    boundary = np.clip(curve[shape], 0.01, 0.99)
    ordered, asked = exact(boundary)
    found = locate(ordered, 64, (0.0, 1.0), 1 / 63)
    assert np.all(found.state == "found")
    assert np.all((found.low <= boundary) & (boundary <= found.high))
    assert np.all(found.high - found.low <= 1 / 63 + 1e-12)
    if shape in ("straight", "curved"):
        assert sum(asked) <= 64 * 64 / 10  # of the cells of a uniform grid as fine


def test_rows_without_a_boundary_or_an_answer_say_so():
    def ordered(rows, where):
        return np.where(rows < 5, 1.0, np.where(rows < 10, np.nan, (where < 0.5) * 1.0))

    found = locate(ordered, 20, (0.0, 1.0), 0.01)
    assert set(found.state[:5]) == {"absent"}
    assert set(found.phase[:5]) == {1.0}
    assert set(found.state[5:10]) == {"undecided"}
    assert set(found.state[10:]) == {"found"}
    assert np.all(np.isnan(found.low[:10]))


def test_an_undecided_place_is_divided_elsewhere():
    """At the boundary itself, and at every power of a half of the range, nothing is decided."""
    at, asked = 0.3, []

    def ordered(rows, where):
        asked.append(where.size)
        halves = np.isin(where, np.arange(1, 64) / 64)
        return np.where(halves | (np.abs(where - at) < 1e-7), np.nan, (where < at) * 1.0)

    found = locate(ordered, 1, (0.0, 1.0), 1e-4)
    assert found.state.tolist() == ["found"]
    assert found.low[0] <= at <= found.high[0] <= found.low[0] + 1e-4
    blind = locate(
        lambda rows, where: np.where(np.abs(where - at) < 0.01, np.nan, (where < at) * 1.0), 1, (0.0, 1.0), 1e-4
    )
    assert blind.state.tolist() == ["undecided"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"within": 0.0}, "within: expected a positive number below 0.1 in boundary 'onset of collapse', got 0.0"),
        ({"within": 0.4, "of": "any"}, "within: expected a positive number below 0.333"),
    ],
)
def test_a_boundary_that_cannot_be_judged_is_refused(change, message):
    line = nct.phase.find_diagram("mse-collapse").boundaries[0]
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(line, **change)


@pytest.mark.slow
def test_a_boundary_may_be_asked_for_less_sharply():
    diagram = nct.phase.find_diagram("mse-collapse")
    coarse = dataclasses.replace(diagram.boundaries[0], within=0.01)
    found = nct.phase_diagram(dataclasses.replace(diagram, boundaries=(coarse,)), grid=2, rows=2, seeds=2)
    assert found.outcome == "holds"
    assert coarse.moved == pytest.approx(0.1)
    assert found.solves < nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2).solves


def test_a_diagram_keeps_its_folder_to_itself_between_the_rounds_of_a_refinement(tmp_path, monkeypatch):
    rounds = []

    def watched(*args):
        rounds.append(None)
        with pytest.raises(Timeout):
            FileLock(tmp_path / ".lock").acquire(timeout=0)
        return order_of(*args)

    monkeypatch.setattr("nctheory.phase._phase.order_of", watched)
    found = nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2, folder=tmp_path)
    assert found.outcome == "holds"
    assert len(rounds) > 3
    again = nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2, folder=tmp_path)
    assert again.sweep.computed == 0
    np.testing.assert_array_equal(again.located[0].low, found.located[0].low)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", QUICK)
def test_every_boundary_lies_where_it_is_predicted(identifier):
    found = nct.phase_diagram(identifier, grid=3, rows=6, seeds=4)
    assert found.outcome == "holds"
    assert found.control_refuted
    assert found.solves < found.uniform / 50
    for one in found.located:
        assert np.all(one.distance + one.band <= one.tolerance)
        assert one.judge(0.999) == "refuted"


@pytest.mark.slow
def test_active_and_metastable_phases_of_a_deep_chain():
    found = nct.phase_diagram("deep-phases-2", grid=3, rows=4)
    assert found.sweep.arrays["value"].shape == (3, 3, 32)  # the diagram's own number of seeds
    assert found.outcome == "holds"
    active, metastable = (found.located[i].predicted for i in (2, 3))
    np.testing.assert_array_less(active, metastable)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 4])
def test_starts_of_the_deep_phases_reach_every_local_minimum(depth):
    diagram = nct.phase.find_diagram(f"deep-phases-{depth}")
    active = next(one for one in diagram.boundaries if one.name == "majority active")
    cell = diagram.model(ratio=1.2, decay=float(active.predicted_at(np.array(1.2))))
    found = nct.solve(cell, seeds=diagram.seeds, method=diagram.method)
    on = np.stack(
        [np.asarray(jax.vmap(lambda x, m=m: m(cell, x))(found.params)) > 0.1 for m in diagram.measures.values()]
    )
    assert {tuple(one) for one in on.T.tolist()} == {
        (False, False),
        (True, False),
        (True, True),
    }  # the strongest are on


@pytest.mark.slow
def test_a_boundary_moved_by_a_thousandth_is_refuted_and_the_command_says_so(tmp_path, capsys):
    diagram = nct.phase.find_diagram("mse-collapse")
    line = diagram.boundaries[0]
    moved = dataclasses.replace(line, predicted=lambda n: 1.001 * line.predicted_at(n))
    wrong = nct.phase_diagram(dataclasses.replace(diagram, boundaries=(moved,)), grid=2, rows=2, seeds=2)
    assert wrong.outcome == "refuted"
    file = tmp_path / "mine.py"
    file.write_text(
        "import dataclasses, nctheory as nct\n"
        "d = nct.phase.find_diagram('mse-collapse')\n"
        "b = dataclasses.replace(d.boundaries[0], predicted=lambda n: 1.001 / (4 * n**0.5))\n"
        "nct.phase.register_diagram(dataclasses.replace(d, id='mine', title='mine', boundaries=(b,)))\n"
    )
    arguments = ["--grid", "2", "--rows", "2", "--seeds", "2"]
    assert main(["phase", str(file), *arguments]) == 1
    assert "refuted" in capsys.readouterr().out
    assert main(["phase", "mse-collapse", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert {one.name for one in (tmp_path / "out").iterdir()} == {"phase.json", "phase.png", "phase.svg", "phase.pdf"}
    assert json.loads((tmp_path / "out" / "phase.json").read_text())["outcome"] == "holds"
    for suffix in ("png", "svg", "pdf"):
        again = nct.plot(nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2), tmp_path / f"again.{suffix}")
        assert again.read_bytes() == (tmp_path / "out" / f"phase.{suffix}").read_bytes()


def test_a_phase_on_the_wrong_side_or_nowhere_or_an_island_is_refuted():
    diagram = nct.phase.find_diagram("mse-collapse")
    line = diagram.boundaries[0]

    def outcome(**change):
        changed = dataclasses.replace(diagram, boundaries=(dataclasses.replace(line, **change),))
        return nct.phase_diagram(changed, grid=3, rows=2, seeds=2)

    assert outcome(ordered="above").outcome == "refuted"
    nowhere = outcome(level=1e9)
    assert set(nowhere.located[0].state) == {"absent"}
    assert nowhere.outcome == "refuted"
    held = outcome()
    assert held.outcome == "holds"
    island = held.located[0]
    along, across, phase = island.cells
    assert island.misplaced() == 0
    turned = island._replace(cells=(along, across, np.where(across == across.max(), 1.0, phase)))
    assert turned.misplaced() == 3
    assert turned.judge() == "refuted"


def test_what_no_seed_reached_refutes_nothing():
    line = dataclasses.replace(nct.phase.find_diagram("mse-collapse").boundaries[0], of="any")
    rows = np.array([1.0, 2.0])
    predicted = line.predicted_at(rows)
    none = (np.zeros(0), np.zeros(0), np.zeros(0))

    def judged(factor, state="found", phase=1.0):
        ends = factor * predicted
        states, phases = np.array([state] * 2, object), np.full(2, phase)
        return nct.phase.LocatedBoundary(
            line, rows, ends * 0.999, ends * 1.001, states, phases, predicted, none
        ).judge()

    assert judged(1.0) == "holds"
    assert judged(0.9) == "inconclusive"
    assert judged(1.1) == "refuted"
    assert judged(1.0, "absent", 0.0) == "inconclusive"
    assert judged(1.0, "absent", 1.0) == "refuted"


@pytest.mark.parametrize("predicted", [lambda n: np.nan * n, lambda n: 0.0 * n, lambda n: 7.0 + n])
def test_a_prediction_off_the_axis_is_refused_before_anything_is_solved(predicted):
    diagram = nct.phase.find_diagram("mse-collapse")
    line = dataclasses.replace(diagram.boundaries[0], predicted=predicted)
    with pytest.raises(ValueError, match="predicted: boundary 'onset of collapse'"):
        nct.phase_diagram(dataclasses.replace(diagram, boundaries=(line,)))


def test_undecided_cells_support_nothing():
    line = nct.phase.find_diagram("mse-collapse").boundaries[0]
    cells = {
        "status": np.array([[0, 0], [1, 1], [0, 1]]),
        "value": np.array([[1.0, 0.5], [0.1, 0.1], [1.0, 0.1]]),
        "lower_bound": np.array([[0.5, 0.5], [0.1, 0.1], [0.5, 0.5]]),
        "gap_rounding": np.zeros((3, 2)),
        "height": np.array([[3.0, 2.0], [1.0, 1.0], [4.0, 5.0]]),
    }
    np.testing.assert_array_equal(order_of(cells, line, certified=True), [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(order_of(cells, line, certified=False), [2.0, np.nan, 4.0])
    anywhere = dataclasses.replace(line, of="any")
    np.testing.assert_array_equal(order_of(cells, anywhere, certified=False), [3.0, np.nan, 4.0])
