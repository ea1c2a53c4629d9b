"""The representation: strength 0 is the source byte for byte, an edit moves towards what was asked, and refusals."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpora.codecs import decode_wav
from corpora.errors import ParamsError, PayloadError
from corpora.readers import make_corpus, reader_names
from corpora.schema import Payload, Sample
from features.representation import EditingRepresentation, Representation, make_representation
from features.speech.differential import representation as module
from features.speech.differential.representation import DifferentialRepresentation
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.speech.world import WorldRepresentation
from features.steps import Source

from .voices import RATE, hiss, vowel, wav, word

SPEECH = [name for name in reader_names() if make_corpus(name).card.modality == "speech"]


EVERYTHING = {"jitter": True, "shimmer": True, "unvoiced": True}


@pytest.fixture(scope="module")
def editor() -> DifferentialRepresentation:
    return DifferentialRepresentation(**EVERYTHING)


def column(editor: DifferentialRepresentation, name: str) -> int:
    return editor.spec.rows.index(name)


def moved(editor: DifferentialRepresentation, source: Payload, **by: float) -> tuple[np.ndarray, np.ndarray, Payload]:
    """-> (before, after as asked, the edited payload)."""
    before = editor.encode(source)
    after = before.copy()
    for name, value in by.items():
        after[column(editor, name)] += value
    return before, after, editor.edit(source, before, after)


def slug(error: pytest.ExceptionInfo[PayloadError]) -> str:
    return error.value.reason


def test_it_is_a_representation_that_edits(editor: DifferentialRepresentation) -> None:
    assert isinstance(editor, Representation) and isinstance(editor, EditingRepresentation)
    assert not isinstance(WorldRepresentation(), EditingRepresentation)
    assert editor.lossless and editor.way_back and editor.modality == "speech"
    assert editor.spec.layout == "vector" and len(editor.spec.rows) == len(editor.spec.units) == editor.spec.shape[0]
    assert len(set(editor.spec.rows)) == len(editor.spec.rows)
    plain = make_representation("differential", {})
    assert plain.spec.rows == editor.spec.rows[:83]
    assert make_representation("differential", EVERYTHING | {"shimmer": False}).spec.shape == (90,)


@pytest.mark.parametrize("name", SPEECH)
def test_nothing_changed_is_the_source_for_every_corpus(
    name: str, editor: DifferentialRepresentation, tmp_path: Path
) -> None:
    corpus, prepare = make_corpus(name), PrepareSpeech(SpeechSteps())
    corpus.fake(tmp_path, subjects=1, per_class=1, seed=0)
    samples = [s for s in corpus.read(tmp_path, name) if isinstance(s, Sample)][:1]
    assert samples
    for sample in samples:
        for piece in prepare(Source(sample.payload, sample.codec)):
            source = Payload(piece.payload, "wav")
            before = editor.encode(source)
            assert before.dtype == np.float32 and np.isfinite(before).all()
            assert editor.edit(source, before, before.copy()).data == piece.payload


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_pitch_arrives_in_the_encoding(rate: int) -> None:
    editor = DifferentialRepresentation(rate_hz=rate)
    source = wav(vowel(140.0, 0.8, rate), rate)
    for by in (np.log(2) / 6, -np.log(2) / 6):
        _, after, edited = moved(editor, source, log_f0_mean=by)
        error = editor.encode(edited)[0] - after[0]
        assert abs(1200 / np.log(2) * error) < 10  # cents
        assert len(edited.data) == len(source.data)


def test_an_edit_moves_towards_what_was_asked(editor: DifferentialRepresentation) -> None:
    before, after, edited = moved(
        editor, wav(word()), log_f0_mean=0.1, c0_mean=-0.8, c1_mean=-0.3, c2_log_sd=0.3, c1_unvoiced_less_voiced=0.4
    )
    asked = np.abs(after - before) > 0
    got = editor.encode(edited)
    assert np.sign((got - before)[asked]).tolist() == np.sign((after - before)[asked]).tolist()
    assert np.linalg.norm((got - after)[asked]) < 0.4 * np.linalg.norm((before - after)[asked])


def test_the_same_edit_is_the_same_bytes_whatever_ran_before(editor: DifferentialRepresentation) -> None:
    source = wav(word())
    first = moved(editor, source, log_f0_mean=0.1, c1_mean=0.2)[2]
    moved(editor, wav(vowel()), c0_mean=0.5)
    assert moved(editor, source, log_f0_mean=0.1, c1_mean=0.2)[2] == first
    assert moved(DifferentialRepresentation(**EVERYTHING), source, log_f0_mean=0.1, c1_mean=0.2)[2] == first


def test_an_edit_is_plain_pcm16_of_the_sources_length(editor: DifferentialRepresentation) -> None:
    signal = word()
    edited = moved(editor, wav(signal), log_f0_mean=0.1)[2]
    info = soundfile.info(io.BytesIO(edited.data))
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, RATE)
    assert info.frames == len(signal) and edited.duration_s == pytest.approx(len(signal) / RATE)


def test_duration_moves_unless_it_is_to_stay() -> None:
    source = wav(word())
    keeper, stretcher = DifferentialRepresentation(move_duration=False), DifferentialRepresentation()
    assert moved(keeper, source, log_duration=0.2)[2] is source
    _, after, edited = moved(stretcher, source, log_duration=0.2)
    assert stretcher.encode(edited)[2] == pytest.approx(after[2], abs=0.06)


def test_decode_says_that_it_needs_a_source(editor: DifferentialRepresentation) -> None:
    with pytest.raises(PayloadError, match="transfer") as error:
        editor.decode(np.zeros(editor.spec.shape, np.float32))
    assert slug(error) == "needs-source"


def test_one_analysis_serves_many_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    analyse = module.analyse
    monkeypatch.setattr(module, "analyse", lambda *a: counted.append(1) or analyse(*a))
    monkeypatch.setattr(module, "REMEMBERED", 2)
    editor = DifferentialRepresentation()
    source = wav(vowel())
    for by in (0.1, 0.2, 0.3):
        moved(editor, source, c1_mean=by)
    assert len(counted) == 1
    for f0 in (100.0, 120.0, 160.0):
        editor.encode(wav(vowel(f0)))
    editor.encode(source)  # forgotten meanwhile
    assert len(counted) == 5


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros(RATE), "silent"),
        (vowel(seconds=0.05), "too-short"),
        (1e-5 * vowel(), "silent"),
    ],
)
def test_what_cannot_be_encoded(editor: DifferentialRepresentation, signal: np.ndarray, reason: str) -> None:
    with pytest.raises(PayloadError) as error:
        editor.encode(wav(signal))
    assert slug(error) == reason


def written(signal: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Payload:
    file = io.BytesIO()
    soundfile.write(file, signal, rate, format="WAV", subtype=subtype)
    return Payload(file.getvalue(), "wav")


def test_what_is_no_prepared_payload(editor: DifferentialRepresentation) -> None:
    nan = vowel()
    nan[100] = np.nan
    cases = {
        "wrong-rate": written(vowel(rate=8000), 8000),
        "several-channels": written(np.stack([vowel()] * 2, axis=1)),
        "non-finite": written(nan),
        "wrong-codec": Payload(b"", "png"),
    }
    for reason, payload in cases.items():
        with pytest.raises(PayloadError) as error:
            editor.encode(payload)
        assert slug(error) == reason


def test_what_is_no_change(editor: DifferentialRepresentation) -> None:
    source = wav(vowel())
    before = editor.encode(source)
    for after, reason in ((before[:-1], "wrong-shape"), (np.full_like(before, np.nan), "non-finite")):
        with pytest.raises(PayloadError) as error:
            editor.edit(source, before, after)
        assert slug(error) == reason


def test_the_shortest_and_the_unvoiced_are_edited(editor: DifferentialRepresentation) -> None:
    for signal in (vowel(200.0, 0.06), hiss(0.06), hiss()):
        before, _, edited = moved(editor, wav(signal), log_f0_mean=0.2, c0_mean=-0.5, log_jitter=0.2)
        assert np.isfinite(before).all() and np.isfinite(editor.encode(edited)).all()
        assert decode_wav(edited.data)[0].std() < 0.95 * signal.std()


def test_a_clipped_source_is_edited_as_it_is(editor: DifferentialRepresentation) -> None:
    clipped = np.clip(4 * vowel(), -1, 1)
    edited = moved(editor, wav(clipped), c1_mean=0.3, log_f0_mean=0.1)[2]
    assert np.abs(decode_wav(edited.data)[0]).max() <= 1.0


def test_louder_than_full_scale_is_turned_down_or_refused(editor: DifferentialRepresentation) -> None:
    source = wav(2.2 * vowel())
    signal = decode_wav(moved(editor, source, c0_mean=1.0)[2].data)[0]
    assert 0.95 < np.abs(signal).max() <= 1.0
    with pytest.raises(PayloadError) as error:
        moved(editor, source, c0_mean=5.0)
    assert slug(error) == "beyond-full-scale"


def test_a_float_source_beyond_full_scale_keeps_its_peaks(editor: DifferentialRepresentation) -> None:
    edited = moved(editor, written(3.0 * vowel()), c1_mean=0.02)[2]
    assert soundfile.info(io.BytesIO(edited.data)).subtype == "FLOAT"
    assert 1.1 < np.abs(decode_wav(edited.data)[0]).max() <= 1.2 + 1e-6


def test_parameters_are_checked() -> None:
    for params in ({"rate_hz": 4000}, {"f0_method": "crepe"}):
        with pytest.raises(ParamsError, match="representation differential"):
            DifferentialRepresentation(**params)  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match=r"16000.*|22050"):
        DifferentialRepresentation(22050).require(SpeechSteps())
    assert DifferentialRepresentation().require(SpeechSteps()) == SpeechSteps()
