"""Squared error with a free bias, classes of any sizes: singular values of the centred targets, soft-thresholded."""

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import TIRER_2022, ZHOU_2022

ID = "ufm-mse-bias-imbalanced"
# (counts, d): d above K-1, d = K-1 with tied directions, and d below the number of directions that can be on.
SHAPES = (((5, 3, 2, 1), 5), ((4, 4, 1, 1), 3))
NARROW = ((5, 3, 2, 1), 2)


def draw_instances(key):
    """For each shape: all directions on, N lambda within 3 % of each different sigma on either side, and far beyond."""
    rng = nct.generator(key)
    drawn = []
    for counts, dim in SHAPES:
        sigma = nct.class_target_spectrum(counts, reduced=True)[1]
        drawn.append(make(rng, counts, dim, sigma[-1] * 10 ** rng.uniform(-1.3, -0.3), "all on"))
        for i in np.flatnonzero(np.append(np.diff(sigma) < -1e-9 * sigma[0], True)):
            drawn.append(make(rng, counts, dim, sigma[i] * (1 - rng.uniform(0.01, 0.03)), "just on"))
            drawn.append(make(rng, counts, dim, sigma[i] * (1 + rng.uniform(0.01, 0.03)), "just off"))
    drawn.append(make(rng, *SHAPES[0], sigma[0] * rng.uniform(1.3, 2.0), "all off"))
    narrow = nct.class_target_spectrum(NARROW[0], reduced=True)[1]
    drawn.append(make(rng, *NARROW, narrow[-1] * rng.uniform(0.2, 0.6), "narrow"))
    drawn.append(make(rng, *NARROW, narrow[-1] * rng.uniform(0.6, 0.9), "narrow"))
    return drawn


def make(rng, counts, dim, threshold, regime):
    """The instance with N lambda = `threshold` and decays of a ratio between 1/4 and 4, but not near 1."""
    ratio = 10 ** (rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.6))
    product = (threshold / sum(counts)) ** 2
    decay = (float(np.sqrt(product * ratio)), float(np.sqrt(product / ratio)))
    problem = nct.unconstrained_features(counts=counts, dim=dim, loss="mse", weight_decay=decay, bias=0.0)
    shown = {"K": len(counts), "d": dim, "counts": "-".join(map(str, counts)), "N lambda": float(threshold)}
    return nct.Instance(problem, {**shown, "lambda_W": decay[0], "lambda_H": decay[1], "regime": regime})


def variant(on=lambda sigma, threshold: sigma > threshold, strength=nct.decay_strength, centred=True, rank=True):
    """The theorem with another rule for which directions are on, another lambda, or targets that are not centred."""

    def predict(problem):
        counts = np.asarray(problem.counts, dtype=float)
        samples, lam = counts.sum(), strength(problem)
        if centred:
            left, sigma, right = nct.class_target_spectrum(problem.counts, reduced=False)
        else:
            order = np.argsort(-counts, kind="stable")
            left, sigma = np.eye(counts.size)[:, order], np.sqrt(counts[order])
            right = np.asarray(problem.targets)[order] / sigma[:, None]
        alive = on(sigma, samples * lam) & (np.arange(sigma.size) < (problem.widths[0] if rank else sigma.size))
        singular = jnp.where(alive, sigma - samples * lam, 0.0)
        value = jnp.sum(jnp.where(alive, samples * lam**2 / 2 + lam * singular, sigma**2 / (2 * samples)))
        return nct.minimum_from_product(
            problem, (left * singular[None, :]) @ right, value, jnp.asarray(counts / samples), ID
        )

    return predict


def arithmetic(problem):
    """(lambda_W + lambda_H)/2 in the place of the geometric mean."""
    return 0.5 * jnp.sum(jnp.asarray(problem.weight_decay))


def uniform_bias(problem):
    """b = 1/K, as for balanced counts."""
    true = nct.imbalanced_squared_error_minimum(problem)
    return true._replace(bias=jnp.full((problem.classes,), 1.0 / problem.classes))


