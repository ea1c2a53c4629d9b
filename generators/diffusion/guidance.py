"""From a network to the estimate that a sampler asks for: guidance towards what is asked, and mixtures of emotions.

- free: away from the same network without a condition (Ho & Salimans 2022), within an interval of noise levels
  (Kynkäänniemi et al. 2024): outside of it, the second pass is saved as well;
- auto: away from a smaller network trained for less (Karras et al. 2024b);
- classifier: an unconditional network plus the gradient of sum_k w_k log p(k | x), w the soft label (EmoDiff, Guo et
  al. 2023: w = alpha on the emotion and 1 - alpha on neutral);
- trained: what the fit has taught (Tang et al. 2025): one pass, nothing to do here but `taught_target`;
- noise mixing: the outputs predicted for each pure emotion, weighted by their shares, within an interval (EmoMix, Tang
  et al. 2023). One emotion alone is the pure case, exactly.

Outputs of the network are combined, not estimates: at one x and noise level both are affine in each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from generators.diffusion.precondition import Precondition
from generators.diffusion.samplers import Denoised

Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # x, time [b], embedding [b, E] -> output
LogProbs = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # x, time [b] -> [b, K]
Interval = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Mixture:
    """Soft labels as several pure ones. rows: [m] which draw; weights: [m], of each draw they sum to 1; embeddings:
    [m, E] of the pure conditions; largest: [n] for each draw, the place in `rows` of its largest share."""

    rows: torch.Tensor
    weights: torch.Tensor
    embeddings: torch.Tensor
    largest: torch.Tensor


@dataclass(frozen=True, slots=True)
class Pull:
    """Guidance by difference: outputs move away from those of `predict` under `embeddings` [n, E] by `scale` - 1."""

    predict: Predict
    embeddings: torch.Tensor
    scale: float
    interval: Interval = None
    rescale: float = 0.0
    shared: bool = False  # `predict` is that of the main network: both passes go through it as one batch


@dataclass(frozen=True, slots=True)
class Gradient:
    """Guidance by a classifier of noisy arrays. weights: [n, K] soft labels; scale 0: none."""

    log_probs: LogProbs
    weights: torch.Tensor
    scale: float
    interval: Interval = None


@dataclass(frozen=True, slots=True)
class Estimator:
    """`samplers.Denoise` of one batch of draws: the embeddings [n, E] of their conditions were worked out once."""

    precondition: Precondition
    predict: Predict
    embeddings: torch.Tensor
    mixture: Mixture | None = None
    mix_interval: Interval = None
    pull: Pull | None = None
    gradient: Gradient | None = None
    learned_variance: bool = False
    reach: torch.Tensor | None = None  # largest size of an estimate; where it is one noise less another

    def __call__(self, x: torch.Tensor, sigma: float) -> Denoised:
        """x [n, channels, *grid] and its noise level -> estimate."""
        scales = self.precondition.scales(sigma)
        output = self._output(scales.into * x, scales.time, sigma)
        share = None
        if self.learned_variance:
            output, raw = output.chunk(2, dim=1)
            share = torch.sigmoid(raw)
        x0 = scales.skip * x + scales.out * output
        if self.reach is not None:
            x0 = torch.minimum(torch.maximum(x0, -self.reach), self.reach)
        gradient = self.gradient
        if gradient is not None and gradient.scale > 0 and inside(sigma, gradient.interval):
            # of the score: d log p / dx; x0 = x + sigma^2 score, and x is what the network sees over `into`
            slope = label_slope(gradient, scales.into * x, scales.time) * scales.into
            x0 = x0 + gradient.scale * sigma * sigma * slope
        return Denoised(x0, share)

    def _output(self, seen: torch.Tensor, time: float, sigma: float) -> torch.Tensor:
        n, pull = len(seen), self.pull
        pulls = pull is not None and pull.scale != 1.0 and inside(sigma, pull.interval)
        asked = self._asked(sigma)
        if pull is not None and pulls and pull.scale == 0.0 and pull.shared:
            return self.predict(seen, _times(time, n, seen), pull.embeddings)
        inputs, embeddings = (seen, asked) if self.mixture is None else (seen[self._rows(sigma)], asked)
        if pull is None or not pulls:
            return self._mixed(self.predict(inputs, _times(time, len(inputs), seen), embeddings), n, sigma)
        if pull.shared:
            both = torch.cat([inputs, seen]), torch.cat([embeddings, pull.embeddings])
            out = self.predict(both[0], _times(time, len(both[0]), seen), both[1])
            own, other = out[: len(inputs)], out[len(inputs) :]
        else:
            own = self.predict(inputs, _times(time, len(inputs), seen), embeddings)
            other = pull.predict(seen, _times(time, n, seen), pull.embeddings)
        return guided(self._mixed(own, n, sigma), other, pull.scale, pull.rescale, self.learned_variance)

    def _rows(self, sigma: float) -> torch.Tensor:
        mixture = self.mixture
        assert mixture is not None
        return mixture.rows if inside(sigma, self.mix_interval) else mixture.rows[mixture.largest]

    def _asked(self, sigma: float) -> torch.Tensor:
        mixture = self.mixture
        if mixture is None:
            return self.embeddings
        return mixture.embeddings if inside(sigma, self.mix_interval) else mixture.embeddings[mixture.largest]

    def _mixed(self, outputs: torch.Tensor, n: int, sigma: float) -> torch.Tensor:
        """[m, ...] outputs of pure conditions -> [n, ...]."""
        mixture = self.mixture
        if mixture is None or not inside(sigma, self.mix_interval) or len(mixture.rows) == n:
            return outputs
        weights = mixture.weights.view(-1, *[1] * (outputs.dim() - 1))
        return torch.zeros_like(outputs[:n]).index_add_(0, mixture.rows, weights * outputs)


def guided(
    own: torch.Tensor, other: torch.Tensor, scale: float, rescale: float = 0.0, learned_variance: bool = False
) -> torch.Tensor:
    """Outputs [n, ...] with and without what is asked -> other + scale (own - other); `rescale`: share by which it gets
    the spread of `own` (Lin et al. 2023, eqs. 15 and 16). A learned variance (second half of the channels) is that of
    `own`."""
    variance = None
    if learned_variance:
        (own, variance), (other, _) = own.chunk(2, dim=1), other.chunk(2, dim=1)
    out = torch.lerp(other, own, scale)
    if rescale > 0:
        dims = tuple(range(1, own.dim()))
        ratio = own.std(dim=dims, keepdim=True) / out.std(dim=dims, keepdim=True)
        out = out * (1.0 + rescale * (ratio - 1.0))
    return out if variance is None else torch.cat([out, variance], dim=1)


def label_slope(gradient: Gradient, seen: torch.Tensor, time: float) -> torch.Tensor:
    """d/d seen of sum_k w_k log p(k | seen), [n, ...]. Works inside `torch.inference_mode`, too."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = seen.detach().clone().requires_grad_(True)
        weights = gradient.weights.clone()
        said = gradient.log_probs(leaf, _times(time, len(leaf), leaf))
        (slope,) = torch.autograd.grad((weights * said).sum(), leaf)
    return slope.detach()


