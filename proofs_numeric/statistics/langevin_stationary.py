r"""Stationary laws of Langevin chains on quadratic forms, step sizes included.

A stochastic process in finite steps settles in another law than the process in continuous time. On a quadratic form both are
normal and known exactly: unadjusted Langevin steps are too wide, gradient descent with noise is wide where the step is large,
and of the splittings of the underdamped equation some have exact positions. How far a chain moves between two times tells
whether it is stationary: then it depends on their difference alone.

Problem:
    $f=\frac12x^\top Ax$ with A positive definite. Overdamped: $x\leftarrow x-\eta Ax+\sqrt{2\eta T}\,\xi$. Gradient noise:
    $x\leftarrow x-\eta(Ax+C^{1/2}\xi)$. Underdamped: splittings of $dx=p\,dt$, $dp=-(Ax+\gamma p)dt+\sqrt{2\gamma T}\,dW$
    into drift A, kick B and thermostat O with steps h. The displacement is $\Delta(w,l)=E|x_{w+l}-x_w|^2$.
Theorem (Liu, Ziyin and Ueda 2021, Leimkuhler and Matthews 2013, numbers unchecked; all forms derived in our words):
    For $\eta A\prec2$ and $h^2A\prec4$ the chains settle in normal laws. Overdamped: $\Sigma=T(A-\frac12\eta A^2)^{-1}$, of
    which $TA^{-1}$ is the limit $\eta\to0$. Gradient noise: $A\Sigma+\Sigma A-\eta A\Sigma A=\eta C$, and $2T+\eta C$ for
    both noises together. With $\kappa=\frac14h^2A$ positions and momenta are independent, of covariances $TA^{-1}$,
    $T(1-\kappa)$ (BAOAB); $TA^{-1}$, $T(1-\kappa)^{-1}$ (ABOBA); $TA^{-1}(1-\kappa)^{-1}$, T (OBABO);
    $TA^{-1}(1-\kappa)$, T (OABAO). An overdamped chain from $x_0$ has, with $m_i=1-\eta a_i$ and
    $v_i(w)=x_{0,i}^2m_i^{2w}+2\eta T\frac{1-m_i^{2w}}{1-m_i^2}$, $\Delta(w,l)=\sum_i
    (1-m_i^l)^2v_i(w)+2\eta T\frac{1-m_i^{2l}}{1-m_i^2}$; for $\eta\to0$ at fixed times $t_w,t$ it is $\sum_i(1-e^{-a_it})^2
    v_i(t_w)+\frac T{a_i}(1-e^{-2a_it})$, $v_i(t_w)=x_{0,i}^2e^{-2a_it_w}+\frac T{a_i}(1-e^{-2a_it_w})$. Where the $a_i$ are
    distinct, it does not depend on w if and only if $v_i(0)=v_i(\infty)$ for every i.
Hypotheses:
    - a positive definite form
    - a step below 2/L, or h^2 below 4/L, with the largest curvature L
    - positive temperature and friction
Notation:
    Baity-Jesi et al.: the displacement is divided by the number of parameters. Liu, Ziyin and Ueda: K for A, $\lambda$ for
    $\eta$.
Why:
    $x\leftarrow Mx+q$ keeps $\Sigma=M\Sigma M^\top+Q$; with $M=1-\eta A$ that is the equation. Between two thermostats OBABO
    is a leapfrog step, which conserves $\frac12p^2+\frac12(1-\kappa)ax^2$, and the thermostat keeps a normal p of variance T;
    the others follow from it, or from the step that drifts first, by half a step. $x_{w+l}-x_w=(m^l-1)x_w$ and the noise
    since, which is independent of $x_w$; and $v(w)-v(\infty)=m^{2w}(v(0)-v(\infty))$, where powers of distinct numbers are
    linearly independent.
Checked:
    16,384 chains of the library's own step are averaged over chains and over 96 of 192 steps; the bands are those of
    quadratic forms of normal vectors (level 1e-12, no central limit), at correlations computed by recursion. The same moments
    are iterated as matrices over 2^14 steps, from random ones, and agree with every closed form to rounding; the limits of
    small steps are extrapolated from nine halvings. The first is sampled, with a resolution in norm of 2 per cent (momenta 16,
    displacements 5), the rest exact.
Refuted by:
    A record outside its band, or a recursion that ends elsewhere. The same check must refute the law of the flow in place of
    the chain's, half the temperature, half of C or none of it, the equation without $A\Sigma A$, the splittings exchanged,
    momenta of variance T, displacements that forget the waiting time, have half the noise or are the flow's, and a start
    that is not stationary.
Example:
    The variances of an overdamped chain at step 0.5, and of the flow, for curvatures 1 and 3.

    >>> from proofs_numeric.statistics.langevin_moments import stationary
    >>> a, two = jnp.asarray([1.0, 3.0]), jnp.eye(2)
    >>> [[round(float(x), 4) for x in jnp.diag(stationary("overdamped", a, step, 1.0, two)[0])] for step in (0.5, 0.0)]
    [[1.3333, 1.3333], [1.0, 0.3333]]
"""

