"""The publications about Bayesian networks and ensembles that theorems cite, each once."""

import nctheory as nct

HANIN_ZLOKAPA_2023 = nct.Source(
    citation="Hanin, Zlokapa: Bayesian interpolation with deep linear networks, PNAS 2023, arXiv:2212.14457.",
    number="number unchecked",
    bibtex="""@article{hanin2023bayesian,
  title={Bayesian interpolation with deep linear networks},
  author={Hanin, Boris and Zlokapa, Alexander},
  journal={Proceedings of the National Academy of Sciences},
  year={2023}
}""",
)

LI_SOMPOLINSKY_2021 = nct.Source(
    citation="Li, Sompolinsky: Statistical Mechanics of Deep Linear Neural Networks: The Backpropagating Kernel "
    "Renormalization, Physical Review X 2021.",
    number="number unchecked",
    bibtex="""@article{li2021statistical,
  title={Statistical Mechanics of Deep Linear Neural Networks: The Backpropagating Kernel Renormalization},
  author={Li, Qianyi and Sompolinsky, Haim},
  journal={Physical Review X},
  year={2021}
}""",
)

MAURER_PONTIL_2009 = nct.Source(
    citation="Maurer, Pontil: Empirical Bernstein Bounds and Sample Variance Penalization, COLT 2009.",
    number="number unchecked",
    bibtex="""@inproceedings{maurer2009empirical,
  title={Empirical {Bernstein} Bounds and Sample Variance Penalization},
  author={Maurer, Andreas and Pontil, Massimiliano},
  booktitle={Conference on Learning Theory},
  year={2009}
}""",
    note="The band of a mean of bounded numbers; nothing of the theorem is from there.",
)

HASTIE_2022 = nct.Source(
    citation="Hastie, Montanari, Rosset, Tibshirani: Surprises in High-Dimensional Ridgeless Least Squares Interpolation, "
    "Annals of Statistics 2022.",
    number="number unchecked",
    bibtex="""@article{hastie2022surprises,
  title={Surprises in High-Dimensional Ridgeless Least Squares Interpolation},
  author={Hastie, Trevor and Montanari, Andrea and Rosset, Saharon and Tibshirani, Ryan J.},
  journal={Annals of Statistics},
  year={2022}
}""",
)

EDELMAN_1988 = nct.Source(
    citation="Edelman: Eigenvalues and Condition Numbers of Random Matrices, SIAM Journal on Matrix Analysis and "
    "Applications 1988.",
    number="number unchecked",
    bibtex="""@article{edelman1988eigenvalues,
  title={Eigenvalues and Condition Numbers of Random Matrices},
  author={Edelman, Alan},
  journal={SIAM Journal on Matrix Analysis and Applications},
  year={1988}
}""",
)

DOBRIBAN_WAGER_2018 = nct.Source(
    citation="Dobriban, Wager: High-Dimensional Asymptotics of Prediction: Ridge Regression and Classification, "
    "Annals of Statistics 2018.",
    number="number unchecked",
    bibtex="""@article{dobriban2018high,
  title={High-Dimensional Asymptotics of Prediction: Ridge Regression and Classification},
  author={Dobriban, Edgar and Wager, Stefan},
  journal={Annals of Statistics},
  year={2018}
}""",
)

