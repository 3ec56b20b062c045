"""The publications that more than one theorem cites, each once."""

import nctheory as nct

ZHU_2021 = nct.Source(
    citation="Zhu, Ding, Zhou, Li, You, Sulam, Qu: A Geometric Analysis of Neural Collapse with Unconstrained Features, "
    "NeurIPS 2021.",
    number="number unchecked",
    bibtex="""@inproceedings{zhu2021geometric,
  title={A Geometric Analysis of Neural Collapse with Unconstrained Features},
  author={Zhu, Zhihui and Ding, Tianyu and Zhou, Jinxin and Li, Xiao and You, Chong and Sulam, Jeremias and Qu, Qing},
  booktitle={Advances in Neural Information Processing Systems},
  year={2021}
}""",
)

ZHOU_2022 = nct.Source(
    citation="Zhou, Li, Ding, You, Qu, Zhu: On the Optimization Landscape of Neural Collapse under MSE Loss: Global "
    "Optimality with Unconstrained Features, ICML 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{zhou2022optimization,
  title={On the Optimization Landscape of Neural Collapse under {MSE} Loss: Global Optimality with Unconstrained Features},
  author={Zhou, Jinxin and Li, Xiao and Ding, Tianyu and You, Chong and Qu, Qing and Zhu, Zhihui},
  booktitle={International Conference on Machine Learning},
  year={2022}
}""",
)

TIRER_2022 = nct.Source(
    citation="Tirer, Bruna: Extended Unconstrained Features Model for Exploring Deep Neural Collapse, ICML 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{tirer2022extended,
  title={Extended Unconstrained Features Model for Exploring Deep Neural Collapse},
  author={Tirer, Tom and Bruna, Joan},
  booktitle={International Conference on Machine Learning},
  year={2022}
}""",
)

DANG_2023 = nct.Source(
    citation="Dang, Tran, Osher, Tran-The, Ho, Nguyen: Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced "
    "Data, ICML 2023.",
    number="number unchecked",
    bibtex="""@inproceedings{dang2023neural,
  title={Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data},
  author={Dang, Hien and Tran, Tho and Osher, Stanley and Tran-The, Hung and Ho, Nhat and Nguyen, Tan},
  booktitle={International Conference on Machine Learning},
  year={2023}
}""",
)

CHEN_2025 = nct.Source(
    citation="Chen, Jiang, Wang: A Complete Loss Landscape Analysis of Regularized Deep Matrix Factorization, "
    "arXiv:2506.20344, 2025.",
    number="number unchecked",
    bibtex="""@article{chen2025complete,
  title={A Complete Loss Landscape Analysis of Regularized Deep Matrix Factorization},
  author={Chen, Po and Jiang, Rujun and Wang, Peng},
  journal={arXiv preprint arXiv:2506.20344},
  year={2025}
}""",
)

THRAMPOULIDIS_2022 = nct.Source(
    citation="Thrampoulidis, Kini, Vakilian, Behnia: Imbalance Trouble: Revisiting Neural-Collapse Geometry, NeurIPS 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{thrampoulidis2022imbalance,
  title={Imbalance Trouble: Revisiting Neural-Collapse Geometry},
  author={Thrampoulidis, Christos and Kini, Ganesh Ramachandra and Vakilian, Vala and Behnia, Tina},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)

BEHNIA_2023 = nct.Source(
    citation="Behnia, Kini, Vakilian, Thrampoulidis: On the Implicit Geometry of Cross-Entropy Parameterizations for "
    "Label-Imbalanced Data, AISTATS 2023.",
    number="number unchecked",
    bibtex="""@inproceedings{behnia2023implicit,
  title={On the Implicit Geometry of Cross-Entropy Parameterizations for Label-Imbalanced Data},
  author={Behnia, Tina and Kini, Ganesh Ramachandra and Vakilian, Vala and Thrampoulidis, Christos},
  booktitle={International Conference on Artificial Intelligence and Statistics},
  year={2023}
}""",
)

ZHOU_2022_LOSSES = nct.Source(
    citation="Zhou, You, Li, Liu, Liu, Qu, Zhu: Are All Losses Created Equal: A Neural Collapse Perspective, NeurIPS 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{zhou2022all,
  title={Are All Losses Created Equal: A Neural Collapse Perspective},
  author={Zhou, Jinxin and You, Chong and Li, Xiao and Liu, Kangning and Liu, Sheng and Qu, Qing and Zhu, Zhihui},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)

LIN_2017 = nct.Source(
    citation="Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, ICCV 2017.",
    number="number unchecked",
    bibtex="""@inproceedings{lin2017focal,
  title={Focal Loss for Dense Object Detection},
  author={Lin, Tsung-Yi and Goyal, Priya and Girshick, Ross and He, Kaiming and Doll{\\'a}r, Piotr},
  booktitle={IEEE International Conference on Computer Vision},
  year={2017}
}""",
)

GARROD_2025 = nct.Source(
    citation="Garrod, Keating: The Persistence of Neural Collapse Despite Low-Rank Bias, NeurIPS 2025 (arXiv:2410.23169).",
    number="Theorem 1",
    bibtex="""@inproceedings{garrod2025persistence,
  title={The Persistence of Neural Collapse Despite Low-Rank Bias},
  author={Garrod, Connall and Keating, Jonathan P.},
  booktitle={Advances in Neural Information Processing Systems},
  year={2025}
}""",
)

