"""Trained networks and observations in the report: what is read, what is shown, and files that anybody may have written."""

import copy
import dataclasses
import html
import json
import re
from importlib import resources
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from nctheory.cli import main
from nctheory.cli._parser import parser
from nctheory.measures import NCMetrics
from nctheory.networks import HeadGaps, LayerBalances, NearestMeanBounds, Observed, Transfer, TuningChoices
from nctheory.report import _network_results as made
from nctheory.report import load_results, observed_json, read_network_file, write_report
from nctheory.report._network_files import SCHEMAS
from nctheory.report._networks import part_of
from nctheory.report._spots import read_off
from nctheory.report._style import house_style
from nctheory.report._trained import TrainedLayers
from tests.network_samples import RUN, files, layers, nearest_mean, observed, transferred
from tests.picture_samples import balances, heads
from tests.test_report_hostile import HOSTILE, MARK, check_page, mutated

SCHEMA = json.loads((resources.files("nctheory.report") / "networks.schema.json").read_text())["$defs"]


def written(folder, chosen):
    for name, data in chosen.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(data if isinstance(data, str) else json.dumps(data))
    report = write_report(folder)
    return report, (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def everything():
    return files()


def same(one, other):
    """Whether two results hold the same, whatever kinds of sequences they hold it in."""
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if one is None or isinstance(one, str):
        return one == other
    return np.array_equal(np.asarray(one, float), np.asarray(other, float), equal_nan=True)


def test_what_is_read_is_what_was_written(everything):
    def read(name):
        return read_network_file(everything[name]).data

    assert same(made.layers_of(read("run/layers.json")), layers(lost=True))
    assert same(made.heads_of(read("run/heads.json")), heads())
    assert same(made.balances_of(read("run/balance.json")), balances())
    assert same(made.nearest_mean_of(read("run/nearest-mean.json")), nearest_mean())
    assert same(made.transfer_of(read("transfer.json")), transferred())
    assert same(made.observed_of(read("one.observed.json"))[0], dataclasses.replace(observed(), seconds=0.0))
    assert not same(heads(), heads(lost=(0,)))  # the comparison can fail


def test_the_schema_has_every_field_of_every_result(everything):
    fields = {
        "metrics": NCMetrics._fields, "heads": HeadGaps._fields, "balance": LayerBalances._fields,
        "nearest-mean": NearestMeanBounds._fields, "transfer": Transfer._fields, "tuning": TuningChoices._fields,
        "features": NCMetrics._fields,
    }  # fmt: skip
    more = {"schema", "run", "command", "file", "peeled_gap", "fine_tuning"}
    for kind, names in fields.items():
        assert set(SCHEMA[kind]["properties"]) - more == set(names), kind
        assert set(SCHEMA[kind]["required"]) == set(SCHEMA[kind]["properties"])
    ends = SCHEMA["layers"]["properties"]["ends"]["properties"]
    assert set(ends) == set(TrainedLayers._fields) - {"training", "test"}
    assert {field.name for field in dataclasses.fields(Observed)} - {"seconds"} <= set(
        SCHEMA["observation"]["properties"]
    )
    assert {SCHEMA[kind]["properties"]["schema"]["const"] for kind in SCHEMAS.values()} == set(SCHEMAS)
    assert {read_network_file(data).kind for data in everything.values()} == set(SCHEMAS.values())


@pytest.mark.slow
def test_everything_is_on_the_page(everything, tmp_path):
    report, page = written(tmp_path, everything)
    assert report.left_out == ()
    check_page(page)
    assert page.count('<div class="figure"') == 7  # of one layer alone there is none
    assert page.count("<h3>") == 5  # one for all that one run wrote
    told = html.unescape(re.sub(r"<[^>]*>", "", page))
    for words in (
        "no verdicts; observations: 1 not observed",
        "3 networks 4-6-5-3 on 12 samples and 9 test samples of a mixture, 3 classes: squared error, weight decay 0.02; 60 "
        "steps of adam on all samples, rate 0.01 (cooled); key 0.",
        "3 seeds, 60 steps; 1 did not stay finite",
        "Counts against itA ratio of 1 or more: some layer does not lower the measure.",
        "trace ratio, claimed: the ratio falls; it does not.",
        "0 to 60 %",
        "are exceeded in 0 cases; those from moments of the training set, of which no theorem speaks, in "
        f"{nearest_mean().plug_in_violations} (crosses)",
        "certified lower bound 0.19 (gap 36 %)",
        "fine-tuning on 2 shots, 20 gradient evaluations each; 'nc' chose layer 1 in 4",
    ):
        assert words in told, words
    middle = np.median(layers(lost=True).training.nc1[:2, 2])
    assert f"{middle:.3g} [" in told
    tables = (tmp_path / "report.tex").read_text()
    assert r"progressive-collapse & trace ratio & not observed & 0/4 & 0 to 60\,\% & \textless{} 1" in tables


@pytest.mark.slow
def test_the_same_bytes_come_twice(everything, tmp_path):
    chosen = {name: everything[name] for name in ("run/heads.json", "single.json", "one.observed.json")}
    report, page = written(tmp_path, chosen)
    before = [file.read_bytes() for file in report.files]
    assert (written(tmp_path, {})[1], [file.read_bytes() for file in report.files]) == (page, before)


def test_pictures_say_their_numbers_at_their_places(everything):
    with house_style():
        part = part_of(read_network_file(everything["run/heads.json"]))
        assert part.drawing is not None
        texts = [spot.text for spot in part.drawing.spots]
        value = np.median(heads().gap[:, 1])
        assert f"certified gap: to the certified bound, median: {value:.4g} at 10 (steps of training)" in texts
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _ in part.drawing.places())
        figure = Figure()
        panel = figure.subplots()
        panel.plot([0, 1, 2], [1.0, np.nan, 3.0], label="a $ b")
        panel.plot([0, 1], [5.0, 5.0])  # has no name
        panel.axhline(1.0, label="a level")
        panel.errorbar([2.0], [0.5], [0.1], label="with errors", ls="none", marker="o")
        panel.set_xticks([0, 1, 2], ["here", "there", "beyond"])
        assert [spot.text for spot in read_off(figure)] == [
            "a $ b: 1 at here", "a $ b: 3 at beyond", "with errors: 0.5 at beyond",
        ]  # fmt: skip


