"""The self-contained Python blocks of the README do what they say."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import nctheory as nct

README = Path(__file__).parents[1] / "README.md"


def blocks(heading):
    """The Python blocks of one section."""
    section = re.split(r"^## ", README.read_text(), flags=re.M)
    (text,) = [part for part in section if part.startswith(heading)]
    return re.findall(r"```python\n(.*?)```", text, flags=re.S)


def test_your_own_problem_and_loss():
    (code,) = blocks("Your own problem and loss")
    space: dict = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), space)
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


@pytest.mark.parametrize("seeds", [4])
def test_measuring_a_network(seeds, rng):
    code = next(block for block in blocks("What is in it") if "nc_metrics" in block)
    labels = jnp.arange(40) % 10
    h4, h5 = rng.normal(size=(40, 7)), rng.normal(size=(40, 12))
    space = {
        "nct": nct, "features": h5, "labels": labels, "weights": rng.normal(size=(10, 12)), "bias": rng.normal(size=10),
        "h4": h4, "h5": h5, "batches": [(h5[i::seeds], labels[i::seeds]) for i in range(seeds)], "jax": jax,
    }  # fmt: skip
    exec(compile(code, "README.md", "exec"), space)
    assert space["layers"].nc1.shape == (2,)
    assert space["moments"].samples == 40


SMALLER = {
    "seeds=4096": "seeds=4", "seeds=1_000_000": "seeds=8", "seeds=1024": "seeds=4", "starts=1000": "starts=40",
    "nct.starts(problem, 256)": "nct.starts(problem, 2)", "[10, 1000]": "[10, 20]", "seeds=16": "seeds=2",
    '"ufm-ce-balanced", ': '"ufm-ce-balanced", instance=0, ',
    '"minority-collapse")': '"mse-collapse", grid=2, rows=2, seeds=2)',
}  # fmt: skip
"""What makes the block of all verbs small enough to be run."""


@pytest.mark.slow
def test_every_verb(tmp_path, monkeypatch):
    (code,) = [block for block in blocks("What is in it") if "nct.census" in block]
    for large, small in SMALLER.items():
        assert large in code
        code = code.replace(large, small)
    monkeypatch.chdir(tmp_path)

    def my_model(decay, R):
        return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, R * decay))

    space: dict = {"my_model": my_model}
    exec(compile(code, "README.md", "exec"), space)
    assert space["verdict"].outcome in ("holds", "inconclusive")
    assert space["bound"].closed(space["ensemble"].value).all()
    assert space["held"].extra == ()
    assert space["found"].converged.all()
    assert (tmp_path / "run").is_dir()


def test_no_block_is_left_out():
    """Every Python block of the README, and of what stands in `docs`, is run by a test above."""
    everywhere = [README, *README.parent.glob("docs/**/*.md")]
    found = [block for file in everywhere for block in re.findall(r"```python\n(.*?)```", file.read_text(), flags=re.S)]
    run = [*blocks("Your own problem and loss"), *blocks("What is in it")]
    assert sorted(found) == sorted(run)
    assert len(blocks("Your own problem and loss")) == 1
    assert ["nct.census" in block or "nc_metrics" in block for block in blocks("What is in it")] == [True, True]
