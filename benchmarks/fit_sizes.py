"""What settings of a fit cost, and what they are worth, at equal steps: padding, width, batch, hop.

    OMP_NUM_THREADS=1 python -m benchmarks.fit_sizes RAVDESS [--actors 1 2 3 4 5 6] [--hop 0.01] [--steps 400]
        [--seeds 0 1] [--out sizes.json] --settings '{}' '{"padding": "cut"}' '{"width": 24}'

RAVDESS: a folder of Actor_NN, read as `world`. For each seed one person is held out (by the rule of early stopping);
every setting is fitted to the others. Printed for each fit, and as JSON:

- seconds: of the processor, one thread, a step, without looks at what is held out;
- bound: the negative bound of held-out samples, nats a cell (of `padding: cut` with what the code leaves unsaid of the
  length; cells of padding cost it nothing, so it compares settings of one padding);
- mcd: mel-cepstral distance in dB between the columns of held-out samples and their reconstruction, in the coefficients
  of the representation without the zeroth, frame by frame, mean over columns and samples;
- distance: the energy distance of 16 samples a class from what is held out, mean over classes, in the means and spreads
  of each row over valid columns and the length, by their spread over train;
- lengths: mean difference in columns between quantiles of sampled and held-out lengths.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import corpora.quiet  # noqa: F401
from corpora.errors import PayloadError
from corpora.readers import make_corpus
from corpora.schema import Payload, Sample
from features.representation import make_representation
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.steps import Source
from flows.stages.fit.stopping import of_groups
from generators.condition import train_conditions
from generators.generator import Condition, Device, Draw, TrainData, generator_class
from generators.normalise import on_grid
from validators.maths.kernel import energy_distance

CPU = Device()
DB = 10.0 * np.sqrt(2.0) / np.log(10.0)
DRAWN = 16  # of each class, for lengths


@dataclass(frozen=True)
class Outcome:
    """See the module."""

    params: dict[str, Any]
    seed: int
    seconds: float
    bound: float
    mcd: float
    distance: float
    lengths: float


def load(root: Path, actors: Sequence[int], hop_s: float) -> TrainData:
    """Prepared utterances of some people as arrays of `world`; what is longer than it holds is left out."""
    world = make_representation("world", {"hop_s": hop_s})
    prepare = PrepareSpeech(SpeechSteps())
    arrays, emotions, ids, people = [], [], [], []
    for sample in make_corpus("ravdess").read(root, "ravdess"):
        if not isinstance(sample, Sample) or not sample.emotion:
            continue
        if int(str(sample.subject_id)[-2:]) not in actors:
            continue
        piece = prepare(Source(sample.payload, sample.codec, list(sample.signals)))[0]
        try:
            arrays.append(world.encode(Payload(piece.payload, "wav", (), None)))
        except PayloadError as error:
            if error.reason != "too-long":
                raise
            continue
        emotions.append(str(sample.emotion))
        ids.append(sample.sample_id)
        people.append(str(sample.subject_id))
    classes, n = tuple(sorted(set(emotions))), len(ids)
    return TrainData(
        world.spec,
        classes,
        np.stack(arrays),
        tuple(emotions),
        tuple(ids),
        tuple(people),
        (None,) * n,
        np.zeros(n, bool),
    )


def with_held_out(data: TrainData, seed: int) -> TrainData:
    """One person is held out."""
    from dataclasses import replace

    return replace(data, held_out=of_groups(data.groups, 1.0 / len(set(data.groups)), seed))


def lengths_of(arrays: np.ndarray, row: int) -> np.ndarray:
    """[n, rows, columns] -> [n] valid columns."""
    return (arrays[:, row] > 0).sum(axis=1)


def reconstruction_db(model: Any, data: TrainData) -> float:
    """Held-out samples through encoder and decoder -> mel-cepstral distance in dB."""
    held = np.flatnonzero(data.held_out)
    network, spec = model.network, data.spec
    row = spec.mask_row
    assert row is not None
    coefficients = [i for i, name in enumerate(spec.rows) if name.startswith("mcep_")][1:]
    conditions = {k: v[held] for k, v in train_conditions(data, model.fields).items()}
    real = torch.from_numpy(on_grid(np.asarray(data.arrays[held]), spec))
    with torch.no_grad():
        x = network.normaliser(real)
        mean, _ = network.encode(x, network.read_under(conditions))
        rebuilt = network.decode(mean, network.write_under(conditions), network.spans_in(x))
        back = (rebuilt * network.normaliser.std + network.normaliser.mean).numpy()[:, 0]
    truth = real.numpy()[:, 0]
    valid = truth[:, row] > 0
    squares = ((truth - back)[:, coefficients] ** 2).sum(axis=1)
    return float(np.mean([(DB * np.sqrt(s[v])).mean() for s, v in zip(squares, valid, strict=True)]))


def described(arrays: np.ndarray, row: int) -> np.ndarray:
    """[n, rows, columns] -> [n, 2 rows - 1]: mean and spread of each row over valid columns, and their number."""
    valid = (arrays[:, row] > 0)[:, None].astype(np.float64)
    n = valid.sum(axis=2)
    mean = (arrays * valid).sum(axis=2) / n
    spread = np.sqrt((((arrays - mean[..., None]) * valid) ** 2).sum(axis=2) / n)
    others = [i for i in range(arrays.shape[1]) if i != row]
    return np.concatenate([mean[:, others], spread[:, others], n], axis=1)


def of_samples(model: Any, data: TrainData) -> tuple[float, float]:
    """-> energy distance and difference of lengths of samples from what is held out."""
    row = data.spec.mask_row
    assert row is not None
    draws = [Draw(Condition(c), 1000 + k) for c in data.classes for k in range(DRAWN)]
    sampled = model.sample(draws, device=CPU)
    train = described(np.asarray(data.arrays[~data.held_out], np.float64), row)
    centre, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
    drawn, real = ((described(np.asarray(a, np.float64), row) - centre) / scale for a in (sampled, data.arrays))
    labels, asked = np.array(data.emotions), np.repeat(data.classes, DRAWN)
    each = [energy_distance(drawn[asked == c], real[data.held_out & (labels == c)]).value for c in data.classes]
    levels = np.linspace(0.05, 0.95, 19)
    lengths = [np.quantile(lengths_of(a, row), levels) for a in (sampled, data.arrays[data.held_out])]
    return float(np.mean(each)), float(np.abs(lengths[0] - lengths[1]).mean())


def outcome(name: str, data: TrainData, params: dict[str, Any], seed: int, steps: int) -> Outcome:
    """One fit."""
    model = generator_class(name)(data.spec, data.classes, **params)
    begun = time.process_time()
    for _ in model.fit(data, steps=steps, seed=seed, device=CPU):
        pass
    seconds = (time.process_time() - begun) / steps
    distance, lengths = of_samples(model, data)
    return Outcome(
        params=params,
        seed=seed,
        seconds=round(seconds, 4),
        bound=round(model.held_out_loss(data, CPU), 4),
        mcd=round(reconstruction_db(model, data), 3),
        distance=round(distance, 4),
        lengths=round(lengths, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ravdess", type=Path)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--hop", type=float, default=0.01)
    parser.add_argument("--generator", default="cvae")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--settings", type=json.loads, nargs="+", required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load(args.ravdess, args.actors, args.hop)
    spec = data.spec
    assert spec.mask_row is not None
    valid = lengths_of(data.arrays, spec.mask_row).mean() / spec.shape[1]
    print(f"{len(data.ids)} utterances, {spec.name} {spec.shape}, padding {1 - valid:.0%} of columns")
    results: list[Outcome] = []
    for seed in args.seeds:
        of_seed = with_held_out(data, seed)
        for params in args.settings:
            results.append(outcome(args.generator, of_seed, params, seed, args.steps))
            print(json.dumps(asdict(results[-1])), flush=True)
            if args.out is not None:
                args.out.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
