"""What the documentation shows works: its code runs, its links lead somewhere, its tables are up to date."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

REPO = Path(__file__).resolve().parent.parent
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path, taken off again with all that was imported from it."""
    folder = tmp_path / "package"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def install(page: Path, folder: Path) -> str:
    """Writes the page's Python files and entry points as an installed package would have them. -> its check."""
    check = ""
    for code in blocks(page, "python"):
        name = code.splitlines()[0].removeprefix("# ").strip()
        assert re.fullmatch(r"\w+\.py", name), f"{page.name}: a block does not begin with the name of its file"
        (folder / name).write_text(code, encoding="utf-8")
        check = name.removesuffix(".py") if name.startswith("check_") else check
    declared = tomllib.loads("\n".join(blocks(page, "toml")))["project"]["entry-points"]
    info = folder / "an_example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: an-example\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in names.items()) for group, names in declared.items()]
    (info / "entry_points.txt").write_text("\n\n".join(lines) + "\n")
    importlib.invalidate_caches()
    return check


@pytest.mark.parametrize("name", ["add-a-corpus", "add-a-generator", "add-a-gate"])
def test_worked_example(name: str, package: Path, tmp_path: Path) -> None:
    check = install(REPO / "docs" / f"{name}.md", package)
    importlib.import_module(check).check(tmp_path / "work")


def test_a_described_corpus(package: Path, tmp_path: Path) -> None:
    """docs/describe-a-corpus.md: its card reads what the page says; the cards of its other layouts are cards."""
    from corpora.codecs import encode_wav
    from corpora.readers.described.filekeys import LAYOUTS

    page = REPO / "docs" / "describe-a-corpus.md"
    card, *others = blocks(page, "yaml")
    (tmp_path / "lab_voices.yaml").write_text(card, encoding="utf-8")
    code = blocks(page, "python")[0]
    (package / "check_lab_voices.py").write_text(code, encoding="utf-8")
    tone = encode_wav(np.sin(np.arange(8000) / 9).astype(np.float32), 16000)
    importlib.import_module("check_lab_voices").check(tmp_path / "files", tmp_path / "lab_voices.yaml", tone)
    for text in others:
        files = YAML(typ="safe").load(text)["files"]
        LAYOUTS[files["layout"]].model_validate(files)


def test_examples_are_formed_like_our_own_code(package: Path) -> None:
    for name in ("add-a-corpus", "add-a-generator", "add-a-gate"):
        install(REPO / "docs" / f"{name}.md", package)
        (package / "an_example-1.0.dist-info" / "METADATA").unlink()
        (package / "an_example-1.0.dist-info" / "entry_points.txt").unlink()
        (package / "an_example-1.0.dist-info").rmdir()
    command = [sys.executable, "-m", "ruff", "check", "--config", str(REPO / "pyproject.toml"), "--no-cache"]
    done = subprocess.run([*command, "--ignore", "I001,RUF100,UP037", str(package)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):
            path = link.partition("#")[0]
            if path and not re.match(r"[a-z]+:", path) and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(REPO)}: {link}")
    assert not broken


