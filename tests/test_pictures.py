"""Every picture, of ordinary results and of hard ones: words that do not touch, curves with names, one style."""

import itertools
import re
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

import nctheory as nct
from nctheory.report import _style
from nctheory.report._along_training import draw_balances, draw_head_gaps
from nctheory.report._census import draw_census
from nctheory.report._dynamics import draw_dynamics
from nctheory.report._figure import draw_tolerances
from nctheory.report._lines import wrapped
from nctheory.report._phase import draw_phase
from nctheory.report._save import figure_bytes
from nctheory.report._style import house_style
from nctheory.report._sweep import draw_sweep
from nctheory.report._ticks import even_axis, labels, log_axis, symmetric_axis
from tests.helpers import usual_environment
from tests.network_samples import PICTURES as NETWORKS
from tests.picture_samples import LONG, balances, census, dynamics, heads, phase, sweep, verdict

TWENTY = [f"boundary number {i}" for i in range(20)]
DECAYS = [0.1, 0.2, 0.4, 0.6]
SHAPES = np.random.default_rng(0).permutation(np.arange(20))

PICTURES = {
    "verdict": lambda: draw_tolerances([verdict()]).figure,
    "verdicts": lambda: draw_tolerances([verdict(), verdict(ratios=(0.5,), name="another")]).figure,
    "verdicts in rows": lambda: draw_tolerances([verdict(name=f"theorem-{i}") for i in range(9)]).figure,
    "verdicts of one theorem": lambda: draw_tolerances([verdict()]).figure,
    "infinite margins": lambda: draw_tolerances([verdict((np.inf, np.nan, 0.0), (np.inf, None, 0.5))]).figure,
    "infinite margins in rows": lambda: draw_tolerances([verdict((np.inf,), (np.inf, None))] * 8).figure,
    "a verdict of nothing": lambda: draw_tolerances([verdict((), ())]).figure,
    "long names of claims": lambda: draw_tolerances([verdict(name="t" * 90, more=LONG)]).figure,
    "long names of theorems": lambda: draw_tolerances([verdict(name=LONG)] * 7).figure,
    "census": lambda: draw_census(census()).figure,
    "census of one point": lambda: draw_census(census(((1e-9, 0, "minimum"),))).figure,
    "census of none": lambda: draw_census(census((), title=LONG)).figure,
    "phase": lambda: draw_phase(phase()).figure,
    "phase over a sliver": lambda: draw_phase(phase((90.0, 91.0), (0.0345, 0.0361))).figure,
    "phase over decades": lambda: draw_phase(phase((1e-6, 1e6), (1e-12, 1.0))).figure,
    "phase over a decade": lambda: draw_phase(phase((1.2, 30.0), (0.003, 0.03))).figure,
    "phase over even axes": lambda: draw_phase(phase((2.0, 12.0), (1e-5, 3e-5), log=False)).figure,
    "phase with steps": lambda: draw_phase(phase((1.0, 6.0), (4.0, 9.0), log=False, step=1.0)).figure,
    "phase of one cell": lambda: draw_phase(phase(size=(1, 1))).figure,
    "phase of one row": lambda: draw_phase(phase(size=(5, 1))).figure,
    "phase of one column": lambda: draw_phase(phase(size=(1, 5))).figure,
    "phase undecided": lambda: draw_phase(phase(cells=np.nan, found=False)).figure,
    "phase of one number": lambda: draw_phase(phase(cells=0.0)).figure,
    "phase observed": lambda: draw_phase(phase(predicted=False)).figure,
    "phase without boundaries": lambda: draw_phase(phase(boundaries=())).figure,
    "phase of many boundaries": lambda: draw_phase(phase(boundaries=TWENTY)).figure,
    "phase of long names": lambda: draw_phase(phase(boundaries=[LONG], label=LONG)).figure,
    "loop": lambda: draw_phase(phase(loop=True)).figure,
    "paths": lambda: draw_dynamics(dynamics(("trajectory", "limit", "order"))).figure,
    "paths of twenty curves": lambda: draw_dynamics(dynamics(components=20, name=LONG)).figure,
    "paths over decades": lambda: draw_dynamics(dynamics(times=np.geomspace(1.0, 1e5, 9), logarithmic=True)).figure,
    "paths of one number": lambda: draw_dynamics(dynamics(times=[1.0, 2.0], components=1, size=1e-30)).figure,
    "paths of nothing finite": lambda: draw_dynamics(dynamics(size=np.nan)).figure,
    "sweep": lambda: draw_sweep(sweep({"decay": DECAYS}), ("value", "height")),
    "sweep of one cell": lambda: draw_sweep(sweep({"decay": [0.1]}), ("value",)),
    "sweep of rounding": lambda: draw_sweep(sweep({"decay": DECAYS}, scale=1e-17), ("value",)),
    "sweep that failed": lambda: draw_sweep(sweep({"decay": DECAYS}, failed="all"), ("value",)),
    "sweep that failed in part": lambda: draw_sweep(sweep({"decay": DECAYS}, failed=[(0,), (2, 1)]), ("value",)),
    "sweep over unsorted values": lambda: draw_sweep(sweep({"decay": DECAYS[::-1], "many": SHAPES}), ("value",)),
    "sweep over whole numbers": lambda: draw_sweep(sweep({"n": [2**i for i in range(12)]}), ("value", "height")),
    "sweep over large numbers": lambda: draw_sweep(sweep({"n": [10**i + 1 for i in range(9)]}), ("value",)),
    "sweep of long names": lambda: draw_sweep(sweep({"decay" * 30: DECAYS}, names=(LONG,)), (LONG, "value")),
    "map": lambda: draw_sweep(sweep({"decay": DECAYS, "many": [2, 4]}, failed=[(1, 1)]), ("value", "height")),
    "map of one cell": lambda: draw_sweep(sweep({"decay": [0.1], "many": [2]}), ("value",)),
    "map of one row": lambda: draw_sweep(sweep({"decay": [0.1], "many": [2, 4, 8]}), ("value",)),
    "map that failed": lambda: draw_sweep(sweep({"decay": DECAYS, "n": [1, 2]}, failed="all"), ("value", "height")),
    "heads along training": lambda: draw_head_gaps(heads()),
    "heads from the first step on": lambda: draw_head_gaps(heads((1, 5, 2_000_000), lost=(1,))),
    "heads without decay": lambda: draw_head_gaps(heads((100, 200), decay=False)),
    "balance": lambda: draw_balances(balances()),
    "balance of one pair": lambda: draw_balances(balances(1, decay=0.0, lost=True)),
    "balance without prediction": lambda: draw_balances(balances(7, told=False)),
    **NETWORKS,
    "map of long names": lambda: draw_sweep(sweep({"d" * 99: DECAYS, "n" * 99: [1, 2]}, names=(LONG,)), (LONG,)),
}


