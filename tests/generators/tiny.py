"""The smallest settings with which each registered generator learns the toy corpora: of the contract test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from generators.generator import GENERATORS, generator_class


@dataclass(frozen=True, slots=True)
class Tiny:
    """params of the generator, and the steps after which it honours the class. shares: another one whose networks it
    has: what the layouts do to these is tested there, and with this one only among the slow tests. seed: of the fit;
    of translators one in five seeds is slow to learn, and which one depends on the rounding of the processor."""

    steps: int
    params: dict[str, Any] = field(default_factory=dict)
    shares: str | None = None
    seed: int = 1


LM = {
    **{"vocabulary": 400, "width": 32, "layers": 2, "heads": 2, "batch_size": 32},
    **{"lr": 5e-3, "dropout": 0.0},
}
TRANSLATED = {"width": 8, "blocks": 1, "batch_size": 16, "lr": 2e-3, "lr_critic": 2e-3, "ema_std": 0.05}
TINY: dict[str, Tiny] = {
    "cvae": Tiny(150, {"width": 8, "latent": 4, "batch_size": 16}),
    "aae": Tiny(150, {"width": 8, "latent": 4, "batch_size": 16, "lr": 5e-3, "prior": "normal"}, "cvae"),
    "vae_gan": Tiny(120, {"width": 8, "latent": 4, "batch_size": 16, "lr": 5e-3, "adversarial": 0.03}, "cvae"),
    "masked": Tiny(150, {"width": 8, "latent": 4, "batch_size": 16, "lr": 5e-3}, "cvae"),
    "vae_edit": Tiny(150, {"width": 8, "latent": 4, "batch_size": 16, "lr": 5e-3}, "cvae"),
    "cgan": Tiny(120, {"width": 8, "latent": 8, "batch_size": 16, "lr": 1e-3, "lr_discriminator": 1e-3}),
    "diffusion": Tiny(200, {"width": 8, "levels": 2, "patch": [2, 2], "sample_steps": 6, "batch_size": 16}),
    "diffusion_edit": Tiny(
        120,
        {"width": 8, "levels": 2, "patch": [2, 2], "sample_steps": 6, "batch_size": 16, "strength": 0.95},
        "diffusion",
    ),
    "cycle": Tiny(110, {**TRANSLATED, "cycle_weight": 0.5, "identity_weight": 0.0}, seed=3),
    "stargan": Tiny(110, {**TRANSLATED, "cycle_weight": 0.5, "classifier_weight": 0.0, "loss": "hinge"}, "cycle", 3),
    "edit": Tiny(
        150,
        {
            **TRANSLATED,
            "lr": 3e-3,
            "lr_critic": 6e-3,
            "loss": "least-squares",
            "classifier_weight": 0.0,
            "reference_weight": 0.05,
            "diversity_weight": 0.02,
        },
        "cycle",
    ),
    "transfer": Tiny(1, {"components": 8}),
    "resampling": Tiny(1),
    "small_lm": Tiny(250, {**LM, "top_p": 0.9}),
    "infill": Tiny(400, {**LM, "top_p": 0.9, "padded": True, "slots": 5}),
    "delete_retrieve": Tiny(1),
    "augmentation": Tiny(1, {"methods": [{"method": "erase"}]}),
}
KINDS = {name: generator_class(name) for name in GENERATORS}
# What starts from weights or an address that params name has its tests beside tiny files of that format, or a server.
ELSEWHERE = {
    **dict.fromkeys(("endpoint", "endpoint_rewrite", "endpoint_restyle"), "language/endpoint/test_generators.py"),
    **dict.fromkeys(("causal_lm", "seq2seq", "back_translation"), "language/pretrained/test_pretrained.py"),
    "finetuned_diffusion": "pipelines/test_finetuned.py",
}
ARRAYS = [name for name in TINY if KINDS[name].layouts & {"image", "rows", "vector"}]
TRAINED = [name for name in ARRAYS if KINDS[name].trains]
LINES = [name for name in TINY if "tokens" in KINDS[name].layouts]
HONOURING = [name for name in TRAINED if "subject" in KINDS[name].can_honour({"honours": ["subject"]})]