def test_every_page_stands_in_the_index() -> None:
    index = (REPO / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert linked == {page.name for page in (REPO / "docs").glob("*.md")} - {"README.md"}


def test_yaml_examples_fit_the_models() -> None:
    """Every key of an example exists where it stands (values that only an example's own package knows aside)."""
    from flows.params import Ask, GateParams, GeneratorParams, Prepare, RunParams

    parts: dict[str, type[BaseModel]] = {"generator": GeneratorParams, "ask": Ask, "prepare": Prepare}
    for page in PAGES:
        for text in blocks(page, "yaml"):
            for run in (YAML(typ="safe").load(text).get("runs") or {}).values():
                if {"corpora", "generator"} <= set(run):
                    RunParams.model_validate(run)
                assert set(run) <= set(RunParams.model_fields), f"{page.name}: {sorted(run)}"
                for name in parts.keys() & run.keys():
                    parts[name].model_validate(run[name])
                for gate in run.get("gates", {}).values():
                    GateParams.model_validate(gate)


PLACE = re.compile(
    r"`((?:corpora|features|training|generators|validators|flows|emoforge|tests|benchmarks|docs)/[\w./-]+)`"
)
MODULE = re.compile(r"`((?:corpora|features|training|generators|validators|flows|emoforge)(?:\.[A-Za-z_]\w*)+)`")
NO_MODULE = re.compile(r"emoforge\.(corpora|representations|generators|gates)|.*\.parquet|corpora\.NAME\..*")


def test_files_that_pages_name_are_there() -> None:
    missing = [
        f"{page.relative_to(REPO)}: {place}"
        for page in PAGES
        for place in PLACE.findall(page.read_text(encoding="utf-8"))
        if not (REPO / place).exists()
    ]
    assert not missing


def test_modules_and_functions_that_pages_name_are_there() -> None:
    missing = []
    for page in PAGES:
        for name in set(MODULE.findall(page.read_text(encoding="utf-8"))):
            if NO_MODULE.fullmatch(name):  # an entry point, a file, a key of params.yaml
                continue
            try:
                pkgutil.resolve_name(name)
            except (ImportError, AttributeError):
                missing.append(f"{page.relative_to(REPO)}: {name}")
    assert not missing


@pytest.mark.parametrize("page", ["parameters", "corpora", "cards", "presets"])
def test_made_page_is_up_to_date(page: str) -> None:
    specification = importlib.util.spec_from_file_location(f"make_{page}", REPO / "docs" / f"make_{page}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert (REPO / "docs" / f"{page}.md").read_text(encoding="utf-8") == module.page(), (
        f"what it is made of has changed: run python docs/make_{page}.py"
    )


def test_every_key_of_a_card_says_what_it_is() -> None:
    from corpora.readers.described.cardfile import CardFile
    from corpora.readers.described.filekeys import LAYOUTS, SignalSpec

    models: list[type[BaseModel]] = [CardFile, SignalSpec, *LAYOUTS.values()]
    for model in models:
        silent = [name for name, field in model.model_fields.items() if not field.description and name != "layout"]
        assert not silent, f"{model.__name__}: {silent}"
    page = (REPO / "docs" / "cards.md").read_text(encoding="utf-8")
    keys = {name for model in models for name in model.model_fields}
    assert all(f"| `{name}` |" in page for name in keys)


def small_release(root: Path) -> None:
    """A release of 80 faces at the place that the README names, written by the project's own functions: half of them
    synthetic, with a score at one gate, and a feature of each."""
    import pyarrow as pa

    from corpora.codecs import encode_png
    from corpora.schema import SCORES, SPLITS, Sample
    from corpora.store.atomic import write_json
    from corpora.store.release import FEATURES, SCORE_TABLE, compute_release_hash, describe_files
    from corpora.store.shards import write_shards, write_table

    rng = np.random.default_rng(0)

    def samples(kind: str, generator: str | None) -> list[Sample]:
        return [
            Sample(
                f"c/{kind}{i}",
                "c",
                "face",
                encode_png(rng.integers(0, 255, (32, 32), dtype=np.uint8)),
                "png",
                "CC0-1.0",
                group_id=f"c:{i % 5}",
                emotion=("anger", "happiness")[i % 2],
                generator_id=generator,
                seed=i if generator else None,
                weight=0.5 if generator else None,
            )
            for i in range(40)
        ]

    tables = [
        write_shards(samples("real", None), root, 2, "shards/train-real"),
        write_shards(samples("synthetic", "0a1b"), root, 2, "shards/train-synthetic"),
    ]
    index = pa.concat_tables(tables)
    ids = index["sample_id"].to_pylist()
    rows = {"view": ["group"] * len(ids), "sample_id": ids, "split": ["train"] * len(ids)}
    write_table(root / "index.parquet", index)
    write_table(root / "splits.parquet", pa.table(rows, schema=SPLITS))
    columns = {name: index[name].to_pylist() for name in ("emotion", "generator_id")}
    features = {"sample_id": ids, "split": rows["split"], **columns, "level": pa.array(range(len(ids)), pa.float32())}
    write_table(root / FEATURES, pa.table(features))
    drawn = [row for row in index.select(["sample_id", *columns]).to_pylist() if row["generator_id"] is not None]
    score = {"round": 1, "gate": "copies", "value": 0.75, "limit": 0.5, "passed": True, "reason": None, "judge": None}
    scores = [{"sample_id": row["sample_id"], "emotion": row["emotion"], **score} for row in drawn]
    write_table(root / SCORE_TABLE, pa.Table.from_pylist(scores, schema=SCORES))
    files = describe_files(root, [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()])
    release_hash = compute_release_hash({name: entry["sha256"] for name, entry in files.items()})
    manifest = {"classes": ["anger", "happiness"], "files": files, "release_hash": release_hash}
    write_json(root / "manifest.json", manifest)


def run_readme(number: int, run: str, folder: Path) -> list[str]:
    """The README's code block of that number, as a stranger runs it: a new process, in a folder that holds a release
    of `run`. -> what it prints."""
    small_release(folder / "data" / "runs" / run / "release")
    code = blocks(REPO / "README.md", "python")[number]
    environment = os.environ | {"PYTHONPATH": str(REPO) if "emoforge" in code else "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_readme_reads_a_release_without_emoforge(tmp_path: Path) -> None:
    lines = run_readme(0, "demo_faces", tmp_path)
    assert lines[0] == "torch.Size([32, 1, 32, 32]) torch.Size([32]) torch.Size([32])"
    assert sum(int(re.findall(r"\d+", line)[0]) for line in lines) == 80
    code = blocks(REPO / "README.md", "python")[0]
    assert not re.search(r"emoforge|corpora", code)
    assert len(code.splitlines()) <= 11  # ten lines and a blank one


def test_readme_opens_a_release(tmp_path: Path) -> None:
    lines = run_readme(1, "demo_faces", tmp_path)
    assert len(lines) == 41 and all(line.split()[1::2] == ["0a1b", "0.5"] for line in lines[:40])
    assert "'anger': ClassBalance(real=20, synthetic=20, weight=30.0)" in lines[40]


def test_readme_takes_a_release_to_pandas(tmp_path: Path) -> None:
    text = "\n".join(run_readme(2, "demo_faces", tmp_path))
    assert re.search(r"anger +False +20\n +True +20", text) and "score.copies" in text and "0.75" in text


def test_readme_reads_feature_vectors(tmp_path: Path) -> None:
    assert run_readme(3, "ravdess_features", tmp_path) == ["40 real of 80"]


def test_readme_counts_what_there_is() -> None:
    from collections import Counter

    from corpora.readers import make_corpus, reader_names
    from features.representation import REPRESENTATIONS
    from generators.generator import GENERATORS
    from generators.preset import preset_names

    text = " ".join((REPO / "README.md").read_text(encoding="utf-8").split())
    cards = [make_corpus(name).card for name in reader_names()]
    of = Counter(card.modality for card in cards)
    assert f"**[{len(cards)} corpora](docs/corpora.md) are read**" in text
    assert f"{of['speech']} of speech, {of['face']} of faces, {of['text']} of text, {of['physio']} of phys" in text
    tested = sum(card.tested_on == "real" for card in cards)
    assert (len(cards), len(cards) - tested) == (56, 50) and "Fifty of the 56 corpora" in text
    assert f"There are {len(GENERATORS)} generators of seven families" in text
    assert f"**[{len(preset_names())} presets](docs/presets.md)**" in text
    assert all(f"`{name}`" in text for name in (*REPRESENTATIONS, *GENERATORS))


def test_readme_picture() -> None:
    picture = REPO / "docs" / "images" / "demo.png"
    if not picture.exists():
        pytest.skip("not made yet: make demo, then python benchmarks/make_readme_picture.py")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and picture.stat().st_size < 500_000


def test_cited_version_is_the_version() -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (REPO / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (REPO / "CHANGELOG.md").read_text()
