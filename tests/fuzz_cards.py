"""Corpora that a card describes, for the fuzzer: a table, a header or the card itself is mutated. See tests/fuzz.py."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError
from tests.fuzz_families import Parse, Seed, outcomes


def described(folder: Path, kind: str) -> tuple[list[Seed], Parse]:
    """A corpus that a card describes, of which a table, a header or the card itself is mutated. Good and damaged tables
    of arrow are written by pyarrow, so that damage lies in values as often as in the file's own marks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from corpora.codecs import encode_wav
    from corpora.readers.described.corpus import Described

    rows = [
        {"text": "größe", "label": "glad", "who": "7", "start": 0.0, "age": 31.5, "f1": 0.5, "f2": 7},
        {"text": 'a "b", c', "label": "cross|glad", "who": "NaN", "start": 1e9, "age": 1.0, "f1": -3.25, "f2": 8},
        {"text": "line", "label": "GLAD", "who": "1.0", "start": 2.5, "age": None, "f1": 1e30, "f2": 9},
    ]
    columns = "{text: text, label: label, subject: who, start: start, age: age}"
    facts = "title: Lab\nmodality: {}\nlicense: CC0-1.0\nsplit_unit: payload\n"
    facts += "label_map: {{glad: happiness, cross: anger}}\n"
    files = f'{{layout: table, tables: "t.*", ignore_case: true, separator: "|", columns: {columns}}}'
    card, name, modality = folder / "lab.yaml", f"t.{kind}", "text"
    if kind in ("csv", "jsonl"):
        head = ",".join(rows[0])
        lines = "\n".join(",".join('"' + str(v).replace('"', '""') + '"' for v in row.values()) for row in rows)
        texts = [f"{head}\n{lines}\n"] if kind == "csv" else ["".join(json.dumps(row) + "\n" for row in rows * 2)]
        seeds = [text.encode(code) for text in texts for code in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le")]
        seeds += [texts[0].replace("\n", "\r").encode()]
    elif kind in ("parquet", "arrow"):
        table, out = pa.Table.from_pylist(rows * 4), io.BytesIO()
        if kind == "parquet":
            pq.write_table(table, out, compression="none", use_dictionary=False)
        else:
            with pa.ipc.new_stream(out, table.schema) as stream:
                stream.write_table(table)
            files = f"{{layout: datasets, columns: {columns}}}"
        seeds = [out.getvalue()]
    elif kind == "vector":
        name, modality = "t.csv", "physio"
        files = '{layout: table, tables: t.csv, columns: {label: label, subject: who}, vector: ["f*"]}'
        seeds = [b"label,who,f1,f2\nglad,a,0.5,7\ncross,b,-3.25,1e3\n"]
    elif kind == "paths":
        name, modality = "t.jsonl", "speech"
        files = (
            r"{layout: table, tables: t.jsonl, columns: {label: label, path: p}, path_pattern: '(?P<subject>.*)\.wav'}"
        )
        (folder / "a.wav").write_bytes(encode_wav(np.full(4000, 0.1, np.float32), 2000))
        seeds = [
            b'{"p": "a.wav", "label": "glad"}\n{"p": "./a.wav", "label": "cross"}\n{"p": "b.wav", "label": null}\n'
        ]
    elif kind == "audformat":
        name, modality = "db.t.csv", "speech"
        files = "{layout: audformat, tables: t, columns: {label: label, subject: who, age: who/age}}"
        (folder / "a.wav").write_bytes(encode_wav(np.full(4000, 0.1, np.float32), 2000))
        (folder / "db.yaml").write_text(_AUDFORMAT)
        seeds = [b"file,start,end,label,who\na.wav,0 days 00:00:00,0 days 00:00:01.500000,glad,1\na.wav,1.5,,cross,2\n"]
    elif kind == "header":
        name, modality = "db.yaml", "speech"
        files = "{layout: audformat, tables: t, columns: {label: label, subject: who, age: who/age}}"
        (folder / "a.wav").write_bytes(encode_wav(np.full(4000, 0.1, np.float32), 2000))
        (folder / "db.t.csv").write_text("file,start,end,label,who\na.wav,0,1,glad,1\n")
        seeds = [_AUDFORMAT.encode()]
    else:
        name = "lab.yaml"
        (folder / "t.csv").write_text("text,label,who,start,age\na,glad,x,1,2\nb,cross,y,,\n")
        seeds = [f"{facts.format(modality)}files: {files}\n".encode()]
    card.write_text(f"{facts.format(modality)}files: {files}\n")

    def parse(data: bytes) -> Iterator[str]:
        (folder / name).write_bytes(data)
        try:
            yield from outcomes(Described.of(card).read(folder, "mine"))
        except CorpusError:
            yield "CorpusError"

    return [Seed(data) for data in seeds], parse


_AUDFORMAT = """name: lab
source: here
usage: research
schemes:
  label: {dtype: str, labels: [glad, cross]}
  who: {dtype: int, labels: {1: {age: 30}, 2: {age: 40}}}
tables:
  t: {type: segmented, columns: {label: {scheme_id: label}, who: {scheme_id: who}}}
"""
