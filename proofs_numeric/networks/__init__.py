"""Laws of networks with nonlinear layers, which hold at every point of training."""
