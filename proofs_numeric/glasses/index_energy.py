r"""Index and energy in spherical spin glasses.

At a point of given energy the Hessian of a random homogeneous polynomial on a sphere is a semicircle that the energy moves:
far down nearly all directions curve upwards, at zero half of them. So critical points of high index lie high, in the order in
which low-dimensional pictures of loss surfaces do not have them.

Problem:
    $f=\frac1NH$ with $H=N^{-(p-1)/2}\sum J_{i_1\dots i_p}\sigma_{i_1}\cdots\sigma_{i_p}$ on $|\sigma|^2=N$, independent
    standard normal J; gradient g and Hessian A of f in $u=\sigma/\sqrt N$ on the unit sphere, in N-1 dimensions.
Theorem (Auffinger, Ben Arous and Cerny 2013, number unchecked; finite size in our own form):
    f, g and $M=A+pf\,I$ are independent and normal at every point, with variances $\frac1N$, $\frac pN$ for every entry of g,
    and $\frac{p(p-1)}N(1+\delta_{ij})$ for the entries of M. So the share of negative curvatures at energy f is that of the
    eigenvalues of M below pf: $\alpha_N(f)=\frac1{N-1}\int_{-\infty}^{pf}\rho$, $\rho$ the density of the eigenvalues of M,
    which tends to $\alpha=\frac12+\frac1\pi(y\sqrt{1-y^2}+\arcsin y)$ with $y=f/E_\infty$, $E_\infty=2\sqrt{(p-1)/p}$.
Hypotheses:
    - p is at least 2
    - N is at least 3
Notation:
    ABC: $E_\infty$, and -E_∞ is the energy below which only points of finite index lie.
Why:
    By symmetry u may be a coordinate vector: $f=N^{-1/2}J_{1\dots1}$, g has the entries $pN^{-1/2}J_{1\dots1i}$ and A those
    $p(p-1)N^{-1/2}J_{1\dots1ij}$ less $pf\delta_{ij}$, of the symmetric part of J: different, independent entries, which
    are means of 1, p, and p(p-1) or p(p-1)/2 of the given ones.
Checked:
    At a random point of thousands of random energies: squares, the product of energy and trace, the share of negative
    curvatures of M - pe at a level e, and that of A times the energy, each with a band by the central limit theorem, of level
    1e-12. The prediction is the density at finite size. With more spins the share tends to the semicircle's.
Refuted by:
    One mean outside its band. The same check must refute a variance of M a fifth too small, four times that of the energy,
    and p/2 for p in what moves the spectrum.
Example:
    Seven spins, p = 3: the share of negative curvatures at the energy -0.5, exactly and in the limit.

    >>> [round(float(share(7, 3, np.array([-0.5]))[0]), 4), round(float(limit_share(3, -0.5)), 4)]
    [0.3017, 0.3082]
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_glasses import AUFFINGER_2013
from proofs_numeric.glasses.goe import density
from proofs_numeric.statistics.experiments import Experiment, in_terms, normal_band, sampled

ID = "index-energy"
NODES, FAR = 400, 8.0
"""Nodes of Gauss and Legendre of an integral of the density, and where that begins, in units in which its edge is sqrt 2."""


class GlassPoint(Experiment):
    """Energy, gradient and Hessian of one random energy at a random point."""

    size: int = eqx.field(static=True, kw_only=True)
    degree: int = eqx.field(static=True, kw_only=True)
    level: jax.Array = eqx.field(kw_only=True)

    def trial(self, key):
        """Return N f^2, |g|^2, |M|^2, f tr M, the share of negative curvatures of M - pe, and that of A times sqrt(N) f."""
        drawn, at = jax.random.split(key)
        n, p = self.size, self.degree
        tensor = nct.problems.symmetric_part(jax.random.normal(drawn, (n,) * p, jnp.float64))
        unit = jax.random.normal(at, (n,), jnp.float64)
        unit = unit / jnp.linalg.norm(unit)
        for _ in range(p - 2):
            tensor = tensor @ unit
        bent = tensor / math.sqrt(n)
        energy = unit @ bent @ unit
        gradient = p * (bent @ unit - energy * unit)
        # M across u, in a frame of the tangent space.
        frame = jnp.linalg.qr(jnp.concatenate([unit[:, None], jnp.eye(n)], axis=1)[:, :n])[0][:, 1:]
        matrix = p * (p - 1) * frame.T @ bent @ frame
        eigenvalues = jnp.linalg.eigvalsh(matrix)
        at_level, own = (jnp.mean((eigenvalues < p * one).astype(jnp.float64)) for one in (self.level, energy))
        products = (energy * jnp.trace(matrix), at_level, math.sqrt(n) * energy * own)
        return jnp.stack([n * energy**2, gradient @ gradient, jnp.sum(matrix**2), *products])


def draw_instances(key):
    """Draw levels of energy for two degrees and three dimensions."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for size, degree in ((3, 2), (7, 2), (3, 3), (7, 3), (5, 4)):
        edge = 2.0 * np.sqrt((degree - 1) / degree)
        for level in (rng.uniform(-0.6, -0.2), rng.uniform(0.2, 0.8)):
            problem = GlassPoint(blocks=64, block=256, size=size, degree=degree, level=jnp.asarray(level * edge))
            drawn.append(nct.Instance(problem, {"N": size, "p": degree, "level": float(level * edge)}))
    return drawn