import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography_of_langevin import (
    BAITY_JESI_2018,
    LAURENT_MASSART_2000,
    LEIMKUHLER_MATTHEWS_2013,
    LIU_ZIYIN_UEDA_2021,
)
from proofs_numeric.statistics import langevin_chains as chains
from proofs_numeric.statistics.experiments import sampled
from proofs_numeric.statistics.langevin_chains import predict_with
from proofs_numeric.statistics.langevin_ring import flow, of_flow, recursion, stationarity, two_times

ID = "langevin-stationary"
RECORD = "16,384 chains"
KINDS = (
    *(("overdamped", product) for product in (0.6, 1.1, 1.6)),
    *((kind, product) for kind in ("sgd", "sgld") for product in (1.1, 1.6)),
    *(("BAOAB", 2.5), ("ABOBA", 2.0), ("OBABO", 2.0), ("OABAO", 2.5)),
)
"""Processes, with the largest curvature times the step, or for splittings times its square."""


def draw_instances(key):
    """Draw a form, a temperature and a noise for every process."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for kind, product in KINDS:
        problem = chains.form_of(rng, kind, product)
        shown = {"process": kind, "L eta or L h^2": product, "T": float(problem.temperature)}
        drawn.append(nct.Instance(problem, shown))
    return drawn


def cold_momenta(problem):
    """Predict momenta of variance T."""
    thermal = problem.temperature * jnp.eye(chains.DIM)
    return predict_with()(problem)._replace(momenta=chains.in_units(problem, thermal, True))


def continuous(problem):
    """Predict the solution of the equation without its last term."""
    a = problem.curvature
    found = problem.step_size * problem.noise / (a[:, None] + a[None, :])
    return predict_with()(problem)._replace(covariance=chains.in_units(problem, found))


def moved_as_flow(problem):
    """Predict the displacements of the flow at the times of the steps."""
    moved = of_flow(problem)[chains.DIM :].reshape(len(chains.WAITS), len(chains.LAGS))
    return predict_with()(problem)._replace(displacement=moved / chains.true_displacement(problem))


def of_kind(*kinds, least=0.0):
    """Tell whether an instance is of one of these processes, with a product of at least so much."""
    return lambda i: i.problem.kind in kinds and i.parameters["L eta or L h^2"] >= least


SPLITTINGS = ("BAOAB", "ABOBA", "OBABO", "OABAO")
EXCHANGED = {"BAOAB": "OBABO", "ABOBA": "OABAO", "OBABO": "BAOAB", "OABAO": "ABOBA"}
overdamped, with_noise, split = of_kind("overdamped"), of_kind("sgd"), of_kind(*SPLITTINGS)


def stable(instance):
    """Tell whether the step is below the limit."""
    problem = instance.problem
    largest = float(jnp.max(problem.curvature))
    size = float(problem.step_size)
    return size**2 * largest < 4.0 if problem.underdamped else size * largest < 2.0


def thermal(instance):
    """Tell whether the noise is that of a temperature alone."""
    return instance.problem.kind not in ("sgd", "sgld")


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: float(jnp.min(i.problem.curvature)) > 0,
            stable,
            lambda i: min(float(i.problem.temperature), float(i.problem.friction)) > 0,
        ),
        sources=(
            LIU_ZIYIN_UEDA_2021.remark("The equation of gradient noise; known by its abstract, derived in our words."),
            LEIMKUHLER_MATTHEWS_2013.remark("Of BAOAB exact positions; the momenta and the others are derived here."),
            BAITY_JESI_2018.remark("The displacement; their ageing is measured and no theorem."),
            LAURENT_MASSART_2000.remark("The band of a sum of weighted squares; nothing of the theorem is from there."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=4,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            sampled(
                "covariance", r"E\,xx^\top", chains.covariance, chains.covariance_terms, lambda p: p.covariance,
                resolution=0.04, of=RECORD,
            ),
            sampled(
                "momenta", r"E\,pp^\top", chains.momenta, chains.momenta_terms, lambda p: p.momenta,
                applies=split, resolution=0.25, of="the last momenta of " + RECORD,
            ),
            sampled(
                "displacement", r"\Delta(w,l)", chains.displacement, chains.displacement_terms, lambda p: p.displacement,
                applies=overdamped, resolution=0.08, of=RECORD,
            ),
            recursion(),
            two_times(applies=overdamped),
            flow(applies=overdamped),
            stationarity(applies=overdamped),
        ),
        controls=(
            nct.Control(
                "law of the flow", "T/a for the chain's", predict_with(step_size=lambda p: 0.0 * p.step_size),
                claims=("covariance",), applies=of_kind("overdamped", least=0.9),
            ),
            nct.Control(
                "half the temperature", "T/2 for T", predict_with(temperature=lambda p: 0.5 * p.temperature),
                claims=("covariance",), applies=thermal,
            ),
            nct.Control(
                "half of C", "C/2 for C", predict_with(noise=lambda p: 0.5 * p.noise),
                claims=("covariance",), applies=with_noise,
            ),
            nct.Control(
                "noise of the gradient forgotten", "the thermal law for stochastic gradients",
                predict_with(kind=lambda p: "overdamped"), claims=("covariance",), applies=of_kind("sgld"),
            ),
            nct.Control(
                "without A Sigma A", "the equation of continuous time", continuous,
                claims=("covariance",), applies=of_kind("sgd", least=0.9),
            ),
            nct.Control(
                "splittings exchanged", "OBABO for BAOAB", predict_with(kind=lambda p: EXCHANGED[p.kind]),
                claims=("covariance",), applies=split,
            ),
            nct.Control(
                "momenta of variance T", "T for T(1-kappa)", cold_momenta,
                claims=("momenta",), applies=of_kind("BAOAB", "ABOBA"),
            ),
            nct.Control(
                "waiting time forgotten", "v(infinity) for v(w)", predict_with(waited=False),
                claims=("displacement",), applies=overdamped,
            ),
            nct.Control(
                "half the noise", "eta T for 2 eta T", predict_with(loud=1.0),
                claims=("displacement",), applies=overdamped,
            ),
            nct.Control(
                "displacement of the flow", "exp(-eta a) for 1 - eta a", moved_as_flow,
                claims=("displacement",), applies=of_kind("overdamped", least=1.3),
            ),
            nct.Control(
                "1e-6 hot", "temperature and noise larger by a relative 1e-6",
                predict_with(temperature=lambda p: 1.000001 * p.temperature, noise=lambda p: 1.000001 * p.noise),
                claims=("recursion",),
            ),
            nct.Control("1e-6 loud", "a noise larger by a relative 1e-6", versions=(two_times(2.000002),), applies=overdamped),
            nct.Control(
                "step left in", "a - eta a^2/2 for a in the limit", versions=(flow(0.5),), applies=overdamped,
            ),
            nct.Control(
                "not settled", "a start that is a thousandth wide", versions=(stationarity(1e-3),), applies=overdamped,
            ),
        ),
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
