"""Mechanisms of systems that fine-tune what others trained, on tiny pipelines of the genuine formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generators.generator import Condition, Device, Draw, generator_class
from generators.preset import load_preset
from tests.generators.pipelines.tiny_pipelines import write_stable_diffusion
from tests.generators.presets.mechanisms import shows
from tests.generators.toy import CLASSES, IMAGES, toy_data


@shows("faces/roy-2024")
def test_words_ask_for_a_class_and_rare_classes_are_filled(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    preset = load_preset("faces/roy-2024")
    assert preset.target == {"policy": "majority"}
    place = write_stable_diffusion(tmp_path / "base")
    quick = {"model": place, "tuning": "full", "sample_steps": 3, "batch_size": 4}  # LoRA's own test needs peft

    def images(words: dict[str, str]) -> np.ndarray:
        generator = generator_class(preset.generator)(IMAGES, CLASSES, **{**preset.params, **quick, "words": words})
        list(generator.fit(toy_data(IMAGES), steps=2, seed=0, device=Device()))
        return generator.sample([Draw(Condition(name), 5) for name in CLASSES], device=Device())

    told, silent = images({}), images(dict.fromkeys(CLASSES, "someone"))
    assert len({image.tobytes() for image in told}) == 3
    assert len({image.tobytes() for image in silent}) == 1, "without the words nothing tells classes apart"
