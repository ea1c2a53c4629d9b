"""Parts of translations: masks of a known rate, networks that keep length and bounds, F0 in scales, completions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from features.representation import Spec
from features.speech.cwt import SCALES, decompose
from generators.generator import Condition, Draw
from generators.translation.edit import boundary_loss, class_margin, diversity_loss
from generators.translation.masks import cell_grid, hidden, hidden_of
from generators.translation.networks import Translator, TranslatorOptions, within
from generators.translation.prosody import ScaleRows, TwoMappings
from tests.generators.toy import IMAGES, SIGNALS, SPEECH, VECTOR, toy_data
from tests.generators.translation.toy import CPU, converted, fitted, neutral_rows, pairs


@pytest.mark.parametrize("spec", [IMAGES, SPEECH, SIGNALS, VECTOR], ids=lambda s: s.name)
def test_exactly_the_asked_share_of_cells_is_hidden(spec: Spec) -> None:
    down, across = cell_grid(spec)
    uniform = torch.rand(5, down * across, generator=torch.Generator().manual_seed(0))
    mask = hidden(uniform, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), spec)
    assert mask.shape == (5, 1, spec.grid[1], spec.grid[2])
    assert not mask[0].any()
    if spec.mask_row is not None:
        assert not mask[:, :, spec.mask_row].any(), "how long a sample is, is never hidden"
        return
    assert mask[4].all()
    if spec.grid[1] % down == 0 and spec.grid[2] % across == 0:
        shares = mask.float().mean(dim=(1, 2, 3)).numpy()
        np.testing.assert_allclose(
            shares, [round(r * down * across) / (down * across) for r in (0, 0.25, 0.5, 0.75, 1)]
        )
    alone = hidden_of([3], torch.tensor([0.5]), spec)
    assert torch.equal(hidden_of([9, 3], torch.tensor([0.5, 0.5]), spec)[1:], alone)
    assert not torch.equal(hidden_of([4], torch.tensor([0.5]), spec), alone)


@pytest.mark.parametrize("options", [{}, {"skip": False}, {"blend": True}, {"squeeze": True}], ids=str)
def test_translations_stay_within_bounds_and_keep_their_length(options: dict[str, bool]) -> None:
    for spec in (IMAGES, SPEECH):
        torch.manual_seed(0)
        network = Translator(spec, 6, TranslatorOptions(8, 1, **options))
        for parameter in network.parameters():
            parameter.data *= 5.0
        x = torch.rand(3, *spec.grid) * 2 - 1
        if spec.mask_row is not None:
            x[:, :, spec.mask_row] = torch.where(torch.arange(22) < torch.tensor([12, 18, 22])[:, None], 1.0, -1.0)[
                :, None
            ]
        y, attention = network(x, torch.randn(3, 6))
        assert y.shape == x.shape and not torch.allclose(y, x)
        if spec.bounds is not None:
            assert y.abs().max() <= 1.0
        if spec.mask_row is not None:
            row = spec.mask_row
            assert torch.equal(y[:, :, row], x[:, :, row])
            assert (y[:, :, :row] * (x[:, :, row : row + 1] < 0) == 0).all()
        assert (attention is not None) == options.get("blend", False)


def test_a_change_within_bounds_is_a_share_of_the_way_to_them() -> None:
    x, change = torch.tensor([-0.5, -0.5, 0.2, 0.2]), torch.tensor([1.0, -1.0, 0.0, 0.5])
    torch.testing.assert_close(within(x, change), torch.tensor([1.0, -1.0, 0.2, 0.6]))


def test_f0_in_scales_and_back() -> None:
    data = toy_data(SPEECH)
    rows = ScaleRows(SPEECH, SCALES)
    x = torch.from_numpy(data.arrays[:, None])
    rows.fit(x)
    apart = rows.expand(x)
    assert apart.shape[2] == rows.spec.shape[0] == 6 + SCALES
    inside = (x[:, :, 5:6] > 0).float()
    torch.testing.assert_close(rows.collapse(apart) * inside, x * inside, atol=1e-4, rtol=0)
    i = int(np.argmax(data.arrays[:, 5].sum(axis=1)))  # a sample without padding
    expected = decompose(data.arrays[i, 3], 0.01).components
    if (data.arrays[i, 5] > 0).all():
        scaled = apart[i, 0, rows.scale_rows][:SCALES] * rows.spread[:SCALES]
        np.testing.assert_allclose(scaled.numpy(), expected, atol=1e-4)
    spread = apart[:, 0, rows.scale_rows].std(dim=(0, 2))
    assert ((spread > 0.9) & (spread < 1.1) | (rows.spread[:, 0] < 2e-3)).all()


def test_of_two_mappings_neither_sees_what_the_other_moves() -> None:
    rows = ScaleRows(SPEECH, 3)
    torch.manual_seed(0)
    network = TwoMappings(rows, 4, TranslatorOptions(8, 1, skip=False))
    x, embedding = torch.randn(2, 1, rows.spec.shape[0], 22), torch.randn(2, 4)
    x[:, :, -1] = 1.0
    other = x.clone()
    other[:, :, rows.scale_rows] += 1.0
    before, after = network(x, embedding).y, network(other, embedding).y
    spectrum = slice(0, rows.scale_rows.start)
    assert torch.equal(before[:, :, spectrum], after[:, :, spectrum])
    assert not torch.equal(before[:, :, rows.scale_rows], after[:, :, rows.scale_rows])


def test_losses_of_edits_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.5, 2.0], [1.0, 0.0, 0.0]])
    asked = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(class_margin(logits, asked), torch.tensor([2.0, -1.5, 1.0]))
    assert float(boundary_loss(logits, asked, 0.5)) == pytest.approx((1.5**2 + 0.0 + 0.5**2) / 3)
    first, second = torch.zeros(2, 1, 4, 1), torch.ones(2, 1, 4, 1)
    assert float(diversity_loss(first, second, torch.tensor([2.0, 0.5]))) == pytest.approx(-(0.5 + 1.0) / 2)


def test_what_a_completion_does_not_hide_is_the_source_bit_for_bit() -> None:
    data = pairs()
    generator, _ = fitted("edit", data, 30, mode="complete", rate=0.5)
    rows = neutral_rows(data, 20)
    made, sources = converted(generator, data, rows, "anger"), data.arrays[rows]
    assert ((made == sources).sum(axis=1) == 3).all(), "3 of 6 columns"
    assert (converted(generator, data, rows, "anger", seed=500) == sources).any(axis=0).all(), "other columns by seed"
    image = toy_data(IMAGES)
    generator, _ = fitted("edit", image, 3, mode="complete", rate=0.25, lowest_rate=0.1)
    places = np.arange(8)
    to = ["fear" if image.emotions[i] != "fear" else "anger" for i in places]
    draws = [Draw(Condition(e), int(i), {"from": image.ids[i]}) for e, i in zip(to, places, strict=True)]
    same = generator.sample(draws, image.arrays[places], device=CPU) == image.arrays[places]
    assert 0.7 < same.mean() < 0.8
    for draw in draws[:3]:
        label = generator.soft_label(draw)
        assert sum(label.values()) == pytest.approx(1.0) and 0.2 < label[str(draw.condition.emotion)] < 0.3


def test_the_share_that_is_asked_for_is_hidden() -> None:
    """A mixture with the source's own class: that share of the source stays."""
    data = pairs()
    generator, _ = fitted("edit", data, 3, mode="complete", rate=1.0, lowest_rate=0.5)
    source = data.arrays[:1]
    for own, kept in ((0.0, 0), (0.5, 3), (1.0, 6)):
        draw = Draw(Condition({"neutral": own, "anger": 1 - own}), 5, {"from": data.ids[0]})
        assert (generator.sample([draw], source, device=CPU) == source).sum() == kept
        assert generator.soft_label(draw).get("neutral", 0.0) == pytest.approx(own)
