"""`emoforge link`: makes a folder of the user's a corpus of the project, with a run of the same name.

A link, never a copy (an archive is unpacked first): `data/raw/NAME` is what the stage ingest depends on. A card that
describes the corpus is copied to `data/cards/NAME.yaml`, which the stage reader looks at. params.yaml keeps its
comments.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from corpora.archives.extract import extract, is_archive
from corpora.errors import CorpusError, ParamsError, UnknownNameError, UserError
from corpora.fingerprint import hash_file
from corpora.readers import GENERIC, is_card_path, make_corpus, reader_names
from corpora.readers.described.corpus import Described
from corpora.records.files import absence, one_walk, rejected, walk
from corpora.schema import CORPUS_ID, Corpus, CorpusCard, Sample
from corpora.store.atomic import write_bytes, write_text
from flows.conduct.proposals import Proposal, proposal_of, with_steps
from flows.params import CARDS, load_params
from flows.paths import PACKAGES, Layout
from flows.stages.ingest.unknown_labels import UnknownLabel, listed, unknown_labels

# Folders of the project beside the hidden ones; others in it may hold a corpus.
OWN = frozenset({"data", "docs", "tests", "benchmarks", *PACKAGES})
LOOK_S = 3.0  # seconds for a look at the labels of a described corpus
LOOK_AT = 50  # first items of a reader among which at least one must be a sample
MAX_SEEN = 20_000  # files whose endings are looked at before readers are tried
# A folder without one of these endings cannot be a corpus of that modality; readers of it are not tried.
ENDINGS = {
    "speech": {".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aif", ".aiff", ".avi", ".mp4", ".arrow", ".parquet", ".zip"},
    "face": {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".csv", ".arrow", ".parquet", ".zip"},
    "text": {".txt", ".csv", ".tsv", ".json", ".jsonl", ".arrow", ".parquet", ".xml", ".zip"},
}


@dataclass(frozen=True, slots=True)
class Linked:
    """What `link` did. `run`: None where params.yaml had it. `archive`: what was unpacked as `target`, if anything."""

    name: str
    reader: str
    target: Path
    run: str | None
    license: str
    archive: Path | None = None
    because: str = ""  # what the run does, in words
    unknown: tuple[UnknownLabel, ...] = ()  # labels that the card lacks, among `looked_at` files or rows
    looked_at: int = 0


def link(name: str, path: Path, *, repo: Path, reader: str | None = None) -> Linked:
    """Links `path` as data/raw/`name` and adds corpus and run `name` to params.yaml; all of it or nothing.

    A corpus that params.yaml already holds with the same reader, but whose folder is not there, is linked only; a link
    to a folder that is gone is replaced. An archive is unpacked as .emoforge/extracted/`name`-..., and that is linked.
    Of a corpus that a card describes, labels that the card lacks are looked for, a few seconds long.
    Raises `UserError` (bad or used name), `CorpusError` (folder missing, empty, of another layout; damaged or hostile
    archive), `UnknownNameError`, `ResourceError` (disk full).
    """
    layout = Layout(repo)
    path = _absolute(path)
    params = load_params(layout.params)
    if not re.fullmatch(CORPUS_ID, name):
        raise UserError(f"{name!r} cannot name a corpus: small letters, digits and _, 1 to 40, beginning with a letter")
    place = layout.raw(name)
    gone = place.readlink() if place.is_symlink() and not place.exists() else None
    if gone is None and (place.is_symlink() or place.exists()):
        there = f"a link to {place.readlink()}" if place.is_symlink() else "a folder"
        raise UserError(
            f"data/raw/{name} is already there ({there}). Take another name, or remove it: rm data/raw/{name}"
        )
    if name in params.demo:
        raise UserError(f"{name!r} is a demo corpus of params.yaml. Take another name.")
    known = params.corpora.get(name)
    card_file = _card_file(reader) if reader and is_card_path(reader) else None
    if card_file is not None:
        reader = f"{CARDS}/{name}.yaml"
        if card_file.parent == (repo / CARDS).resolve():
            reader = f"{CARDS}/{card_file.name}"
    if known is not None and reader not in (None, known.reader):
        raise UserError(f"corpus {name!r} is in params.yaml with reader {known.reader!r}, not {reader!r}")
    if known is None and name in params.runs:
        raise UserError(f"a run is already called {name!r} in params.yaml. Take another name.")
    _not_the_project(path, repo)
    archive = path if absence(path) == "a file" else None
    if archive is not None:
        path = _unpacked(archive, name, layout)
    chosen = reader or (known.reader if known else _reader_for(name, path))
    if known is None and chosen in GENERIC:
        raise UserError(
            f"reader {chosen!r} reads what a card describes: emoforge link {name} PATH --reader CARD.yaml "
            "(docs/describe-a-corpus.md)"
        )
    corpus = make_corpus(str(card_file) if card_file else chosen, known.options if known else None, base=repo)
    first = _has_layout(corpus, chosen, path, name)
    unknown, looked_at = _unknown_labels(corpus, path, name)
    proposal = None if known else proposal_of(corpus.card)
    if proposal is not None:
        proposal = with_steps(proposal, first)
    text = None if known else _edited(layout.params, name, chosen, corpus.card, proposal)
    with _copied(card_file, repo / chosen):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(path, target_is_directory=True)
        try:
            if text is not None:
                _replace_params(layout.params, text)
        except BaseException:
            place.unlink()
            if gone is not None:
                place.symlink_to(gone, target_is_directory=True)
            raise
    run, because = (None, "") if proposal is None else (name, proposal.because)
    return Linked(name, chosen, path, run, corpus.card.license, archive, because, tuple(unknown), looked_at)


def _unknown_labels(corpus: Corpus, path: Path, name: str) -> tuple[list[UnknownLabel], int]:
    """Labels that a card lacks, of the files or rows that can be looked at in `LOOK_S`; readers of ours know theirs."""
    if not isinstance(corpus, Described):
        return [], 0
    end, rejects, looked_at = time.monotonic() + LOOK_S, [], 0
    for error in corpus.labels(path):
        looked_at += 1
        if error is not None:
            rejects.append(rejected(name, "", error))
        if time.monotonic() > end:
            break
    return unknown_labels(rejects), looked_at


def labels_missing(link: Linked) -> str:
    """For people: what the card lacks, and what to do before ingest stops at it."""
    return (
        f"Labels that the card does not know, of {link.looked_at} files or rows looked at: {listed(link.unknown)}. "
        "Their samples would be rejected, and ingest stops where that is a label of its own or half of a class: say "
        f"what they mean in {link.reader} (label_map; null leaves a label without a class)."
    )


def _absolute(path: Path) -> Path:
    """Without "..", which in data/raw would begin at another folder. The last part is not resolved: a link of the
    user's own is followed anew each time."""
    path = Path.cwd() / path.expanduser()
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


