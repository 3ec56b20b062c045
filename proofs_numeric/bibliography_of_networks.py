"""The publications about linear networks and about paths that more than one theorem cites, each once."""

import nctheory as nct

ARORA_2018 = nct.Source(
    citation="Arora, Cohen, Hazan: On the Optimization of Deep Networks: Implicit Acceleration by Overparameterization, "
    "ICML 2018.",
    number="number unchecked",
    bibtex="""@inproceedings{arora2018optimization,
  title={On the Optimization of Deep Networks: Implicit Acceleration by Overparameterization},
  author={Arora, Sanjeev and Cohen, Nadav and Hazan, Elad},
  booktitle={International Conference on Machine Learning},
  year={2018}
}""",
)

DU_2018 = nct.Source(
    citation="Du, Hu, Lee: Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are Automatically "
    "Balanced, NeurIPS 2018.",
    number="number unchecked",
    bibtex="""@inproceedings{du2018algorithmic,
  title={Algorithmic Regularization in Learning Deep Homogeneous Models: Layers are Automatically Balanced},
  author={Du, Simon S. and Hu, Wei and Lee, Jason D.},
  booktitle={Advances in Neural Information Processing Systems},
  year={2018}
}""",
)

JACOT_2025 = nct.Source(
    citation="Jacot, Sukenik, Wang, Mondelli: Wide Neural Networks Trained with Weight Decay Provably Exhibit Neural "
    "Collapse, ICLR 2025.",
    number="number unchecked",
    bibtex="""@inproceedings{jacot2025wide,
  title={Wide Neural Networks Trained with Weight Decay Provably Exhibit Neural Collapse},
  author={Jacot, Arthur and S{\\'u}ken{\\'i}k, Peter and Wang, Zihan and Mondelli, Marco},
  booktitle={International Conference on Learning Representations},
  year={2025}
}""",
)

KAWAGUCHI_2016 = nct.Source(
    citation="Kawaguchi: Deep Learning without Poor Local Minima, NeurIPS 2016.",
    number="number unchecked",
    bibtex="""@inproceedings{kawaguchi2016deep,
  title={Deep Learning without Poor Local Minima},
  author={Kawaguchi, Kenji},
  booktitle={Advances in Neural Information Processing Systems},
  year={2016}
}""",
)

ACHOUR_2024 = nct.Source(
    citation="Achour, Malgouyres, Gerchinovitz: The Loss Landscape of Deep Linear Neural Networks: a Second-order Analysis, "
    "JMLR 25(242), 2024.",
    number="number unchecked",
    bibtex="""@article{achour2024loss,
  title={The Loss Landscape of Deep Linear Neural Networks: a Second-order Analysis},
  author={Achour, El Mehdi and Malgouyres, Fran{\\c{c}}ois and Gerchinovitz, S{\\'e}bastien},
  journal={Journal of Machine Learning Research},
  volume={25},
  number={242},
  year={2024}
}""",
)

LAURENT_2018 = nct.Source(
    citation="Laurent, von Brecht: Deep Linear Networks with Arbitrary Loss: All Local Minima Are Global, ICML 2018.",
    number="number unchecked",
    bibtex="""@inproceedings{laurent2018deep,
  title={Deep Linear Networks with Arbitrary Loss: All Local Minima Are Global},
  author={Laurent, Thomas and von Brecht, James},
  booktitle={International Conference on Machine Learning},
  year={2018}
}""",
)

HAEFFELE_2015 = nct.Source(
    citation="Haeffele, Vidal: Global Optimality in Tensor Factorization, Deep Learning, and Beyond, arXiv:1506.07540, 2015.",
    number="number unchecked",
    bibtex="""@article{haeffele2015global,
  title={Global Optimality in Tensor Factorization, Deep Learning, and Beyond},
  author={Haeffele, Benjamin D. and Vidal, Ren{\\'e}},
  journal={arXiv preprint arXiv:1506.07540},
  year={2015}
}""",
)

SAXE_2014 = nct.Source(
    citation="Saxe, McClelland, Ganguli: Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Networks, "
    "ICLR 2014.",
    number="number unchecked",
    bibtex="""@inproceedings{saxe2014exact,
  title={Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks},
  author={Saxe, Andrew M. and McClelland, James L. and Ganguli, Surya},
  booktitle={International Conference on Learning Representations},
  year={2014}
}""",
)

BRAUN_2022 = nct.Source(
    citation="Braun, Dominé, Fitzgerald, Saxe: Exact Learning Dynamics of Deep Linear Networks with Prior Knowledge, "
    "NeurIPS 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{braun2022exact,
  title={Exact Learning Dynamics of Deep Linear Networks with Prior Knowledge},
  author={Braun, Lukas and Domin{\\'e}, Cl{\\'e}mentine and Fitzgerald, James and Saxe, Andrew},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)

FUKUMIZU_1998 = nct.Source(
    citation="Fukumizu: Effect of Batch Learning in Multilayer Neural Networks, ICONIP 1998.",
    number="number unchecked",
    bibtex="""@inproceedings{fukumizu1998effect,
  title={Effect of Batch Learning in Multilayer Neural Networks},
  author={Fukumizu, Kenji},
  booktitle={International Conference on Neural Information Processing},
  year={1998}
}""",
)

YARAS_2023 = nct.Source(
    citation="Yaras, Wang, Hu, Zhu, Balzano, Qu: The Law of Parsimony in Gradient Descent for Learning Deep Linear "
    "Networks, 2023.",
    number="number unchecked",
    bibtex="""@article{yaras2023law,
  title={The Law of Parsimony in Gradient Descent for Learning Deep Linear Networks},
  author={Yaras, Can and Wang, Peng and Hu, Wei and Zhu, Zhihui and Balzano, Laura and Qu, Qing},
  journal={arXiv preprint},
  year={2023}
}""",
)

