"""Mechanisms of systems that ask a language model, on a server that speaks the protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import UserError
from generators.generator import generator_class
from generators.language.endpoint.cache import FOLDER_ENV
from generators.language.lines import lines_of
from generators.preset import load_preset
from tests.generators.language.endpoint.server import Endpoint, serving
from tests.generators.language.endpoint.test_generators import (
    CLASSES,
    CPU,
    LINES,
    UTF8,
    conversions,
    data_of,
    draws_of,
    fresh,
    reading,
    translator,
    user_text,
)
from tests.generators.presets.mechanisms import shows


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_ENV, str(tmp_path))


def fitted(name: str, endpoint: Endpoint, **changes: Any) -> tuple[Any, dict[str, float]]:
    """-> the preset's generator at this server, and what its fit reports."""
    preset = load_preset(name)
    params = {**preset.params, "url": endpoint.url, **changes}
    if params.get("annotator"):
        params["annotator"] = {**params["annotator"], "url": endpoint.url}
    generator = generator_class(preset.generator)(UTF8.spec, CLASSES, **params)
    (progress,) = generator.fit(data_of(), steps=1, seed=0, device=CPU)
    return generator, dict(progress.losses)


@shows("text/koptyra-2023")
def test_author_and_annotator_are_apart_and_their_agreement_is_reported() -> None:
    truth = {line: name for name, lines in LINES.items() for line in lines}

    def says(line: str) -> str:
        return truth.get(line, "joy")  # right on the corpus, "joy" for whatever is written

    with serving(
        lambda body: reading(says)({**body, "model": "writer" if body["model"] == "author" else "reader"})
    ) as e:
        generator, reported = fitted("text/koptyra-2023", e)
        draws = draws_of("joy", "anger")
        generator.sample(draws, device=CPU)
        assert {body["model"] for body in e.bodies} == {"author", "annotator"}
        assert reported["annotator_agreement"] == 1.0 and reported["annotator_lines"] == 9
        assert generator.agreement(draws).share == 0.5
        author, annotator = ([b for b in e.bodies if b["model"] == model] for model in ("author", "annotator"))
        assert not {b["messages"][0]["content"] for b in author} & {b["messages"][0]["content"] for b in annotator}
        written = [b for b in annotator if "anger 1" in user_text(b)]
        assert "feels: anger" not in user_text(written[0]), "it is not told what was asked for"
        alone, nothing = fitted("text/koptyra-2023", e, annotator=None)
        alone.sample(draws, device=CPU)
        assert "annotator_agreement" not in nothing and alone.agreement(draws).unanswered == 2


@shows("text/nedilko-2023")
def test_a_translation_keeps_the_label_of_its_line() -> None:
    with serving(translator) as endpoint:
        generator, _ = fitted("text/nedilko-2023", endpoint)
        draws, sources = conversions("we won we won", "joy", 6)
        lines = set(lines_of(generator.sample(draws, sources, device=CPU)))
        assert lines <= {f"we won we won <{name}>" for name in ("Urdu", "Hindi", "Spanish")} and len(lines) > 1
        assert not any(name in user_text(body) for body in endpoint.bodies for name in CLASSES)
        wrong, sources = conversions("we won we won", "anger")
        with pytest.raises(UserError, match="keeps the class"):
            generator.sample(wrong, sources, device=CPU)
    with serving(fresh) as endpoint:
        without, _ = fitted("text/nedilko-2023", endpoint, task="paraphrase")
        draws, sources = conversions("we won we won", "joy")
        without.sample(draws, sources, device=CPU)
        assert "Translate" not in json.dumps(endpoint.bodies)


@shows("text/reif-2022")
def test_rewrites_of_other_kinds_come_first() -> None:
    with serving(fresh) as endpoint:
        prompts = []
        for augmented in (True, False):
            generator, _ = fitted("text/reif-2022", endpoint, augmented=augmented)
            generator.sample(*conversions("who ate my lunch", "joy"), device=CPU)
            prompts.append(user_text(endpoint.bodies[-1]))
        shown = prompts[0].removesuffix(prompts[1])
        assert prompts[0] != prompts[1] and shown.count("Rewritten, ") == 3
        assert not any(name in shown for name in CLASSES), "none is of the wanted kind"
        assert not any(line in shown for lines in LINES.values() for line in lines)
