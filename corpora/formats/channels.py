"""Several channels of a sound -> one, without what an average can take away.

Channels that are each other's opposite (one microphone wired the other way round) cancel out; a channel that holds
nothing halves the level. Both are published, and both would pass for quiet speech.
"""

from __future__ import annotations

import numpy as np

SILENT_RMS = 1e-4  # -80 dBFS: about three steps of PCM16
_LOUDER = 10.0  # 20 dB: below, a quiet channel beside another is a quiet recording and not a missing one
# Power of the mean over that of the mean of n unrelated channels: 1 for unrelated ones, n for equal ones. One half is a
# correlation of -0.5 between two.
_CANCELLED = 0.5


def mixed_down(channels: np.ndarray, dtype: type = np.float64) -> tuple[np.ndarray, str | None]:
    """float [n, channels] -> ([n], what was left out): the mean of the channels that hold a sound, in `dtype`.

    Slugs: "silent-channel", where some hold nothing (under -80 dBFS and 20 dB under the loudest) and the others were
    taken; "opposed-channels", where the mean would cancel (see `_CANCELLED`) and the loudest channel was taken.
    """
    used, slug = chosen_channels(channels)
    mono: np.ndarray = channels[:, used].mean(axis=1, dtype=dtype)
    return mono, slug


def chosen_channels(channels: np.ndarray) -> tuple[list[int], str | None]:
    """float [n, channels] -> (numbers of those whose mean is taken, slug as in `mixed_down`)."""
    n_channels = channels.shape[1]
    every = list(range(n_channels))
    if n_channels == 1 or len(channels) == 0 or not np.isfinite(channels).all():
        return every, None
    centred = channels.astype(np.float64) - channels.mean(axis=0, dtype=np.float64)
    power = (centred**2).mean(axis=0)
    loudest = int(power.argmax())
    heard = [i for i in every if power[i] >= SILENT_RMS**2 or power[i] * _LOUDER**2 >= power[loudest]]
    mean = float((centred[:, heard].mean(axis=1) ** 2).mean())
    if mean < _CANCELLED * float(power[heard].sum()) / len(heard) ** 2:
        return [loudest], "opposed-channels"
    return heard, None if heard == every else "silent-channel"
