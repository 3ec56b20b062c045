"""Sweeps and diagrams on the command line and as pictures, jumps and hysteresis, and wrong arguments."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.phase import order_of
from nctheory.report import phase_figure, phase_json, phase_table
from nctheory.report._tables import as_text


@pytest.mark.slow
def test_the_sweep_command_resumes_and_writes(tmp_path, capsys):
    command = ["sweep", "mse-collapse", "--axis", "samples=1,2", "--axis", "decay=0.05:0.2:2", "--seeds", "2"]
    command += ["--resume", str(tmp_path / "s")]
    assert main([*command, "--netcdf", str(tmp_path / "x.nc"), "--parquet", str(tmp_path / "x.parquet")]) == 0
    assert "8 solves, 8 converged, 8 certified; 1 tiles computed, 0 solves taken" in capsys.readouterr().out
    assert (tmp_path / "x.nc").stat().st_size > 0
    assert main(command) == 0
    assert "0 tiles computed, 8 solves taken" in capsys.readouterr().out
    assert main([*command, "--key", "1"]) == 2
    assert "holds a sweep with key = 0, asked was 1" in capsys.readouterr().err


BAD_CALLS = [
    (["phase", "nothing"], "unknown identifier 'nothing'"),
    (["sweep", "mse-collapse", "--axis", "colour=1"], "--axis: expected one of samples, decay"),
    (["sweep", "mse-collapse", "--axis", "decay=a"], "--axis: expected numbers"),
    (["sweep", "mse-collapse", "--axis", "decay=-1:2:3"], "grid['decay']: expected finite numbers"),
    (["sweep", "mse-collapse", "--axis", "decay=0.1,0.1"], "0.1 twice"),
    (["sweep", "mse-collapse", "--netcdf", "/nowhere/x.nc"], "--netcdf: cannot write"),
    (["phase", "missing.py"], "diagram file: missing.py does not exist"),
]


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
@pytest.mark.parametrize(("arguments", "message"), BAD_CALLS)
def test_wrong_use_exits_2_with_a_message(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": 1}, "grid"),
        ({"grid": {"decay": [0.1]}}, "grid: expected the axes 'samples' and 'decay'"),
        ({"rows": 1}, "rows"),
        ({"fineness": 0.02}, "fineness"),
        ({"diagram": "nothing"}, "unknown identifier"),
    ],
)
def test_bad_arguments_are_refused_by_name(change, message):
    arguments = {"diagram": "mse-collapse", **change}
    with pytest.raises(ValueError, match=message):
        nct.phase_diagram(arguments.pop("diagram"), **arguments)


@pytest.mark.slow
def test_class_sizes_need_not_be_whole():
    whole = nct.problems.class_mean_chain(
        sizes=(3, 1), widths=(2, 2), loss="cross_entropy", weight_decay=(0.1, 0.1), bias=0.2
    )
    model = nct.unconstrained_features(counts=(3, 1), dim=2, loss="cross_entropy", weight_decay=(0.1, 0.1), bias=0.2)
    reduced = nct.problems.reduce_to_class_means(model)
    point = reduced.init(jax.random.key(0), 1.0)
    np.testing.assert_allclose(whole.objective(point), reduced.objective(point), rtol=1e-14)
    for sizes in ((1.0, 0.0), (1.0, float("nan")), (), (1.0,)):
        with pytest.raises(ValueError, match="sizes"):
            nct.problems.class_mean_chain(sizes=sizes, widths=(2, 2), loss="mse", weight_decay=(0.1, 0.1))


def test_every_diagram_is_written_to_the_standard():
    for identifier, one in nct.phase.diagrams().items():
        assert one.id == identifier
        assert "$" in one.statement
        assert one.hypotheses
        assert all(source.bibtex.startswith("@") for source in one.sources)
        values = one.along.points(9)
        for boundary in one.boundaries:
            if boundary.predicted is None:
                continue
            line = boundary.predicted_at(values)
            inside = (line > one.across.low) & (line < one.across.high)
            # Between whole numbers a phase may fill a row.
            assert np.all(inside) if one.across.step is None else np.any(inside) and not np.any(np.isnan(line))


@pytest.mark.slow
def test_the_transition_of_a_deeper_chain_jumps_and_has_hysteresis():
    found = nct.phase_diagram("ziyin-phase-2", grid=3, rows=3, seeds=16)
    assert found.outcome == "holds"
    assert found.control_refuted
    assert found.loop is not None
    assert found.loop.judge() == "holds"
    low, high = found.loop.jumps(found.loop.up)
    assert np.all((low < found.loop.loop.up) & (found.loop.loop.up <= high))
    assert found.loop.loop.down < 0.7 * found.loop.loop.up
    assert {found.loop.judge(shift) for shift in (-2, -1, 1, 2)} == {"refuted"}
    data = json.loads(phase_json(found))
    assert data["loop"]["outcome"] == "holds"
    assert len(data["loop"]["up"]) == len(data["loop"]["values"])


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan]])
def test_a_loop_needs_values_that_increase(values):
    problem = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match="values: expected at least two finite numbers that increase"):
        nct.phase.hysteresis(lambda x: problem, values, lambda p, x: 0.0, lambda p, k: None)


def test_one_hidden_layer_has_no_loop():
    assert nct.phase.find_diagram("ziyin-phase-1").loop is None


def test_a_loop_is_judged_seed_by_seed():
    loop = nct.phase.Loop(at=1.0, order="x", nucleus=lambda problem, key: None, up=2.5, down=1.5)
    values = np.array([1.0, 2.0, 3.0, 4.0])
    up, down = np.array([[0, 0, 1, 1.0]] * 2).T, np.array([[0, 1, 1, 1.0]] * 2).T
    found = nct.phase.Hysteresis(loop, values, up, down)
    assert found.judge() == "holds"
    assert found.control_refuted
    early = up.copy()
    early[1, 1] = 1.0
    assert found._replace(up=early).judge() == "refuted"
    assert found._replace(up=np.where(up > 0, np.nan, up)).judge() == "inconclusive"
    gap = up.copy()
    gap[3, 0] = 0.0  # ordered at 3, lost again at 4
    assert found._replace(up=gap).judge() == "refuted"
    assert [x.tolist() for x in found.jumps(down)] == [[1.0, 1.0], [2.0, 2.0]]


@pytest.mark.slow
def test_low_rank_against_neural_collapse_lies_between_whole_numbers():
    diagram = nct.phase.find_diagram("deep-ce-rank")
    small = dataclasses.replace(
        diagram,
        along=dataclasses.replace(diagram.along, low=1.0, high=2.0),
        across=dataclasses.replace(diagram.across, high=6.0),
    )
    found = nct.phase_diagram(small, grid=4, seeds=12)
    line = found.located[0]
    assert found.outcome == "holds"
    assert line.state.tolist() == ["absent", "found"]
    assert (line.low[1], line.high[1]) == (4.0, 6.0)
    assert line.judge(1.03) == line.judge(0.97) == "refuted"
    wrong = dataclasses.replace(diagram.boundaries[0], predicted=lambda depth: 6.5 + 0.0 * depth)
    assert line._replace(boundary=wrong).judge() == "refuted"


@pytest.mark.slow
def test_half_of_the_seeds_reach_the_minimum_where_the_barrier_is():
    diagram = nct.phase.find_diagram("basin-of-collapse")
    small = dataclasses.replace(diagram, along=dataclasses.replace(diagram.along, high=3.0))
    found = nct.phase_diagram(small, grid=2, rows=2, seeds=12)
    assert found.outcome == "holds"
    assert found.control_refuted
    share = order_of(found.sweep.arrays, diagram.boundaries[0], certified=True)
    assert np.all((share >= 0) & (share <= 1))
    with pytest.raises(ValueError, match=r"certified: diagram .* counts seeds at the minimum"):
        dataclasses.replace(diagram, certified=False)


def test_an_axis_with_a_step_has_its_own_values():
    axis = nct.phase.Axis("K", "K", 4.0, 10.0, step=2.0)
    assert axis.points(33).tolist() == [4, 6, 8, 10]
    assert axis.points(33).dtype == np.int64
    assert axis.points(2).tolist() == [4, 10]
    wrongs: list[dict] = [{"step": 0.0}, {"step": 9.0}, {"step": 1.0, "log": True}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="axis 'K': expected 0 < step <= high - low on an even axis"):
            nct.phase.Axis("K", "K", 4.0, 10.0, **wrong)


def observed(**changes):
    """A diagram of which the theory says nothing: how large the logits are, over decay and samples."""
    diagram = nct.phase.find_diagram("mse-collapse")
    return dataclasses.replace(diagram, id="seen", **changes)


def test_a_boundary_of_which_nothing_is_predicted_is_located_and_drawn(tmp_path):
    diagram = nct.phase.find_diagram("mse-collapse")
    free = dataclasses.replace(diagram.boundaries[0], predicted=None, within=1e-3)
    found = nct.phase_diagram(observed(boundaries=(free,)), grid=2, rows=2, seeds=2)
    (one,) = found.located
    line = diagram.boundaries[0].predicted_at(one.along)
    assert (found.outcome, one.judge(), found.control_refuted) == ("observed", "observed", False)
    assert np.all((one.low < line) & (line < one.high))
    assert np.all(one.band <= 1e-3)
    assert np.isnan(one.distance).all()
    data = json.loads(phase_json(found))
    assert data["outcome"] == data["boundaries"][0]["outcome"] == "observed"
    assert data["boundaries"][0]["predicted"] == [None, None]
    assert "located" in phase_figure(found, tmp_path / "phase.svg").read_text()
    row = [line for line in as_text(phase_table(found), 120).splitlines() if "observed" in line]
    assert len(row) == 1
    assert "REFUTED" not in row[0]
    # Beside a judged one it changes nothing.
    both = nct.phase_diagram(observed(boundaries=(free, diagram.boundaries[0])), grid=2, rows=2, seeds=2)
    assert [part.judge() for part in both.located] == ["observed", "holds"]
    assert both.outcome == "holds"
    assert both.control_refuted


def test_without_boundaries_the_measures_are_drawn(tmp_path):
    found = nct.phase_diagram(observed(boundaries=()), grid=3, rows=2, seeds=2)
    assert (found.outcome, found.located, found.solves) == ("observed", (), 0)
    data = json.loads(phase_json(found))
    assert [one["order"] for one in data["pictures"]] == list(found.diagram.measures)
    assert phase_figure(found, tmp_path / "phase.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="measures: expected at least one in diagram 'seen'"):
        observed(boundaries=(), measures={})


MANY = """
import dataclasses, nctheory as nct
d = nct.phase.find_diagram("mse-collapse")
for name in ("first", "second"):
    nct.phase.register_diagram(dataclasses.replace(d, id=f"{name}-of-two", title=name, boundaries=()))
