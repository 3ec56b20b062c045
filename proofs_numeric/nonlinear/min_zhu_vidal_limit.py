r"""ReLU networks on separable data tend to the directions of neural collapse.

Without decay a network that separates its samples grows without end, and only its direction converges. On data whose classes
point away from each other the limit can be told: the hidden features of each class come to lie on one ray, the rays are
orthogonal, and the last layer is aligned to the features' class means, centred. The features of a class do not come to one
point: their lengths differ as the data say. This is the maximum margin of a network of ReLUs, attained by the flow itself.

Problem:
    $f=\frac1N\sum_i\mathrm{CE}(V\max(Wx_i,0),y_i)$ for K classes, without decay or bias, under the gradient flow of
    $W\in\mathbb R^{m\times d}$ and $V\in\mathbb R^{K\times m}$.
Theorem (Min, Zhu and Vidal 2025, number unchecked; the equations of the limit are our own form):
    Let $\langle x_i,x_j\rangle$ be positive within classes and negative between them, and let each neuron j have a class k at
    the start such that $\langle w_j,x_i\rangle$ is positive for the samples i of k and negative for all others, and
    $v_{jk}>v_{jl}$ for $l\ne k$. Let $\hat x_k$ be the point of least norm in the convex hull of the samples of class k, and
    $c_k=\sqrt{(K-1)/K}/|\hat x_k|$. Then the direction of (W, V) converges to that of
    $W_k=\sqrt{c_k}\,\phi_k\hat x_k^\top/|\hat x_k|$, $V_k=\sqrt{c_k}\sqrt{\frac K{K-1}}(e_k-\frac1K1)\phi_k^\top$, where
    $W_k$ and $V_k$ are the rows and columns of the neurons of class k and $\phi_k$ is a unit vector of positive entries. So
    features of class k tend to be $\langle\hat x_k,x_i\rangle\phi_k$ but for a factor, V to the centred
    $(\sqrt{c_1}\phi_1,\dots)$, and the margin $\min_{i,j}(z_{y_i}-z_j)/(\frac12|W|^2+\frac12|V|^2)$ to $1/\sum_kc_k$, the
    largest that such a network has.
Hypotheses:
    - cross-entropy, one hidden ReLU layer, no decay, no bias
    - orthogonally separable data
    - a start at which each neuron is active on one class, and largest there in V
Notation:
    Min et al.: starts are small and balanced, $|v_j|=|w_j|$. They need not be small or balanced here, once neurons are
    separated. The flow of log f, which has the same path, is followed, and the limits are extrapolated.
Why:
    By `min-zhu-vidal` the network stays one of linear networks $z_i=V_kW_kx_i$, one for each class, and each reaches a
    positive margin, since $v_{jk}-v_{jl}$ and $\langle w_j,x_i\rangle$ only grow. From there on the direction converges
    to a KKT point of the least $\frac12|W|^2+\frac12|V|^2$ at margins of at least 1 (Ji and Telgarsky 2020, not repeated
    here): $W_k=V_k^\top M_k$ and $V_k=M_kW_k^\top$ with $M_k=\sum_{i\in k}\sum_{l\ne k}\mu_{il}(e_k-e_l)x_i^\top$,
    $\mu\ge0$. As inner products within a class are positive, $M_kM_k^\top$ has positive entries once the sign of row and
    column k is changed: by Perron its largest eigenvalue is simple, with a vector p of sign + at k and - elsewhere, and
    $1^\top p=0$. The flow conserves $1^\top V$, so in the limit $1^\top v_j=0$, and
    $\langle p,v_j\rangle=\sum_{l\ne k}|p_l|(v_{jk}-v_{jl})>0$ unless $v_j=0$. But $V_k=M_kM_k^\top V_k$: so the eigenvalue
    of p is 1 and no other is, and $V_k$ and $W_k$ have rank one. $M_k$ with spectral norm 1 proves that $V_kW_k$ has the
    least nuclear norm at these margins. That program is convex and symmetric in the classes $l\ne k$: with
    $A=(e_k-\frac1K1)a^\top$ it is to minimise $\sqrt{(K-1)/K}\,|a|$ at $\langle a,x_i\rangle\ge1$, whence
    $a=\hat x_k/|\hat x_k|^2$ and the cost $c_k$. All minimisers have the singular vectors of one $M_k$, so there is only
    this one.
Checked:
    W and V are integrated along the flow of the whole network, ReLUs and all, in a time in which the squared norm grows
    linearly in the end, twice with different tolerances. Distances from the limits fall like the inverse of that time, those
    of the lengths like its root (what of a neuron no sample on the margin sees stays as it is, while the rest grows like the
    root of $\log t$), and the limits are extrapolated from the last times. The margin alone decides, because one direction
    alone has the largest; the rank of each class's features, their lengths, the sizes of the classes, V along the vertices of
    a simplex and the cosine between V and the centred class means are each observed too. The point $\hat x_k$ is found by
    trying the faces of the hull. All this is sampled: a law about every start is not certified by some.
Refuted by:
    One path whose extrapolated margin, or one of the others, differs by more than the extrapolation leaves open. The same
    check must refute class means in the place of the nearest points, K in the place of K - 1, all limits off by 1e-4,
    features of a class that come to one point, V along e_k, and means that are not centred.
Example:
    Two classes: the largest margin, and the limits of two fresh paths, extrapolated from two times.

    >>> problem = draw_instances(jax.random.key(0))[0].problem
    >>> observe = lambda problem, params: margin(problem, params, None)
    >>> starts = nct.starts(problem, seeds=2, scale=0.3)
    >>> paths = nct.gradient_flow(problem, starts, [100.0, 200.0], observe=observe, compare=False)
    >>> half, full = paths.values.T
    >>> told = float(predict_with()(problem, None, None).margin)
    >>> bool(np.max(np.abs((2 * full - half) / told - 1)) < 1e-3)
    True
"""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_nonlinear import MIN_2025
from proofs_numeric.nonlinear.min_zhu_vidal import in_the_set
from proofs_numeric.nonlinear.separable_limits import (
    SlowedNetwork,
    duality,
    lengths,
    limits,
    margin,
    nearest_points,
    one_direction,
    sizes,
    vertices,
)
from proofs_numeric.nonlinear.separable_networks import SHAPES, drawn_inputs, separable
from proofs_numeric.pool import log_uniform, pick

