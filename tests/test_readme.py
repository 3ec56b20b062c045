"""Every Python block of the README and of the pages in `docs` runs, in the order of its page, and prints what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.falsification import check_counterexample

ROOT = Path(__file__).parents[1]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))
SMALLER = {
    "README.md": {"seeds=1024": "seeds=64", "seeds=64).outcome": "seeds=8).outcome"},
    "docs/falsify.md": {},
    "docs/few-shot-bounds.md": {},
    "docs/langevin.md": {"np.zeros((1024, 100))": "np.zeros((64, 100))", "3000]": "400]", "4000": "700", "1000": "300"},
    "docs/measures.md": {},
    "docs/networks.md": {"steps=500": "steps=200"},
    "docs/paths.md": {"nct.starts(problem, 256)": "nct.starts(problem, 2)", "[10, 1000]": "[10, 20]", "1024": "4"},
    "docs/performance.md": {"starts=1000": "starts=40"},
    "docs/phase-diagrams.md": {
        '"minority-collapse")': '"mse-collapse", grid=2, rows=2, seeds=2)',
        "seeds=16": "seeds=2",
        "seeds=1_000_000": "seeds=8",
    },
    "docs/protocols.md": {
        "budget=1000, seeds=64": "budget=64, seeds=4",
        "protocol_map()": 'protocol_map((3,), (0.7,), ["cycles"], budget=64, seeds=4)',
    },
    "docs/spheres.md": {"seeds=64": "seeds=4", "starts=200": "starts=60"},
    "docs/your-own.md": {},
}
"""What makes the blocks of a page small enough to be run: other numbers of seeds, starts and cells."""


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def run(page):
    """The names that the blocks of a page leave behind."""
    space: dict = {"__name__": "a_page"}
    for code in blocks(page):
        for large, small in SMALLER[page].items():
            code = code.replace(large, small)
        exec(compile(code, page, "exec"), space)
    return space


def test_every_page_with_a_block_is_run():
    assert {page for page in PAGES if blocks(page)} == set(SMALLER)
    for page, smaller in SMALLER.items():
        whole = "\n".join(blocks(page))
        assert all(large in whole for large in smaller), page
    calls = re.findall(r'\brun\("([^"]+)"\)', Path(__file__).read_text())
    assert set(calls) == set(SMALLER), "a page in the table that no test runs"


def test_the_readme_is_short_and_has_two_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 100
    commands = [line.strip() for line in lines if re.match(r" {4}(python3 -m venv|\.venv/bin/pip)", line)]
    assert len(commands) == 2
    links = re.findall(r"\]\((?!http)([^)#]+)\)", "\n".join(lines))
    assert links
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


@pytest.mark.slow
def test_sixty_seconds_and_a_theorem_in_twenty_lines(capsys):
    space = run("README.md")
    converged, found, holds = capsys.readouterr().out.splitlines()
    assert converged == "64 converged, 64 certified"
    assert found in (ROOT / "README.md").read_text()
    assert holds == "holds"
    assert isinstance(space["theorem"], nct.Theorem)


def test_a_bound_of_ones_own(capsys):
    run("docs/few-shot-bounds.md")
    assert capsys.readouterr().out in (ROOT / "docs/few-shot-bounds.md").read_text()


def test_measuring_a_network():
    space = run("docs/measures.md")
    assert space["layers"].nc1.shape == (2,)
    assert space["moments"].samples == 400
    assert float(space["same"].nc1) == pytest.approx(float(space["metrics"].nc1), rel=1e-9)


@pytest.mark.slow
def test_training_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("docs/networks.md")["error"].shape == (4,)


@pytest.mark.slow
def test_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("docs/paths.md")
    assert space["curves"].outcome == "holds"
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_the_page_about_chains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = run("docs/langevin.md")
    assert space["chains"].counts() == {"followed": 4096, "lost": 0}
    assert 0.8 < space["ratio"] < 1.25
    assert (tmp_path / "two-times.png").read_bytes().startswith(b"\x89PNG")
    held, free = space["ages"]
    assert held < 1.05 < 1.15 < free
    assert "followed" in capsys.readouterr().out


@pytest.mark.slow
def test_searching_for_a_counterexample(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("docs/falsify.md")
    search, theorem = space["search"], space["theorem"]
    assert search.outcome == "refuted"
    assert capsys.readouterr().out.startswith("relu-collapse: refuted\n  claim 'value' fails at K=3, L=4")
    folder = tmp_path / "relu-collapse"
    told = json.loads((folder / "relu-collapse-value.json").read_text())
    assert told["value"] < told["predicted"] - told["tolerance"]
    # The network is rebuilt here from its factors, without a line of the library.
    factors = dict(np.load(folder / told["arrays"]))
    x = factors["H"]
    for layer in (1, 2, 3):
        x = np.maximum(factors[f"W{layer}"] @ x, 0.0)
    fit = 0.5 * np.sum((factors["W4"] @ x - np.eye(3)[:, np.argmax(factors["targets"], axis=0)]) ** 2) / 3
    decay = told["parameters"]["lambda"]
    value = fit + 0.5 * decay * sum(np.sum(factors[name] ** 2) for name in ("W1", "W2", "W3", "W4", "H"))
    assert value == pytest.approx(told["value"], rel=1e-12)
    assert value < told["predicted"]
    (test,) = folder.glob("test_*.py")
    (name,) = re.findall(r"^def (test_\w+)", test.read_text(), re.MULTILINE)
    code = f"import runpy; runpy.run_path({str(test)!r})['{name}']()"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0
    again = check_counterexample(search.found.file, theorem)
    assert again.violated
    assert again.value == pytest.approx(told["value"], rel=1e-14)
    assert search.found.digits is not None
    assert search.found.digits <= 6


@pytest.mark.slow
def test_a_landscape():
    assert run("docs/performance.md")["flows"]


@pytest.mark.slow
def test_phase_diagrams_and_sweeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("docs/phase-diagrams.md")
    assert space["found"].converged.all()
    assert space["data"].sizes == {"decay": 2, "ratio": 2, "seed": 2}
    assert {file.name for file in tmp_path.iterdir()} == {"diagram.pdf", "run", "sweep.png"}


@pytest.mark.slow
def test_exploration_and_exploitation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = run("docs/protocols.md")
    assert space["found"].reference.evidence == "certified"
    assert space["own"].protocols == ("restarts_16", "restarts_64", "kicked")
    assert "the certified minimum is 0.39195" in capsys.readouterr().out
    assert (tmp_path / "protocols.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_page_about_spheres():
    space = run("docs/spheres.md")
    assert min(space["shares"][:4]) == 1.0  # of vectors in the orthant some end at zeros of the parametrisation
    assert space["table"][:2] == [(0, 24), (1, 8)]


@pytest.mark.slow
def test_your_own_problem_loss_and_diagram():
    space = run("docs/your-own.md")
    ring = space["Ring"]

    class Unmarked(ring):
        gauge_tangents = nct.Problem.gauge_tangents

    class Wrong(ring):
        def gauge_tangents(self, x):
            return jnp.eye(self.dim)[:1]

    point = space["ends"].params[0]
    unexplained = nct.hessian_report(Unmarked(4), point)
    assert unexplained.nullity == 3
    assert "3 flat directions off the gauge" in str(unexplained.caveat)
    wrong = nct.hessian_report(Wrong(4), point)
    assert "not all of them are directions of a symmetry" in str(wrong.caveat)


def test_the_catalogue_is_the_page_that_the_command_writes():
    """`nctheory list --markdown > docs/catalogue.md` brings it up to date."""
    command = [sys.executable, "-m", "nctheory.cli", "list", "--markdown"]  # in this process others may be registered
    written = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300).stdout
    assert (ROOT / "docs" / "catalogue.md").read_text() == written