WANG_2025 = nct.Source(
    citation="Wang, Li, Yaras, Zhu, Balzano, Hu, Qu: Understanding Deep Representation Learning via Layerwise Feature "
    "Compression and Discrimination, JMLR 2025.",
    number="number unchecked",
    bibtex="""@article{wang2025understanding,
  title={Understanding Deep Representation Learning via Layerwise Feature Compression and Discrimination},
  author={Wang, Peng and Li, Xiao and Yaras, Can and Zhu, Zhihui and Balzano, Laura and Hu, Wei and Qu, Qing},
  journal={Journal of Machine Learning Research},
  year={2025}
}""",
)

HAN_2022 = nct.Source(
    citation="Han, Papyan, Donoho: Neural Collapse Under MSE Loss: Proximity to and Dynamics on the Central Path, ICLR 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{han2022neural,
  title={Neural Collapse Under {MSE} Loss: Proximity to and Dynamics on the Central Path},
  author={Han, X. Y. and Papyan, Vardan and Donoho, David L.},
  booktitle={International Conference on Learning Representations},
  year={2022}
}""",
)

JI_2022 = nct.Source(
    citation="Ji, Lu, Zhang, Deng, Su: An Unconstrained Layer-Peeled Perspective on Neural Collapse, ICLR 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{ji2022unconstrained,
  title={An Unconstrained Layer-Peeled Perspective on Neural Collapse},
  author={Ji, Wenlong and Lu, Yiping and Zhang, Yiliang and Deng, Zhun and Su, Weijie J.},
  booktitle={International Conference on Learning Representations},
  year={2022}
}""",
)

MIXON_2020 = nct.Source(
    citation="Mixon, Parshall, Pi: Neural Collapse with Unconstrained Features, 2020.",
    number="number unchecked",
    bibtex="""@article{mixon2020neural,
  title={Neural Collapse with Unconstrained Features},
  author={Mixon, Dustin G. and Parshall, Hans and Pi, Jianzong},
  journal={arXiv preprint arXiv:2011.11619},
  year={2020}
}""",
)

POLYAK_1963 = nct.Source(
    citation="Polyak: Gradient Methods for the Minimisation of Functionals, USSR Computational Mathematics and Mathematical "
    "Physics 3(4), 1963.",
    number="number unchecked",
    bibtex="""@article{polyak1963gradient,
  title={Gradient Methods for the Minimisation of Functionals},
  author={Polyak, Boris T.},
  journal={USSR Computational Mathematics and Mathematical Physics},
  volume={3},
  number={4},
  year={1963}
}""",
)

GALANTI_2025 = nct.Source(
    citation="Galanti, Siegel, Gupte, Poggio: SGD and Weight Decay Secretly Minimize the Rank of Your Neural Network, "
    "CPAL 2025.",
    number="number unchecked",
    bibtex="""@inproceedings{galanti2025sgd,
  title={{SGD} and Weight Decay Secretly Minimize the Rank of Your Neural Network},
  author={Galanti, Tomer and Siegel, Zachary S. and Gupte, Aparna and Poggio, Tomaso},
  booktitle={Conference on Parsimony and Learning},
  year={2025}
}""",
)

ZANGRANDO_2024 = nct.Source(
    citation="Zangrando, Deidda, Brugiapaglia, Guglielmi, Tudisco: Provable Emergence of Deep Neural Collapse and Low-Rank "
    "Bias in L^2-Regularized Nonlinear Networks, arXiv:2402.03991, 2024.",
    number="number unchecked",
    bibtex="""@article{zangrando2024provable,
  title={Provable Emergence of Deep Neural Collapse and Low-Rank Bias in {$L^2$}-Regularized Nonlinear Networks},
  author={Zangrando, Emanuele and Deidda, Piero and Brugiapaglia, Simone and Guglielmi, Nicola and Tudisco, Francesco},
  journal={arXiv preprint arXiv:2402.03991},
  year={2024}
}""",
)

ZHAO_2026 = nct.Source(
    citation="Zhao, Cheng, Masarczyk, Lucchi: Optimizer Choice Matters for the Emergence of Neural Collapse, ICLR 2026.",
    number="number unchecked",
    bibtex="""@inproceedings{zhao2026optimizer,
  title={Optimizer Choice Matters for the Emergence of Neural Collapse},
  author={Zhao, Jim and Cheng, Tin Sum and Masarczyk, Wojciech and Lucchi, Aurelien},
  booktitle={International Conference on Learning Representations},
  year={2026}
}""",
)

SELEZNOVA_2023 = nct.Source(
    citation="Seleznova, Weitzner, Giryes, Kutyniok, Chou: Neural (Tangent Kernel) Collapse, NeurIPS 2023, arXiv:2305.16427.",
    number="number unchecked",
    bibtex="""@inproceedings{seleznova2023neural,
  title={Neural (Tangent Kernel) Collapse},
  author={Seleznova, Mariia and Weitzner, Dana and Giryes, Raja and Kutyniok, Gitta and Chou, Hung-Hsu},
  booktitle={Advances in Neural Information Processing Systems},
  year={2023}
}""",
)

MARCOTTE_2025 = nct.Source(
    citation="Marcotte, Gribonval, Peyré: Transformative or Conservative? Conservation Laws for ResNets and Transformers, "
    "ICML 2025.",
    number="number unchecked",
    bibtex="""@inproceedings{marcotte2025transformative,
  title={Transformative or Conservative? {Conservation} Laws for {ResNets} and {Transformers}},
  author={Marcotte, Sibylle and Gribonval, R{\\'e}mi and Peyr{\\'e}, Gabriel},
  booktitle={International Conference on Machine Learning},
  year={2025}
}""",
)
