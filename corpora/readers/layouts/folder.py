"""Layout `folder`: one file a sample, and its path says what it is.

A regular expression with named groups is matched with the end of each file's relative path, from a folder's name on; so
folders above (of an archive, say) do not matter. Without one, a file's folder is its label: happiness/0001.png.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.readers.described.cardfile import Card
from corpora.readers.described.fake import payload_of, variants
from corpora.readers.described.filekeys import FolderFiles
from corpora.readers.layouts.entries import RawSample
from corpora.records.files import absence, named_files, printable, walk
from corpora.store.atomic import write_bytes

_ENDINGS = {  # what a class folder holds; a pattern names its own
    "speech": (".wav", ".flac", ".mp3", ".ogg"),
    "face": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".webp"),
    "text": (".txt",),
    "physio": (".csv",),
}
_DOCUMENTS = ("readme", "license", "licence", "info", "changelog", "citation", "metadata")
_MAX_TRIES = 20_000


class Folder:
    """See the module."""

    def __init__(self, card: Card) -> None:
        assert isinstance(card.files, FolderFiles)
        self.card, self.files = card, card.files
        self.pattern = card.files.compiled
        self._doubled: dict[str, list[str]] = {}

    def items(self, root: Path) -> Iterator[tuple[Path, str]]:
        """See `Layout.items`."""
        facts = self.card.facts
        example = self.files.example or self.files.pattern
        if facts.modality in ("text", "physio"):  # whose files are documents elsewhere
            files = self._documents(root)
        else:
            files = named_files(root, facts, self.files.recognised, example)
        only, ignore = self.files.only or ["*"], self.files.ignore
        kept = [
            (path, name)
            for path, name in files
            if any(fnmatch(name, glob) for glob in only) and not any(fnmatch(name, glob) for glob in ignore)
        ]
        if not any(self.files.recognised.search(name) and self._of_kind(path) for path, name in kept):
            raise CorpusError(
                f"{facts.title}: none of the {len(files)} files in {root} is a {facts.modality} file named like "
                f"{example} (found e.g. {files[0][1]!r})"
            )
        self._doubled = _of_one_id(name for path, name in kept if self.pattern.search(name) and self._of_kind(path))
        return iter(kept)

    def _documents(self, root: Path) -> list[tuple[Path, str]]:
        if (kind := absence(root)) is not None:
            raise CorpusError(f"{self.card.facts.title}: {root} is {kind}; need its folder")
        documents = []
        for folder, files in walk(root):
            for name in files:
                path = folder / name
                if self._of_kind(path) and not name.startswith(".") and path.stem.lower() not in _DOCUMENTS:
                    documents.append((path, printable(path.relative_to(root).as_posix())))
        if not documents:
            endings = ", ".join(_ENDINGS[self.card.facts.modality])
            raise CorpusError(f"{self.card.facts.title}: {root} holds no files that end in {endings}")
        return sorted(documents, key=lambda pair: pair[1])

    def _of_kind(self, path: Path) -> bool:
        return path.suffix.lower() in _ENDINGS[self.card.facts.modality]

    def raw_sample(self, item: Path, name: str) -> RawSample | None:
        """See `Layout.raw_sample`."""
        match = self.pattern.search(name)
        if match is None or not self._of_kind(item):
            raise PayloadError("not-of-this-corpus", f"the name is not like {self.files.example or self.files.pattern}")
        groups = {key: self._in_case(key, text) for key, text in match.groupdict().items() if text is not None}
        if (why := self._contradiction(groups)) is not None:
            raise PayloadError("bad-label", why)
        groups = {key: text for key, text in groups.items() if key not in self.files.same}
        blank = [key for key, text in match.groupdict().items() if text is None]
        extra = {key: groups.pop(key) for key in self.files.extra if key in groups}
        native = groups.pop("id", None)
        if native is None and "id" not in self.files.compose and len(names := self._doubled.get(_id_of(name), ())) > 1:
            raise PayloadError(
                "repeated-name", f"{' and '.join(names[:5])}: one id, and nobody can tell which is meant"
            )
        return RawSample(native or _id_of(name), groups, path=item, extra=extra, blank=blank)

    def _in_case(self, group: str, text: str) -> str:
        case = self.files.case.get(group)
        return text if case is None else text.lower() if case == "lower" else text.upper()

    def _contradiction(self, groups: Mapping[str, str]) -> str | None:
        """Where a group and its field differ, in words. What has no meaning contradicts nothing."""
        values = self.files.values
        for name, field in self.files.same.items():
            meant = values[name].get(groups.get(name, ""))
            text = groups.get(field)
            known = values.get(field) or (self.card.facts.label_map if field == "label" else None)
            if meant is None or text is None or (known is not None and text not in known):
                continue
            other = values[field][text] if field in values else text
            if meant != other:
                emotion = self.card.facts.label_map
                shown = [emotion.get(str(one)) or one if field == "label" else one for one in (meant, other)]
                return f"{name} {groups[name]!r} says {shown[0]}, {field} {text!r} says {shown[1]}"
        return None

    def write(self, root: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """File names: the card's example with other texts in its groups. Raises `CorpusError`: too few such names."""
        example = self.files.example or "label/0001" + _ENDINGS[self.card.facts.modality][0]
        match = self.pattern.search(example)
        assert match is not None
        groups = {key: text for key, text in match.groupdict().items() if text is not None}
        template = (self.files.fake.get("path") or [""])[0]
        in_place = {name: groups.get(name, "1") for name in re.findall(r"\{(\w+)", template)} if template else groups
        outer = set() if template else _outer(match, rows[0]["texts"])
        free = [key for key in in_place if key not in rows[0]["texts"] and key not in outer]
        choices = {key: variants(self.files.fake.get(key), self.files.values.get(key), in_place[key]) for key in free}
        names: dict[str, dict[str, Any]] = {}  # all of them before anything is written
        for row in rows:
            names[self._name(example, row["texts"], choices, names)] = row
        for number, (name, row) in enumerate(names.items()):
            again = self.pattern.search(name)
            texts = row["texts"] | {k: v for k, v in (again.groupdict() if again else {}).items() if v}
            if "gender" in self.files.compose:
                texts["gender"] = self.files.compose["gender"].format_map(texts)
            row = row | {"texts": texts}
            suffix = PurePosixPath(name).suffix.lower()
            payload = payload_of(self.card, row, suffix, np.random.default_rng([seed, 3, number]))
            write_bytes(root / name, payload)

    def _name(self, example: str, texts: dict[str, str], choices: dict[str, list[str]], taken: Collection[str]) -> str:
        for tries, drawn in enumerate(product(*choices.values())):
            if tries > _MAX_TRIES:
                break
            name = self._written(example, {**dict(zip(choices, drawn, strict=True)), **texts})
            if name is not None and name not in taken:
                return name
        if not choices and "id" not in self.pattern.groupindex:  # class folders: the file's own name is free
            path = PurePosixPath(_filled(self.pattern, example, texts) or example)
            for count in range(1, 100_000):
                name = str(path.with_name(f"{count:04d}{path.suffix}"))
                if name not in taken and self.pattern.search(name):
                    return name
        raise CorpusError(
            f"{self.card.facts.title}: the pattern holds too few names like {example} with "
            f"{', '.join(f'{key} {text}' for key, text in texts.items())}; give more texts in files.fake"
        )

    def _written(self, example: str, texts: dict[str, str]) -> str | None:
        template = self.files.fake.get("path")
        if not template:
            return _filled(self.pattern, example, texts)
        name = template[0].format_map(texts)
        match = self.pattern.search(name)
        if match and self._contradiction({key: text for key, text in match.groupdict().items() if text is not None}):
            return None
        stated = [key for key in texts if f"{{{key}" in template[0] and key in self.pattern.groupindex]
        return name if match and all(match[key] == texts[key] for key in stated) else None