"""


def test_a_file_of_several_diagrams(tmp_path, capsys):
    file = tmp_path / "two.py"
    file.write_text(MANY)
    assert main(["phase", str(file)]) == 2
    assert f"2 diagrams; choose one by {file}:ID (first-of-two, second-of-two)" in " ".join(
        capsys.readouterr().err.split()
    )
    quick = ["--grid", "2", "--rows", "2", "--seeds", "2"]
    assert main(["phase", f"{file}:second-of-two", *quick, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "second-of-two: second" in said
    assert "observed: no boundary is predicted or located, the measures are drawn" in said
    assert json.loads((tmp_path / "out" / "phase.json").read_text())["outcome"] == "observed"
    assert main(["phase", f"{file}:third", *quick]) == 2
    file.write_text(MANY + "nct.phase.register_diagram(dataclasses.replace(d, id='bad', boundaries=(), measures={}))\n")
    assert main(["phase", f"{file}:first-of-two", *quick]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "measures: expected at least one in diagram 'bad', which has no boundary" in said
    assert "left out is what stands after first-of-two, second-of-two" in said
    assert main(["phase", f"{file}:bad", *quick]) == 2


def test_sweeps_have_pictures(tmp_path, capsys):
    def decayed(decay, many=2):
        return nct.unconstrained_features(counts=(many,) * 2, dim=2, loss="mse", weight_decay=(decay, decay))

    def height(problem, params):
        return jnp.max(jnp.abs(problem.logits(params)))

    one = nct.sweep(decayed, {"decay": [0.1, 0.2, 0.4, 0.8]}, measures={"height": height}, seeds=3)
    drawn = nct.plot(one, tmp_path / "one.svg").read_text()
    assert {"height", "value", "decay"} <= set(re.findall(r"<!-- (\w+) -->", drawn))
    two = nct.sweep(decayed, {"decay": [0.1, 0.2], "many": [2, 4]}, measures={"height": height}, seeds=2)
    assert nct.plot(two, tmp_path / "two.png", measures=("height",)).stat().st_size > 1000
    with pytest.raises(ValueError, match=r"measures: expected some of value, .*, got 'width'"):
        nct.plot(two, tmp_path / "two.png", measures=("width",))
    three = two._replace(grid=two.grid._replace(names=("a", "b", "c")))
    with pytest.raises(ValueError, match="one or two hyperparameters, got 3"):
        nct.plot(three, tmp_path / "three.png")
    small = ["sweep", "mse-collapse", "--axis", "samples=2,4", "--axis", "decay=0.1,0.2", "--seeds", "2"]
    assert main([*small, "--figure", str(tmp_path / "swept.png")]) == 0
    assert (tmp_path / "swept.png").stat().st_size > 1000
    assert main([*small, "--figure", str(tmp_path / "swept.bmp")]) == 2
    assert "--figure: expected a file name that ends in .png, .svg, .pdf" in capsys.readouterr().err


def test_an_end_above_one_that_did_not_converge_decides_nothing():
    """Of two ends within a certificate's gap the lower one, which did not converge, shows that the other is a saddle."""
    boundary = nct.phase.find_diagram("mse-collapse").boundaries[0]
    cells = {
        "value": np.array([[1.0, 1.0 - 1e-10], [1.0, 1.0 - 1e-16], [1.0, np.nan]]),
        "lower_bound": np.full((3, 2), 1.0 - 2e-10),
        "gap_rounding": np.full((3, 2), 1e-13),
        "status": np.array([[int(nct.Status.CONVERGED), int(nct.Status.STALLED)]] * 3),
        boundary.order: np.array([[0.0, 1e-3]] * 3),
    }
    assert np.isnan(order_of(cells, boundary, certified=True)).tolist() == [True, False, False]
