"""Writes cards_of_readers.json: what readers that are cards now made of odd and usual names when they were code.

    python tests/golden/make_cards_of_readers.py FOLDER     (a checkout of the commit below, which still has them)

Not run by the tests; tests/corpora/readers/described/test_cards_of_readers.py compares the cards with what stands in
the file.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
COMMIT = "4260ca319d4bcf725cba8852269fc072101f49f6"
NAMES = {
    "emodb": [
        *("wav/03a01Fa.wav", "03a01Wc.WAV", "wav/08b10L.wav", "wav/09a02Nb.wav", "wav/10a04Ab.wav", "wav/11b03Td.wav"),
        *(
            "wav/12a05Ea.wav",
            "wav/13b09Fa.wav",
            "wav/14a07Wa.wav",
            "wav/15b01Na.wav",
            "wav/16b02Tb.wav",
            "x/03a99Fa.wav",
        ),
        *(
            "lablaut/03a01Fa.lablaut",
            "labsilb/03a01Fa.labsilb",
            "wav/03a01Fa.lab",
            "wav/03a01Fa.F0",
            "wav/03a01Fa.silb",
        ),
        *(
            "wav/17a01Fa.wav",
            "wav/03a01Xa.wav",
            "wav/03c01Fa.wav",
            "wav/03a01fa.wav",
            "wav/x03a01Fa.wav",
        ),
        *("copy/03a01Fa.wav", "wav/03a01Fa.flac", "wav/03a01FA.wav", "wav/3a01Fa.wav"),
    ],
    "tess": [
        *("OAF_angry/OAF_back_angry.wav", "OAF_neutral/OA_bite_neutral.wav", "YAF_food_ps.wav", "YAF_food_ps.WAV"),
        *("OAF_Pleasant_surprise/OAF_death_pleasant_surprise.wav", "YAF_wash_pleasant_surprised.wav"),
        *("OAF_x/OAF_wash_surprise.wav", "OAF_x/oaf_Wash_SURPRISED.wav", "copy/OAF_angry/OAF_back_angry.wav"),
        *("XAF_back_angry.wav", "OAF_back_cross.wav", "OAF.wav", "OAF_back_angry_2.wav", "OAF_back.wav", "a b.wav"),
        *(
            "OAF_sad/OAF_ring_sad.wav",
            "YAF_disgust/YAF_ring_disgust.wav",
            "YAF_fear/YAF_ring_fear.wav",
            "YAF_a_happy.wav",
        ),
        *("film.avi", "OAF_back_happy.flac", "deep/er/YAF_ring_neutral.wav"),
    ],
    "urdu": [
        *("Angry/SM1_F10_A010.wav", "Happy/SF2_F1_H09.wav", "Neutral/SM27_F3_N0100.wav", "Sad/SF11_F2_S01.wav"),
        *("SM3_F1_A01.wav", "Happy/SM4_F1_A02.wav", "other/SM5_F1_A03.wav", "Angry/deep/SM6_F1_S04.wav"),
        *("Angry/SM1_F10_X010.wav", "Angry/sm1_f10_a010.wav", "Angry/SM1_F10.wav", "copy/Angry/SM1_F10_A010.wav"),
        *(
            "Sad/SM9_F1_S05.WAV",
            "Sad/SX9_F1_S05.wav",
            "Sad/SM9_F1_S06.mp3",
            "Sad/Angry/SM8_F1_A07.wav",
            "x_SM8_F1_A08.wav",
        ),
    ],
    "emovo": [
        *("EMOVO/f1/dis-f1-b1.wav", "EMOVO/m1/TRI-M1-b1.WAV", "gio-m2-l4.wav", "neu-f2-n5.wav", "pau-f3-d1.wav"),
        *("rab-m3-d2.wav", "sor-f1-b3.wav", "tri-f1-N2.wav", "dis-f4-b1.wav", "col-f1-b1.wav", "dis-f1-b9.wav"),
        *("dis-f1.wav", "copy/dis-f1-b1.wav", "x-dis-f1-b1.wav", "dis-f1-b1-2.wav", "dis-f1-b2.ogg", "notes.xyz"),
    ],
    "savee": [
        *(
            "AudioData/DC/a01.wav",
            "AudioData/DC/sa03.wav",
            "AudioData/KL/su15.wav",
            "AudioData/JE/n30.wav",
            "ALL/DC_a01.wav",
        ),
        *("ALL/JK_h02.WAV", "ALL/jk_D04.wav", "ALL/DC_f05.wav", "ALL/XX_a01.wav", "ALL/KL_sx01.wav", "ALL/a01.wav"),
        *("Clips/DC_a01.avi", "Clips/DC/a02.jpg", "AudioData/DC/a1.wav", "AudioData/DC/a001.wav", "AudioData/Info.dat"),
        *("ALL/DC_z09.wav", "ALL/zz_z09.wav"),
    ],
}
BROKEN = {
    "emodb": "03b01Fa.wav",
    "tess": "OAF_bar_angry.wav",
    "urdu": "SM1_F1_A09.wav",
    "emovo": "dis-f2-b1.wav",
    "savee": "DC_a09.wav",
}


def lay(root: Path, corpus: str, payload: bytes) -> None:
    """Files of the names, all with one payload, and one that is no wav."""
    for name in (*NAMES[corpus], BROKEN[corpus]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no sound" if name == BROKEN[corpus] else payload)


def records(corpus: Any, root: Path) -> list[dict[str, Any]]:
    """What a reader yields, without payloads: JSON, in its order."""
    found = []
    for item in corpus.read(root, "c"):
        row = {
            key: value for key, value in asdict(item).items() if key != "payload" and value not in (None, (), [], {})
        }
        found.append(json.loads(json.dumps(row)))
    return found


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]).resolve()))
    from corpora.codecs import encode_wav
    from corpora.readers import make_corpus

    payload = encode_wav((np.sin(np.arange(8000) / 20) * 0.3).astype(np.float32), 16000)
    whole: dict[str, Any] = {"commit": COMMIT, "corpora": {}}
    for name in NAMES:
        with tempfile.TemporaryDirectory() as place:
            lay(Path(place), name, payload)
            corpus = make_corpus(name)
            whole["corpora"][name] = {"card": asdict(corpus.card), "records": records(corpus, Path(place))}
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (HERE / "cards_of_readers.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