def _not_the_project(path: Path, repo: Path) -> None:
    """Raises `UserError` for the project, what it lies in, and what is its own: the corpus would hold its releases."""
    here = repo.resolve()
    there = path.resolve()
    if here.is_relative_to(there):
        raise UserError(f"{path} is this project, or holds it; link the folder that holds the corpus alone")
    for part, root in ((path, repo), (there, here)):  # as it was named, and where its links lead
        if part == root or not part.is_relative_to(root):
            continue
        top, *below = part.relative_to(root).parts
        if top in OWN or (top.startswith(".") and (top, *below[:1]) != (".emoforge", "extracted")):
            raise UserError(
                f"{path} lies in {top}, which is this project's own; link the folder where the corpus was unpacked"
            )


def _unpacked(archive: Path, name: str, layout: Layout) -> Path:
    """Another archive of the same name is another folder: it is named by the archive's content as well."""
    if not is_archive(archive):
        raise CorpusError(
            f"{archive} is a file, and no archive that is read (.zip, .tar, .tar.gz, .tar.bz2); name the folder that "
            "holds the corpus"
        )
    return extract(archive, layout.extracted(name, hash_file(archive)))


def _card_file(reader: str) -> Path:
    path = (Path.cwd() / Path(reader).expanduser()).resolve()
    if not path.is_file():
        raise CorpusError(f"card {reader} is not a file (looked for {path})")
    return path


