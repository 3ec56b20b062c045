"""N12, N32, N33, N35: bad minima on spheres, simplices under imbalance, and pairs that the sigmoid loss does not align."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import GRAF_2021, LEE_2024, YARAS_2022, ZHAI_2023
from proofs_numeric.errata.landscapes import minima, shown
from proofs_numeric.spheres.class_program import solved
from proofs_numeric.spheres.fold_branch import angle_value, branch, fold, placed
from proofs_numeric.spheres.sphere_fold import build_instance

SPHERES = "Mean over samples; tau is the product of both lengths over the temperature; no bias, one sample a class."


def reproduce_descents(seeds, key):
    """Find where descents of three classes in the plane end, at four strengths."""
    figures, spurious = [], {}
    with jax.enable_x64(True):
        for tau in (5.0, 8.0, 10.0, 20.0):
            found = minima(build_instance(tau).problem, seeds, key)
            high = [one for one in found if one[0] > 0.1]
            spurious[tau] = len(high)
            figures.append((f"minima above the simplex, tau = {tau:g}", f"{len(high)}: {shown(high) or 'none'}"))
    return nct.theorems.ErratumResult(
        spurious[5.0] == spurious[8.0] == 0 and spurious[20.0] > 0, "sampled", tuple(figures)
    )


def reproduce_fold(seeds, key):
    """Build the bad minimum beyond the fold, and take its value, gradient and Hessian."""
    figures, strict = [], []
    with jax.enable_x64(True):
        turn = float(fold().tau)
        figures.append(("tau at which the bad minima begin", f"{turn:.7f}"))
        for tau in (turn * (1 + 1e-4), 9.2, 10.0, 15.0, 20.0, 40.0):
            problem, angles = build_instance(tau).problem, branch(jnp.asarray(tau))
            point = placed(problem, angles)
            value, slope = problem.value_and_grad(point)
            report = nct.hessian_report(problem, point)
            steep = float(np.linalg.norm(nct.problems.ravel(slope)))
            strict.append(report.index + report.nullity == 0 and steep < 1e-11 and float(value) > 0.1)
            figures.append(
                (
                    f"tau = {tau:.6g}: value, gradient, least curvature",
                    f"{float(angle_value(angles, jnp.asarray(tau))):.8f}, {steep:.1e}, {report.smallest:.3e}",
                )
            )
    return nct.theorems.ErratumResult(all(strict), "arithmetic", tuple(figures))


def reproduce_imbalance(seeds, key):
    """Solve six, three and two samples, and compare with the objective at a simplex."""
    counts, temperature = (6, 3, 2), 0.5
    problem = nct.problems.unit_vectors(
        nct.problems.supervised_contrastive(counts=counts, temperature=temperature), dim=3
    )
    ends = nct.solve(problem, seeds, key)
    bound = nct.certify(problem, ends.params)
    with jax.enable_x64(True):
        best = jax.tree.map(lambda x: jnp.asarray(x[int(np.argmin(ends.value))]), ends.params)
        gram = np.asarray(problem.gram(best))
        n = np.asarray(counts, float)
        simplex = float(np.sum(n * np.log(n - 1 + (n.sum() - n) * np.exp(-1.5 / temperature))))
        program = 11 * float(solved(counts, temperature).value)
    found = 11 * float(np.min(ends.value))
    figures = (
        ("sum over anchors at a simplex", f"{simplex:.9f}"),
        (f"least of {seeds} descents, certified {int(bound.closed(ends.value).sum())}", f"{found:.9f}"),
        ("the convex program of the classes", f"{program:.9f}"),
        ("cosines of classes 1-2, 1-3, 2-3", f"{gram[0, 6]:.5f}, {gram[0, 9]:.5f}, {gram[6, 9]:.5f}"),
    )
    closed = bool(bound.closed(ends.value).any())
    return nct.theorems.ErratumResult(closed and found < simplex - 1e-3, "certified", figures)


def reproduce_sigmoid(seeds, key):
    """Solve six pairs at t = 2 and three biases, and compare with pairs that coincide."""
    figures, apart = [], []
    for bias in (-3.0, 0.0, 2.0):
        problem = nct.problems.unit_vectors(nct.problems.paired_sigmoid(pairs=6, scale=2.0, bias=bias), dim=6)
        ends = nct.solve(problem, seeds, key)
        closed = nct.certify(problem, ends.params).closed(ends.value)
        with jax.enable_x64(True):
            best = jax.tree.map(lambda x, at=int(np.argmin(ends.value)): jnp.asarray(x[at]), ends.params)
            matched = np.diag(np.asarray(problem.gram(best))[:6, 6:])
        apart.append(bool(closed.any()) and float(matched.max()) < 0.9)
        figures.append((f"product of matching pairs at b = {bias:g}", f"{matched.min():.8f} to {matched.max():.8f}"))
    return nct.theorems.ErratumResult(apart == [False, True, True], "certified", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N12",
        title="Cross-entropy on spheres has no bad minima whatever the dimension",
        published="Every critical point on the product of spheres is a global minimiser or a strict saddle, also for d = K-1 "
        "and at any temperature.",
        why="Three classes in the plane at tau = 10 and 20: some descents end in strict minima far above the simplex.",
        instead="The value is right for d >= K-1 (ufm-sphere); where the bad minima begin: sphere-fold.",
        convention=SPHERES,
        sources=(YARAS_2022.remark("Assume K < d and bound tau; the claim is a generalisation of theirs."),),
        reproduce=reproduce_descents,
        theorem="sphere-fold",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N32",
        title="Cross-entropy on spheres is benign as soon as a simplex fits",
        published="For d >= K-1 every critical point that is not global is a strict saddle, as with decayed features.",
        why="For K = 3, d = 2 a branch of strict minima is born in a fold at tau = 9.0724186. At the value log 3 there "
        "are moreover points without negative curvature at every tau.",
        instead="So it is with free features and decays (ufm-ce-landscape). On spheres K < d is assumed: sphere-fold.",
        convention=SPHERES,
        sources=(YARAS_2022.remark("Assume K < d; the claim carries another model's condition over."),),
        reproduce=reproduce_fold,
        theorem="sphere-fold",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N33",
        title="The supervised contrastive loss makes a simplex of classes of any size",
        published="The minimiser of the supervised contrastive loss is a regular simplex whatever the class counts.",
        why="With six, three and two samples at temperature 1/2 the certified minimum is below the value at a simplex, at "
        "other angles.",
        instead="A convex program gives the angles (supcon-imbalance); balanced it is a simplex (graf-supcon), and behind a "
        "ReLU an orthogonal frame for any counts (supcon-relu).",
        convention="The sum over anchors of one batch; unit vectors.",
        sources=(GRAF_2021.remark("Their theorem is for balanced classes; the claim leaves that out."),),
        reproduce=reproduce_imbalance,
        theorem="supcon-imbalance",
    )
)

nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N35",
        title="The sigmoid loss aligns matching pairs at every temperature and bias",
        published="At the minimum of the sigmoid loss of pairs matching vectors coincide.",
        why="With six pairs, t = 2 and b = 0 the certified minimum has products of 0.047 between matching vectors, and at "
        "b = 2 they are opposite.",
        instead="They coincide exactly up to an explicit bias: siglip.",
        convention="Sum over all pairs divided by N; logits t u.v + b; unit vectors in at least N dimensions.",
        sources=(
            LEE_2024.remark("Say that the optimum ranges from a simplex to antipodal points; the claim is not theirs."),
            ZHAI_2023.remark("The loss. Its temperature and bias are learnt there."),
        ),
        reproduce=reproduce_sigmoid,
        theorem="siglip",
    )
)