def alignment(problem, params):
    """H minus what W makes of the targets; zero where features and classifier are dual."""
    left, _, right = nct.class_target_spectrum(problem.counts, reduced=False)
    decay = jnp.asarray(problem.weight_decay)
    return params.features - jnp.sqrt(decay[0] / decay[1]) * params.weights[0].T @ jnp.asarray(left @ right)


def regime(*words):
    """Instances whose regime is one of `words`."""
    return lambda instance: instance.parameters["regime"] in words


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="Squared error, imbalanced, free bias: centred targets, soft-thresholded",
        statement=r"""For $f=\frac1{2N}|WH+b1^\top-Y|_F^2+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with counts
$n=(n_1,\dots,n_K)$ let $\lambda=\sqrt{\lambda_W\lambda_H}$, $D=\mathrm{diag}(n)$ and
$Y_c=Y-\frac1Nn1^\top=U\mathrm{diag}(\sigma)V^\top$, so that $\sigma_i^2$ are the $K-1$ non-zero eigenvalues of
$D-nn^\top/N$. Every global minimiser has $b=n/N$,
$WH=U\mathrm{diag}(s)V^\top$ with $s_i=(\sigma_i-N\lambda)_+$ for the $d$ largest $\sigma_i$ and $0$ for the others,
$WW^\top=\sqrt{\lambda_H/\lambda_W}\,U\mathrm{diag}(s)U^\top$, $H^\top H=\sqrt{\lambda_W/\lambda_H}\,V\mathrm{diag}(s)V^\top$,
$H=\sqrt{\lambda_W/\lambda_H}\,W^\top UV^\top$, and
$\min f=\sum_{s_i>0}(\frac N2\lambda^2+\lambda s_i)+\sum_{s_i=0}\frac{\sigma_i^2}{2N}$.""",
        hypotheses=(
            "any counts, K >= 2",
            "lambda_W, lambda_H > 0, free bias",
            "any d; where fewer than all sigma_i > N lambda fit into d, no tie of them at that cut",
        ),
        notation="lambda_W, lambda_H belong to the fit 1/(2N)|.|^2. U V^T = (Y_c Y_c^T)^{+1/2} Y_c.",
        sources=(
            TIRER_2022.remark(
                "Balanced counts, free bias. The closed form for any counts, its proof (nuclear norm and von Neumann's trace "
                "inequality) and the case of small d are our own; the abstract of arXiv:2411.17278 has the singular values."
            ),
            ZHOU_2022.remark("Balanced counts."),
        ),
        instances=draw_instances,
        predict=nct.imbalanced_squared_error_minimum,
        claims=(
            *nct.chain_claims(),
            nct.Claim("bias", r"b=n/N", lambda problem, params: params.bias, lambda m: m.bias),
            nct.Claim("alignment", r"H-\sqrt{\lambda_W/\lambda_H}W^\top UV^\top=0", alignment, lambda m: jnp.zeros(())),
        ),
        controls=(
            nct.Control(
                "threshold low",
                "off already from N lambda = 0.97 sigma on",
                variant(lambda sigma, threshold: sigma > threshold / 0.97),
                applies=regime("just on"),
            ),
            nct.Control(
                "threshold high",
                "on up to N lambda = 1.03 sigma, the formula continued",
                variant(lambda sigma, threshold: sigma > threshold / 1.03),
                applies=regime("just off"),
            ),
            nct.Control(
                "uncentred targets",
                "the eigenvalues n_k of D in the place of those of D - n n^T/N",
                variant(centred=False),
                claims=("value", "gram_weights"),
                applies=regime("all on", "just on"),
            ),
            nct.Control("arithmetic mean", "(lambda_W + lambda_H)/2 instead of lambda", variant(strength=arithmetic)),
            nct.Control(
                "never off",
                "every direction shrunk by N lambda, with its sign",
                variant(lambda sigma, threshold: sigma > 0),
                claims=("logits",),
            ),
            nct.Control("uniform bias", "b = 1/K", uniform_bias, claims=("bias",)),
            nct.Control(
                "rank beyond d",
                "directions beyond the feature dimension on",
                variant(rank=False),
                claims=("value",),
                applies=regime("narrow"),
            ),
        ),
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))