def _id_of(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _of_one_id(names: Iterable[str]) -> dict[str, list[str]]:
    """{id: names} of files that differ in their endings alone (a.png beside a.bmp, a.jpg beside a.JPG)."""
    by_id: dict[str, list[str]] = {}
    for name in names:
        by_id.setdefault(_id_of(name), []).append(name)
    return {native: same for native, same in by_id.items() if len(same) > 1}


def _outer(match: re.Match[str], texts: Mapping[str, str]) -> set[str]:
    """Groups without a text of their own around groups that have one: an id around subject and label."""
    spans = {key: match.span(key) for key in match.re.groupindex if match[key] is not None}
    return {
        key
        for key, (begin, end) in spans.items()
        if key not in texts
        and any(begin <= a and b <= end for other, (a, b) in spans.items() if other in texts and other != key)
    }


def _filled(pattern: re.Pattern[str], example: str, texts: dict[str, str]) -> str | None:
    """The example with these texts in its groups, or None where the pattern does not read them back. A group inside
    another follows from it, but where only the inner one has a text."""
    match = pattern.search(example)
    assert match is not None
    name, at, placed = "", 0, {}
    outer = _outer(match, texts)
    for begin, end, key in sorted((match.start(key), -match.end(key), key) for key in pattern.groupindex):
        if key not in outer and match[key] is not None and begin >= at:
            placed[key] = texts.get(key, match[key])
            name += example[at:begin] + placed[key]
            at = -end
    name += example[at:]
    again = pattern.search(name)
    return name if again is not None and all(again[key] == text for key, text in placed.items()) else None