@pytest.fixture(autouse=True)
def _strict():
    with warnings.catch_warnings(), house_style():
        warnings.simplefilter("error")
        yield


def boxes(figure):
    """The words of a figure and the boxes they take, as the figure is drawn."""
    figure.draw_without_rendering()
    found = []
    for one in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible()):
        box = one.get_window_extent()
        if one.get_text().strip() and box.width > 0:
            found.append((one, box))
    return found


def legend_of(axes):
    """The words of an axes' legend."""
    return [] if axes.get_legend() is None else axes.get_legend().get_texts()


def drawn_ticks(figure):
    """Tick labels beyond the ends of an axis exist but are not drawn."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {id(tick.label1), id(tick.label2)}
    return hidden


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_words_do_not_touch_and_are_within_the_picture(name):
    figure = PICTURES[name]()
    found = boxes(figure)
    hidden = drawn_ticks(figure)
    found = [(one, box) for one, box in found if id(one) not in hidden]
    assert found
    for (one, first), (other, second) in itertools.combinations(found, 2):
        apart = first.x1 <= second.x0 or second.x1 <= first.x0 or first.y1 <= second.y0 or second.y1 <= first.y0
        assert apart, (one.get_text(), other.get_text())
    for one, box in found:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        assert inside, (one.get_text(), box, figure.bbox)


@pytest.mark.parametrize("name", PICTURES)
def test_every_curve_has_a_name_in_the_legend(name):
    for axes in PICTURES[name]().axes:
        if axes.get_label() == "<colorbar>":
            continue
        named = [re.sub(r"\s|…", "", text.get_text()) for text in legend_of(axes)]
        members = {id(line) for some in axes.containers for part in some.lines for line in np.atleast_1d(part)}
        curves = [line for line in axes.lines if id(line) not in members and len(line.get_xdata()) > 1]
        curves = [line for line in curves if line.get_linestyle() != "None" or line.get_marker() != "None"]
        # Thin lines have one name together, and so have the levels of several probes.
        together = {
            "singleseeds": lambda line: line.get_linewidth() < 0.6,
            "probeoftheinputs": lambda line: line.is_dashed(),
        }
        for entry in set(together) & set(named):
            curves = [line for line in curves if not together[entry](line) or not line.get_label().startswith("_")]
        for label in (one.get_label() for one in [*axes.containers, *curves]):
            assert not label.startswith("_")
            assert any(re.sub(r"\s", "", label).startswith(one) for one in named if one), (label, named)


@pytest.mark.parametrize("name", PICTURES)
def test_colours_are_of_the_palette_or_grey(name):
    known = {*map(to_hex, (*_style.PALETTE, _style.BLACK))}
    for axes in PICTURES[name]().axes:
        for artist in axes.lines:
            colours = [artist.get_color(), artist.get_markerfacecolor(), artist.get_markeredgecolor()]
            for colour in colours:
                red, green, blue, alpha = to_rgba(colour)
                assert alpha == 0 or red == green == blue or to_hex(colour) in known, colour


@pytest.mark.parametrize("name", ["verdict", "census", "loop", "paths", "sweep", "map"])
def test_pictures_fit_the_columns_of_a_paper(name):
    figure = PICTURES[name]()
    assert figure.get_figwidth() in (_style.ONE_COLUMN, _style.TWO_COLUMNS)
    sizes = {one.get_fontsize() for one, _ in boxes(figure)}
    assert sizes <= {_style.TEXT, _style.SMALL}


def test_the_colours_are_told_apart_without_red_or_green():
    # Of Vienot, Brettel and Mollon (1999): what a protanope and a deuteranope see, in linear light.
    seen = (
        np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
        np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
    )
    light = np.array([to_rgba(c)[:3] for c in (*_style.PALETTE, _style.BLACK)]) ** 2.2
    for matrix in seen:
        shown = np.clip(light @ matrix.T, 0.0, 1.0) ** (1 / 2.2)
        apart = np.linalg.norm(shown[:, None] - shown[None], axis=2)[np.triu_indices(len(shown), 1)]
        assert apart.min() > 0.1


ENDS = [(lo, lo * f) for lo in (1e-12, 0.0034, 97.0) for f in (1.001, 1.3, 2.0, 4.7, 9.9, 23.0, 900.0, 1e5, 1e14)]


@pytest.mark.slow
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("width", [1.2, 3.5])
def test_logarithmic_axes_of_any_length_have_ticks_that_do_not_touch(ends, width):
    figure = Figure(figsize=(width, width), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=ends, ylim=ends)
    for axis in (axes.xaxis, axes.yaxis):
        log_axis(axis)
    figure.draw_without_rendering()
    for axis in (axes.xaxis, axes.yaxis):
        shown = [one.get_window_extent() for one in axis.get_ticklabels(which="both") if one.get_text()]
        assert len(shown) >= (2 if width > 2 else 1), ends
        assert not any(a.overlaps(b) for a, b in itertools.combinations(shown, 2)), ends
        assert all(ends[0] * (1 - 1e-9) <= tick <= ends[1] * (1 + 1e-9) for tick in axis.get_majorticklocs())


def test_ticks_are_the_numbers_they_stand_at():
    for values in ([0.02, 0.05, 0.1], [1e-7, 1.5e-7], [-1e6, 0.0, 2e6], [0.0, 0.1, 0.2, 0.3], [12345.0], [3e-5, 1e5]):
        for text, value in zip(labels(values), values, strict=True):
            plain = text.strip("$").replace("\N{MINUS SIGN}", "-").replace("×10^{", "e").replace("}", "")
            plain = re.sub(r"^(-?)10\^\{", r"\g<1>1e", plain)
            assert float(plain) == pytest.approx(value, rel=1e-9), text
    assert len(set(labels([0.98, 0.985, 0.99, 0.995]))) == 4


def test_symmetric_axes_and_given_places():
    figure = Figure(figsize=(3.0, 2.0))
    axes = figure.subplots()
    axes.set(xlim=(-30.0, 4e3), ylim=(1.0, 6.0))
    symmetric_axis(axes.xaxis, 1e-2)
    even_axis(axes.yaxis, [1.0, 2.0, 4.0, 6.0])
    figure.draw_without_rendering()
    assert 0.0 in axes.get_xticks()
    assert [one.get_text() for one in axes.get_yticklabels()] == ["1", "2", "4", "6"]


def test_words_are_broken_and_end_in_an_ellipsis_only_where_there_is_no_room():
    assert wrapped("two words", 500.0, 8.0) == "two words"
    assert wrapped("two words", 30.0, 8.0) == "two\nwords"
    assert wrapped("x" * 40, 60.0, 8.0).replace("\n", "").rstrip("…") in "x" * 40
    assert wrapped(LONG, 60.0, 8.0).count("\n") == 2
    assert wrapped(LONG, 60.0, 8.0).endswith("…")
    assert wrapped(r"$\alpha + \beta + \gamma$ and", 10.0, 8.0).split("\n")[0] == r"$\alpha + \beta + \gamma$"


def test_the_settings_of_the_host_are_neither_used_nor_changed(tmp_path):
    def drawn():
        files = nct.plot(verdict(), tmp_path / "a.svg"), nct.plot(sweep({"n": [1, 2]}), tmp_path / "b.png")
        return [file.read_bytes() for file in files]

    plain = drawn()
    with mpl.rc_context():
        mpl.rcParams.update({"font.size": 31.0, "lines.color": "red", "axes.facecolor": "black", "pdf.fonttype": 3})
        before = dict(mpl.rcParams.copy())
        assert drawn() == plain
        assert dict(mpl.rcParams.copy()) == before


def test_pictures_are_vectors_with_fonts_and_bitmaps(tmp_path):
    for name, result in {"verdict": verdict(), "sweep": sweep({"n": [1, 2]})}.items():
        pdf = nct.plot(result, tmp_path / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        assert b"/Type3" not in pdf.replace(b" ", b"")
        png = nct.plot(result, tmp_path / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG\r\n")
        assert int.from_bytes(png[16:20]) in {round(_style.DPI * w) for w in (_style.ONE_COLUMN, _style.TWO_COLUMNS)}
        assert b"<svg" in nct.plot(result, tmp_path / f"{name}.svg").read_bytes()


@pytest.mark.slow
def test_no_picture_needs_a_window_or_the_state_of_pyplot(tmp_path):
    code = (
        "import sys, nctheory as nct; from tests.picture_samples import verdict;"
        "nct.plot(verdict(), sys.argv[1]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.pdf")], check=True, cwd=root, env=usual_environment())


def test_what_is_not_predicted_is_not_in_the_legend():
    words = [text.get_text() for text in PICTURES["phase observed"]().axes[0].get_legend().get_texts()]
    assert words
    assert not any("predicted" in word for word in words)
    assert any("located" in word for word in words)
    lost = draw_phase(phase(predicted=False, found=False)).figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in lost] == ["onset, located on no row"]


def test_cells_lie_around_their_values_and_unsorted_axes_are_sorted():
    found = sweep({"a": [4.0, 1.0, 2.0], "b": [1, 2]}, seeds=1)
    (mesh,) = draw_sweep(found, ("value",)).axes[0].collections
    assert mesh.get_array().T.tolist() == found.arrays["value"][[1, 2, 0], :, 0].tolist()
    borders = mesh.get_coordinates()[0, :, 0]
    assert np.all((borders[:-1] < [1.0, 2.0, 4.0]) & (borders[1:] > [1.0, 2.0, 4.0]))
    assert borders.tolist() == pytest.approx([2**-0.5, 2**0.5, 2**1.5, 2**2.5])


def test_a_failed_sweep_says_so():
    words = [t.get_text() for t in PICTURES["sweep that failed"]().axes[0].get_legend().get_texts()]
    assert words == ["not converged (12 without a finite number)"]
    words = [t.get_text() for t in PICTURES["map that failed"]().axes[0].get_legend().get_texts()]
    assert any("undecided in every cell" in word.replace("\n", " ") for word in words)


@pytest.mark.slow
def test_every_picture_is_written_in_every_form():
    for draw in PICTURES.values():
        figure = draw()
        for suffix, begin in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")):
            assert figure_bytes(figure, suffix).startswith(begin)
