"""Parameters that several autoencoders share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from generators.params import TrainedParams


class CodeParams(TrainedParams):
    """Parameters that every autoencoder has."""

    width: int = Field(
        32,
        ge=4,
        le=512,
        description="channels at full resolution, coarser levels have up to four times; of a vector: an eighth of the "
        "hidden units",
    )
    latent: int = Field(32, ge=1, le=1024, description="dimensions of the latent")
    components: int = Field(
        1,
        ge=1,
        le=32,
        description="Gaussians in the density of a class' codes; fewer in a class with fewer than 10 samples for each",
    )
    temperature: float = Field(0.9, ge=0, le=2, description="scale of the latent noise when sampling; 1: as fitted")
    # At 1.0 judges trained on real RAVDESS hear calm in one of eight calm samples, between 0.5 and 0.7 in most; at 0.0
    # speech is too smooth. docs/conditions.md has the numbers.
    residual: float | None = Field(
        None,
        ge=0,
        le=2,
        description="rows and vectors: share of the decoder's residual that is drawn as noise when sampling; default: "
        "0.6 for rows, 1 for vectors, whose columns have no time to be smooth in",
    )
    padding: Literal["keep", "cut"] = Field(
        "keep",
        description="of rows with a mask row: cut computes each sample over the columns that it reaches, in spans of "
        "the coarsest level, and the code says how many: another model, some work less (docs/performance.md, Fits)",
    )
    lr: float = Field(2e-3, gt=0, le=1, description="learning rate of Adam after the warm-up")
    decay: bool = Field(True, description="let the learning rate fall to zero along a cosine")


class HeadParams(CodeParams):
    """Of autoencoders whose code may have to tell something (generators/autoencoders/heads.py)."""

    emotion_head: float = Field(
        0.0,
        ge=0,
        le=100,
        description="weight of the cross-entropy of a classifier of the emotion on the code; above 0 the encoder does "
        "not see the class",
    )
    subject_head: float = Field(
        0.0,
        ge=0,
        le=100,
        description="the same of the subject; needs subject among `honours`, so that subjects are known",
    )
    split: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the code's dimensions that the emotion head reads; the subject head reads the others; "
        "none: both read all",
    )
    orthogonal: float = Field(
        0.0, ge=0, le=1000, description="weight of the squared correlations between the two parts that `split` names"
    )

    @property
    def headed(self) -> bool:
        """Whether some head reads the code."""
        return self.emotion_head > 0 or self.subject_head > 0

    @model_validator(mode="after")
    def _heads_make_sense(self) -> Self:
        if self.subject_head and "subject" not in self.honours:
            raise ValueError("subject_head needs `honours: [subject]`: without it subjects are not known")
        if self.orthogonal and self.split is None:
            raise ValueError("orthogonal is between the two parts of the code: say `split`, or leave orthogonal at 0")
        if self.split is not None and not self.headed and not self.orthogonal:
            raise ValueError("split does nothing alone: set emotion_head, subject_head or orthogonal, or leave it out")
        if self.split is not None and self.latent < 2:
            raise ValueError(f"split needs two parts, and latent is {self.latent}; use at least 2")
        return self


class ElboParams(CodeParams):
    """Of autoencoders with a KL term."""

    beta: float = Field(1.0, ge=0, le=100, description="weight of the KL term after its warm-up")
    kl_warmup: float = Field(0.3, ge=0, le=1, description="share of the steps over which beta rises from 0")
    kl_cycles: int = Field(
        1,
        ge=1,
        le=100,
        description="times that beta rises from 0 (Fu et al. 2019); kl_warmup is then a share of each",
    )
    free_bits: float = Field(0.05, ge=0, le=10, description="nats of KL in each latent dimension that cost nothing")


class CriticParams(ElboParams):
    """Of variational autoencoders whose decoder plays against critics (generators/autoencoders/variational.py)."""

    loss: Literal["hinge", "least-squares", "logistic"] = Field("hinge", description="of one critic")
    adversarial: float = Field(0.1, ge=0, le=100, description="weight of what critics say of generated samples")
    first_critic: float = Field(
        1.0,
        ge=0,
        le=10,
        description="of two critics: weight of the one that likes real samples (KL from train to generated, covers "
        "modes); alpha of D2GAN",
    )
    second_critic: float = Field(
        1.0,
        ge=0,
        le=10,
        description="of two critics: weight of the one that likes generated samples (reverse KL, spares what train "
        "does not have); beta of D2GAN",
    )
    reconstruction: float = Field(1.0, ge=0, le=100, description="weight of the likelihood of the reconstruction")
    features: float = Field(
        0.0,
        ge=0,
        le=100,
        description="weight of the squared distance between samples and their reconstructions in the features of the "
        "(first) critic (Larsen et al. 2016)",
    )
    lr_critic: float = Field(2e-3, gt=0, le=1, description="learning rate of the critics")
