"""What a result shows of itself in a session and in a notebook: little, whatever its size, and nothing as markup."""

import dataclasses
import inspect
from html.parser import HTMLParser
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.theorems import claims

ROOMS = [room for name in nct.__all__ if inspect.ismodule(room := getattr(nct, name))]
WRITTEN = {
    "Axis", "Boundary", "Case", "Census", "Check", "Claim", "Control", "ConvNet", "ControlGroup", "Equality", "GlobalValue",
    "Hypothesis", "Index", "Integrate", "Limit", "Loop", "LowerBound", "MemberOf", "Observation", "Options", "Order",
    "Panel", "PathClaim", "PointClaim", "ResidualMLP", "Run", "Scales", "Solve", "Source", "Statistic", "Threshold", "Train",
    "Trajectory", "TrajectorySpec", "Transformer", "Trial", "UpperBound", "VerifyOptions",
}  # fmt: skip
"""Classes of what users write themselves, and options; all others are results."""


def records():
    """Every exported NamedTuple and dataclass."""
    for room in (*ROOMS, claims):
        for name in room.__all__:
            one = getattr(room, name)
            fields = hasattr(one, "_fields") or dataclasses.is_dataclass(one)
            if inspect.isclass(one) and fields and not issubclass(one, eqx.Module):
                yield one


RESULTS = sorted({one for one in records() if one.__name__ not in WRITTEN}, key=lambda one: one.__name__)
MARK = "<script>alert(1)</script>"


def filled(kind, size) -> Any:
    """One of a kind, with large values of the annotated types, bypassing its own checks."""
    names = kind._fields if hasattr(kind, "_fields") else [f.name for f in dataclasses.fields(kind)]
    hints = {name: hint for one in reversed(kind.__mro__) for name, hint in inspect.get_annotations(one).items()}
    values: dict[str, Any] = {name: invented(str(hints[name]), size) for name in names}
    if kind is nct.SweepResult:
        parts = ("status", "value", "gap_rounding", "lower_bound")
        values["arrays"] = {name: np.zeros((3, size), np.int8 if name == "status" else float) for name in parts}
    if kind is nct.networks.Transfer:
        values["shots"] = ()  # for each of which there is a sentence
    if kind is nct.PhaseDiagram:
        values |= {"located": (), "loop": None}  # of which its outcome is made
    if kind is nct.networks.Observed:
        values |= {"statistics": ()}  # of which its outcome is made
    if hasattr(kind, "_fields"):
        return kind(**values)
    one = object.__new__(kind)
    one.__dict__.update(values)
    return one


def invented(hint, size):
    for part, value in (
        ("Params", nct.problems.ChainParams((np.zeros((size, 4, 4)),) * 9, np.zeros((size, 4, 20)), None)),
        ("dict", {MARK + str(i): np.zeros(size) for i in range(size)}), ("tuple", (MARK,) * size),
        ("str", MARK + "x" * size), ("bool", True), ("ndarray", np.zeros((size, 5))), ("Float", np.zeros((size, 5))),
        ("int", 3), ("float", 0.5), ("Any", np.linspace(0.0, 1.0, size)),
    ):  # fmt: skip
        if part in hint:
            return value
    return np.zeros((size, 7))


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def test_all_are_found():
    names = {one.__name__ for one in RESULTS}
    assert len(RESULTS) >= 40
    assert {
        "Ensemble",
        "Bound",
        "HessianReport",
        "CensusResult",
        "Verdict",
        "SweepResult",
        "PhaseDiagram",
        "Paths",
    } <= names
    assert names.isdisjoint(WRITTEN)
    assert {one.__name__ for one in records()} >= WRITTEN - {"Check"}


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 4000])
@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_every_result_is_short(kind, size):
    assert "_repr_html_" in vars(kind)
    one = filled(kind, size)
    text = repr(one)
    assert text.startswith(f"{kind.__name__}(")
    assert len(text) < 400
    assert "\n" not in text
    assert "array(" not in text
    reader = Reader()
    reader.feed(one._repr_html_())
    assert reader.tags == {"table", "caption", "tbody", "tr", "th", "td"}
    assert kind.__name__ in reader.text
    assert len(reader.text) < 6000
    assert MARK not in one._repr_html_()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [4, 4000])
def test_real_ones_say_what_matters(seeds):
    model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    ends = nct.solve(model, seeds=seeds)
    told: list = [(ends, f"{seeds} converged")]
    if seeds == 4:
        point = jax.tree.map(lambda x: x[0], ends.params)
        told += [
            (nct.certify(model, ends.params), "bool[4] 4 true"),
            (nct.hessian_report(model, point), "index=0, nullity=0"),
            (nct.survey(model, seeds=seeds), "4 converged, 4 certified"),
            (nct.global_minimum(model), "value=0.242843"),
            (nct.gradient_flow(model, nct.starts(model, 4), [1.0, 2.0]), "4 followed"),
            (nct.census(model, 24), "CriticalType"),
            (nct.theorems.find_theorem("ufm-mse-nobias"), "ufm-mse-nobias"),
        ]
    for one, part in told:
        assert part in repr(one), repr(one)
        assert len(repr(one)) < 400


def test_a_tracer_is_shown_by_its_shape():
    seen = []

    @jax.jit
    def traced(x):
        seen.append(repr(nct.problems.ChainParams((x,), x, None)))
        return x

    traced(jnp.zeros((2, 3)))
    assert seen == ["ChainParams(weights=(2x3), features=float64[2, 3])"]
