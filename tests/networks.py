"""Networks on whitened inputs."""

import numpy as np

import nctheory as nct


def white_network(strengths, layers=2):
    """Square layers on the inputs sqrt(N) I, the correlation diagonal."""
    width = len(strengths)
    inputs = np.sqrt(width) * np.eye(width)
    return nct.deep_linear(
        widths=(width,) * (layers + 1),
        inputs=inputs,
        targets=np.diag(strengths) @ inputs,
        loss="mse",
        weight_decay=(0.0,) * layers,
    )
