"""Counts of critical points against an independent count: polynomial homotopy continuation, where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import ChainParams

PHC = shutil.which("phc")


def real_solutions(equations: list[str], names: list[str], folder: Path) -> np.ndarray:
    """All isolated real solutions of a polynomial system, by homotopy continuation (PHCpack), rows in the order of `names`."""
    system, out = folder / "system", folder / "solutions"
    system.write_text(f"{len(equations)}\n" + ";\n".join(equations) + ";\n")
    subprocess.run([str(PHC), "-b", str(system), str(out)], check=True, capture_output=True, timeout=300)
    found = []
    for block in re.split(r"^solution \d+ :", out.read_text().split("THE SOLUTIONS :")[1], flags=re.MULTILINE)[1:]:
        parts = re.findall(r"^ (\w+) :\s+(\S+)\s+(\S+)$", block, flags=re.MULTILINE)
        if "real regular" in block:
            numbers = {name: float(real) for name, real, _ in parts}
            found.append([numbers[name] for name in names])
    return np.array(found)


@pytest.mark.skipif(PHC is None, reason="needs PHCpack")
@pytest.mark.parametrize(("decay", "types"), [(0.02, 5), (0.2, 3), (0.4, 1)])
def test_the_census_misses_nothing_that_a_polynomial_homotopy_finds(decay, types, tmp_path):
    problem = nct.problems.reduce_to_class_means(
        nct.deep_linear(widths=(1, 1, 2), counts=(2, 1), loss="mse", weight_decay=(decay, decay, decay))
    )
    q, n = (2 / 3, 1 / 3), (2, 1)  # logits (u, v) w (h, g) for the targets I
    off = [["u*w*h-1", "u*w*g"], ["v*w*h", "v*w*g-1"]]
    features, rows = ("h", "g"), ("u", "v")

    def total(terms):
        return "+".join(terms)

    equations = [
        total(f"{q[k]:.17g}*({off[i][k]})*w*{features[k]}" for k in (0, 1)) + f"+{decay}*{rows[i]}" for i in (0, 1)
    ]
    equations.append(
        total(f"{q[k]:.17g}*({off[i][k]})*{rows[i]}*{features[k]}" for i in (0, 1) for k in (0, 1)) + f"+{decay}*w"
    )
    equations += [
        total(f"{q[k]:.17g}*({off[i][k]})*{rows[i]}*w" for i in (0, 1)) + f"+{decay * n[k]:.17g}*{features[k]}"
        for k in (0, 1)
    ]
    solutions = real_solutions(equations, ["u", "v", "w", "h", "g"], tmp_path)
    values = [
        float(problem.objective(ChainParams((np.array([[w]]), np.array([[u], [v]])), np.array([[h, g]]), None)))
        for u, v, w, h, g in solutions
    ]
    found = nct.census(problem, 512)
    assert all(row.nullity == 0 for row in found.rows)
    # The signs of both internal spaces make four points of every critical point but zero.
    expected = sorted(value for row in found.rows for value in [row.value] * (4 if row.rank else 1))
    assert len(found.rows) == types
    np.testing.assert_allclose(sorted(values), expected, rtol=0, atol=1e-9)