def changed(data, path, value):
    """A copy with another value at a place."""
    data = copy.deepcopy(data)
    holder = data
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        ("run/heads.json", ["gap"], [[0.1]], "gap: expected 3 along the axis of seeds, got 1"),
        ("run/heads.json", ["gap"], [[0.1], [0.1], [0.1, 0.2]], "gap: expected numbers, seeds x checkpoints, in rows"),
        ("run/heads.json", ["gap", 0, 0], "much", "gap.0.0: 'much' is not of type 'number', 'null'"),
        ("run/heads.json", ["gap"], [], "gap: expected 2|gap: expected seeds x checkpoints, got 1 axes"),
        ("run/heads.json", ["steps"], [1, 2], "gap: .*checkpoints|value: expected 2 along the axis of checkpoints, got 4"),
        ("run/heads.json", ["steps", 0], 10**400, "steps: expected numbers"),
        ("run/heads.json", ["schema"], "nctheory heads 0", "schema: expected one of .*, got 'nctheory heads 0'"),
        ("run/heads.json", ["more"], 1, "'more' was unexpected"),
        ("run/layers.json", ["ends", "value"], [1.0], "ends.value: expected 3 along the axis of seeds, got 1"),
        ("run/layers.json", ["test", "nc1"], [[0.1]], r"test\.nc1: expected 3 along"),
        ("run/layers.json", ["run", "decay"], "none", r"run: .* is not valid|run\.decay: 'none' is not of type"),
        ("run/balance.json", ["whole"], [True], "whole: expected 3 along the axis of pairs, got 1"),
        ("transfer.json", ["correlations", "across"], [[[[1.0]]]], r"correlations\.across: expected 2 along the axis of 2"),
        ("transfer.json", ["against_inputs", "verdict", 0, 0], "best", "'best' is not one of"),
        ("one.observed.json", ["groups", 0, "numbers", "single"], [1.0], "numbers.single: expected 4 along"),
        ("one.observed.json", ["groups", 0, "numbers", "single"], ["1.0"] * 4, "numbers.single: expected numbers"),
        ("features.json", ["nc1"], 0.5, "nc1: expected layers, got 0 axes"),
        ("single.json", ["nc1"], [0.5], "nc1: expected one number, got 1 axes"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_named(everything, name, path, value, message):
    with pytest.raises(ValueError, match=message):
        read_network_file(changed(everything[name], path, value))


@pytest.mark.slow
def test_one_bad_file_is_named_and_the_rest_is_shown(everything, tmp_path, capsys):
    claim = changed(everything["one.observed.json"], ["outcome"], "observed")
    bad = {
        "cut.json": json.dumps(everything["transfer.json"])[:900],
        "old.json": everything["transfer.json"] | {"schema": "nctheory transfer 1"},
        "claims.json": claim | {"key": 7},
        "other.json": {"schema": "of somebody else 1"},
    }
    report, page = written(tmp_path, {"run/heads.json": everything["run/heads.json"], **bad})
    check_page(page)
    assert len(report.left_out) == 3
    assert "4-6-5-3 on a mixture" in page
    left = "\n".join(report.left_out)
    assert "cut.json: " in left
    assert "old.json: schema: expected one of" in left
    assert "outcome: expected 'not observed' of these statistics, got 'observed'" in left
    assert main(["report", str(tmp_path)]) == 3
    assert "left out: cut.json" in capsys.readouterr().err


@pytest.mark.slow
def test_missing_numbers_leave_the_page_whole(everything, tmp_path):
    """Every number of every array is null, file by file: what can be shown is, and the rest is named."""

    def emptied(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: emptied(x) if name not in ("run", "shots", "interval") else x for name, x in one.items()}
        if isinstance(one, list):
            return [emptied(x) for x in one]
        return None if isinstance(one, float) else one

    chosen = {name: emptied(data) for name, data in everything.items() if name not in ("one.observed.json",)}
    chosen["run/nearest-mean.json"]["guessing"] = 0.5
    report, page = written(tmp_path, chosen)
    check_page(page)
    assert "Traceback" not in page
    assert "Features" in page
    assert len(report.left_out) < len(chosen)


@pytest.mark.slow
def test_no_text_of_a_file_is_markup_or_a_formula(everything, tmp_path):
    def replaced(one, text):
        if isinstance(one, dict):
            kept = ("schema", "outcome", "supports", "verdict", "panels", "groups", "names")
            return {name: x if name in kept else replaced(x, text) for name, x in one.items()}
        if isinstance(one, list):
            return [replaced(x, text) for x in one]
        return text if isinstance(one, str) else one

    text = f"{HOSTILE[2]} {HOSTILE[7]} $a_b$ \\frac{{"
    chosen = ("run/layers.json", "transfer.json", "one.observed.json", "features.json")
    report, page = written(tmp_path, {name: replaced(everything[name], text) for name in chosen})
    check_page(page)
    assert report.left_out == ()
    assert MARK in page


@pytest.mark.slow
def test_mutated_files_end_without_a_traceback(everything, tmp_path, rng):
    names = list(everything)
    for i in range(5):
        chosen = names[rng.integers(len(names))]
        report, page = written(
            tmp_path / str(i), {"a.json": everything["single.json"], "b.json": mutated(everything[chosen], rng)}
        )
        check_page(page)
        assert all(len(line) < 1000 for line in report.left_out)


def test_of_one_observation_the_run_of_more_seeds_counts(everything, tmp_path):
    fewer = json.loads(observed_json(observed(2), None, "few"))
    listed = [everything["one.observed.json"], fewer]
    (tmp_path / "a.json").write_text(json.dumps(fewer))
    (tmp_path / "b.json").write_text(json.dumps(listed))
    (tmp_path / "c.json").write_text(json.dumps(fewer | {"key": 1}))
    found = load_results(tmp_path).networks
    assert [(one.data["seeds"], one.data["key"]) for one in found] == [(4, 0), (2, 1)]


def test_the_command_trains_sixteen_and_shots_need_a_folder_and_test_samples(tmp_path, capsys):
    assert parser().parse_args(["train"]).seeds == 16
    assert set(RUN) == set(SCHEMA["training"]["properties"])
    assert main(["train", "--shots", "1"]) == 2
    assert "--shots: expected --out DIR with it" in capsys.readouterr().err
    np.savetxt(tmp_path / "x.csv", np.column_stack([np.eye(4), [0, 0, 1, 1]]), delimiter=",")
    assert main(["train", "--data", str(tmp_path / "x.csv"), "--shots", "1", "--out", str(tmp_path / "out")]) == 2
    assert "--shots: expected test samples of every class" in capsys.readouterr().err
