"""params.yaml: what is wrong is named, with the nearest valid name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpora.errors import ParamsError, UnknownNameError
from flows.params import Ratios, RunParams, load_machine, load_params
from flows.studying import Arm
from generators.preset import load_preset, preset_names

RUN = """
corpora: {a: {reader: fer2013}}
runs:
  a:
    corpora: [a]
    representation: {name: pixels, size: 48}
    generator: {name: cvae, steps: 10}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_params_are_valid(repo: Path) -> None:
    params = load_params(repo / "params.yaml")
    assert {"demo_speech", "demo_faces"} <= set(params.runs)
    assert all(run.corpora for run in params.runs.values())


def test_defaults_and_extras(tmp_path: Path) -> None:
    run = load_params(written(tmp_path, RUN)).run("a")
    assert run.view == "group" and run.policy.on_fail == "block"
    assert run.representation.params == {"size": 48}
    assert next(iter(run.gate_params())) == "validity"


def test_a_preset_says_what_stands_beside_it_does_not(tmp_path: Path) -> None:
    name = next(n for n in preset_names() if load_preset(n).params and load_preset(n).steps)
    preset = load_preset(name)
    key = next(iter(preset.params))
    line = "generator: {name: cvae, steps: 10}"
    of_it = load_params(written(tmp_path, RUN.replace(line, f"generator: {{preset: {name}}}"))).run("a").generator
    assert of_it is not None and of_it.preset == name
    assert (of_it.name, of_it.steps, of_it.params) == (preset.generator, preset.steps, preset.params)
    assert type(of_it).model_validate(of_it.model_dump()) == of_it, "a plan that writes it out says the same again"
    own = f"generator: {{preset: {name}, steps: 7, params: {{{key}: mine}}}}"
    changed = load_params(written(tmp_path, RUN.replace(line, own))).run("a").generator
    assert changed is not None and changed.steps == 7 and changed.params == {**preset.params, key: "mine"}


def test_a_preset_whose_intensity_is_ranked_says_so_to_a_run(tmp_path: Path) -> None:
    line = "generator: {name: cvae, steps: 10}"
    ranked = load_params(written(tmp_path, RUN.replace(line, "generator: {preset: speech/zhou-2022}"))).run("a")
    assert ranked.generator is not None and ranked.generator.intensity == "ranked"
    assert Arm.model_validate({"preset": "speech/zhou-2022"}).method == ranked.generator.name


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("generator: {preset: nobody-1999}", r"runs\.a\.generator.*unknown preset 'nobody-1999'"),
        (
            "generator: {preset: PRESET, name: transfer}",
            r"preset PRESET is of generator .*not 'transfer'.*leave `name`",
        ),
    ],
)
def test_a_preset_that_cannot_be_is_refused(tmp_path: Path, line: str, says: str) -> None:
    name = next(n for n in preset_names() if load_preset(n).generator != "transfer")
    text = RUN.replace("generator: {name: cvae, steps: 10}", line.replace("PRESET", name))
    with pytest.raises(ParamsError, match=says.replace("PRESET", name)):
        load_params(written(tmp_path, text))


def test_an_arm_of_a_study_takes_a_preset() -> None:
    name = preset_names()[0]
    arm = Arm.model_validate({"preset": name, "by": "count"})
    assert arm.method == load_preset(name).generator and arm.preset == name


