"""Which weights of a pretrained model a fit moves and a model keeps: all, or low-rank updates (LoRA, Hu 2021)."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pydantic import Field
from torch import nn

from corpora.errors import ResourceError
from generators.params import GeneratorParams, LoopFields


class LoraParams(GeneratorParams):
    """Which weights a fit moves."""

    tuning: Literal["lora", "full"] = Field(
        "lora", description="lora: low-rank updates of the linear layers, the rest stays as it is; full: all weights"
    )
    rank: int = Field(8, ge=1, le=1024, description="of LoRA's updates")
    alpha: float = Field(16.0, gt=0, le=4096, description="LoRA's updates are scaled by alpha / rank")
    dropout: float = Field(0.05, ge=0, lt=1, description="of the input of LoRA's updates, while training")


class TuningParams(LoraParams, LoopFields):
    """What fine-tuned language models share: smaller steps than a network from scratch takes."""

    batch_size: int = Field(16, ge=1, le=65536, description="samples in a training step, over all workers")
    lr: float = Field(3e-4, gt=0, le=1, description="learning rate of Adam after the warm-up")
    warmup: int = Field(20, ge=0, le=1_000_000_000, description="steps over which the learning rate rises to lr")
    decay: bool = Field(True, description="let the learning rate fall to zero along a cosine")


class Trainable(nn.Module):
    """The parameters that a fit moves, and no others: the loop keeps, averages and saves what this module has. They are
    the very parameters of the models they come from, so that a model changes with it."""

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        super().__init__()
        for name, parameter in named.items():
            self.register_parameter(name.replace(".", "/"), parameter)


def tune(model: nn.Module, params: LoraParams, targets: str | list[str] = "all-linear") -> dict[str, nn.Parameter]:
    """Makes the model ready -> name -> parameter that is to be trained; of all others the gradient is off. New weights
    are drawn from torch's global generator. Raises `ResourceError` where peft is wanted and not installed."""
    if params.tuning == "full":
        model.requires_grad_(True)
        return dict(model.named_parameters())
    peft = _peft()
    model.requires_grad_(False)
    config = peft.LoraConfig(
        r=params.rank, lora_alpha=params.alpha, lora_dropout=params.dropout, target_modules=targets
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layers that are stored the other way round: peft turns them
        peft.inject_adapter_in_model(config, model)
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise ResourceError(
            "LoRA needs peft, which is not installed: pip install 'emoforge[lm]', or set tuning: full"
        ) from None
    return peft
