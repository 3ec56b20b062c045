"""What stands in every table on terminals of 40 to 120 columns and on pages of 800 and 1,100 pixels: nothing is cut."""

import base64
import dataclasses
import fcntl
import hashlib
import html
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import jax
import pytest

import nctheory as nct
from nctheory import cli
from nctheory.landscape import compare
from nctheory.report import census_table, dynamics_table, phase_json, phase_table, summary_table, write_report
from nctheory.report._tables import as_text
from nctheory.theorems import find_theorem

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (40, 60, 80, 120)
OUTCOMES = ("holds", "refuted", "inconclusive", "engine error")
TEMPLATE = Path(__file__).parents[1] / "proofs_numeric" / "template.py"


@pytest.fixture(scope="module")
def verdict():
    return nct.verify("ufm-mse-nobias", seeds=4, instance=0)


@pytest.fixture(scope="module")
def diagram():
    return nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2)


def many(verdict):
    """Verdicts of every outcome, with as many seeds as are run, under the longest identifier of the catalogue and a longer."""
    longest = max(nct.catalogue(), key=len)
    names = [f"{i}{longest[1:]}" for i in range(3)] + ["x" * 24 + "y" * 56]
    return [
        dataclasses.replace(verdict, theorem=name, outcome=outcome, seeds_run=12_288, supporting=12_288)
        for name, outcome in zip(names, OUTCOMES, strict=True)
    ]


def rows_of(text, names):
    """The lines that begin with a name."""
    found = {name: [line for line in text.splitlines() if line.split()[:1] == [name]] for name in names}
    assert all(len(lines) == 1 for lines in found.values()), found
    return {name: lines[0] for name, lines in found.items()}