def test_a_disabled_gate_is_left_out_and_a_new_one_comes_last(tmp_path: Path) -> None:
    text = RUN + "    gates: {copies: {enabled: false}, mine: {limit: {absolute: 1}}}\n"
    gates = load_params(written(tmp_path, text)).run("a").gate_params()
    assert "copies" not in gates and list(gates)[-1] == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps: 10", "stpes: 10"), r"runs\.a\.generator\.stpes.*Did you mean 'steps'"),
        (("steps: 10", "steps: many"), r"runs\.a\.generator\.steps.*'many'"),
        (("steps: 10", "steps: -1"), r"runs\.a\.generator\.steps.*-1.*greater than or equal to 0"),
        (("corpora: [a]", "corpora: [b]"), r"runs\.a\.corpora.*unknown corpus 'b'.*Known: a"),
        (("corpora: [a]", "corpora: [a, a]"), "named twice"),
        (("corpora: [a]", "corpora: []"), r"runs\.a\.corpora"),
        (("corpora: [a]", "corpora: [a]\n    target: {policy: number}"), "needs `number`"),
        (
            ("corpora: [a]", "corpora: [a]\n    gates: {mcd: {limit: {}}}"),
            r"runs\.a\.gates\.mcd\.limit.*exactly one of absolute, quantile and floor; this one has none",
        ),
        (
            ("corpora: [a]", "corpora: [a]\n    gates: {mcd: {limit: {quantile: 1.5}}}"),
            r"runs\.a\.gates\.mcd\.limit.*quantile 1.5 of a limit is outside \[0, 1\]",
        ),
        (("corpora: [a]", "corpora: [a]\n    rounds: {min_acceptance: .nan}"), "min_acceptance"),
        (("corpora: [a]", "corpora: [a]\n    policy: {on_fial: block}"), r"policy\.on_fial.*Did you mean 'on_fail'"),
        (("fer2013}", "fer2013, ratios: {train: 0.9, dev: 0.2, test: 0.2}}"), "sum to 1.3"),
        (("runs:", "rums:"), "'rums'.*Did you mean 'runs'"),
        (("  a:\n", "  A b:\n"), "A b"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        load_params(written(tmp_path, RUN.replace(*change)))


def test_unknown_run_names_the_nearest(tmp_path: Path) -> None:
    params = load_params(written(tmp_path, RUN.replace("  a:\n", "  ravdess:\n")))
    with pytest.raises(UnknownNameError, match="Did you mean 'ravdess'"):
        params.run("ravdes")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "a: b: c"])
def test_not_a_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load_params(written(tmp_path, text))


def test_missing_file_and_other_encoding(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"no params\.yaml"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(RUN.encode("utf-16"))
    with pytest.raises(ParamsError, match="not UTF-8"):
        load_params(tmp_path / "params.yaml")


def test_environment_wins_over_machine_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine.yaml").write_text("actors: 1\n")
    monkeypatch.setenv("EMOFORGE_ACTORS", "3")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    machine = load_machine(tmp_path / "machine.yaml")
    assert (machine.actors, machine.ray_address) == (3, "127.0.0.1:1")
    (tmp_path / "machine.yaml").write_text("actor: 1\n")
    monkeypatch.delenv("EMOFORGE_ACTORS")
    with pytest.raises(ParamsError, match=r"machine\.yaml.*'actor'.*Did you mean 'actors'"):
        load_machine(tmp_path / "machine.yaml")


# nine lines that stand for 9**8 values
REFERENCES = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 9)
)
BROKEN = {
    "binary": b"\xff\xfe\0\1" * 50,
    "zeros": b"\0" * 100,
    "list": b"- a\n",
    "scalar": b"3\n",
    "text": b"abc\n",
    "deep": b"a: " + b"[" * 3000,
    "deep mappings": b"{a: " * 3000,
    "closed": b"a: " + b"[" * 200 + b"]" * 200,
    "huge": b"# " + b"x" * (5 << 20),
    "self": b"a: &a [*a]\n",
    "references": REFERENCES,
    "date": b"a: 2020-13-45\n",
    "conflict": b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>>\n",
    "tag": b"a: !!python/object:os.system x\n",
    "binary value": b"a: !!binary aGVq\n",
    "set": b"a: !!set {b, c}\n",
    "half": b'a: "\\ud800"\n',
    "half key": b'"\\ud800": a\n',
    "twice": b"a: 1\na: 2\n",
}


@pytest.mark.parametrize("name", ["params.yaml", "machine.yaml"])
@pytest.mark.parametrize("content", [pytest.param(content, id=what) for what, content in BROKEN.items()])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ParamsError, match=name) as raised:
        (load_params if name == "params.yaml" else load_machine)(tmp_path / name)
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize("name", ["params.yaml", "machine.yaml"])
def test_a_folder_and_a_loop_of_links_are_no_files(tmp_path: Path, name: str) -> None:
    load = load_params if name == "params.yaml" else load_machine
    (tmp_path / name).mkdir()
    with pytest.raises(ParamsError, match=f"{name} cannot be read"):
        load(tmp_path / name)
    (tmp_path / name).rmdir()
    (tmp_path / name).symlink_to(tmp_path / name)
    with pytest.raises(ParamsError, match=f"{name} cannot be read"):
        load(tmp_path / name)


