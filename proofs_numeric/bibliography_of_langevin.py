"""The publications about stochastic processes that theorems cite, each once."""

import nctheory as nct

LIU_ZIYIN_UEDA_2021 = nct.Source(
    citation="Liu, Ziyin, Ueda: Noise and Fluctuation of Finite Learning Rate Stochastic Gradient Descent, ICML 2021, "
    "arXiv:2012.03636.",
    number="number unchecked",
    bibtex="""@inproceedings{liu2021noise,
  title={Noise and Fluctuation of Finite Learning Rate Stochastic Gradient Descent},
  author={Liu, Kangqiao and Ziyin, Liu and Ueda, Masahito},
  booktitle={International Conference on Machine Learning},
  year={2021}
}""",
)

LEIMKUHLER_MATTHEWS_2013 = nct.Source(
    citation="Leimkuhler, Matthews: Rational Construction of Stochastic Numerical Methods for Molecular Sampling, Applied "
    "Mathematics Research eXpress 2013.",
    number="number unchecked",
    bibtex="""@article{leimkuhler2013rational,
  title={Rational Construction of Stochastic Numerical Methods for Molecular Sampling},
  author={Leimkuhler, Benedict and Matthews, Charles},
  journal={Applied Mathematics Research eXpress},
  year={2013}
}""",
)

BAITY_JESI_2018 = nct.Source(
    citation="Baity-Jesi, Sagun, Geiger, Spigler, Ben Arous, Cammarota, LeCun, Wyart, Biroli: Comparing Dynamics: Deep Neural "
    "Networks versus Glassy Systems, ICML 2018.",
    number="number unchecked",
    bibtex="""@inproceedings{baityjesi2018comparing,
  title={Comparing Dynamics: Deep Neural Networks versus Glassy Systems},
  author={Baity-Jesi, Marco and Sagun, Levent and Geiger, Mario and Spigler, Stefano and Ben Arous, G{\\'e}rard and
    Cammarota, Chiara and LeCun, Yann and Wyart, Matthieu and Biroli, Giulio},
  booktitle={International Conference on Machine Learning},
  year={2018}
}""",
)

LAURENT_MASSART_2000 = nct.Source(
    citation="Laurent, Massart: Adaptive Estimation of a Quadratic Functional by Model Selection, Annals of Statistics 2000.",
    number="Lemma 1 from memory, number unchecked",
    bibtex="""@article{laurent2000adaptive,
  title={Adaptive Estimation of a Quadratic Functional by Model Selection},
  author={Laurent, B{\\'e}atrice and Massart, Pascal},
  journal={Annals of Statistics},
  year={2000}
}""",
)
