"""The changelog of a run as text: one section a version, what others wrote into it kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flows.publishing.changelog import section_of, sections, with_version
from flows.releases.versions import Facts, MovedSamples, facts_in, with_facts

FACTS = Facts(
    release_hash="ab12",
    real=5,
    synthetic=2,
    verdicts={"fail": 1, "pass": 3},
    bump="minor",
    because=("samples: 1 real and 2 synthetic came",),
    moved=(
        MovedSamples(what="came", kind="real", by_class={"anger": 1}),
        MovedSamples(what="came", kind="synthetic", by_class={"anger": 1, "fear": 1}),
        MovedSamples(what="payload", kind="synthetic", by_class={"fear": 3}),
    ),
    turned=("frechet (all) pass -> fail",),
    why=("synthetic samples: 2 came. Why: runs.tiny.seed (1 -> 2)",),
)
SECTION = """## tiny@v1.1.0 (2026-11-30)

minor: samples: 1 real and 2 synthetic came

- release hash ab12
- 5 real and 2 synthetic samples
- verdicts: 1 fail, 3 pass
- 1 real came (anger 1)
- 2 synthetic came (anger 1, fear 1)
- 3 synthetic have another payload (fear 3)
- turned: frechet (all) pass -\\> fail
- synthetic samples: 2 came. Why: runs.tiny.seed (1 -\\> 2)
"""


def test_a_section_says_what_moved() -> None:
    assert section_of("tiny@v1.1.0", "2026-11-30", FACTS) == SECTION


def test_facts_go_through_a_message_and_old_ones_are_read() -> None:
    assert facts_in(with_facts("Publish tiny@v1.1.0", FACTS)) == FACTS
    old = facts_in('Facts: {"release_hash": "x", "real": 1, "synthetic": 0, "bump": "minor", "because": ["a"]}')
    assert old is not None and old.moved == () and old.because == ("a",)


def test_names_of_others_are_no_markup() -> None:
    evil = Facts(release_hash="x", real=1, synthetic=0, bump="minor", because=("a\n## tiny@v9.9.9\n<script>[x](y)",))
    text = with_version("", "tiny", "tiny@v1.0.0", section_of("tiny@v1.0.0", "d", evil), [])
    assert list(sections(text)[1]) == ["tiny@v1.0.0"] and "<script>" not in text.replace("\\<", "")


def test_words_of_others_stay_and_leftovers_go() -> None:
    first = with_version("", "tiny", "tiny@v1.0.0", section_of("tiny@v1.0.0", "d", FACTS), [])
    assert first.startswith("# Versions of tiny\n\n## tiny@v1.0.0 (d)\n")
    edited = first.replace("# Versions of tiny\n", "# Ours\n\nIntro.\n") + "\nA remark of mine.\n"
    leftover = with_version(edited, "tiny", "tiny@v2.0.0", section_of("tiny@v2.0.0", "d", FACTS), ["tiny@v1.0.0"])
    second = with_version(leftover, "tiny", "tiny@v1.1.0", SECTION, ["tiny@v1.0.0"])
    assert list(sections(second)[1]) == ["tiny@v1.1.0", "tiny@v1.0.0"]
    assert second.startswith("# Ours\n\nIntro.\n\n## tiny@v1.1.0") and second.endswith("A remark of mine.\n")


@given(st.lists(st.integers(0, 5), max_size=8))
def test_written_twice_is_written_once(numbers: list[int]) -> None:
    """Versions in their order, each written as often as a publish was cut short: one section each, the same text."""
    text = ""
    tags: list[str] = []
    for number, times in enumerate(numbers):
        tag = f"tiny@v1.{number}.0"
        for _ in range(times + 1):
            text = with_version(text, "tiny", tag, section_of(tag, "d", FACTS), tags)
        tags.append(tag)
    assert list(sections(text)[1]) == tags[::-1] and text.count("\n## ") == len(tags)