WANG_ZIYIN_2022 = nct.Source(
    citation="Wang, Ziyin: Posterior Collapse of a Linear Latent Variable Model, NeurIPS 2022, arXiv:2205.04009.",
    number="number unchecked",
    bibtex="""@inproceedings{wang2022posterior,
  title={Posterior Collapse of a Linear Latent Variable Model},
  author={Wang, Zihao and Ziyin, Liu},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)

CHO_SAUL_2009 = nct.Source(
    citation="Cho, Saul: Kernel Methods for Deep Learning, NeurIPS 2009.",
    number="number unchecked",
    bibtex="""@inproceedings{cho2009kernel,
  title={Kernel Methods for Deep Learning},
  author={Cho, Youngmin and Saul, Lawrence K.},
  booktitle={Advances in Neural Information Processing Systems},
  year={2009}
}""",
)

HAYOU_2019 = nct.Source(
    citation="Hayou, Doucet, Rousseau: On the Impact of the Activation Function on Deep Neural Networks Training, ICML 2019.",
    number="number unchecked",
    bibtex="""@inproceedings{hayou2019impact,
  title={On the Impact of the Activation Function on Deep Neural Networks Training},
  author={Hayou, Soufiane and Doucet, Arnaud and Rousseau, Judith},
  booktitle={International Conference on Machine Learning},
  year={2019}
}""",
)

VALLET_1989 = nct.Source(
    citation="Vallet: The Hebb Rule for Learning Linearly Separable Boolean Functions: Learning and Generalization, "
    "Europhysics Letters 1989.",
    number="number unchecked",
    bibtex="""@article{vallet1989hebb,
  title={The {Hebb} Rule for Learning Linearly Separable {Boolean} Functions: Learning and Generalization},
  author={Vallet, Fran{\\c{c}}oise},
  journal={Europhysics Letters},
  year={1989}
}""",
)

GYORGYI_1990 = nct.Source(
    citation="Györgyi, Tishby: Statistical Theory of Learning a Rule, in: Neural Networks and Spin Glasses, World Scientific "
    "1990.",
    number="number unchecked",
    bibtex="""@incollection{gyorgyi1990statistical,
  title={Statistical Theory of Learning a Rule},
  author={Gy{\\"o}rgyi, G{\\'e}za and Tishby, Naftali},
  booktitle={Neural Networks and Spin Glasses},
  publisher={World Scientific},
  year={1990}
}""",
)

OPPER_1991 = nct.Source(
    citation="Opper, Haussler: Generalization Performance of Bayes Optimal Classification Algorithm for Learning a "
    "Perceptron, Physical Review Letters 1991.",
    number="number unchecked",
    bibtex="""@article{opper1991generalization,
  title={Generalization Performance of {Bayes} Optimal Classification Algorithm for Learning a Perceptron},
  author={Opper, Manfred and Haussler, David},
  journal={Physical Review Letters},
  year={1991}
}""",
)

PAKMAN_2014 = nct.Source(
    citation="Pakman, Paninski: Exact Hamiltonian Monte Carlo for Truncated Multivariate Gaussians, Journal of Computational "
    "and Graphical Statistics 2014.",
    number="number unchecked",
    bibtex="""@article{pakman2014exact,
  title={Exact {Hamiltonian} {Monte} {Carlo} for Truncated Multivariate {Gaussians}},
  author={Pakman, Ari and Paninski, Liam},
  journal={Journal of Computational and Graphical Statistics},
  year={2014}
}""",
)

LEVI_2024 = nct.Source(
    citation="Levi, Beck, Bar-Sinai: Grokking in Linear Estimators: A Solvable Model that Groks without Understanding, "
    "ICLR 2024, arXiv:2310.16441.",
    number="number unchecked",
    bibtex="""@inproceedings{levi2024grokking,
  title={Grokking in Linear Estimators: A Solvable Model that Groks without Understanding},
  author={Levi, Noam and Beck, Alon and Bar-Sinai, Yohai},
  booktitle={International Conference on Learning Representations},
  year={2024}
}""",
)

MARCHENKO_PASTUR_1967 = nct.Source(
    citation="Marchenko, Pastur: Distribution of Eigenvalues for Some Sets of Random Matrices, Mathematics of the "
    "USSR-Sbornik 1967.",
    number="number unchecked",
    bibtex="""@article{marchenko1967distribution,
  title={Distribution of Eigenvalues for Some Sets of Random Matrices},
  author={Marchenko, V. A. and Pastur, L. A.},
  journal={Mathematics of the USSR-Sbornik},
  year={1967}
}""",
)
