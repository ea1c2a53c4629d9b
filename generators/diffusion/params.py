"""Parameters of the diffusion generators."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from features.representation import Spec
from generators.params import TrainedParams

SamplerName = Literal["dpmpp", "unipc", "heun", "ddim", "ddpm", "euler_maruyama"]


class DiffusionParams(TrainedParams):
    """What is learned, and how it is drawn."""

    network: Literal["auto", "unet", "dit", "axial", "time", "mlp"] = Field(
        "auto",
        description="auto: mlp for vectors and latent vectors, time where a patch spans all rows, else unet; dit: a "
        "transformer over patches (of a vector: over its columns); axial: one that attends along rows and along "
        "columns in turn, of a vector over the features of a channel and over the channels of a feature",
    )
    width: int = Field(
        32,
        ge=4,
        le=512,
        description="channels at the finest level, the coarser ones have twice as many; of a vector: an eighth of the "
        "hidden units; of dit and axial: a quarter of the tokens' size",
    )
    levels: int = Field(
        3,
        ge=1,
        le=6,
        description="resolutions of the U-Net, each half of the one before; of a vector, of dit and axial: blocks",
    )
    layers: int = Field(1, ge=1, le=4, description="residual blocks at each level")
    attention: bool = Field(True, description="self-attention at the coarsest level")
    patch: tuple[int, int] | None = Field(
        None,
        description="rows and columns that become one position; default: 2 x 2 for images, 2 x 4 for rows, or all "
        "rows x 4 where there are no more than 8; dit and axial: 4 x 4, of rows 1 x 16; vectors have none",
    )
    space: Literal["array", "latent"] = Field(
        "array", description="latent: over the latents of an autoencoder, which is fitted first or is read from a path"
    )
    autoencoder: str | None = Field(
        None, description="folder of a diffusers AutoencoderKL, for space latent of images; none: a VAE of our own"
    )
    latent: int = Field(32, ge=1, le=1024, description="dimensions of our own VAE's latent")
    latent_share: float = Field(0.4, gt=0, lt=1, description="share of the steps that our own VAE gets, first")
    latent_beta: float = Field(0.1, ge=0, le=100, description="weight of the KL term of our own VAE")
    prediction: Literal["v", "epsilon", "edm"] = Field(
        "v", description="what the network predicts; edm: Karras et al. 2022, with its noise levels; else cosine"
    )
    min_snr: float = Field(
        0.0, ge=0, le=100, description="weigh noise levels by min(SNR, this) (Hang et al. 2023: 5); 0: by no weights"
    )
    learned_variance: bool = Field(
        False, description="learn the variance of reverse steps (improved DDPM); wants sampler ddpm"
    )
    vlb: float = Field(0.001, ge=0, le=1, description="weight of the variational bound that learns the variance")
    drop_condition: float = Field(0.15, ge=0, lt=1, description="share of training samples that lose their condition")
    guide: Literal["free", "classifier", "auto", "trained"] = Field(
        "free",
        description="what guides towards the class: free: the same network without a condition; classifier: one of "
        "noisy arrays, by soft labels; auto: a smaller network trained for less; trained: taught in the fit, no second "
        "pass",
    )
    guidance: float = Field(3.0, ge=0, le=20, description="its strength; 1: none (classifier: 0), 0: unconditional")
    # Chosen on one short look at training faces of FER2013; benchmarks/bench_sampling.py compares it with loops of
    # diffusers on the same network.
    guidance_interval: tuple[float, float] | None = Field(
        (0.3, 3.0),
        description="noise levels (spreads of train) within which guidance is on (Kynkäänniemi et al. 2024); null: all",
    )
    guidance_rescale: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share by which guided predictions get the spread of unguided ones (Lin et al. 2023)",
    )
    guide_share: float = Field(0.25, gt=0, le=1, description="auto: share of the steps for which the guide is trained")
    soft_labels: Literal["embedding", "noise"] = Field(
        "embedding",
        description="how several emotions mix: as embeddings, or as the noises predicted for each (EmoMix)",
    )
    mix_interval: tuple[float, float] | None = Field(
        None, description="noise levels within which noises mix; outside, the largest share alone; none: all"
    )
    intensity_by: Literal["ratings", "neutral"] = Field(
        "ratings",
        description="what intensity is: learned from ratings (honours), or a mixture with the neutral class by guide "
        "or soft_labels",
    )
    neutral: str = Field("neutral", description="the class that intensity_by neutral mixes with")
    sampler: SamplerName = Field("unipc", description="one of generators/diffusion/samplers.py")
    sample_steps: int = Field(8, ge=1, le=1000, description="steps of the sampler")
    # Principal components of pictures spread far more than single pixels: eight steps evenly in time jump over the
    # noise levels at which they come about. Of vectors they do not, and the low levels are worth the steps
    # (docs/performance.md, Sampling).
    spacing: Literal["auto", "trailing", "karras"] = Field(
        "auto",
        description="noise levels of the steps: trailing: evenly in time; karras: as Karras et al. 2022 (edm: always); "
        "auto: karras for pictures drawn by dpmpp or unipc, else trailing",
    )
    extra_noise: float = Field(
        0.0, ge=0, le=2, description="spread of white noise that is added to samples, in spreads of train"
    )
    student_steps: int = Field(
        0, ge=0, le=16, description="steps of a consistency model into which the network is tuned; 0: not tuned"
    )
    student_share: float = Field(0.4, gt=0, lt=1, description="share of the steps, at the end, that tune the student")
    ema_widths: tuple[float, ...] = Field(
        (),
        max_length=8,
        description="widths of the weight average among which the monitor chooses at the end (post-hoc EMA); none: "
        "ema_std",
    )
    lr: float = Field(2e-3, gt=0, le=1, description="learning rate of Adam after the warm-up")
    decay: bool = Field(True, description="let the learning rate fall to zero along a cosine")

    @field_validator("patch")
    @classmethod
    def _positive(cls, patch: tuple[int, int] | None) -> tuple[int, int] | None:
        if patch is not None and min(patch) < 1:
            raise ValueError("both sides of a patch are at least 1")
        return patch

    def spacing_over(self, spec: Spec) -> Literal["trailing", "karras"]:
        """How the steps of a draw from noise are spaced over arrays of `spec`."""
        if self.spacing != "auto":
            return self.spacing
        pictures = spec.layout == "image" and self.space == "array"
        return "karras" if pictures and self.sampler in ("dpmpp", "unipc") else "trailing"

    @field_validator("guidance_interval", "mix_interval")
    @classmethod
    def _rising(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        if interval is not None and not 0 <= interval[0] < interval[1]:
            raise ValueError("an interval has two noise levels >= 0, the lower one first")
        return interval

    @field_validator("ema_widths")
    @classmethod
    def _widths(cls, widths: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0.01 <= w <= 0.25 for w in widths):
            raise ValueError("widths are within 0.01 to 0.25")
        return widths

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        rules = {
            "learned_variance needs prediction v or epsilon and sampler ddpm: only they have a variance to learn": (
                self.learned_variance and (self.prediction == "edm" or self.sampler != "ddpm")
            ),
            "guide classifier is of an unconditional network: leave honours out, or use guide free": (
                self.guide == "classifier" and bool(self.honours or self.use_intensity)
            ),
            "soft_labels noise mixes predictions under each emotion; guide classifier has an unconditional network": (
                self.guide == "classifier" and self.soft_labels == "noise"
            ),
            "mix_interval belongs to soft_labels noise": self.mix_interval is not None and self.soft_labels != "noise",
            "intensity is learned from ratings or mixed with neutral: leave out one of honours and intensity_by": (
                self.intensity_by == "neutral" and "intensity" in self.rated
            ),
            "autoencoder belongs to space latent": self.autoencoder is not None and self.space != "latent",
            "guide trained needs drop_condition above 0, to learn what is without a condition, and guidance >= 1": (
                self.guide == "trained" and (self.drop_condition == 0 or self.guidance < 1)
            ),
            "guide free needs drop_condition above 0, to learn what is without a condition; or set guidance to 1": (
                self.guide == "free" and self.drop_condition == 0 and self.guidance != 1
            ),
            "a student draws without guidance: set guidance to 1 and guide to free": (
                self.student_steps > 0 and (self.guide != "free" or self.guidance != 1)
            ),
            "a student predicts arrays, no variance: leave learned_variance out": (
                self.student_steps > 0 and self.learned_variance
            ),
        }
        for rule, broken in rules.items():
            if broken:
                raise ValueError(rule)
        return self


class EditParams(DiffusionParams):
    """Parameters of editing: those of diffusion, and how far a source is moved."""

    edit: Literal["sdedit", "inversion"] = Field(
        "sdedit",
        description="sdedit: noise of the draw is put on the source; inversion: the source is run backwards (DDIM), "
        "the draw's seed plays no part",
    )
    strength: float = Field(
        0.6, ge=0, le=1, description="how far up the noise levels the source is taken; 0: it stays as it is"
    )

    @model_validator(mode="after")
    def _editable(self) -> Self:
        if self.edit == "inversion" and self.sampler not in ("dpmpp", "unipc", "heun", "ddim"):
            raise ValueError("edit inversion needs a sampler without noise: dpmpp, unipc, heun or ddim")
        if self.student_steps > 0:
            raise ValueError("a student has no noise levels in between to edit at; leave student_steps out")
        return self
