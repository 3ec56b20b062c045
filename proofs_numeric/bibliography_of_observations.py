"""The publications whose empirical claims are observed, each once."""

import nctheory as nct

PAPYAN_2020 = nct.Source(
    citation="Papyan, Han, Donoho: Prevalence of Neural Collapse during the Terminal Phase of Deep Learning Training, PNAS "
    "2020.",
    number="number unchecked",
    bibtex="""@article{papyan2020prevalence,
  title={Prevalence of Neural Collapse during the Terminal Phase of Deep Learning Training},
  author={Papyan, Vardan and Han, X. Y. and Donoho, David L.},
  journal={Proceedings of the National Academy of Sciences},
  year={2020}
}""",
)

HE_2023 = nct.Source(
    citation="He, Su: A Law of Data Separation in Deep Learning, PNAS 2023.",
    number="number unchecked",
    bibtex="""@article{he2023law,
  title={A Law of Data Separation in Deep Learning},
  author={He, Hangfeng and Su, Weijie J.},
  journal={Proceedings of the National Academy of Sciences},
  year={2023}
}""",
)

RANGAMANI_2023 = nct.Source(
    citation="Rangamani, Lindegaard, Galanti, Poggio: Feature Learning in Deep Classifiers through Intermediate Neural "
    "Collapse, ICML 2023.",
    number="number unchecked",
    bibtex="""@inproceedings{rangamani2023feature,
  title={Feature Learning in Deep Classifiers through Intermediate Neural Collapse},
  author={Rangamani, Akshay and Lindegaard, Marius and Galanti, Tomer and Poggio, Tomaso A.},
  booktitle={International Conference on Machine Learning},
  year={2023}
}""",
)

HUH_2023 = nct.Source(
    citation="Huh, Mobahi, Zhang, Cheung, Agrawal, Isola: The Low-Rank Simplicity Bias in Deep Networks, TMLR 2023.",
    number="number unchecked",
    bibtex="""@article{huh2023lowrank,
  title={The Low-Rank Simplicity Bias in Deep Networks},
  author={Huh, Minyoung and Mobahi, Hossein and Zhang, Richard and Cheung, Brian and Agrawal, Pulkit and Isola, Phillip},
  journal={Transactions on Machine Learning Research},
  year={2023}
}""",
)

SUKENIK_2024 = nct.Source(
    citation="Sukenik, Lampert, Mondelli: Neural Collapse versus Low-Rank Bias: Is Deep Neural Collapse Really Optimal?, "
    "NeurIPS 2024.",
    number="number unchecked",
    bibtex="""@inproceedings{sukenik2024neural,
  title={Neural Collapse versus Low-Rank Bias: Is Deep Neural Collapse Really Optimal?},
  author={S{\\'u}ken{\\'i}k, Peter and Lampert, Christoph and Mondelli, Marco},
  booktitle={Advances in Neural Information Processing Systems},
  year={2024}
}""",
)
