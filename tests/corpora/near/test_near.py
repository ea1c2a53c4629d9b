"""Near copies: planted ones are found, others are not, in each modality; the whole grid is slow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.signal import resample_poly

from benchmarks.leaks import BEYOND, CORRUPTIONS, copies_of_itself, plant
from corpora.codecs import decode_image, decode_wav, encode_png, encode_text, encode_wav
from corpora.errors import CorpusError
from corpora.near import alignment
from corpora.near import audio as near_audio
from corpora.near import images as near_images
from corpora.near import signals as near_signals
from corpora.near import text as near_text
from corpora.near.pairs import FINGERPRINTS, METHODS, NEAR, fingerprint, near_pairs, write_fingerprints
from corpora.readers import make_corpus
from corpora.schema import Sample
from corpora.signals import encode_signals
from corpora.store.shards import read_table, write_shards

MADE_UP = {
    "face": ("fer2013", {"subjects": 0, "per_class": {"anger": 80, "happiness": 80, "neutral": 80}}),
    "speech": ("ravdess", {"subjects": 12, "per_class": {"anger": 60, "neutral": 60}}),
    "text": ("goemotions", {"subjects": 0, "per_class": {"anger": 150, "fear": 150}}),
    "physio": ("stress_predict", {"subjects": 6, "per_class": {"stress": 40, "neutral": 40}}),
}
REAL = {"face": "fer2013", "speech": "ravdess", "text": "goemotions", "physio": "stress_predict"}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Sample]]:
    kept: dict[str, list[Sample]] = {}

    def samples(modality: str) -> list[Sample]:
        if modality not in kept:
            name, options = MADE_UP[modality]
            root = tmp_path_factory.mktemp(modality)
            make_corpus(name).fake(root, seed=1, **options)  # type: ignore[arg-type]
            read = [s for s in make_corpus(name).read(root, name) if isinstance(s, Sample)]
            kept[modality] = list({s.payload: s for s in read}.values())
        return kept[modality]

    return samples


@pytest.mark.parametrize("modality", METHODS)
def test_planted_copies_are_found_and_nothing_else(modality: str, made_up: Callable[[str], list[Sample]]) -> None:
    samples = made_up(modality)
    told = plant(samples, 0.5, 1, copies_of_itself(samples))
    assert set(told.planted) - BEYOND == set(CORRUPTIONS[modality]) - BEYOND
    assert told.recall("exact") == 1
    assert told.near_recall >= 0.95, {k: (told.found[k], told.planted[k]) for k in told.planted}
    assert told.wrong == 0 and told.clean >= 8


def test_made_up_corpora_hold_few_near_copies(made_up: Callable[[str], list[Sample]]) -> None:
    """The demo's corpora lose what the audit calls a copy, and drawn faces are much alike."""
    for modality in METHODS:
        samples = made_up(modality)
        assert len(copies_of_itself(samples)) <= 0.02 * len(samples), modality


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("modality", METHODS)
def test_the_whole_grid_on_real_corpora(modality: str, share: float, seed: int, shared_data: Path) -> None:
    name = REAL[modality]
    read = [s for s in make_corpus(name).read(shared_data / name, name) if isinstance(s, Sample)]
    samples = list({s.payload: s for s in read}.values())
    told = plant(samples, share, seed, copies_of_itself(samples))
    assert told.recall("exact") >= 0.99
    assert told.near_recall >= 0.95, {k: (told.found[k], told.planted[k]) for k in told.planted}
    assert told.false_alarms < 0.005


# --- what the methods promise -----------------------------------------------------------------------------------------