ID = "min-zhu-vidal-limit"
LAST = 3200.0
"""Paths are followed to this time."""
SEEN = 1e-4
"""The relative error that the claims see (measured: 4e-5 of the lengths and 4e-7 of all others)."""


def draw_instances(key):
    """Draw for one shape of each group starts of neurons apart and in one direction, with V tilted and along a vertex."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    times = tuple((LAST * 2.0 ** -np.arange(11.0, -0.5, -0.5)).tolist())
    for group in SHAPES:
        ((classes, dim, samples, neurons),) = pick(rng, group)
        for apart, tilt in ((1.0, 1.0), (0.0, 1.0), (0.0, 0.0), (1.0, 0.0), (rng.uniform(0.2, 0.8), 0.5)):
            inputs = drawn_inputs(rng, classes, dim, samples)
            scale = log_uniform(rng, 0.05, 0.6)
            problem = SlowedNetwork(inputs, np.asarray(apart), np.asarray(tilt), classes, samples, neurons)
            shown = {"K": classes, "d": dim, "n": samples, "apart": apart, "tilt": tilt, "scale": scale}
            drawn.append(
                nct.Instance(
                    problem, shown, scale=scale, trajectory=nct.theorems.TrajectorySpec(times, tolerance=1e-10)
                )
            )
    return drawn


def means(inputs, classes):
    """Return the class means, d x K."""
    return jnp.mean(inputs.reshape(inputs.shape[0], classes, -1), axis=2)


def predict_with(change=1.0, points=nearest_points, factor=lambda classes: (classes - 1) / classes):
    """State the limits, or wrong ones: times a factor, of other points of the classes, or with another (K-1)/K."""

    def predict(problem, start, times):
        inputs, classes = jnp.asarray(problem.inputs), problem.classes
        told = limits(inputs, classes, points(inputs, classes), factor(classes))
        return jax.tree.map(lambda x: change * x, told)

    return predict


def one_point(problem, start, times):
    """State that the features of a class come to one point."""
    return predict_with()(problem, start, times)._replace(lengths=jnp.asarray(0.5 * (problem.samples + 1)))


def claim(name, statement, observe, predicted, power=1.0):
    """Claim the limit of one number, whose distance falls like a power of the time."""
    return nct.Limit(
        name,
        statement,
        observe,
        predicted,
        vanishing=lambda time: time**-power,
        resolution=SEEN,
        because="extrapolated from four ends of a path whose direction converges like a power of 1/log t",
    )


def vertices_claim(middle=1.0):
    """Claim that V tends to the vertices of a simplex, or to e_k."""
    return claim("vertices", r"V_k\parallel e_k-\frac1K1", vertices(middle), lambda m: m.one)


def duality_claim(centred=1.0):
    """Claim that V tends to the class means of the features, centred or not."""
    return claim("duality", r"V\parallel(\sqrt{c_k}\phi_k)_k-\mathrm{mean}", duality(centred), lambda m: m.one)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, SlowedNetwork),
            lambda i: separable(i.problem.inputs, i.problem.classes),
            in_the_set,
        ),
        sources=(
            MIN_2025.remark(
                "Theirs is the limit from small balanced starts, with the directions of the features and of V. The equations "
                "of the limit, the margin and the argument for every separated start are our own form."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            claim("margin", r"\min(z_y-z_j)/(\frac12|W|^2+\frac12|V|^2)", margin, lambda m: m.margin),
            claim("one direction", r"|H_k^\top H_k|_F/|H_k|_F^2", one_direction, lambda m: m.one),
            claim("lengths", r"|h_i|\propto\langle\hat x_k,x_i\rangle", lengths, lambda m: m.lengths, 0.5),
            claim("sizes", r"|W_k|^2\propto c_k", sizes, lambda m: m.sizes),
            vertices_claim(),
            duality_claim(),
        ),
        controls=(
            nct.Control(
                "class means",
                "class means in the place of the nearest points",
                predict_with(points=means),
                ("margin", "lengths", "sizes"),
            ),
            nct.Control("K for K-1", "1 in the place of (K-1)/K", predict_with(factor=lambda k: 1.0), ("margin",)),
            nct.Control("1e-3 more", "all limits larger by a relative 1e-3", predict_with(change=1 + 1e-3)),
            nct.Control("one point", "features of a class that come to one point", one_point, ("lengths",)),
            nct.Control("along e_k", "V along e_k", versions=(vertices_claim(middle=0.0),)),
            nct.Control("not centred", "class means that are not centred", versions=(duality_claim(centred=0.0),)),
        ),
        method=nct.Integrate(),
        seeds=16,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
