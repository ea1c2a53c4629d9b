"""Parameters of the translations."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from generators.params import TrainedParams

PENALTY = 10.0  # weight of WGAN-GP's penalty


class TranslationParams(TrainedParams):
    """What all translations share."""

    width: int = Field(
        32, ge=4, le=512, description="channels at full resolution; of a vector: an eighth of the hidden units"
    )
    blocks: int = Field(3, ge=1, le=16, description="residual blocks of a translator")
    loss: Literal["least-squares", "hinge", "wgan-gp"] = Field("hinge", description="adversarial loss")
    critic_steps: int = Field(1, ge=1, le=10, description="steps of the critic for each one of the translator")
    lr: float = Field(4e-4, gt=0, le=1, description="learning rate of the translator after the warm-up")
    lr_critic: float = Field(4e-4, gt=0, le=1, description="learning rate of the critic")
    clip: float = Field(0.0, ge=0, description="largest norm of the gradient; 0: not clipped")


class CyclicParams(TranslationParams):
    """What the translations share whose way back is trained."""

    cycle_weight: float = Field(10.0, ge=0, le=1000, description="weight of the cycle loss")
    identity_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of the identity loss: what is of the domain stays"
    )
    strength_range: float = Field(
        0.2, ge=0, le=1, description="how far a source is moved varies by up to this share, by the seed of the draw"
    )


class CycleParams(CyclicParams):
    """Parameters of the translation with cycles."""

    networks: Literal["one", "pairs"] = Field(
        "one", description="one network for all classes, or one for each ordered pair of them"
    )
    classifier_weight: float = Field(
        0.0,
        ge=0,
        le=100,
        description="weight of an auxiliary classifier's loss; 0: the critic of one network judges by projection",
    )
    skip: bool = Field(True, description="the network gives a change of the source instead of a new array")
    prosody: Literal["rows", "cwt"] = Field(
        "rows",
        description="cwt: of speech with a log_f0 row, wavelet components of F0 go through a mapping of their own",
    )
    corpora: Literal["together", "condition", "attention"] = Field(
        "together",
        description="condition: translate between corpora too, half of the time with the label kept; attention: one "
        "mapping a source corpus, weighted by its nearness to the target",
    )
    fisher: float = Field(
        1.0,
        gt=0,
        le=1,
        description="vectors: share of the columns, those with the largest Fisher ratios of train, that are "
        "translated; the others stay the source's",
    )
    lda: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of what `fisher` leaves: the columns that say most in a discriminant analysis of train",
    )
    target_corpus: str | None = Field(
        None, description="of `corpora`: the one that is translated to; default: the one with fewest samples"
    )

    @property
    def selects(self) -> bool:
        """Whether some columns alone are translated."""
        return self.fisher < 1 or self.lda < 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.networks == "pairs" and self.corpora != "together":
            raise ValueError("corpora are told apart by networks: one; leave networks or corpora at its default")
        if self.networks == "pairs" and self.classifier_weight > 0:
            raise ValueError("networks: pairs has a critic for each class, no classifier; leave classifier_weight out")
        if self.target_corpus is not None and self.corpora == "together":
            raise ValueError("target_corpus wants corpora: condition or corpora: attention; corpora is together")
        return self


class StarganParams(CyclicParams):
    """Parameters of the one translator between all classes."""

    loss: Literal["least-squares", "hinge", "wgan-gp"] = Field("wgan-gp", description="adversarial loss")
    identity_weight: float = Field(
        0.0, ge=0, le=1000, description="weight of the identity loss: what is of the class stays"
    )
    classifier_weight: float = Field(
        1.0,
        ge=0,
        le=100,
        description="weight of the domain classifier; 0: none, the critic judges realness within each class (v2)",
    )
    skip: bool = Field(True, description="the network gives a change of the source instead of a new array (US-GAN)")
    blend: bool = Field(False, description="an attention map blends the network's content into the source")
    attention_weight: float = Field(0.1, ge=0, le=100, description="of `blend`: weight of the attention's mean")
    context_weight: float = Field(
        0.0, ge=0, le=1000, description="of `blend`: weight of what changes where the attention does not look"
    )
    squeeze: bool = Field(False, description="squeeze and excitation behind each block; images and rows")
    style: int = Field(0, ge=0, le=512, description="dimensions of the style code; 0: the class alone (StarGAN v1)")
    style_weight: float = Field(1.0, ge=0, le=100, description="of `style`: weight of the code's recovery")
    diversity_weight: float = Field(
        1.0, ge=0, le=100, description="of `style`: weight of the difference that two codes make"
    )
    untraceable_weight: float = Field(
        0.0, ge=0, le=100, description="weight of hiding the source's class from the critic (UGAN); 0: not asked"
    )

    @model_validator(mode="after")
    def _blends(self) -> Self:
        if self.context_weight > 0 and not self.blend:
            raise ValueError("context_weight weighs what lies outside the attention of blend: true; set that too")
        return self


class EditParams(TranslationParams):
    """Parameters of the edits and completions of a real sample."""

    mode: Literal["edit", "complete", "perturb"] = Field(
        "edit",
        description="edit: change a reference; complete: hide a share of it and fill that in; perturb: change a sample "
        "of the class itself, sparsely and within a bound, so that a recogniser no longer hears it",
    )
    latent: int = Field(8, ge=1, le=512, description="dimensions of what varies one reference's results")
    classifier_weight: float = Field(
        1.0, ge=0, le=100, description="weight of the critic's classifier; 0: the critic judges by projection"
    )
    reference_weight: float = Field(
        0.1, ge=0, le=1000, description="weight of the distance from the reference: no more is changed than has to be"
    )
    diversity_weight: float = Field(
        0.1, ge=0, le=100, description="weight of the difference between two results of one reference"
    )
    boundary_weight: float = Field(
        0.0, ge=0, le=100, description="weight of keeping results near the classifier's decision boundary"
    )
    boundary_margin: float = Field(
        1.0, ge=0, le=50, description="of the boundary: lead of the class' logit above which a result is too safe"
    )
    rate: float = Field(0.7, gt=0, le=1, description="complete: share of a source that is hidden")
    lowest_rate: float = Field(0.3, ge=0, le=1, description="complete: the smallest share that is hidden in training")
    rebuild_weight: float = Field(
        1.0, ge=0, le=1000, description="complete: weight of giving back what was hidden, asked for its own class"
    )
    epsilon: float = Field(
        0.3, gt=0, le=5, description="perturb: how far a cell may move, in spreads of train (of images: of [-1, 1])"
    )
    victim_share: float = Field(
        0.3, gt=0, lt=1, description="perturb: share of the steps, the first, in which the recogniser is fitted"
    )
    missed_weight: float = Field(
        1.0, ge=0, le=1000, description="perturb: weight of the lead that the true class still has (Carlini & Wagner)"
    )
    missed_margin: float = Field(1.0, ge=0, le=50, description="perturb: lead by which the true class is to lose")
    magnitude_weight: float = Field(0.05, ge=0, le=1000, description="perturb: weight of how far cells would move")
    sparsity_weight: float = Field(0.5, ge=0, le=1000, description="perturb: weight of the share of cells that move")
    quality_weight: float = Field(0.1, ge=0, le=1000, description="perturb: weight of the noise-to-signal ratio")

    @model_validator(mode="after")
    def _edits(self) -> Self:
        if self.boundary_weight > 0 and self.classifier_weight == 0:
            raise ValueError("boundary_weight wants a classifier whose boundary it is; set classifier_weight above 0")
        if self.lowest_rate > self.rate:
            raise ValueError(f"lowest_rate {self.lowest_rate} is above rate {self.rate}; lower it")
        return self