def test_alignment_undoes_a_known_motion() -> None:
    """A picture of waves sampled on a turned, scaled and shifted grid is the same picture."""
    y, x = alignment.pixel_grid()

    def picture(a: float, b: float, c: float, d: float) -> np.ndarray:
        u, v = a * x - b * y + c, b * x + a * y + d
        return np.cos(0.5 * u + 0.2) + np.sin(0.35 * v + 0.1 * u) + np.cos(0.8 * (u - v))

    def levels(values: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(40 * values + 128), 0, 255).astype(np.uint8)[None]

    first, still = levels(picture(1, 0, 0, 0)), np.array([[1, 0, 0, 0]], np.float32)
    no = np.zeros(1, bool)
    for motion in ((1, 0, 0.8, -0.6), (0.95, 0, 0.5, 0), (1, 0.05, 0, 0), (0.96, 0.03, -0.7, 0.4)):
        second = levels(picture(*motion))
        assert alignment.aligned_correlation(first, second, still, no)[0] > 0.97, motion
        assert alignment._overlap_correlation(*map(alignment._standard, (first, second)), still)[0] < 0.96
    noise = np.random.default_rng(0).integers(0, 256, (1, 1024)).astype(np.uint8)
    assert alignment.aligned_correlation(first, noise, still, no)[0] < 0.3


def test_each_view_of_a_picture_hashes_like_the_cut_picture() -> None:
    """The matrix product for a crop gives the coefficients of the picture that is really cropped (no aliasing here)."""
    y, x = np.mgrid[0:96, 0:96] / 96
    big = 128 + 60 * np.cos(4 * x + 3 * y) + 40 * np.sin(7 * y - 2 * x)
    whole = np.frombuffer(near_images.fingerprint(encode_png(big.astype(np.uint8))), np.uint8)[None]

    def hashed(thumb: np.ndarray) -> np.ndarray:
        return near_images._coefficients(near_images._smooth(thumb), 0)[0]

    number = next(i for i, v in enumerate(near_images.VIEWS) if v.scale == 0.85 and v.x < 0 and v.y < 0)
    side = round(0.85 * 96)
    cut = np.frombuffer(near_images.fingerprint(encode_png(big[:side, :side].astype(np.uint8))), np.uint8)[None]
    a, b = near_images._coefficients(near_images._smooth(whole), number)[0], hashed(cut)
    assert float(a @ b) > 0.999
    assert float(hashed(whole) @ b) < 0.99


