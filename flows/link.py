"""`emoforge link`: makes a folder of the user's a corpus of the project, with a run of the same name.

A link, never a copy: `data/raw/NAME` is all that the stage ingest depends on. params.yaml keeps its comments.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from corpora.atomic import write_text
from corpora.errors import CorpusError, ParamsError, UnknownNameError, UserError
from corpora.readers import make_corpus, reader_names
from corpora.schema import CORPUS_ID, Sample
from flows.params import load_params
from flows.paths import Layout

LOOK_AT = 50  # first items of a reader among which at least one must be a sample

# What a new run starts from, by modality: small enough to be tried at once, meant to be edited.
RUNS: dict[str, dict[str, Any]] = {
    "speech": {"representation": {"name": "world"}, "generator": {"name": "cvae", "steps": 3000}},
    "face": {"representation": {"name": "pixels", "size": 48}, "generator": {"name": "diffusion", "steps": 4000}},
}


@dataclass(frozen=True, slots=True)
class Linked:
    """What `link` did. `run`: None where params.yaml had it, or the modality has no generators yet."""

    name: str
    reader: str
    target: Path
    run: str | None
    license: str


def link(name: str, path: Path, *, repo: Path, reader: str | None = None) -> Linked:
    """Links `path` as data/raw/`name` and adds corpus and run `name` to params.yaml; all of it or nothing.

    A corpus that params.yaml already holds with the same reader, but whose folder is not there, is linked only.
    Raises `UserError` (bad or used name), `CorpusError` (folder missing, empty, of another layout), `UnknownNameError`.
    """
    layout = Layout(repo)
    path = Path.cwd() / path.expanduser()  # not resolve(): a link of the user's own is followed anew each time
    params = load_params(layout.params)
    if not re.fullmatch(CORPUS_ID, name):
        raise UserError(f"{name!r} cannot name a corpus: small letters, digits and _, 1 to 40, beginning with a letter")
    place = layout.raw(name)
    if place.is_symlink() or place.exists():
        there = f"a link to {place.readlink()}" if place.is_symlink() else "a folder"
        raise UserError(
            f"data/raw/{name} is already there ({there}). Take another name, or remove it: rm data/raw/{name}"
        )
    if name in params.demo:
        raise UserError(f"{name!r} is a demo corpus of params.yaml. Take another name.")
    known = params.corpora.get(name)
    if known is not None and reader not in (None, known.reader):
        raise UserError(f"corpus {name!r} is in params.yaml with reader {known.reader!r}, not {reader!r}")
    if known is None and name in params.runs:
        raise UserError(f"a run is already called {name!r} in params.yaml. Take another name.")
    if path.is_relative_to(repo / "data"):
        raise UserError(f"{path} lies in this project's data folder; link the folder where the corpus was unpacked")
    chosen = reader or (known.reader if known else _reader_for(name, path))
    card = make_corpus(chosen).card
    _has_layout(chosen, path, name)
    text, run = (None, None) if known else _edited(layout.params, name, chosen, card.modality)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(path, target_is_directory=True)
    try:
        if text is not None:
            _replace_params(layout.params, text)
    except BaseException:
        place.unlink()
        raise
    return Linked(name, chosen, path, run, card.license)


def _reader_for(name: str, path: Path) -> str:
    """The reader of that name, else the one whose layout is found in `path`."""
    if name in reader_names():
        return name
    fitting = []
    for candidate in reader_names():
        try:
            _has_layout(candidate, path, name)
        except CorpusError:
            continue
        fitting.append(candidate)
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        _has_folder(path)
        raise CorpusError(
            f"no reader finds its layout in {path}. Readers: {', '.join(reader_names())} (`emoforge corpora show NAME` "
            "tells more). Name the folder that holds the corpus' own files, or write a reader: docs/add-a-corpus.md"
        )
    raise UnknownNameError.of("reader (several fit, choose one with --reader)", name, fitting)


def _has_folder(path: Path) -> None:
    if not path.exists():
        raise CorpusError(f"{path} does not exist")
    if not path.is_dir():
        raise CorpusError(f"{path} is a file; name the folder that holds the corpus")


def _has_layout(reader: str, path: Path, name: str) -> None:
    _has_folder(path)
    first = list(islice(make_corpus(reader).read(path, name), LOOK_AT))
    if not any(isinstance(item, Sample) for item in first):
        reasons = sorted({item.reason for item in first if not isinstance(item, Sample)})
        raise CorpusError(
            f"reader {reader!r} found no usable sample among the first {len(first)} files of {path}"
            + (f" (rejected: {', '.join(reasons)})" if reasons else "")
        )


def _edited(path: Path, name: str, reader: str, modality: str) -> tuple[str, str | None]:
    """params.yaml with the corpus and its run added, comments kept."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(path.read_text(encoding="utf-8")) or CommentedMap()

    def flow(values: dict[str, Any]) -> CommentedMap:
        made = CommentedMap(values)
        made.fa.set_flow_style()
        return made

    for part in ("corpora", "runs"):
        if document.get(part) is None:
            document[part] = CommentedMap()
    document["corpora"][name] = flow({"reader": reader})
    run = name if modality in RUNS else None
    if run:
        template = RUNS[modality]
        corpora = yaml.seq([name]) if hasattr(yaml, "seq") else [name]
        document["runs"][name] = CommentedMap(
            {
                "corpora": corpora,
                "seed": 1,
                **{k: flow(v) for k, v in template.items()},
                "target": flow({"policy": "majority"}),
            }
        )
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    return buffer.getvalue(), run


def _replace_params(path: Path, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    write_text(path, text)
    try:
        load_params(path)
    except ParamsError:
        write_text(path, before)
        raise
