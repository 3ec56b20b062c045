"""N13, N17, N22: bottlenecks have local minima, one block tightens, a narrow layer with a free bias is not benign."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ZHU_2021
from proofs_numeric.bibliography_of_networks import ACHOUR_2024, LAURENT_2018
from proofs_numeric.landscape.data_chains import data_chain
from proofs_numeric.landscape.laurent_vonbrecht import bottleneck
from proofs_numeric.thresholds import SAME_VALUE

GRID = ((6, 2, 0.0), (6, 2, None), (10, 3, 0.0), (6, 3, 0.0), (6, 5, 0.0))
"""The cases are (K, d, bias), with a free bias or none; the last one has d = K-1."""
SAMPLES, DECAY = 10, 1e-3


def minima(problem, seeds, key):
    """List (value, seeds, smallest curvature off the gauge) of the values where descents end in a strict minimum."""
    ends = nct.solve(problem, seeds, key)
    usable = np.flatnonzero(ends.converged)
    order = usable[np.argsort(ends.value[usable])]
    found = []
    for part in np.split(order, np.flatnonzero(np.diff(ends.value[order]) > SAME_VALUE) + 1):
        report = nct.hessian_report(problem, jax.tree.map(lambda x, at=part[0]: x[at], ends.params))
        if report.index + report.nullity == 0:
            found.append((float(ends.value[part[0]]), part.size, report.smallest))
    return found


def shown(found):
    """Write the minima in words."""
    return ", ".join(f"{value:.7f} ({count} seeds, curvature >= {least:.1e})" for value, count, least in found)


def reproduce_bottleneck(seeds, key):
    """Find where descents end in the network with one hidden unit."""
    with jax.enable_x64(True):
        found = minima(bottleneck(None)[0].problem, seeds, key)
    figures = tuple((f"minimum {i + 1}", shown([one])) for i, one in enumerate(found))
    return nct.theorems.ErratumResult(len(found) > 1, "sampled", (("minima", str(len(found))), *figures))


def reproduce_blocks(seeds, key):
    """Build points of rank one with the leading direction on random data: one block of each pivot has rank one."""
    with jax.enable_x64(True):
        rng, least, counts, slopes = np.random.default_rng(key), [], set(), []
        for _ in range(seeds):
            problem = data_chain(rng, (3, 2, 2, 3))
            x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
            solution = y @ np.linalg.pinv(x)
            u = np.linalg.eigh(solution @ x @ y.T)[1][:, -1]
            one = np.eye(2)[:, :1]
            chain = (one @ (u @ solution)[None, :], one @ one.T, u[:, None] @ one.T)
            point = nct.problems.ChainParams(tuple(map(jnp.asarray, chain)), None, None)
            report = nct.hessian_report(problem, point)
            least.append(report.smallest / report.largest)
            counts.add(int(nct.closed_form.pivot_blocks(problem, point)))
            slopes.append(float(np.linalg.norm(nct.problems.ravel(problem.value_and_grad(point)[1]))))
    figures = (
        ("data sets", str(seeds)),
        ("largest gradient norm", f"{max(slopes):.1e}"),
        ("least number of blocks of rank r over the pivots", str(sorted(counts))),
        ("most negative eigenvalue, relative to the largest", f"{min(least):+.1e}"),
    )
    return nct.theorems.ErratumResult(counts == {1} and min(least) > -1e-10, "arithmetic", figures)


def reproduce_narrow(seeds, key):
    """Find the values of the local minima over a grid of K and d, with a free bias and without one."""
    figures, spurious = [], {}
    with jax.enable_x64(True):
        for classes, dim, bias in GRID:
            full = nct.unconstrained_features(
                counts=(SAMPLES,) * classes, dim=dim, loss="cross_entropy", weight_decay=(DECAY, DECAY), bias=bias
            )
            found = minima(nct.problems.reduce_to_class_means(full), seeds, key)
            figures.append((f"K = {classes}, d = {dim}, {'no bias' if bias is None else 'free bias'}", shown(found)))
            spurious[classes, dim, bias] = len(found)
    narrow = max(spurious[one] for one in GRID[:-1])
    return nct.theorems.ErratumResult(
        narrow > 1 and spurious[GRID[-1]] == spurious[6, 2, None] == 1, "sampled", tuple(figures)
    )


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N13",
        title="Local minima of linear networks are global for every convex loss, whatever the widths",
        published="Deep linear networks with a convex differentiable loss have no poor local minima (the condition that the "
        "hidden widths are at least min(d_0, d_L) left out).",
        why="With one hidden unit, inputs and targets the identity and weights (1, 30; 30, 0.9) in the squared error, both "
        "classes can be fitted, but not together: two local minima.",
        instead="laurent-vonbrecht, with its condition on the widths.",
        convention="The weighted sum of squares times 1/2N, N = 2: values 0.9/4 and 1/4.",
        sources=(LAURENT_2018.remark("States the condition; the claim is a reading without it."),),
        reproduce=reproduce_bottleneck,
        theorem="laurent-vonbrecht",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N17",
        title="A pivot is tightened when two of its complementary blocks have the rank of the product",
        published="Tightened: for every pivot at least two of the three complementary blocks have rank r.",
        why="Points whose layers all have rank r = 1 and the leading direction have one such block for neighbouring pivots, "
        "and their Hessian has no negative eigenvalue.",
        instead="At least one block (achour).",
        convention="1/2N times the squared error; blocks W_L...W_{i+1}, W_{i-1}...W_{j+1}, W_{j-1}...W_1 of pivot i > j.",
        sources=(ACHOUR_2024.remark("The definition; the claim is a misreading of it that was met, not their text."),),
        reproduce=reproduce_blocks,
        theorem="achour",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N22",
        title="Cross-entropy with free features is benign for every width",
        published="Every critical point that is not global is a strict saddle, also for d < K-1 and with a free bias.",
        why="With a free bias and d < K-1 descents end in several local minima of different value, whose Hessian is positive "
        "off the gauge. Without a bias none was found.",
        instead="ufm-ce-landscape: d >= K-1.",
        convention="Mean over samples, decays lambda/2 = 5e-4 for W and H, n = 10, free features.",
        sources=(ZHU_2021.remark("Assumes d > K; the claim is a generalisation of it."),),
        reproduce=reproduce_narrow,
        theorem="ufm-ce-landscape",
    )
)