def test_codes_of_speech_ignore_gain_and_find_the_lag() -> None:
    rng = np.random.default_rng(0)
    tone = np.cumsum(rng.standard_normal(48000)) * 0.001 + 0.1 * rng.standard_normal(48000)
    signal = (tone / np.abs(tone).max()).astype(np.float32)
    codes = near_audio.codes_of(signal, 16000)
    assert codes.dtype == np.uint32 and len(codes) == pytest.approx((3 - 0.37) / 0.0232, abs=2)
    assert np.bitwise_count(codes ^ near_audio.codes_of(signal * 0.1, 16000)).mean() < 0.1
    late = encode_wav(signal[16000 * 232 // 1000 :], 16000)  # ten frames of 23.2 ms
    prints = [near_audio.fingerprint(encode_wav(signal, 16000)), near_audio.fingerprint(late)]
    pairs, share = near_audio.near_pairs(prints)
    assert pairs.tolist() == [[0, 1]] and share[0] > 0.9
    lengths = np.array([len(p) // 4 for p in prints])
    _, _, lag = near_audio._hits(np.frombuffer(b"".join(prints), "<u4"), lengths)
    a, b = (np.frombuffer(p, "<u4") for p in prints)
    assert min(lag.tolist(), key=lambda at: near_audio._bit_error(a, b, at)) == 10


@pytest.mark.parametrize("factor", [2, 3, 4, 8, 9])  # from 11,025, 16,000, 22,050, 44,100 and 48,000 Hz
def test_a_filter_that_is_kept_is_the_one_that_resampling_designs(factor: int) -> None:
    signal = np.random.default_rng(factor).normal(size=6000 + factor).astype(np.float32)
    kept = resample_poly(signal, 1, factor, window=near_audio._lowpass(factor))
    np.testing.assert_array_equal(kept, resample_poly(signal, 1, factor))


def test_texts_are_compared_by_words_and_not_by_dress() -> None:
    assert near_text.normalise("  It’s  NOT—fine!!  ①") == "its not fine 1"
    said = "I told you that the train to the coast was late again, and nobody apologised for it."
    other = "Nobody on the coast would have told you so, but apologising for trains is what we do here."
    texts = [said, said.upper() + " :-(", "He wrote: " + said, other, "oh my god", "oh my god!"]
    pairs, jaccard = near_text.near_pairs([near_text.fingerprint(encode_text(t)) for t in texts])
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert jaccard[0] == 1 and 0.8 < jaccard[1] < 1


def window(rng: np.random.Generator, n: int = 1280, channels: int = 4) -> np.ndarray:
    """[n, channels] of noise that falls with frequency, as in an EEG."""
    spectrum = np.fft.rfft(rng.standard_normal((n, channels)), axis=0)
    spectrum /= np.maximum(np.arange(len(spectrum)), 4)[:, None]
    return np.fft.irfft(spectrum, axis=0) * 100


def test_windows_that_overlap_are_near_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    long = window(rng, 2560)
    told = [{"name": "eeg", "rate_hz": 128.0}]
    cuts = [long[:1280], long[333:1613] * -0.2 + 7, long[1280:], window(rng)]
    pairs, _ = near_signals.near_pairs([fingerprint("physio", encode_signals({"eeg": c}), told) for c in cuts])
    assert [0, 1] not in pairs.tolist()  # turned over: not a gain
    cuts[1] = long[333:1613] * 0.2 + 7  # not at a multiple of the four values that are averaged
    pairs, alike = near_signals.near_pairs([fingerprint("physio", encode_signals({"eeg": c}), told) for c in cuts])
    assert pairs.tolist() == [[0, 1]] and alike[0] > 0.94  # [1, 2] share a quarter: too little to tell


def test_cuttings_between_two_averages_are_found() -> None:
    """Four values at 128 Hz become one; a cutting that begins between two such fours has other averages."""
    rng = np.random.default_rng(1)
    hz = np.maximum(np.fft.rfftfreq(512, 1 / 128), 1)[:, None]
    told = [{"name": "eeg", "rate_hz": 128.0}]
    noise = [np.fft.rfft(rng.standard_normal((512, 2)), axis=0) for _ in range(60)]
    whole = [np.fft.irfft(spectrum / hz, axis=0) for spectrum in noise]
    prints = [fingerprint("physio", encode_signals({"eeg": w}), told) for w in whole]
    prints += [fingerprint("physio", encode_signals({"eeg": w[50:-60]}), told) for w in whole]
    pairs, _ = near_signals.near_pairs(prints)
    assert sum([i, i + 60] in pairs.tolist() for i in range(60)) >= 57


@pytest.mark.parametrize(
    ("modality", "payload"),
    [
        ("face", b"no picture"),
        ("face", encode_png(np.full((48, 48), 7, np.uint8))),
        ("speech", b"no wav"),
        ("speech", encode_wav(np.zeros(32000, np.float32), 16000)),
        ("speech", encode_wav(np.random.default_rng(0).uniform(-1, 1, 8000).astype(np.float32), 16000)),
        ("text", b"\xff\xfe"),
        ("text", b"thank you so much"),
        ("physio", b"no npz"),
        ("physio", encode_signals({"eda": np.full(100, 3.0)})),
        ("physio", encode_signals({"eda": np.arange(5.0)})),
    ],
)
def test_what_cannot_be_compared_has_an_empty_fingerprint(modality: str, payload: bytes) -> None:
    assert fingerprint(modality, payload) == b""


@pytest.mark.parametrize("modality", METHODS)
def test_nothing_and_one_have_no_pairs(modality: str, made_up: Callable[[str], list[Sample]]) -> None:
    sample = made_up(modality)[0]
    one = fingerprint(modality, sample.payload, sample.signals)  # type: ignore[arg-type]
    assert one
    for prints in ([], [b""], [one], [one, b""]):
        pairs, similarity = METHODS[modality].near_pairs(prints)
        assert pairs.shape == (0, 2) and similarity.shape == (0,)


# --- the table --------------------------------------------------------------------------------------------------------


def table(rows: list[tuple[str, str, str, bytes]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(FINGERPRINTS.names, r, strict=True)) for r in rows], schema=FINGERPRINTS)


def test_fingerprints_of_shards_are_those_of_payloads_and_pairs_are_of_hashes(
    made_up: Callable[[str], list[Sample]], tmp_path: Path
) -> None:
    samples = made_up("speech")[:12]
    louder = encode_wav(decode_wav(samples[3].payload)[0].mean(axis=1) * 0.5, decode_wav(samples[3].payload)[1])
    changed = [(samples[3].sample_id + "b", louder), (samples[3].sample_id + "c", louder)]
    from dataclasses import replace

    samples = samples + [replace(samples[3], sample_id=i, payload=p, recording_id=None) for i, p in changed]
    index = write_shards(samples, tmp_path, 3, "x")
    write_fingerprints(tmp_path, index, tmp_path / "near.parquet")
    prints = read_table(tmp_path / "near.parquet", FINGERPRINTS)
    told = {r["sample_id"]: r["data"] for r in prints.to_pylist()}
    assert told == {s.sample_id: fingerprint("speech", s.payload) for s in samples}
    pairs = near_pairs(prints)
    assert pairs.schema == NEAR
    sha = dict(zip(index["sample_id"].to_pylist(), index["sha256"].to_pylist(), strict=True))
    expected = sorted([sha[samples[3].sample_id], sha[changed[0][0]]])
    assert [[r["first"], r["second"]] for r in pairs.to_pylist()] == [expected]
    for seed in range(4):
        shuffled = prints.take(np.random.default_rng(seed).permutation(prints.num_rows))
        assert near_pairs(shuffled).equals(pairs)
    one = (tmp_path / "near.parquet").read_bytes()
    write_fingerprints(tmp_path, index, tmp_path / "near.parquet")
    assert (tmp_path / "near.parquet").read_bytes() == one


def test_fingerprints_of_another_version_are_refused() -> None:
    with pytest.raises(CorpusError, match=r"'text/shingles4/0'.*ingest again"):
        near_pairs(table([("a", "h", "text/shingles4/0", b"")]))
    with pytest.raises(CorpusError, match="no fingerprint for modality 'smell'"):
        fingerprint("smell", b"")


def test_modalities_are_compared_apart() -> None:
    text = near_text.fingerprint(encode_text("what is said here is said here once and never said anywhere else again"))
    rows = [(str(i), str(i), f"{m}/{METHODS[m].METHOD}", text if m == "text" else b"") for i, m in enumerate(METHODS)]
    assert near_pairs(table(rows)).num_rows == 0


def test_reading_fingerprints_takes_flat_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def pictures(n: int) -> list[Sample]:
        noise = (encode_png(rng.integers(0, 255, (48, 48)).astype(np.uint8)) for _ in range(n))
        return [Sample(f"c/{i}", "c", "face", payload, "png", "CC0-1.0", str(i)) for i, payload in enumerate(noise)]

    peaks = []
    for n in (1100, 3300):
        index = write_shards(pictures(n), tmp_path / str(n), 2, "x")
        tracemalloc.start()
        write_fingerprints(tmp_path / str(n), index, tmp_path / f"{n}.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pq.read_metadata(tmp_path / f"{n}.parquet").num_rows == n
    assert peaks[1] < 1.5 * peaks[0] + 1e6


def test_pictures_that_are_looked_at_together_have_the_thumbnails_that_each_has_alone() -> None:
    rng = np.random.default_rng(4)
    payloads = []
    for height, width in ((48, 48), (32, 32), (32, 48), (17, 90), (96, 96), (97, 96), (8, 8), (200, 150)) * 4:
        array = np.clip(np.cumsum(rng.normal(0, 9, (height, width)), axis=1) + 128, 0, 255).astype(np.uint8)
        payloads += [encode_png(array), encode_png(np.full_like(array, 7)), encode_png(np.stack([array] * 3, axis=2))]
    payloads.insert(5, b"no picture")
    prints = near_images.fingerprints(payloads)
    for payload, data in zip(payloads, prints, strict=True):
        if payload == b"no picture":
            assert data == b""
            continue
        image = Image.fromarray(decode_image(payload)).convert("L")
        small = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0))
        assert data == (b"" if small.std() < 2 else small.tobytes())
    assert sum(data == b"" for data in prints) == 33


def test_pairs_of_buckets_are_those_of_a_search_by_hand() -> None:
    rng = np.random.default_rng(5)
    n, row = 60, 20
    keys = rng.integers(0, 4, (n, near_images._TABLES))
    keys[:, 3] = np.arange(n)  # a table in which nobody shares a key
    bits = rng.random((n, 77)) > 0.9
    median = np.full(77, 0.5, np.float32)
    words = near_images._looked(bits.astype(np.float32), median, near_images._bands(77)).words
    buckets = near_images._buckets(keys.T)
    asked = near_images._Looked(bits[row:40], words[row:40], keys[row:40].T)
    for links, crowd in ((50, 400), (3, 5)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(near_images, "_CROWD", crowd)
            patch.setattr(near_images, "_PAIRS", 100)
            numbered = near_images._matching(buckets, asked, words, np.arange(row, 40), links)
        pairs = (numbered // n + row) * n + numbered % n
        wanted = []
        for t in range(near_images._TABLES):
            for first in range(row, 40):
                same = np.flatnonzero(keys[:, t] == keys[first, t])
                same = same[:links] if len(same) > crowd else same
                wanted += [first * n + s for s in same if s != first and (bits[first] ^ bits[s]).sum() <= 18]
        assert sorted(pairs.tolist()) == sorted(int(pair) for pair in wanted) and wanted


def test_views_in_one_product_are_those_one_by_one() -> None:
    smooth = np.random.default_rng(6).normal(0, 9, (30, near_images._projection(0).shape[0])).astype(np.float32)
    every = (smooth @ near_images._projections()).reshape(30, -1, 77)
    assert every.shape[1] == len(near_images.VIEWS) - 1
    for number in range(1, len(near_images.VIEWS)):
        seen = near_images._unit(every[:, number - 1])
        assert np.allclose(seen, near_images._coefficients(smooth, number), atol=1e-6)


def test_what_happens_along_rows_and_columns_is_what_happens_to_pixels() -> None:
    for number in range(len(near_images.VIEWS)):
        assert np.allclose(near_images._projection(number), near_images._sampled(number), atol=1e-12), number


def test_keys_are_the_bits_of_each_table() -> None:
    unit = np.random.default_rng(7).normal(size=(9, 77)).astype(np.float32)
    looked = near_images._looked(unit, np.zeros(77, np.float32), near_images._bands(77))
    assert looked.keys.shape == (near_images._TABLES, 9)
    for t, column in enumerate(near_images._bands(77).T):
        for i in range(9):
            assert looked.keys[t, i] == sum(int(b) for b, on in zip(column, unit[i] > 0, strict=True) if on)
    ones = np.bitwise_count(looked.words).sum(axis=1)
    assert ones.tolist() == (unit > 0).sum(axis=1).tolist()


def test_a_text_says_enough_by_its_different_shingles_wherever_they_stand() -> None:
    for words in ("a" * 27, "a" * 500, "a" * 100 + " one two three four five six", "thank you so much for it all", "b"):
        shingles = {words[i : i + 5] for i in range(len(words) - 4)}
        assert near_text._says_enough(words) is (len(shingles) >= 24), words
    assert (
        near_text.fingerprint(b"a" * 500) == b"" != near_text.fingerprint(b"a" * 100 + b" one two three four five six")
    )