def test_an_empty_machine_yaml_is_none(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text("# nothing\n")
    assert load_machine(tmp_path / "machine.yaml") == load_machine(tmp_path / "no.yaml")


@pytest.mark.parametrize("digits", [19, 20, 100, 5000])
@pytest.mark.parametrize(
    ("text", "key"),
    [
        (RUN + "    seed: N\n", "seed"),
        (RUN + "    shards: N\n", "shards"),
        (RUN.replace("steps: 10", "steps: N"), "steps"),
        (RUN.replace("steps: 10", "steps: 10, params: {width: N}"), "width"),
        (RUN.replace("size: 48", "size: N"), "size"),
        ("numerics: {fit_threads: N}\n", "fit_threads"),
        ("corpora: {a: {reader: fer2013, split_seed: N}}\n", "split_seed"),
        ("demo: {a: {reader: fer2013, per_class: {fear: N}}}\n", "fear"),
    ],
)
def test_a_number_that_is_too_large_is_named_with_its_key(tmp_path: Path, text: str, key: str, digits: int) -> None:
    number = "9" * digits
    path = written(tmp_path, text.replace("N", number))
    with pytest.raises(ParamsError, match=rf"params\.yaml.*{key}") as raised:
        load_params(path)
    assert len(str(raised.value)) < 400


@given(st.integers(-(10**30), 10**30), st.sampled_from(["seed", "shards", "target: {number", "rounds: {max_rounds"]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_whole_number_is_taken_or_refused_by_name(tmp_path: Path, number: int, key: str) -> None:
    text = RUN + f"    {key}: {number}" + ("}" if "{" in key else "") + "\n"
    try:
        params = load_params(written(tmp_path, text))
    except ParamsError as error:
        assert key.rpartition("{")[2] in str(error)
    else:
        assert 0 <= number < 2**63 and params.run("a")


@pytest.mark.parametrize(
    "view", ["group-seed" + "9" * 5000, "group-k" + "9" * 5000 + "-fold1", "group-k5-fold" + "9" * 30]
)
def test_numbers_in_names_of_views_are_bounded(tmp_path: Path, view: str) -> None:
    with pytest.raises(ParamsError, match="view"):
        load_params(written(tmp_path, RUN + f"    view: {view}\n"))


@pytest.mark.parametrize("store", ["../x", "x", "./x", "~/x", "file://x", "''"])
def test_a_relative_store_is_refused_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    (tmp_path / "machine.yaml").write_text(f"store: {store}\n")
    with pytest.raises(ParamsError, match=r"'store'.*absolute folder"):
        load_machine(tmp_path / "machine.yaml")
    monkeypatch.setenv("EMOFORGE_STORE", store.strip("'") or ".")
    with pytest.raises(ParamsError, match="'store'"):
        load_machine(tmp_path / "no.yaml")


@pytest.mark.parametrize("store", ["/data/store", "file:///data/store", "s3://bucket/emoforge", "memory://x"])
def test_an_absolute_store_or_url_is_taken(tmp_path: Path, store: str) -> None:
    (tmp_path / "machine.yaml").write_text(f"store: {store}\n")
    assert load_machine(tmp_path / "machine.yaml").store == store


def test_params_are_frozen_and_know_no_infinity(tmp_path: Path) -> None:
    params = load_params(written(tmp_path, RUN))
    with pytest.raises(ValidationError, match="frozen"):
        params.numerics.fit_threads = 3  # type: ignore[misc]
    (tmp_path / "machine.yaml").write_text("stall_s: .inf\n")
    with pytest.raises(ParamsError, match=r"stall_s.*finite"):
        load_machine(tmp_path / "machine.yaml")


@pytest.mark.parametrize(("sum_", "fits"), [(1.0, True), (1.0 + 9e-7, True), (1.0 + 1.1e-6, False), (0.999, False)])
def test_ratios_sum_to_one(sum_: float, fits: bool) -> None:
    given = {"train": sum_ - 0.4, "dev": 0.2, "test": 0.2}
    if fits:
        assert Ratios.model_validate(given).dev == 0.2
    else:
        with pytest.raises(ValidationError, match="sum to"):
            Ratios.model_validate(given)


@pytest.mark.parametrize("lacking", ["train", "test"])
def test_train_and_test_cannot_be_empty_and_dev_can(lacking: str) -> None:
    with pytest.raises(ValidationError, match="above 0"):
        Ratios.model_validate({"train": 0.8, "dev": 0.2, "test": 0.8} | {lacking: 0.0})
    assert Ratios.model_validate({"train": 0.8, "dev": 0.0, "test": 0.2}).dev == 0.0


@pytest.mark.parametrize("view", [3, ["group"], None, True])
def test_a_view_is_a_name_or_its_fields(view: object) -> None:
    with pytest.raises(ValidationError, match="a name or a mapping"):
        RunParams.model_validate({"corpora": ["a"], "view": view})
    assert (
        RunParams.model_validate({"corpora": ["a"], "view": {"strategy": "kfold", "k": 5, "fold": 2}}).view
        == "group-k5-fold2"
    )
