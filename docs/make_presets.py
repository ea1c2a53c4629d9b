"""Writes docs/presets.md from generators/presets/*/*.yaml.

    python docs/make_presets.py

tests/test_docs.py fails while the page differs from what this prints.
"""

from __future__ import annotations

from pathlib import Path

from corpora.store.atomic import write_text
from generators.preset import MODALITIES, Preset, load_preset, preset_names

PAGE = Path(__file__).parent / "presets.md"
HEAD = """\
<!-- Written by docs/make_presets.py; edit generators/presets, not this page. -->
# Presets: systems of the literature

A preset sets a generator up as a paper does. It bears the paper's name where the mechanism is there without which the
paper would be another one ("must show"); a test takes that mechanism out and sees the loss, the graph or a statistic
change (`tests/generators/presets`). What is equal and what differs, and why, stands with each: no preset is a
reproduction of published numbers, and none of those numbers says here how a preset does. What was measured, under one
protocol: [generators](generators.md).

```yaml
runs:
  mine:
    corpora: [mine]
    representation: {name: functionals}
    generator: {preset: speech/latif-2020, steps: 3000}   # what stands beside it goes before what the preset says
```

`emoforge generators --presets` lists them, `emoforge generators NAME` shows one whole, `emoforge generators --for RUN`
ranks all that can model a run's representation by what was measured at classes of a like size. An arm of a
[study](studies.md) takes `preset:` too."""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for modality in MODALITIES:
        names = preset_names(modality)
        parts.append(f"## {modality.capitalize()}")
        parts += [_entry(name, load_preset(name)) for name in names] or ["None yet."]
    return "\n\n".join(parts) + "\n"


def _entry(name: str, preset: Preset) -> str:
    models = f" over `{preset.representation}`" if preset.representation else ""
    params = "".join(f", {key}: {value}" for key, value in preset.params.items())
    lines = [
        f"### `{name}`",
        "",
        f"**{preset.system}** ({preset.family}): generator `{preset.generator}`{models}{params}.",
        "",
        f"- *Source:* {preset.source}",
        f"- *Must show:* {preset.mechanism}",
        *[f"- *Equal:* {line}" for line in preset.equal],
        *[f"- *Differs:* {each.what}: {each.why}" for each in preset.differs],
    ]
    return "\n".join(lines)


def main() -> None:
    """Writes the page."""
    write_text(PAGE, page())


if __name__ == "__main__":
    main()