def taught_target(target: torch.Tensor, own: torch.Tensor, free: torch.Tensor, scale: float) -> torch.Tensor:
    """What a network is taught so that one pass is as guided by `scale` (Tang et al. 2025, eq. 9, with w = 1 - 1 /
    scale): own and free, its outputs with and without the condition, take no gradient. At the fixed point own = E +
    (scale - 1) (E - free), E what the plain target teaches."""
    return target + (1.0 - 1.0 / scale) * (own - free).detach()


def towards_neutral(emotion: torch.Tensor, intensity: torch.Tensor, neutral: int) -> torch.Tensor:
    """Soft labels [n, K] and intensities [n] in [0, 1] -> intensity on the label and the rest on neutral."""
    mixed = intensity[:, None] * emotion
    mixed[:, neutral] += 1.0 - intensity
    return mixed


def mixture_of(emotion: torch.Tensor, embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Mixture:
    """Soft labels [n, K] -> their pure parts. embed: (rows [m], one-hot labels [m, K]) -> embeddings [m, E]."""
    rows, classes = torch.nonzero(emotion > 0, as_tuple=True)
    weights = emotion[rows, classes]
    pure = torch.nn.functional.one_hot(classes, emotion.shape[1]).to(emotion.dtype)
    place = torch.full(emotion.shape, -1, dtype=torch.long, device=emotion.device)
    place[rows, classes] = torch.arange(len(rows), device=emotion.device)
    largest = place.gather(1, emotion.argmax(dim=1, keepdim=True))[:, 0]
    return Mixture(rows, weights, embed(rows, pure), largest)


def inside(sigma: float, interval: Interval) -> bool:
    """Whether a noise level is within an interval; None: always."""
    return interval is None or interval[0] <= sigma <= interval[1]


def _times(time: float, n: int, like: torch.Tensor) -> torch.Tensor:
    return torch.full((n,), time, device=like.device)
