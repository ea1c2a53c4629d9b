"""Encoders from a path, each family with a tiny random checkpoint in the genuine format, made on the spot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from corpora.codecs import encode_png, encode_wav
from corpora.errors import UnknownNameError, UserError
from emoforge.cli import app
from tests.validators.conftest import CLASSES, made, make_batch, with_signals
from tests.validators.embeddings.tiny_encoders import MAKERS, RATE, WORDS, as_sentence_encoder, pictures
from validators.embeddings.embedding import fit_embedding
from validators.embeddings.encoders import load_encoder, weights_hash
from validators.gates.frechet import FrechetGate
from validators.measures.inputs import embed_one
from validators.measures.registry import measure

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

IMAGES = ("clip", "dinov2", "vit")
SPEECH = ("wav2vec2", "wav2vec2-large", "hubert", "wavlm", "clap", "clap-unfused")
TEXT = ("bert", "mpnet")
TEXTS = ["the dog ran home", "cat", "the cat slept the dog ran home the cat slept home", "the unknown word"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> its checkpoint, made once."""
    root, found = tmp_path_factory.mktemp("encoders"), dict[str, Path]()

    def folder(name: str) -> Path:
        if name not in found:
            found[name] = root / name
            found[name].mkdir()
            torch.manual_seed(0)
            MAKERS[name](found[name])
        return found[name]

    return folder


def samples(name: str) -> list[Any]:
    rng = np.random.default_rng(0)
    if name in IMAGES:
        shapes = [(32, 32, 3), (20, 50, 3), (48, 48), (7, 5, 3)]
        return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    if name in SPEECH:
        return [rng.normal(0, 0.1, n).astype(np.float32) for n in (16000, 5000, 40000, 5000)]
    return TEXTS


