"""CaFE, Canadian French emotional speech: twelve actors say six sentences in seven emotions at two intensities.

Gournay, Lahaie & Lefebvre (2018), MMSys; zenodo.org/records/1478765. Names and people are from the archive's
Readme.txt. It is published twice, at 48 kHz with 16 bit (wav) and at 192 kHz with 24 bit (aiff); both are read:

    CaFE_48k/Colère/Faible/01-C-1-1.wav     actor 01, Colère (anger), weak, sentence 1
    CaFE_192k_1/Neutre/01-N-1-1.aiff        neutral has one intensity and no folder of it

aiff becomes wav with the same samples and bits.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpora.codecs import MAX_WAV_S, WavHeader, wav_header
from corpora.errors import PayloadError
from corpora.formats.looks import looks_like
from corpora.records.files import MIN_WAV_S, known, named_files, read_file, read_items, read_wav, speech_sample
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_EMOTIONS = {
    "C": "anger",
    "D": "disgust",
    "J": "happiness",
    "N": "neutral",
    "P": "fear",
    "S": "surprise",
    "T": "sadness",
}
_FOLDERS = {"C": "Colère", "D": "Dégoût", "J": "Joie", "N": "Neutre", "P": "Peur", "S": "Surprise", "T": "Tristesse"}
_INTENSITY = {"1": 0.5, "2": 1.0}  # Faible and Fort: the corpus orders the two, the numbers are our reading
_AGES = (46.0, 64.0, 18.0, 50.0, 22.0, 34.0, 15.0, 25.0, 42.0, 20.0, 35.0, 37.0)  # of actors 01 to 12, odd ones men
_ACTORS = {f"{i + 1:02d}": age for i, age in enumerate(_AGES)}
SENTENCES = {
    "1": "Un cheval fou dans mon jardin",
    "2": "Deux ânes aigris au pelage brun",
    "3": "Trois cygnes aveugles au bord du lac",
    "4": "Quatre vieilles truies éléphantesques",
    "5": "Cinq pumas fiers et passionnés",
    "6": "Six ours aimants domestiqués",
}
_EXAMPLE = "Colère/Faible/01-C-1-1.wav"
_FILE = re.compile(r"(?:^|/)\d\d-[A-Z]-\d-\d\.(?:wav|aiff?)$", re.IGNORECASE)
_NAME = re.compile(r"(\d\d)-([A-Z])-(\d)-(\d)")
_AIFF = (".aif", ".aiff")
_PCM = ("PCM_16", "PCM_24", "PCM_32")


class Cafe:
    """`Corpus` of CaFE at 48 or 192 kHz."""

    card = CorpusCard(
        name="cafe",
        title="CaFE",
        modality="speech",
        version="1.1",
        license="CC-BY-NC-SA-4.0",
        may_redistribute=False,  # share-alike and non-commercial: never pushed unasked
        url="https://zenodo.org/records/1478765",
        bibtex=(
            "@inproceedings{gournay2018cafe, title={A Canadian French Emotional Speech Dataset}, author={Gournay, "
            "Philippe and Lahaie, Olivier and Lefebvre, Roch}, booktitle={ACM Multimedia Systems Conference}, "
            "pages={399--402}, year={2018}, doi={10.1145/3204949.3208121}}"
        ),
        language="fr",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts={code: 72 if code == "N" else 144 for code in _EMOTIONS},
        counts_source=(
            "zenodo.org/records/1478765: 12 actors x 6 sentences, six emotions at two intensities and neutral at one; "
            "936 files in EmoBox' table"
        ),
        n_subjects=12,
        n_samples=936,
        sources={
            "layout": "Readme.txt of the archive; folders: Strong-AI-Lab/emotion, datasets/CaFE/process.py",
            "labels": "Readme.txt of the archive: C, D, J, N, P, S, T",
            "subjects": "Readme.txt of the archive: twelve actors with their ages, odd numbers are men",
            "counts": "zenodo.org/records/1478765: six sentences, six male and six female actors; EmoBox' table: 936",
            "license": "Readme.txt of the archive: CC BY-NC-SA 4.0",
        },
        unverified=("splits",),
        quirks=(
            "neutral has one intensity, and none here",
            "the two sampling forms hold the same recordings under the same names: with both in one folder the second "
            "is a reject",
            "unpackers that know no UTF-8 garble the names of folders; they are not needed",
        ),
    )

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of wav files: not-of-this-corpus, not-an-aiff, bad-label,
        repeated-name."""
        files = named_files(root, self.card, _FILE, _EXAMPLE)
        return read_items(files, corpus, lambda path, name: self._sample(path, name, corpus))

    def _sample(self, path: Path, name: str, corpus: str) -> Sample:
        match, suffix = _NAME.fullmatch(path.stem), path.suffix.lower()
        if match is None or suffix not in (".wav", *_AIFF):
            raise PayloadError("not-of-this-corpus", f"the name is not of the form {_EXAMPLE}")
        actor, letter, level, sentence = match.groups()
        emotion, intensity = known(_EMOTIONS, letter, "emotion"), known(_INTENSITY, level, "intensity")
        age, words = known(_ACTORS, actor, "actor"), known(SENTENCES, sentence, "sentence")
        payload, header = _read_aiff(path) if suffix in _AIFF else read_wav(path)
        return speech_sample(
            self.card,
            corpus,
            path.stem,
            payload,
            header,
            subject=actor,
            emotion=emotion,
            emotion_raw=letter,
            intensity=None if emotion == "neutral" else intensity,
            gender="male" if int(actor) % 2 else "female",
            age=age,
            sentence_id=f"{corpus}:{sentence}",
            extra={"path": name, "transcript": words},
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """16 kHz wav files of fake voices in CaFE_48k/Colère/Faible and so on, intensities in turn.

        Raises `CorpusError` for a number of subjects outside 1 ... 12, or a class of more than 12 files a speaker
        (neutral: 6).
        """
        from corpora.readers.fakes.acted import utterances

        letters = {emotion: letter for letter, emotion in _EMOTIONS.items()}
        cast = {actor: int(actor) % 2 == 1 for actor in _ACTORS}
        fewer = {"neutral": len(SENTENCES)}
        for one in utterances(self.card, cast, per_class, subjects=subjects, seed=seed, most=12, fewer=fewer):
            letter, neutral = letters[one.emotion], one.emotion == "neutral"
            strong, sentence = (0, one.nth) if neutral else (one.nth % 2, one.nth // 2)
            folder = Path(root) / "CaFE_48k" / _FOLDERS[letter]
            if not neutral:
                folder /= ("Faible", "Fort")[strong]
            name = f"{one.speaker}-{letter}-{strong + 1}-{sentence + 1}.wav"
            write_bytes(folder / name, one.wav((0.6, 1.0)[strong], sentence))


def _read_aiff(path: Path) -> tuple[bytes, WavHeader]:
    """Like `files.read_wav`, for an aiff: the same samples at the same depth in a wav.

    Raises `PayloadError`: unreadable, too-large, empty, not-an-aiff, unsupported-encoding, too-short, too-long,
    truncated.
    """
    import soundfile

    content = read_file(path)
    if not content:
        raise PayloadError("empty", "0 bytes")
    if content[:4] != b"FORM":
        raise PayloadError("not-an-aiff", f"no AIFF header; it looks like {looks_like(content)}")
    promised = int.from_bytes(content[4:8], "big") + 8
    if promised > len(content):
        raise PayloadError("truncated", f"the header promises {promised} bytes, {len(content)} are there")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.format != "AIFF" or file.subtype not in _PCM:
                raise PayloadError("unsupported-encoding", f"{file.format} with {file.subtype}")
            seconds = file.frames / file.samplerate
            if not MIN_WAV_S <= seconds <= MAX_WAV_S:
                slug = "too-long" if seconds > MAX_WAV_S else "too-short"
                raise PayloadError(slug, f"{seconds:.3f} s; {MIN_WAV_S:g} to {MAX_WAV_S:g} s are allowed")
            samples = file.read(dtype="int32", always_2d=True)
            if len(samples) < file.frames:
                raise PayloadError("truncated", f"{file.frames} frames promised, {len(samples)} read")
            out = io.BytesIO()
            soundfile.write(out, samples, file.samplerate, format="WAV", subtype=file.subtype)
    except (soundfile.LibsndfileError, ValueError, TypeError, OSError) as error:
        raise PayloadError("not-an-aiff", "its chunks cannot be read as AIFF describes them") from error
    payload = out.getvalue()
    return payload, wav_header(payload)
