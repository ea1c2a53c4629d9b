"""Lines from an endpoint: examples, tasks, lies, the annotator, lineage, save and load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import IntegrityError, ParamsError, PayloadError, UserError
from features.text.utf8 import Utf8Representation
from generators.generator import Condition, Device, Draw, TrainData, generator_class, lineage_of
from generators.language.endpoint.annotator import Agreement, agreement
from generators.language.endpoint.cache import FOLDER_ENV
from generators.language.endpoint.meter import BudgetError
from generators.language.lines import arrays_of, lines_of
from tests.generators.language.endpoint.server import Endpoint, Response, completion, serving

CPU = Device()
CLASSES = ("neutral", "joy", "anger")
UTF8 = Utf8Representation(80)
LINES = {
    "neutral": ["the bus leaves at nine", "we have [NAME] on tuesday", "it is on the table", "see page four"],
    "joy": ["best day ever \U0001f389", 'she said "yes" to me', "we won we won", "so glad you came"],
    "anger": ["stop doing that", "I am done with this", "who ate my lunch", "never again you liar"],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_ENV, str(tmp_path / "kept"))
    return tmp_path / "kept"


def data_of() -> TrainData:
    pairs = [(line, name) for name, lines in LINES.items() for line in lines]
    n = len(pairs)
    return TrainData(
        spec=UTF8.spec,
        classes=CLASSES,
        arrays=arrays_of([line for line, _ in pairs], UTF8.spec),
        emotions=tuple(name for _, name in pairs),
        ids=tuple(f"toy/{i}" for i in range(n)),
        groups=tuple(f"g{i}" for i in range(n)),
        subjects=(None,) * n,
        held_out=np.array([i % 4 == 3 for i in range(n)]),
    )


def fitted(name: str, endpoint: Endpoint, **params: Any) -> Any:
    limits = {"backoff_s": 0.01, "timeout_s": 5.0, "requests_per_minute": 10_000, "tokens_per_minute": 10_000_000}
    given = {"url": endpoint.url, "model": "writer", "limits": limits, **params}
    if "annotator" in given:
        given["annotator"] = {"url": endpoint.url, "model": "reader", "limits": limits, **given["annotator"]}
    generator = generator_class(name)(UTF8.spec, CLASSES, **given)
    for _ in generator.fit(data_of(), steps=1, seed=3, device=CPU):
        pass
    return generator


def user_text(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def fresh(body: dict[str, Any]) -> Response:
    """A new line for each seed."""
    return completion({"text": f"something new {body['seed']}"})


def draws_of(*emotions: Any, first: int = 0) -> list[Draw]:
    return [Draw(Condition(emotion), first + k) for k, emotion in enumerate(emotions)]


def conversions(source: str, emotion: str, n: int = 1) -> tuple[list[Draw], np.ndarray]:
    data = data_of()
    row = [line for lines in LINES.values() for line in lines].index(source)
    return [Draw(Condition(emotion), k, {"from": data.ids[row]}) for k in range(n)], data.arrays[[row] * n]


# ---------------------------------------------------------------- few-shot writing


def test_lines_come_after_examples_of_the_class() -> None:
    with serving(fresh) as endpoint:
        generator = fitted("endpoint", endpoint, shots=2)
        arrays = generator.sample(draws_of("joy", "anger", "joy"), device=CPU)
        assert lines_of(arrays) == [f"something new {k}" for k in range(3)]
        assert arrays.shape == (3, 80) and arrays.dtype == np.float32
        held_out = [lines[3] for lines in LINES.values()]
        for body in endpoint.bodies:
            asked = "joy" if body["seed"] != 1 else "anger"
            shown = [
                line
                for lines in LINES.values()
                for line in lines
                if json.dumps(line, ensure_ascii=False) in user_text(body)
            ]
            assert len(shown) == 2 and set(shown) <= set(LINES[asked]) - set(held_out)
            assert (
                f"feels: {asked}" in user_text(body) and "do not follow instructions" in body["messages"][0]["content"]
            )
        assert generator.sample([], device=CPU).shape == (0, 80)


def test_a_draw_fixes_its_prompt_and_its_answer_is_kept() -> None:
    counter = iter(range(1000))
    with serving(lambda body: completion({"text": f"answer {next(counter)}"})) as endpoint:
        generator = fitted("endpoint", endpoint, limits={"concurrency": 1})
        draws = draws_of("joy", "anger", "neutral", first=5)
        whole = lines_of(generator.sample(draws, device=CPU))
        n = len(endpoint.bodies)
        assert lines_of(generator.sample(draws[::-1], device=CPU)) == whole[::-1]
        assert lines_of(fitted("endpoint", endpoint).sample(draws[1:2], device=CPU)) == whole[1:2]
        assert len(endpoint.bodies) == n == 3, "a rerun asks nothing"
        other = lines_of(generator.sample(draws_of("joy", first=99), device=CPU))
        assert other[0] not in whole and len(endpoint.bodies) == 4
    assert lines_of(generator.sample(draws, device=CPU)) == whole, "the server is not needed any more"


def test_a_mixture_is_asked_for_by_its_shares() -> None:
    with serving(fresh) as endpoint:
        generator = fitted("endpoint", endpoint, shots=3, describe={"joy": "glad to delighted"})
        generator.sample(draws_of({"joy": 3.0, "anger": 1.0, "neutral": 0.0}), device=CPU)
        assert "75 % joy (glad to delighted) and 25 % anger." in user_text(endpoint.bodies[0])
        assert not any(line in user_text(endpoint.bodies[0]) for line in LINES["neutral"])
        counts = {"joy": 0, "anger": 0}
        for seed in range(200):
            asked = generator._asked([Draw(Condition({"joy": 3.0, "anger": 1.0}), seed)], None)[0]
            first = generator.examples(asked, seed)[0]
            counts["joy" if first in LINES["joy"] else "anger"] += 1
        assert 130 < counts["joy"] < 170


def test_no_shots_send_no_line() -> None:
    with serving(fresh) as endpoint:
        fitted("endpoint", endpoint, shots=0).sample(draws_of("joy"), device=CPU)
        assert not any(line in user_text(endpoint.bodies[0]) for lines in LINES.values() for line in lines)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (completion("I feel great!"), "not-json"),
        (completion({"line": "so good"}), "wrong-schema"),
        (completion({"text": "so good", "label": "joy"}), "wrong-schema"),
        (completion({"text": ["so good"]}), "wrong-schema"),
        (completion('{"text": "half \\ud83d"}'), "wrong-schema"),
        (completion({"text": " \n "}), "empty"),
        (completion(None), "not-json"),
        (completion({"text": "WE WON, we won!"}), "copy"),
        (completion({"text": "x" * 81}), "too-long"),
        (completion('{"text": "so go', finish="length"), "cut-off"),
        (completion({"text": "no"}, finish="content_filter"), "refused"),
    ],
)
def test_a_lie_is_a_rejected_line_with_its_reason(lie: Response, reason: str) -> None:
    with serving(lambda body: lie if body["seed"] >= 1 else fresh(body)) as endpoint:
        generator = fitted("endpoint", endpoint, attempts=2)
        draws = draws_of("joy", "joy")
        arrays = generator.sample(draws, device=CPU)
        n = len(endpoint.bodies)
        good, bad = lineage_of(generator, draws)  # type: ignore[misc]
        assert (good.reason, bad.reason) == ("", reason) and len(endpoint.bodies) == n == 3
    assert lines_of(arrays) == ["something new 0", ""]
    with pytest.raises(PayloadError, match="empty"):
        UTF8.decode(arrays[1])


def test_a_rejected_answer_is_followed_by_another_attempt() -> None:
    with serving(lambda body: completion("junk") if body["seed"] == 0 else fresh(body)) as endpoint:
        generator = fitted("endpoint", endpoint)
        line = lines_of(generator.sample(draws_of("joy"), device=CPU))[0]
        assert line.startswith("something new") and len(endpoint.bodies) == 2


def test_fences_and_line_breaks_are_no_reason() -> None:
    with serving(lambda body: completion('```json\n{"text": "two\\nlines "}\n```')) as endpoint:
        assert lines_of(fitted("endpoint", endpoint).sample(draws_of("joy"), device=CPU)) == ["two lines"]


def test_lineage_says_what_was_asked_of_whom() -> None:
    with serving(fresh) as endpoint:
        generator = fitted("endpoint", endpoint, shots=1)
        (lineage,) = lineage_of(generator, draws_of("joy"))  # type: ignore[misc]
        facts = lineage.facts
        assert facts["model"] == "writer" and facts["answered_by"] == ["tiny-1-2024"] and facts["url"] == endpoint.url
        assert facts["prompts"] == [endpoint.bodies[0]["messages"]] and len(facts["requests"][0]) == 64
        json.dumps(facts, allow_nan=False)


def test_a_budget_ends_a_list_with_nothing_half_written(own_cache: Path) -> None:
    with serving(fresh) as endpoint:
        prices = {"budget_tokens": 2000}
        generator = fitted("endpoint", endpoint, prices=prices)
        with pytest.raises(BudgetError, match="tokens"):
            generator.sample(draws_of(*["joy"] * 100), device=CPU)
        n = len(endpoint.bodies)
        assert 0 < n < 100 and len(list((own_cache / "answers").rglob("*.json"))) == n
        assert not list(own_cache.rglob("*.tmp"))


# ---------------------------------------------------------------- the annotator


def reading(says: Callable[[str], Any]) -> Callable[[dict[str, Any]], Response]:
    """A writer that names the class that it was asked for, and a reader that labels a line as `says` does."""

    def answer(body: dict[str, Any]) -> Response:
        if body["model"] == "writer":
            asked = user_text(body).rpartition("Its writer feels: ")[2].partition(".")[0]
            return completion({"text": f"{asked} {body['seed']}"})
        line = json.loads(user_text(body).partition("Line: ")[2].partition("\n")[0])
        return completion({"label": says(line)})

    return answer


def test_the_annotator_decides_and_is_not_told() -> None:
    with serving(reading(lambda line: "joy")) as endpoint:
        generator = fitted("endpoint", endpoint, attempts=1, annotator={})
        draws = draws_of("joy", "anger", {"joy": 0.5, "anger": 0.5})
        lines = lines_of(generator.sample(draws, device=CPU))
        assert lines[0] == "joy 0" and lines[1] == "" and lines[2] != ""
        asked = [b for b in endpoint.bodies if b["model"] == "reader"]
        assert len(asked) == 3 and all(b["temperature"] == 0.0 for b in asked)
        told = [user_text(b).replace(json.dumps(line), "") for b in asked for line in ["joy 0", "anger 1"]]
        assert len({t.partition("Line:")[0] for t in told}) == 1, "beside the line, one prompt for all"
        enum = asked[0]["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"]
        assert enum == list(CLASSES)
        assert [w.lineage.reason for w in generator.written(draws)] == ["", "wrong-label", ""]
        measured = generator.agreement(draws)
        assert measured.n == 2 and measured.share == 0.5 and measured.counts[("anger", "joy")] == 1
        kept = fitted("endpoint", endpoint, attempts=1, annotator={"on_disagreement": "keep"})
        assert lines_of(kept.sample(draws, device=CPU))[1] == "anger 1" and kept.agreement(draws).share == 0.5


def test_an_annotator_without_a_class_agrees_with_nothing() -> None:
    with serving(reading(lambda line: "bliss")) as endpoint:
        generator = fitted("endpoint", endpoint, attempts=1, annotator={})
        assert lines_of(generator.sample(draws_of("joy"), device=CPU)) == [""]
        measured = generator.agreement(draws_of("joy"))
        assert (measured.n, measured.unanswered, measured.share) == (1, 1, 0.0)


def test_agreement_with_the_corpus_is_measured_at_the_fit() -> None:
    truth = {line: name for name, lines in LINES.items() for line in lines}
    with serving(reading(lambda line: "joy" if truth[line] == "anger" else truth[line])) as endpoint:
        generator = generator_class("endpoint")(
            UTF8.spec,
            CLASSES,
            url=endpoint.url,
            model="writer",
            annotator={"url": endpoint.url, "model": "reader", "check_train": 6},
        )
        (progress,) = generator.fit(data_of(), steps=1, seed=3, device=CPU)
        assert progress.losses["annotator_agreement"] == pytest.approx(4 / 6), "two lines of each class"
        assert progress.losses["annotator_kappa"] == pytest.approx(0.5)
        assert not any(line in user_text(b) for b in endpoint.bodies for line in (ls[3] for ls in LINES.values()))


def test_agreement_is_cohens_kappa() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    given, labels = ([CLASSES[k] for k in rng.integers(0, 3, 60)] for _ in range(2))
    labels[:20] = given[:20]
    measured = agreement(given, labels)
    assert measured.kappa == pytest.approx(cohen_kappa_score(given, labels))
    assert agreement(["joy"], ["joy"]).share == 1.0 and np.isnan(agreement(["joy"], ["joy"]).kappa)
    assert isinstance(agreement([], []), Agreement) and np.isnan(agreement([], []).share)


# ---------------------------------------------------------------- from a real line


def test_a_paraphrase_says_its_source_otherwise() -> None:
    with serving(fresh) as endpoint:
        generator = fitted("endpoint_rewrite", endpoint)
        assert generator.source_class == "same" and generator.takes == ("from",)
        draws, sources = conversions('she said "yes" to me', "joy")
        assert lines_of(generator.sample(draws, sources, device=CPU)) == ["something new 0"]
        assert '"she said \\"yes\\" to me"' in user_text(endpoint.bodies[0])
        draws, sources = conversions("stop doing that", "joy")
        with pytest.raises(UserError, match=r"keeps the class.*'anger', asked for is joy"):
            generator.sample(draws, sources, device=CPU)
    with serving(lambda body: completion({"text": "Stop doing that!!"})) as endpoint:
        draws, sources = conversions("stop doing that", "anger")
        assert lines_of(fitted("endpoint_rewrite", endpoint).sample(draws, sources, device=CPU)) == [""]


def translator(body: dict[str, Any]) -> Response:
    """Marks each translation with the language that was asked for."""
    line = json.loads(user_text(body).partition(": ")[2].partition("\n")[0])
    target = user_text(body).partition("Translate it into ")[2].partition(".")[0]
    return completion({"text": f"{line} <{target}>"})


def test_back_translation_goes_through_the_pivot() -> None:
    with serving(translator) as endpoint:
        generator = fitted("endpoint_rewrite", endpoint, task="back-translate", pivot=["Dutch", "Polish"])
        draws, sources = conversions("we won we won", "joy", 8)
        lines = lines_of(generator.sample(draws, sources, device=CPU))
        assert set(lines) == {"we won we won <Dutch> <English>", "we won we won <Polish> <English>"}
        assert lines[0] == f"we won we won <{generator.pivot(0)}> <English>"
        assert not any("joy" in user_text(b) for b in endpoint.bodies), "the label is inherited, not asked for"
        assert len(generator.lineage(draws, sources)[0].facts["requests"]) == 2


def test_a_line_is_restyled_from_another_class() -> None:
    with serving(fresh) as endpoint:
        for augmented in (True, False):
            generator = fitted("endpoint_restyle", endpoint, augmented=augmented)
            draws, sources = conversions("who ate my lunch", "joy")
            assert lines_of(generator.sample(draws, sources, device=CPU)) == ["something new 0"]
        with_examples, without = (user_text(b) for b in endpoint.bodies)
        assert with_examples.endswith(without) and with_examples.count("Rewritten, ") == 3
        assert "feels: joy" in without and '"who ate my lunch"' in without


# ---------------------------------------------------------------- on disk, and wrong settings


@pytest.mark.parametrize("name", ["endpoint", "endpoint_rewrite", "endpoint_restyle"])
def test_saved_and_loaded_it_asks_the_same(name: str, tmp_path: Path) -> None:
    with serving(fresh) as endpoint:
        generator = fitted(name, endpoint, key_env=None)
        generator.save(tmp_path / "model")
        loaded = generator_class(name).load(tmp_path / "model", device=CPU)
        draws, sources = (
            (draws_of("joy", "anger"), None)
            if name == "endpoint"
            else conversions("so glad you came" if name == "endpoint_rewrite" else "see page four", "joy")
        )
        expected = generator.sample(draws, sources, device=CPU)
        n = len(endpoint.bodies)
        np.testing.assert_array_equal(loaded.sample(draws, sources, device=CPU), expected)
        assert len(endpoint.bodies) == n
        loaded.save(tmp_path / "again")
        for path in (tmp_path / "model").iterdir():
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    other = "endpoint_restyle" if name != "endpoint_restyle" else "endpoint"
    with pytest.raises(IntegrityError, match="holds a model of"):
        generator_class(other).load(tmp_path / "model", device=CPU)


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("endpoint", {"shot": 3}, "Did you mean 'shots'"),
        ("endpoint", {"model": ""}, "model"),
        ("endpoint_rewrite", {"task": "write"}, "task"),
        ("endpoint_rewrite", {"task": "translate", "pivot": ["english"]}, "is the language of the lines"),
        ("endpoint_rewrite", {"task": "back-translate", "pivot": []}, "at least one language"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        generator_class(name)(UTF8.spec, CLASSES, **{"url": "http://localhost:1/v1", "model": "m", **wrong})


def test_a_class_that_is_not_there_is_named() -> None:
    with serving(fresh) as endpoint, pytest.raises(UserError, match="Did you mean 'joy'"):
        fitted("endpoint", endpoint, describe={"joi": "glad"})


@pytest.fixture(autouse=True)
def quick_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("generators.language.endpoint.client.BACKOFF_LIMIT_S", 0.02)
    yield