def share(size, degree, energies, spread=1.0):
    """Return the share of eigenvalues of M below p times each energy, for odd N; `spread` multiplies the variances of M."""
    inner = size - 1
    # M is so many times a matrix whose entries have the variances (1 + delta)/(2 (N-1)).
    unit = np.sqrt(spread * 2.0 * degree * (degree - 1.0) * inner / size)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    upper = np.clip(degree * np.asarray(energies) / unit, -FAR, FAR)
    half = 0.5 * (upper + FAR)
    return np.array([h * weights @ density(inner, h * (1.0 + nodes) - FAR) for h in half]) / inner


def limit_share(degree, energy):
    """Return the share of negative curvatures in the limit, between plus and minus $E_\\infty$."""
    y = np.clip(energy / (2.0 * np.sqrt((degree - 1.0) / degree)), -1.0, 1.0)
    return 0.5 + (y * np.sqrt(1.0 - y**2) + np.arcsin(y)) / np.pi


class Prediction(NamedTuple):
    """Means of squares and of the first product, and of the share at a level and that times the energy."""

    squares: jax.Array
    shares: jax.Array


def predict_with(spread=1.0, energy=1.0, shift=1.0):
    """Predict by the formulas, or by a wrong version: of M's variances, of the energy's, or of what it moves."""

    def predict(problem):
        n, p, level = problem.size, problem.degree, shift * float(problem.level)
        inner = n - 1
        squares = jnp.array([energy, p * inner / n, spread * p * (p - 1) * inner * (inner + 1) / n, 0.0])
        # The energies are normal, of variance 1/N.
        places, weights = np.polynomial.hermite_e.hermegauss(80)
        energies = np.concatenate([[level], shift * places * np.sqrt(energy / n)])
        shares = share(n, p, energies, spread)
        return Prediction(squares, jnp.array([shares[0], (shares[1:] * places) @ weights / np.sqrt(2.0 * np.pi)]))

    return predict


def recorded(name, statement, part, predicted, resolution):
    """State that a record has these means."""

    def observed(problem, params):
        return params.mean[part]

    def terms(problem, params):
        return in_terms(params, normal_band(problem, params.variance[part]))

    return sampled(name, statement, observed, terms, predicted, resolution=resolution, of="thousands of disorders")


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: i.problem.degree >= 2, lambda i: i.problem.size >= 3),
        sources=(AUFFINGER_2013.remark("The joint law of energy, gradient and Hessian.", number="number unchecked"),),
        instances=draw_instances,
        predict=predict_with(),
        seeds=4,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            recorded("moments", r"Nf^2,\ |g|^2,\ |M|^2,\ f\,\mathrm{tr}M", slice(0, 4), lambda p: p.squares, 0.15),
            recorded("share at a level", r"\alpha_N(e)", slice(4, 5), lambda p: p.shares[:1], 0.3),
            recorded("share and energy", r"E\,\sqrt Nf\,\alpha_N(f)", slice(5, 6), lambda p: p.shares[1:], 0.5),
        ),
        controls=(
            nct.Control("narrower", "variances of M a fifth too small", predict_with(spread=0.8), claims=("moments",)),
            nct.Control(
                "energy", "an energy of four times the variance", predict_with(energy=4.0), claims=("moments",)
            ),
            nct.Control(
                "half",
                "p/2 for p in what moves the spectrum",
                predict_with(shift=0.5),
                claims=("share at a level", "share and energy"),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