@contextmanager
def _copied(card: Path | None, target: Path) -> Iterator[None]:
    """The card at its place in the project while the body runs, and after it unless the body fails."""
    if card is None or card == target.resolve():
        yield
        return
    content = card.read_bytes()
    if target.exists() and target.read_bytes() != content:
        raise UserError(f"{target} is already there and differs from {card}. Take another name, or remove it.")
    there = target.exists()
    write_bytes(target, content)
    try:
        yield
    except BaseException:
        if not there:
            target.unlink()
        raise


def _reader_for(name: str, path: Path) -> str:
    """The reader of that name, else the one whose layout `path` has; generic ones fit all and are not tried."""
    if name in reader_names():
        return name
    fitting = []
    _has_folder(path)
    endings = _endings(path)
    with one_walk():
        for candidate in reader_names():
            try:
                corpus = make_corpus(candidate)
                if endings.isdisjoint(ENDINGS.get(corpus.card.modality, endings)):
                    continue
                _has_layout(corpus, candidate, path, name)
            except CorpusError:
                continue
            fitting.append(candidate)
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise CorpusError(
            f"no reader finds its layout in {path}. Readers: {', '.join(reader_names())} (`emoforge corpora show NAME` "
            "tells more). Name the folder that holds the corpus' own files, describe it in a card "
            "(docs/describe-a-corpus.md), or write a reader (docs/add-a-corpus.md)"
        )
    raise UnknownNameError.of("reader (several fit, choose one with --reader)", name, fitting)


def _endings(path: Path) -> set[str]:
    """Endings of the first files below `path`, small letters; archives' debris and hidden files aside."""
    endings: set[str] = set()
    seen = 0
    for _, files in walk(path):
        endings |= {Path(name).suffix.lower() for name in files if not name.startswith(".")}
        seen += len(files)
        if seen > MAX_SEEN:
            break
    return endings


def _has_folder(path: Path) -> None:
    kind = absence(path)
    if kind == "missing":
        raise CorpusError(f"{path} does not exist")
    if kind == "a file":
        raise CorpusError(f"{path} is a file; name the folder that holds the corpus")
    if kind is not None:
        raise CorpusError(f"{path} is {kind}")


def _has_layout(corpus: Corpus, reader: str, path: Path, name: str) -> Sample:
    """The first sample. Raises `CorpusError` unless one of the first items is one; no more is read than up to it."""
    _has_folder(path)
    reasons, n = set(), 0
    for item in islice(corpus.read(path, name), LOOK_AT):
        if isinstance(item, Sample):
            return item
        reasons.add(item.reason)
        n += 1
    raise CorpusError(
        f"reader {reader!r} sees no usable sample among the first {n} files of {path}"
        + (f" (rejected: {', '.join(sorted(reasons))})" if reasons else "")
    )


def _edited(path: Path, name: str, reader: str, card: CorpusCard, proposal: Proposal | None) -> str:
    """params.yaml with the corpus and its run added, comments kept."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(path.read_text(encoding="utf-8")) or CommentedMap()

    def flow(values: Mapping[str, object]) -> CommentedMap:
        mapping = CommentedMap(values)
        mapping.fa.set_flow_style()
        return mapping

    for part in ("corpora", "runs"):
        if document.get(part) is None:
            document[part] = CommentedMap()
    document["corpora"][name] = flow({"reader": reader})
    if proposal:
        scheme = _scheme(card)
        rated = {"scheme": scheme} if scheme else {}
        corpora = yaml.seq([name]) if hasattr(yaml, "seq") else [name]
        document["runs"][name] = CommentedMap(
            {
                "corpora": corpora,
                **rated,
                "seed": 1,
                **{k: flow(v) for k, v in proposal.run.items()},
            }
        )
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    return buffer.getvalue()


def _scheme(card: CorpusCard) -> str | None:
    """None: the canonical emotions. A corpus without any is taken by its own labels, one without labels by valence."""
    if any(card.label_map.values()):
        return None
    return f"labels:{card.name}" if card.label_map else "valence2"


def _replace_params(path: Path, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    write_text(path, text)
    try:
        load_params(path)
    except ParamsError:
        write_text(path, before)
        raise