def check_summary(text, verdicts, width):
    """Identifier and outcome of every row, whole; from 80 columns on seeds and the ratio to the tolerance as well."""
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    rows = rows_of(text, [v.theorem for v in verdicts[:-1]])
    (broken,) = [line for line in text.splitlines() if line.strip().startswith("x" * 24)]
    for one, row in zip(verdicts, [*rows.values(), broken], strict=True):
        assert one.outcome in row
        if width >= 80:
            assert f" {one.supporting}/{one.seeds_run} " in row
            assert row.rstrip().endswith((f"{one.worst.tolerance_ratio:.2g}", " -"))
    assert "".join(re.findall("[xy]{2,}", text)) == verdicts[-1].theorem


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_summary_shows_outcome_seeds_and_ratio(verdict, width):
    verdicts = many(verdict)
    check_summary(as_text(summary_table(verdicts), width), verdicts, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_verify_prints_it_so(verdict, width, capsys, monkeypatch):
    verdicts = iter(many(verdict))
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("nctheory.cli._verify_command.configure", lambda: None)
    monkeypatch.setattr("nctheory.theorems.verify", lambda *args, **options: next(verdicts))
    names = list(nct.catalogue())[:4]
    assert cli.main(["verify", "--quiet", *names]) == 4
    check_summary(capsys.readouterr().out.split("theorem ", 1)[1].split("not shown")[0], many(verdict), width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["list", "phase", "dynamics"])
def test_lists_show_every_word(command, width, capsys, monkeypatch):
    known = {"list": nct.catalogue(), "phase": nct.phase.diagrams(), "dynamics": nct.catalogue()}[command]
    monkeypatch.setattr("nctheory.cli._grid_commands.configure", lambda: None)
    monkeypatch.delenv("COLUMNS", raising=False)  # workers of pytest-xdist have one
    assert cli.main([command]) == 0
    piped = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main([command]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    words = [line.split() for line in piped]
    assert shown.split() == [word for line in words for word in line]
    for identifier, *title in words:  # one a line where nothing ends the lines
        assert " ".join(title) == " ".join(known[identifier].title.split())


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_boundaries_show_their_outcome_and_distance(diagram, width, capsys, monkeypatch):
    (one,) = diagram.located
    text = as_text(phase_table(diagram), width)
    assert max(map(len, text.splitlines())) <= width
    (row,) = [line for line in text.splitlines() if line.strip().startswith("onset of")]
    assert row.rstrip().endswith(f" {one.judge()}")
    if width >= 80:
        for told in ("onset of collapse", "refuted (0.1%)", f"{100 * one.distance.max():.2g}%"):
            assert told in row
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("nctheory.cli._grid_commands.configure", lambda: None)
    monkeypatch.setattr("nctheory.phase.phase_diagram", lambda *args, **options: diagram)
    assert cli.main(["phase", "mse-collapse"]) == 0
    assert row in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_types_of_critical_points_and_curves_are_whole(width):
    problem = find_theorem("ufm-mse-landscape").instances(jax.random.key(0))[0].problem
    assert isinstance(problem, nct.problems.DeepLinear)
    found = nct.census(problem, 24)
    wrong = [one._replace(minimum=not one.minimum) for one in nct.closed_form.critical_points(problem)]
    text = as_text(census_table(found, compare(found, wrong)), width)
    curves = as_text(dynamics_table(nct.dynamics("saxe-2layer", seeds=2)), width)
    assert max(map(len, (text + curves).splitlines())) <= width
    for row in found.rows:
        assert f" {row.value:.8f} " in text
    assert "DISAGREES" in text
    assert (f" {found.rows[0].kind} " in text) or width < 80
    assert "…" not in text + curves
    assert "worst ratio" in curves


def on_a_terminal(width, *arguments):
    """What a command prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "nctheory.cli", *map(str, arguments)],
        stdout=theirs, stderr=subprocess.DEVNULL, env={**environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how a terminal ends
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "")


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
def test_on_a_terminal(width):
    listed = on_a_terminal(width, "list")
    assert max(map(len, listed.splitlines())) <= width
    assert "Cross-entropy, balanced: the simplex ETF" in " ".join(listed.split())
    shown = on_a_terminal(width, "verify", "-q", "--seeds", 4, TEMPLATE)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= width
    (row,) = [line.split() for line in lines if line.split()[:1] == ["ridge-regression"]]
    assert row[1] == "holds"
    (heads,) = [line.split() for line in lines if line.split()[:1] == ["theorem"]]
    assert heads[:2] == ["theorem", "outcome"]
    assert {"seeds", "ratio"} <= set(heads) or width < 80
    assert f"{4 * 10}/{4 * 10}" in row or width < 80  # of ten instances


PROBE = """addEventListener("load", () => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const tables = [...document.querySelectorAll("table")].map((one) => {
    const room = one.closest(".wide");
    return [one.getBoundingClientRect().width, room.clientWidth, getComputedStyle(room).overflowX];
  });
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify([document.documentElement.scrollWidth - innerWidth, tables]);
  document.body.append(out);
});"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [800, 1100])
def test_no_table_of_the_page_is_cut(verdict, diagram, tmp_path, width):
    for one in many(verdict):
        one.to_json(tmp_path / f"{one.theorem}.json")
    (tmp_path / "phase.json").write_text(phase_json(diagram))
    write_report(tmp_path)
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    page = (tmp_path / "report.html").read_text().replace("</body>", f"<script>{PROBE}</script></body>")
    (tmp_path / "probed.html").write_text(page.replace("script-src ", f"script-src 'sha256-{digest}' "))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},1500", "--virtual-time-budget=5000", "--dump-dom", f"file://{tmp_path / 'probed.html'}",
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<pre id="probe">(.*?)</pre>', shown)
    assert found is not None
    beyond, tables = json.loads(html.unescape(found[1]))
    assert beyond <= 0
    assert len(tables) >= 5
    for needed, room, overflow in tables:
        assert overflow == "auto"  # it scrolls
        assert needed <= room + 1 or width < 1100
