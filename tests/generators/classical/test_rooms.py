"""Rooms that are made up have the decay and the share of direct sound that are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.codecs import decode_wav
from generators.classical.rooms import Reverb, ReverbParams, room
from tests.generators.classical.payloads import RATE_HZ, speech, voice


@pytest.mark.parametrize(("rt60_s", "direct_db"), [(0.3, 0.0), (0.8, 10.0)])
def test_a_room_decays_by_60_db_in_its_time(rt60_s: float, direct_db: float) -> None:
    response = room(rt60_s, direct_db, RATE_HZ, np.random.default_rng(0))
    tail = response[1:]
    assert 10 * np.log10(response[0] ** 2 / (tail**2).sum()) == pytest.approx(direct_db)
    left = 10 * np.log10((tail**2)[::-1].cumsum()[::-1] + 1e-30)  # Schroeder 1965: energy that is still to come
    t = np.arange(len(tail)) / RATE_HZ
    part = (t > 0.01) & (t < 0.5 * rt60_s)
    slope = np.polyfit(t[part], left[part], 1)[0]
    assert -60 / slope == pytest.approx(rt60_s, rel=0.1)


def test_speech_rings_on_and_is_as_loud_as_before() -> None:
    dry = np.concatenate([voice(0.5), np.zeros(RATE_HZ // 2, np.float32)])
    wet, _ = decode_wav(Reverb(ReverbParams(rt60_s=(0.6, 0.6))).apply(speech(dry), np.random.default_rng(0)).data)
    pause = slice(RATE_HZ // 2 + 800, RATE_HZ // 2 + 3200)
    assert np.abs(dry[pause]).max() == 0 and np.abs(wet[pause]).max() > 1e-3
    assert len(wet) == len(dry)
    assert np.sqrt(np.mean(wet**2)) == pytest.approx(np.sqrt(np.mean(dry**2)), rel=0.01)