ZIYIN_2022 = nct.Source(
    citation="Ziyin, Ueda: Exact Phase Transitions in Deep Learning, arXiv:2205.12510 (2022); Ziyin, Li, Meng: Exact "
    "Solutions of a Deep Linear Network, NeurIPS 2022.",
    number="number unchecked",
    bibtex="""@article{ziyin2022exact,
  title={Exact Phase Transitions in Deep Learning},
  author={Ziyin, Liu and Ueda, Masahito},
  journal={arXiv preprint arXiv:2205.12510},
  year={2022}
}

@inproceedings{ziyin2022solutions,
  title={Exact Solutions of a Deep Linear Network},
  author={Ziyin, Liu and Li, Botao and Meng, Xiangming},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)

ERSOY_2025 = nct.Source(
    citation="Ersoy, Wiesner: Geometry of Learning - L2 Phase Transitions in Deep and Shallow Neural Networks, "
    "arXiv:2505.06597v1 (2025).",
    number="abstract",
    bibtex="""@article{ersoy2025geometry,
  title={Geometry of Learning -- {L2} Phase Transitions in Deep and Shallow Neural Networks},
  author={Ersoy, Ibrahim Talha and Wiesner, Karoline},
  journal={arXiv preprint arXiv:2505.06597},
  year={2025}
}""",
)

HONG_2024 = nct.Source(
    citation="Hong, Ling: Neural Collapse for Unconstrained Feature Model under Cross-entropy Loss with Imbalanced Data, "
    "JMLR 2024.",
    number="number unchecked",
    bibtex="""@article{hong2024neural,
  title={Neural Collapse for Unconstrained Feature Model under Cross-entropy Loss with Imbalanced Data},
  author={Hong, Wanli and Ling, Shuyang},
  journal={Journal of Machine Learning Research},
  year={2024}
}""",
)

FANG_2021 = nct.Source(
    citation="Fang, He, Long, Su: Exploring Deep Neural Networks via Layer-Peeled Model: Minority Collapse in Imbalanced "
    "Training, PNAS 2021.",
    number="number unchecked",
    bibtex="""@article{fang2021exploring,
  title={Exploring Deep Neural Networks via Layer-Peeled Model: Minority Collapse in Imbalanced Training},
  author={Fang, Cong and He, Hangfeng and Long, Qi and Su, Weijie J.},
  journal={Proceedings of the National Academy of Sciences},
  year={2021}
}""",
)

E_2022 = nct.Source(
    citation="E, Wojtowytsch: On the Emergence of Simplex Symmetry in the Final and Penultimate Layers of Neural Network "
    "Classifiers, MSML 2022 (PMLR 145).",
    number="Corollaries 3, 6 and 9, Lemma 4",
    bibtex="""@inproceedings{e2022emergence,
  title={On the Emergence of Simplex Symmetry in the Final and Penultimate Layers of Neural Network Classifiers},
  author={E, Weinan and Wojtowytsch, Stephan},
  booktitle={Mathematical and Scientific Machine Learning},
  series={Proceedings of Machine Learning Research},
  volume={145},
  year={2022}
}""",
)

HORN_1950 = nct.Source(
    citation="Horn: On the Singular Values of a Product of Completely Continuous Operators, PNAS 1950.",
    number="number unchecked",
    bibtex="""@article{horn1950singular,
  title={On the Singular Values of a Product of Completely Continuous Operators},
  author={Horn, Alfred},
  journal={Proceedings of the National Academy of Sciences},
  year={1950}
}""",
)

XU_2017 = nct.Source(
    citation="Xu, Lin, Zha: A Unified Convex Surrogate for the Schatten-p Norm, AAAI 2017.",
    number="number unchecked",
    bibtex="""@inproceedings{xu2017unified,
  title={A Unified Convex Surrogate for the {Schatten-p} Norm},
  author={Xu, Chen and Lin, Zhouchen and Zha, Hongbin},
  booktitle={AAAI Conference on Artificial Intelligence},
  year={2017}
}""",
)


ANDRIOPOULOS_2024 = nct.Source(
    citation="Andriopoulos, Dong, Guo, Zhao, Ross: The Prevalence of Neural Collapse in Neural Multivariate Regression, "
    "NeurIPS 2024.",
    number="Theorem 4.1, Corollary 4.2",
    bibtex="""@inproceedings{andriopoulos2024prevalence,
  title={The Prevalence of Neural Collapse in Neural Multivariate Regression},
  author={Andriopoulos, George and Dong, Zixuan and Guo, Li and Zhao, Zifan and Ross, Keith},
  booktitle={Advances in Neural Information Processing Systems},
  year={2024}
}""",
)

LI_2024 = nct.Source(
    citation="Li, Li, Wang, Qu: Neural Collapse in Multi-label Learning with Pick-all-label Loss, ICML 2024.",
    number="number unchecked",
    bibtex="""@inproceedings{li2024neural,
  title={Neural Collapse in Multi-label Learning with Pick-all-label Loss},
  author={Li, Pengyu and Li, Xiao and Wang, Yutong and Qu, Qing},
  booktitle={International Conference on Machine Learning},
  year={2024}
}""",
)

YANG_2022 = nct.Source(
    citation="Yang, Chen, Li, Xie, Lin, Tao: Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a Learnable "
    "Classifier at the End of Deep Neural Network?, NeurIPS 2022.",
    number="number unchecked",
    bibtex="""@inproceedings{yang2022inducing,
  title={Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a Learnable Classifier at the End of Deep Neural
    Network?},
  author={Yang, Yibo and Chen, Shixiang and Li, Xiangtai and Xie, Liang and Lin, Zhouchen and Tao, Dacheng},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022}
}""",
)
