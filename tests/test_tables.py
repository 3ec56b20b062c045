"""What a verdict shows on terminals of several widths, and that its JSON says the same again."""

import dataclasses
import json
import re
from importlib import resources

import jsonschema
import pytest

import nctheory as nct
from nctheory.report import render_verdict, summary_table, tolerance_figure, verdict_text
from nctheory.report._tables import as_text
from nctheory.theorems import (
    ClaimResult,
    ControlResult,
    InstanceResult,
    LocatedThreshold,
    ReachedValue,
    Source,
    Verdict,
    WorstCase,
    corrected_bounds,
)

SCHEMA = json.loads((resources.files("nctheory.report") / "verdict.schema.json").read_text())
PARTS = {
    "claims": ClaimResult, "controls": ControlResult, "instances": InstanceResult, "sources": Source
}  # fmt: skip
OUTCOMES = ("holds", "refuted", "inconclusive", "engine error")
WIDTHS = (40, 80, 100, 140)


@pytest.fixture(scope="module")
def points():
    """A verdict about end states, with a threshold."""
    return nct.verify("ufm-mse-nobias", seeds=4, instance=0)


@pytest.fixture(scope="module")
def paths():
    return nct.verify("saxe-2layer", seeds=4, instance=0)


@pytest.fixture
def failed(monkeypatch):
    """A verdict of an engine that contradicts itself."""

    def fail(*args):
        raise nct.theorems.EngineError("the lower bound 2 lies above the value 1")

    monkeypatch.setattr("nctheory.theorems._methods.contradiction", fail)
    return nct.verify("ufm-mse-nobias", seeds=2, instance=0)


def changed(verdict, **fields):
    """The verdict with every kind of row: an inequality, violations, controls of all three statuses."""
    first = verdict.claims[0]
    bound = dataclasses.replace(
        first, name="norm[/b]", kind="upper bound", resolution=float("nan"), slack=0.0123, asked_resolution=0.1,
        because="the bound is loose", violations=3, checked=160, certified_seeds=40, evidence="sampled",
        tolerance_ratio=3.2, recheck="confirmed with 50 digits at seed 3: residual 0.1",
    )  # fmt: skip
    controls = (
        ControlResult("n for sqrt n", "a factor", ("value", "norm[/b]"), "refuted", 5, 3, 4.5e3),
        ControlResult("K for K-1", "a count", (), "not refuted", 5, 0, 0.3),
        ControlResult("beyond", "elsewhere", (), "not run", 0, 0, 0.0),
    )
    return dataclasses.replace(verdict, claims=(*verdict.claims, bound), controls=controls, **fields)


def lines_of(renderable, width):
    text = as_text(renderable, width)
    return text.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_summary_shows_every_outcome_whole_at_every_width(points, failed, width):
    verdicts = [
        dataclasses.replace(points, theorem=f"a-theorem-of-a-long-name-{i}", outcome=outcome)
        for i, outcome in enumerate(OUTCOMES[:3])
    ] + [failed]
    lines = lines_of(summary_table(verdicts), width)
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "…" not in text
    if width >= 80:
        rows = {line.split()[0]: line for line in lines if line.strip()}
        for verdict in verdicts:
            assert verdict.outcome in rows[verdict.theorem]
    joined = re.sub(r"\s+", "", text)
    for verdict in verdicts:  # at 40 columns broken over lines, but whole
        assert all(part in joined for part in verdict.outcome.split())
    assert ("not shown at this width" in " ".join(text.split())) == (width < 140)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_verdict_is_whole_at_every_width(points, width, outcome):
    verdict = changed(points, outcome=outcome, reasons=("claim 'norm[/b]' fails on 3 of 160 seeds",))
    lines = lines_of(render_verdict(verdict), width)
    assert max(len(line) for line in lines if "reproduce: " not in line) <= width
    text = " ".join(" ".join(lines).split())
    for told in (
        outcome,
        "claim 'norm[/b]' fails on 3 of 160 seeds",
        "NOT REFUTED",
        "NOT RUN",
        "confirmed with 50 digits",
    ):
        assert told in text or width < 80
    if width == 140:
        for told in ("40/160", "0.012 (0.1)", "3/5", "0/5", "value, norm[/b]", "upper bound", "4.5e+03", "not shown"):
            assert (told in text) == (told != "not shown")
    assert f"reproduce: {verdict.worst.command}" in text


