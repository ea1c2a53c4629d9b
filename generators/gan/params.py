"""Parameters of the conditional GAN: which game is played, and which combinations make none."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from features.representation import Spec
from generators.gan.losses import ADVERSARIAL
from generators.params import TrainedParams

PENALTY = {"wgan-gp": 10.0, "wgan-div": 1.0}  # weights where none is given: of the papers (k = 2 is in the term)
SCORED = ("projection", "ac", "k+1")  # critics with features and one score
ANSWERING = ("ac", "k+1")  # those that say which class


class GanParams(TrainedParams):
    """Parameters of the conditional GAN."""

    width: int = Field(
        32,
        ge=4,
        le=512,
        description="channels at full resolution, coarser levels have up to four times; of a vector: an eighth of the "
        "hidden units",
    )
    latent: int = Field(64, ge=1, le=1024, description="dimensions of the latent")
    discriminator: Literal["projection", "ac", "k+1", "autoencoder", "two"] = Field(
        "projection",
        description="the critic: with a projection of the class, an auxiliary classifier (ac), K classes and "
        "'generated' as answers (k+1), an autoencoder (BEGAN), or two opposed ones (D2GAN)",
    )
    loss: Literal["hinge", "wgan-gp", "wgan-div", "least-squares", "logistic"] | None = Field(
        None,
        description="adversarial loss of projection and ac; default: hinge. The other critics bring their own",
    )
    augment: bool | Literal["ada"] = Field(
        True,
        description="DiffAugment on real and generated samples alike; ada: with a probability that adapts to how far "
        "the critic overfits",
    )
    critic_steps: int | None = Field(
        None,
        ge=1,
        le=10,
        description="steps of the discriminator for each one of the generator; default: 1, for vectors and codes 3",
    )
    ac_weight: float = Field(1.0, ge=0, le=100, description="weight of the auxiliary classifier's loss")
    lr: float = Field(4e-4, gt=0, le=1, description="learning rate of the generator after the warm-up")
    lr_discriminator: float = Field(4e-4, gt=0, le=1, description="learning rate of the discriminator")
    clip: float = Field(0.0, ge=0, description="largest norm of the gradient; 0: not clipped")
    class_input: Literal["embedding", "one-hot", "mixture", "fitted"] = Field(
        "embedding",
        description="how the class enters the generator: an embedding at every level, a one-hot vector beside the "
        "latent, a latent from one Gaussian for each class (mixture), or from Gaussians fitted to the codes of an "
        "autoencoder that generator and critic start as (fitted, BAGAN)",
    )
    start: float = Field(0.2, gt=0, lt=1, description="class_input fitted: share of the steps of the autoencoder")
    space: Literal["samples", "codes"] = Field(
        "samples",
        description="what the critic judges: samples, or codes of an autoencoder that is trained beside it and whose "
        "decoder makes samples of them (ADAN)",
    )
    code: int = Field(16, ge=1, le=1024, description="dimensions of the codes: of space codes, of critic autoencoder")
    recurrent: bool = Field(False, description="rows: LSTMs over time in place of convolutions")
    spectral: bool | None = Field(
        None, description="spectral norm in the critic; default: where no gradient penalty or R1 takes its place"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the critic's hidden units that a step leaves out")
    penalty: float | None = Field(
        None, ge=0, le=1000, description="weight of the gradient penalty; default: 10 for wgan-gp, 1 for wgan-div"
    )
    r1: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="weight of the squared slope at real samples (R1); default: 0, for vectors and codes 1 where the "
        "critic has one score and the loss no penalty of its own",
    )
    consistency: float = Field(
        0.0, ge=0, le=100, description="weight of the critic's agreement with itself under two dropouts (CT-GAN)"
    )
    mixup: float = Field(
        0.0, ge=0, le=10, description="alpha of the Beta that mixes real samples and their labels; 0: not mixed"
    )
    triplet: float = Field(0.0, ge=0, le=100, description="weight of the triplet term, which keeps classes apart")
    triplet_margin: float = Field(0.5, ge=0, le=4, description="margin of the triplet term, squared distances to 4")
    diversity: float = Field(
        0.0, ge=0, le=100, description="weight of the mode-seeking term: other latents, other samples"
    )
    boundary: float = Field(
        0.0, ge=0, le=100, description="weight of closeness to the decision boundary of the critic's classes"
    )
    labelled: float = Field(
        1.0, gt=0, le=1, description="critic k+1: share of each class whose labels it may use; the rest is unlabelled"
    )
    smoothness: float = Field(
        0.0, ge=0, le=100, description="weight of the virtual adversarial term: classes steady around real samples"
    )
    smoothness_radius: float = Field(1.0, gt=0, le=100, description="length of the virtual adversarial step")
    balance: float = Field(0.5, gt=0, le=1, description="critic autoencoder: diversity ratio gamma of BEGAN")
    balance_rate: float = Field(0.001, gt=0, le=1, description="critic autoencoder: lambda of BEGAN's balance")
    real_weight: float = Field(0.2, gt=0, le=1, description="critic two: alpha of D2GAN, of log D1 of real samples")
    fake_weight: float = Field(0.2, gt=0, le=1, description="critic two: beta of D2GAN, of log D2 of generated ones")

    @property
    def game(self) -> str:
        """Name of the adversarial loss, of critics that have no own."""
        return self.loss or "hinge"

    @property
    def penalty_weight(self) -> float:
        """Weight of the loss' gradient penalty; 0 where it has none."""
        usual = PENALTY.get(self.game, 0.0) if self.discriminator in ("projection", "ac") else 0.0
        return usual if self.penalty is None else self.penalty

    # A vector's classes are narrow beside their distances: a critic that spectral norm holds back, or that lags behind,
    # lets each class shrink to its mean (a fifth of its spread in tests/generators/gan/test_known_truth.py).

    def steps_of_critic(self, judged: Spec) -> int:
        """For each step of the generator. judged: Spec of what the critic sees."""
        return self.critic_steps or (3 if judged.layout == "vector" else 1)

    def r1_weight(self, judged: Spec) -> float:
        """Weight of R1. judged: Spec of what the critic sees."""
        if self.r1 is not None:
            return self.r1
        penalised = self.game in PENALTY and self.discriminator != "k+1"
        return 1.0 if judged.layout == "vector" and self.discriminator in SCORED and not penalised else 0.0

    def has_spectral_norm(self, judged: Spec) -> bool:
        """Whether the critic's layers are normalised. judged: Spec of what the critic sees."""
        if self.spectral is not None:
            return self.spectral
        return self.discriminator != "autoencoder" and self.penalty_weight == 0 and self.r1_weight(judged) == 0

    @model_validator(mode="after")
    def _makes_a_game(self) -> Self:
        critic, own = self.discriminator, self.discriminator not in ("projection", "ac")
        refused = {
            f"discriminator {critic} brings its own loss; leave loss out": own and self.loss is not None,
            "penalty belongs to the losses wgan-gp and wgan-div; choose one of them or leave penalty out": (
                self.penalty is not None and (own or self.game not in PENALTY)
            ),
            "consistency compares two dropouts of a critic with one score: set dropout above 0, and discriminator to "
            "projection or ac": self.consistency > 0 and (own or self.dropout == 0),
            f"r1 and triplet want a critic of one score; discriminator {critic} has none, use projection, ac or k+1": (
                critic not in SCORED and ((self.r1 or 0) > 0 or self.triplet > 0)
            ),
            "boundary and smoothness want a critic that answers classes: set discriminator to ac or k+1": (
                critic not in ANSWERING and (self.boundary > 0 or self.smoothness > 0)
            ),
            "labelled below 1 wants a critic that can learn without labels: set discriminator to k+1": (
                critic != "k+1" and self.labelled < 1
            ),
            "class_input fitted starts the critic as an encoder of samples: set discriminator to projection, ac or k+1,"
            " space to samples, and leave recurrent out": self.class_input == "fitted"
            and (critic not in SCORED or self.space != "samples" or self.recurrent),
            "augment ada needs scores with a zero: use discriminator k+1, or loss hinge, least-squares or logistic": (
                self.augment == "ada"
                and critic != "k+1"
                and (critic not in SCORED or ADVERSARIAL[self.game].middle is None)
            ),
            f"discriminator {critic} answers classes alone and cannot see whether honours are kept; use another": (
                critic == "k+1" and bool(self.rated or self.honours)
            ),
            "space codes has an encoder and a decoder that are not recurrent; leave recurrent out": (
                self.space == "codes" and self.recurrent
            ),
        }
        for message, wrong in refused.items():
            if wrong:
                raise ValueError(message)
        return self