@pytest.mark.parametrize("name", MAKERS)
def test_each_family_encodes_and_row_i_is_of_sample_i_only(name: str, folders: Callable[[str], Path]) -> None:
    encoder = load_encoder(folders(name))
    found = encoder.encode(samples(name), rate_hz=RATE)
    assert found.shape == (4, encoder.dim) and found.dtype == np.float64 and np.isfinite(found).all()
    assert encoder.encode([], rate_hz=RATE).shape == (0, encoder.dim)
    assert np.abs(found - found[0]).max(axis=1)[1:].min() > 2e-4  # samples differ
    for row, sample in enumerate(samples(name)):  # alone, and in another company: padding would show
        np.testing.assert_allclose(encoder.encode([sample], rate_hz=RATE)[0], found[row], rtol=1e-4, atol=1e-5)
    again = load_encoder(folders(name))
    np.random.seed(7)
    assert np.array_equal(again.encode(samples(name), rate_hz=RATE), found) and again.name == encoder.name
    model, _, digest = encoder.name.partition("/")
    assert model.endswith("Model") and len(digest) == 12 and digest == weights_hash(str(folders(name)))


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("clip", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ("dinov2", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ("vit", (0.5,) * 3, (0.5,) * 3),
    ],
)
def test_pictures_against_the_model_itself(name: str, mean: Any, std: Any, folders: Callable[[str], Path]) -> None:
    picture = samples(name)[0]  # of the model's own size: nothing is resized
    pixels = torch.tensor(((picture / 255.0 - mean) / std).transpose(2, 0, 1)[None], dtype=torch.float32)
    model = transformers.AutoModel.from_pretrained(folders(name)).eval()
    with torch.no_grad():
        if name == "clip":
            want = model.visual_projection(model.vision_model(pixels).pooler_output)
        else:
            want = model(pixels).last_hidden_state[:, 0]
    np.testing.assert_allclose(load_encoder(folders(name)).encode([picture])[0], want[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wav2vec2", "wav2vec2-large", "hubert", "wavlm"])
def test_speech_against_the_model_itself_and_by_layer(name: str, folders: Callable[[str], Path]) -> None:
    signal = samples(name)[1]
    values = torch.from_numpy((signal - signal.mean()) / np.sqrt(signal.var() + 1e-7))[None]
    model = transformers.AutoModel.from_pretrained(folders(name)).eval()
    with torch.no_grad():
        hidden = model(values, output_hidden_states=True)
    last, first = load_encoder(folders(name)), load_encoder(f"{folders(name)}@layer1")
    for encoder, want in ((last, hidden.last_hidden_state), (first, hidden.hidden_states[1])):
        found = encoder.encode([signal], rate_hz=RATE)[0]
        np.testing.assert_allclose(found, want[0].mean(dim=0), rtol=1e-3, atol=1e-5)
    assert first.name == f"{last.name}@layer1"
    with pytest.raises(UserError, match="hidden layers 0 to 2; layer is 9"):
        load_encoder(f"{folders(name)}@layer9")


def test_other_rates_are_brought_to_the_models(folders: Callable[[str], Path]) -> None:
    encoder = load_encoder(folders("wav2vec2"))
    t = np.arange(48000) / 48000
    slow, fast = (np.sin(2 * np.pi * 300 * t[:: 48000 // rate]).astype(np.float32) for rate in (16000, 48000))
    found = encoder.encode([slow, fast], rate_hz=[16000, 48000])
    other = encoder.encode([fast], rate_hz=RATE)  # the same numbers as if they were slow: another sound
    assert np.abs(found[0] - found[1]).max() < 0.1 * np.abs(found[0] - other[0]).max()


@pytest.mark.parametrize("name", ["clap", "clap-unfused"])
def test_clap_against_the_model_itself(name: str, folders: Callable[[str], Path]) -> None:
    signal = samples(name)[1]  # shorter than the model looks: no fusion of several views
    drawn_by = transformers.AutoFeatureExtractor.from_pretrained(folders(name))
    mel = drawn_by([signal], sampling_rate=RATE, return_tensors="pt")["input_features"]
    model = transformers.ClapModel.from_pretrained(folders(name)).eval()
    with torch.no_grad():
        want = model.get_audio_features(mel, is_longer=torch.tensor([[False]])).pooler_output[0]
    found = load_encoder(folders(name)).encode([signal], rate_hz=RATE)[0]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_long_sound_is_the_mean_of_windows_for_clap(folders: Callable[[str], Path]) -> None:
    encoder = load_encoder(folders("clap"))
    long = samples("clap")[2]  # 2.5 s, windows of at most 1 s
    parts = encoder.encode(np.array_split(long, 3), rate_hz=RATE)
    np.testing.assert_allclose(encoder.encode([long], rate_hz=RATE)[0], parts.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens"])
@pytest.mark.parametrize("normalise", [False, True])
def test_texts_are_pooled_as_the_folder_says(
    pooling: str, normalise: bool, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(folders("bert"), tmp_path / "s")
    as_sentence_encoder(tmp_path / "s", pooling, normalise=normalise, longest=8)
    model = transformers.AutoModel.from_pretrained(tmp_path / "s").eval()
    for text in (TEXTS[0], TEXTS[2]):
        ids = [2, *(WORDS.index(w) for w in text.split()), 3]
        ids = [*ids[:7], 3] if len(ids) > 8 else ids  # cut off at 8
        with torch.no_grad():
            tokens = model(torch.tensor([ids])).last_hidden_state[0]
        want = {"mean_tokens": tokens.mean(0), "cls_token": tokens[0], "max_tokens": tokens.amax(0)}[pooling]
        want = want / want.norm() if normalise else want
        found = load_encoder(tmp_path / "s").encode([*TEXTS, text])[-1]
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_sentence_folders_that_are_not_known_are_errors(folders: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folders("bert"), tmp_path / "s")
    as_sentence_encoder(tmp_path / "s", "lasttoken", normalise=False)
    with pytest.raises(UserError, match="pools by lasttoken; known: cls, mean or max"):
        load_encoder(tmp_path / "s")
    rows = json.loads((tmp_path / "s" / "modules.json").read_text())
    rows[1]["type"] = "sentence_transformers.models.Dense"
    (tmp_path / "s" / "modules.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=r"modules.json names Dense"):
        load_encoder(tmp_path / "s")


def test_prompt_and_lower_case_of_a_sentence_folder(folders: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folders("bert"), tmp_path / "s")
    as_sentence_encoder(tmp_path / "s", "mean_tokens", normalise=False, do_lower_case=True)
    plain = load_encoder(tmp_path / "s")
    assert np.allclose(*plain.encode(["the DOG", "the dog"]), atol=1e-6)
    told = {"prompts": {"query": "home "}, "default_prompt_name": "query"}
    (tmp_path / "s" / "config_sentence_transformers.json").write_text(json.dumps(told))
    prompted = load_encoder(tmp_path / "s")
    assert np.allclose(prompted.encode(["the dog"]), plain.encode(["home the dog"]), atol=1e-6)
    assert prompted.name != plain.name


class Detector(torch.nn.Module):
    """Called as the InceptionV3 of StyleGAN2-ADA is."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Conv2d(3, 5, 3)

    def forward(
        self, img: torch.Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> torch.Tensor:
        x = torch.nn.functional.interpolate(img.to(torch.float32), size=[9, 9], mode="bilinear", align_corners=False)
        x = self.layers((x - 128.0) / 128.0).mean(dim=[2, 3])
        return x if return_features else x.softmax(dim=1)


def test_a_torchscript_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = Detector(), tmp_path / "inception.pt"
    torch.jit.script(model).save(str(path))
    encoder = load_encoder(path)
    found = encoder.encode(samples("clip"))
    assert found.shape == (4, 5) and encoder.reads == "images" and encoder.name == f"Detector/{weights_hash(str(path))}"
    picture = torch.from_numpy(samples("clip")[1]).permute(2, 0, 1)[None]
    np.testing.assert_allclose(found[1], model(picture, return_features=True)[0].detach(), rtol=1e-4, atol=1e-6)
    assert np.array_equal(encoder.encode(samples("clip")), found)
    grey = samples("clip")[2]
    np.testing.assert_array_equal(*encoder.encode([grey, np.repeat(grey[:, :, None], 3, axis=2)]))
    (tmp_path / "no.pt").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be loaded as a TorchScript module"):
        load_encoder(tmp_path / "no.pt")
    torch.save({"weight": torch.ones(2)}, tmp_path / "pickle.pt")
    with pytest.raises(UserError, match="cannot be loaded as a TorchScript module"):
        load_encoder(tmp_path / "pickle.pt")


def test_what_cannot_be_encoded_is_nan_or_an_error(folders: Callable[[str], Path]) -> None:
    speech, text, image = (load_encoder(folders(n)) for n in ("wav2vec2", "bert", "vit"))
    ok = samples("wav2vec2")[1]
    found = speech.encode([ok, ok[:0], ok[:9], np.full(4000, np.nan), np.zeros(4000)], rate_hz=RATE)
    assert np.isfinite(found).all(axis=1).tolist() == [True, False, False, False, True]
    assert np.isnan(text.encode(["", " \n"])).all()
    assert np.isnan(image.encode([np.zeros((0, 0), np.uint8)])).all()
    for encoder, sample, rate, match in (
        (speech, ok[:, None], RATE, "one channel"),
        (speech, ok, None, "sampling rate"),
        (speech, np.zeros(301 * 8000), 8000, "301 s is too long"),
        (text, b"x", None, "texts are needed"),
        (image, np.zeros((4, 4)), None, "uint8"),
        (image, np.zeros((4, 4, 2), np.uint8), None, "uint8"),
    ):
        with pytest.raises(UserError, match=match):
            encoder.encode([sample], rate_hz=rate)


def test_wrong_paths_say_what_is_needed(folders: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_encoder(tmp_path / "gone")
    with pytest.raises(UserError, match=r"config.json and \*.safetensors"):
        load_encoder(tmp_path)
    with pytest.raises(UserError, match="which reads images; speech need one of clap, hubert"):
        load_encoder(folders("vit"), reads="speech")
    with pytest.raises(UserError, match="a layer is chosen of"):
        load_encoder(f"{folders('clap')}@layer1")
    with pytest.raises(UserError, match="a layer is chosen of"):
        load_encoder(f"{folders('vit')}@layer1")
    shutil.copytree(folders("vit"), tmp_path / "v")
    place = tmp_path / "v"
    (place / "preprocessor_config.json").rename(tmp_path / "kept.json")
    with pytest.raises(UserError, match=r"no preprocessor_config.json"):
        load_encoder(place)
    shutil.copy(tmp_path / "kept.json", place / "preprocessor_config.json")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(UserError, match="weights are missing"):
        load_encoder(place)
    (place / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(UserError, match="of type 'gpt2'; known encoders: albert"):
        load_encoder(place)
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").unlink()
    torch.save({}, place / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model.bin may hold code and is not read"):
        load_encoder(place)
    (place / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_encoder(place)


def test_other_weights_or_preprocessing_another_name(folders: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folders("vit"), tmp_path / "v")
    before = load_encoder(tmp_path / "v").name
    assert before == load_encoder(folders("vit")).name  # of the content, not of the place
    torch.manual_seed(1)
    MAKERS["vit"](tmp_path / "v")
    other = load_encoder(tmp_path / "v").name
    pictures(tmp_path / "v", "ViT", size={"height": 32, "width": 32}, image_mean=[0.4] * 3)
    assert len({before, other, load_encoder(tmp_path / "v").name}) == 3


@pytest.mark.parametrize(("modality", "name"), [("speech", "hubert"), ("face", "dinov2")])
def test_as_an_embedding_of_gates(modality: str, name: str, folders: Callable[[str], Path]) -> None:
    train = made(modality, groups=range(3), per_cell=2)
    options: dict[str, Any] = {"classes": CLASSES, "seed": 0, "dims": 4, "whiten": True, "options": {}}
    embedding = fit_embedding(f"path:{folders(name)}", train, **options)
    points = embedding.embed(train)
    np.testing.assert_allclose(points.std(axis=0, ddof=1), 1, rtol=1e-6)
    encoder = load_encoder(folders(name))
    assert embedding.name.startswith(f"{encoder.name}-pca4/") and encoder.name in train.cache
    want = encoder.encode(train.signals, rate_hz=train.rate_hz)
    np.testing.assert_allclose(train.cache[encoder.name], want, rtol=1e-4, atol=1e-5)
    broken = with_signals(train, lambda s: s[:0])
    assert np.isnan(embedding.embed(broken)).all()
    wrong = folders("vit" if modality == "speech" else "wavlm")
    with pytest.raises(UserError, match=f"which reads .*; {encoder.reads} need"):
        fit_embedding(f"path:{wrong}", train, **options)
    with pytest.raises(UnknownNameError, match="path:FOLDER"):
        fit_embedding("dinov2", train, **options)


def test_texts_of_a_batch(folders: Callable[[str], Path]) -> None:
    signals = [np.frombuffer(text.encode(), np.uint8) for text in TEXTS]
    train = make_batch("text", signals, ["joy"] * 4, ["a", "b", "c", "d"])
    embedding = fit_embedding(f"path:{folders('bert')}", train, classes=["joy"], seed=0, dims=2, options={})
    assert embedding.embed(train).shape == (4, 2)
    encoder = load_encoder(folders("bert"))
    np.testing.assert_allclose(train.cache[encoder.name], encoder.encode(TEXTS), rtol=1e-4, atol=1e-5)


def measured(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["measure", *map(str, arguments), "--json"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def files_of(folder: Path, name: str, seed: int, n: int = 6) -> Path:
    """A folder of pictures or recordings, or a text file."""
    rng = np.random.default_rng(seed)
    if name in TEXT:
        path = folder / f"{seed}.txt"
        path.write_text("\n".join(" ".join(rng.choice(WORDS[4:], 5)) for _ in range(n)) + "\n", encoding="utf-8")
        return path
    (folder / str(seed)).mkdir()
    for i in range(n):
        if name in IMAGES:
            data = encode_png(rng.integers(0, 256, (20 + i, 24), dtype=np.uint8))
        else:
            data = encode_wav(rng.normal(0, 0.1, 3000 + 500 * i).astype(np.float32), RATE)
        (folder / str(seed) / f"{i}.{'png' if name in IMAGES else 'wav'}").write_bytes(data)
    return folder / str(seed)


@pytest.mark.parametrize("name", ["clip", "hubert", "bert"])
def test_measures_over_folders(name: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    real, synthetic, holdout = (files_of(tmp_path, name, seed) for seed in (0, 1, 2))
    encoder = load_encoder(folders(name))
    x, y, h = (embed_one(encoder, path) for path in (real, synthetic, holdout))
    assert x.shape == (6, encoder.dim)
    told = measured("kid", real, synthetic, "--embedding", folders(name))
    assert told["value"] == pytest.approx(measure("kid", x, y).value)
    assert told["convention"].endswith(f", of {encoder.name}") and told["n_real"] == 6
    told = measured("dcr", real, synthetic, "--embedding", folders(name), "--holdout", holdout, "--seed=3")
    assert told["value"] == measure("dcr", x, y, holdout=h, seed=3).value
    assert measured("cosine", real, real, "--embedding", folders(name))["value"] == pytest.approx(1)


def test_measures_refuse_what_the_encoder_does_not_read(folders: Callable[[str], Path], tmp_path: Path) -> None:
    wavs, png, text = (files_of(tmp_path, name, seed) for seed, name in enumerate(("hubert", "clip", "bert")))
    np.save(tmp_path / "f.npy", np.ones((9, 4)))
    np.save(tmp_path / "p.npy", np.random.default_rng(0).integers(0, 256, (5, 3, 20, 20), dtype=np.uint8))
    told = measured("kid", png, tmp_path / "p.npy", "--embedding", folders("clip"))
    assert told["n_synthetic"] == 5
    (text.parent / "blank.txt").write_text("the dog\n\ncat\n", encoding="utf-8")
    for name, left, right, match in (
        ("clip", png, wavs, "reads pictures"),
        ("hubert", wavs, png, "reads recordings"),
        ("hubert", wavs, text, "reads recordings"),
        ("bert", text, png, "a line a sample"),
        ("clip", png, tmp_path / "f.npy", "pictures are uint8"),
        ("clip", png, tmp_path / "gone", "does not exist"),
        ("bert", text, text.parent / "blank.txt", "cannot encode 1 of 3 samples .* number 2"),
    ):
        with pytest.raises(UserError, match=match):
            measured("kid", left, right, "--embedding", folders(name))
    with pytest.raises(UserError, match="is for metrics of features"):
        measured("psnr", png, png, "--embedding", folders("clip"))
    with pytest.raises(UserError, match="name an encoder: --embedding PATH"):
        measured("kid", png, png)
    (png / "0.png").rename(png / "other.png")
    with pytest.raises(UserError, match="no partner of the same name"):
        measured("cosine", png, files_of(tmp_path, "clip", 9), "--embedding", folders("clip"))
    for flags, match in (
        (["--k"], "needs a value"),
        (["more", "x"], "one input too many"),
        (["--q=1"], "option of kid"),
    ):
        with pytest.raises(UserError, match=match):
            measured("kid", tmp_path / "f.npy", tmp_path / "f.npy", *flags)


def test_a_verdict_names_the_weights_and_other_weights_are_another_judge(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    train, dev = (made("face", groups=groups, per_cell=2, seed=s) for s, groups in enumerate((range(4), range(20, 26))))
    synthetic = with_signals(made("face", groups=range(30, 34), per_cell=2, seed=2), lambda s: s[::-1])
    shutil.copytree(folders("dinov2"), tmp_path / "d")
    params = {"embedding": f"path:{tmp_path / 'd'}", "dims": 4, "repeats": 10}
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        MAKERS["dinov2"](tmp_path / "d")
        gate = FrechetGate.fit(train, dev, classes=CLASSES, params=params, seed=0)
        assert gate.judge.startswith(f"Dinov2Model/{weights_hash(str(tmp_path / 'd'))}-pca4/")
        found.append((gate.judge, gate.measure(synthetic, seed=0).value))
    assert np.isfinite([value for _, value in found]).all()
    assert found[0][0] != found[1][0] and found[0][1] != found[1][1]
