"""How the classes of features tell what a nearest-mean classifier does on new samples: bounds at every point of training."""