def test_a_control_that_was_not_run_is_shown_so_and_not_as_passed(points, tmp_path):
    verdict = changed(points)
    lines = lines_of(render_verdict(verdict), 120)
    (row,) = [line for line in lines if line.strip().startswith("beyond")]
    assert "NOT RUN" in row
    assert "0/0" in row
    assert "refuted" not in row.lower()
    summary = lines_of(summary_table([verdict]), 140)
    assert any(line.rstrip().endswith("1/3") for line in summary)
    alone = lines_of(summary_table([points]), 140)  # held against none, because of one instance only
    assert any(line.rstrip().endswith(" -") for line in alone)
    assert "controls: not run" in " ".join(verdict_text(points).split())
    one, two = (tolerance_figure([v], tmp_path / f"{i}.svg").read_text() for i, v in enumerate((verdict, points)))
    assert one != two


def test_the_two_statistics_are_told_apart(points):
    text = " ".join(verdict_text(points).split())
    assert "formula: fails on at most 95 % of instances drawn like these (1 of 1 support it, 95 %)" in text
    assert "basins: at most 53 % of starts of an instance do not support it (worst instance, 95 %)" in text
    none = dataclasses.replace(points, instances_supporting=0, formula_bound=1.0, basin_bound=1.0)
    text = " ".join(verdict_text(none).split())
    assert "nothing is known of how often it fails (0 of 1 instances support it)" in text
    assert "on some instance no start supports it" in text


def test_the_bound_of_the_formula_is_corrected_for_the_number_of_theorems(points):
    many = dataclasses.replace(points, instances=points.instances * 20, instances_supporting=20)
    alone, together = corrected_bounds([0], [20])[0], corrected_bounds([0] * 7, [20] * 7)[0]
    assert f"{100 * alone:.0f} %" == "14 %"
    assert together > 1.4 * alone
    (row,) = [line for line in lines_of(summary_table([many]), 140) if "ufm" in line]
    assert " 14 % " in row
    rows = lines_of(summary_table([many] * 7), 140)
    assert all(" 22 % " in line for line in rows if "ufm" in line)
    assert "jointly (Holm's correction)" in rows[-1]


def test_thresholds_and_evidence_are_told(points):
    text = " ".join(verdict_text(points).split())
    (onset,) = points.instances[0].thresholds
    assert 0 < onset.high - onset.low < 2e-4 * onset.high
    assert re.search(r"threshold: onset in \[\d\.\d+, \d\.\d+\], predicted 1, at instance 0 \(K=", text)
    assert f"evidence: {points.headline}" in text
    assert "value" in points.headline
    sampled = dataclasses.replace(points.claims[0], evidence="sampled", why="others are not excluded")
    weaker = " ".join(verdict_text(dataclasses.replace(points, claims=(sampled,))).split())
    assert "sampled only: value: others are not excluded" in weaker
    assert "how: end states: gradient flow" in text
    lost = dataclasses.replace(onset, high=float("inf"), reason="both ends are undecided")
    row = dataclasses.replace(points.instances[0], thresholds=(lost,))
    text = " ".join(verdict_text(dataclasses.replace(points, instances=(row,))).split())
    assert "threshold: onset not located, predicted 1, at instance 0" in text
    assert "; both ends are undecided" in text


@pytest.mark.slow
def test_json_round_trips_and_follows_the_schema(points, paths, failed):
    for verdict in (points, paths, failed, changed(points)):
        data = json.loads(verdict.to_json())
        jsonschema.validate(data, SCHEMA, jsonschema.Draft202012Validator)
        again = Verdict.from_dict(data)
        assert same(dataclasses.asdict(again), dataclasses.asdict(verdict))
        assert again.to_json() == verdict.to_json()
    assert points.instances[0].thresholds
    assert paths.method == "integrate"
    assert failed.outcome == "engine error"
    assert failed.reasons == ("the lower bound 2 lies above the value 1",)


def same(one, other):
    """Equality in which NaN is NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def test_the_schema_has_every_field_and_no_other():
    def fields(kind):
        return {field.name for field in dataclasses.fields(kind)}

    top = SCHEMA["properties"]
    assert set(top) == set(SCHEMA["required"]) == fields(Verdict) | {"schema_version"}
    parts = [(top[name]["items"], kind) for name, kind in PARTS.items()]
    inner = top["instances"]["items"]["properties"]
    parts += [(top["worst"], WorstCase), (inner["reached"]["items"], ReachedValue)]
    parts += [(inner["thresholds"]["items"], LocatedThreshold)]
    for part, kind in parts:
        assert set(part["properties"]) == set(part["required"]) == fields(kind)
        assert part["additionalProperties"] is False
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
