"""ISEAR: students of 37 countries tell when they felt joy, fear, anger, sadness, disgust, shame and guilt.

Scherer & Wallbott (1994), Journal of Personality and Social Psychology 66. The databank is an Access file; what people
have of it are tables, two of which are read:

- `isear.csv`, all fields with "|" between them (github.com/sinmaniphel/py_isear_dataset, codes in py_isear/enums.py);
  exports with commas, semicolons or tabs are read too, if they have the columns SIT and EMOT or Field1:

      ID|CITY|COUN|SUBJ|SEX|AGE|...|EMOT|WHEN|LONG|INTS|...|Field1|Field3|Field2|MYKEY|SIT|STATE|
      11001|1|1|1|1|33|...|6|4|4|3|...|shame|4|3|0110016|When I did not speak the truth.|1|

- two columns without header, emotion and text: `disgust,[ No response.]`. Subjects are lost there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.tables import Row, find_file, read_table, row_of
from corpora.readers.text.isear_text import is_no_answer, mended
from corpora.records.files import class_counts, known, read_items, spread, text_sample
from corpora.records.joins import settled
from corpora.records.unknown import known_text
from corpora.schema import CorpusCard, Reject, Sample
from corpora.store.atomic import write_bytes

_NAMES = ("isear.csv", "isear.txt", "isear.tsv", "isear_dataset.csv", "isear-noa.csv", "data.csv")
_EMOTIONS = {
    "joy": "happiness",
    "fear": "fear",
    "anger": "anger",
    "sadness": "sadness",
    "disgust": "disgust",
    "shame": "shame",
    "guilt": "guilt",
}
_CODES = {str(code): word for code, word in enumerate(_EMOTIONS, 1)}  # EMOT: 1 JOY ... 7 GUILT
_GENDERS = {"1": "male", "2": "female"}
_COUNTRIES = (
    "Sweden, Norway, F.R.G., Finland, Greece, Hong Kong, Lebanon, Austria, Australia, Brazil, Botswana, Bulgaria, "
    "France, Italy, Japan, New Zealand, Netherlands, Portugal, Spain, Zambia, Zimbabwe, USA, Poland, Nigeria, Israel, "
    "India, Malawi, Switzerland, Chile, China mainland, Yugoslavia, Costa Rica, Honduras, Mexico, Guatemala, "
    "Venezuela, El Salvador"
)
_COLUMNS = (
    "ID CITY COUN SUBJ SEX AGE RELI PRAC FOCC MOCC FIEL EMOT WHEN LONG INTS ERGO TROPHO TEMPER EXPRES MOVE EXP1 EXP2 "
    "EXP10 PARAL CON EXPC PLEA PLAN FAIR CAUS COPING MORL SELF RELA VERBAL NEUTRO Field1 Field3 Field2 MYKEY SIT STATE"
)


class Isear:
    """`Corpus` of ISEAR's tables. `encoding`: of the file, where it is not UTF-8."""

    card = CorpusCard(
        name="isear",
        title="ISEAR",
        modality="text",
        version="unversioned",
        license="LicenseRef-unknown",
        may_redistribute=False,
        url="http://www.affective-sciences.org/researchmaterial",
        bibtex=(
            "@article{scherer1994isear, title={Evidence for Universality and Cultural Variation of Differential "
            "Emotion Response Patterning}, author={Scherer, Klaus R. and Wallbott, Harald G.}, journal={Journal of "
            "Personality and Social Psychology}, volume={66}, number={2}, pages={310--328}, year={1994}}"
        ),
        language="en",
        split_unit="subject",
        label_map=_EMOTIONS,
        counts=None,
        counts_source=None,
        n_subjects=None,
        sources={
            "layout": "isear.csv and README.md of github.com/sinmaniphel/py_isear_dataset",
            "labels": "py_isear/enums.py of github.com/sinmaniphel/py_isear_dataset: EMOT 1 joy ... 7 guilt",
            "subjects": "py_isear/enums.py: ID identifies the subject; how many there are is not stated",
        },
        unverified=("counts", "splits", "license"),
        quirks=(
            "Latin-1 text that was once read as code page 437: 'á' stands for a blank, '÷' for 'ö', '¦' for a degree "
            "sign; mended in 5,338 of the 7,666 published rows (extra.mended: characters)",
            "163 texts hold bars where their lines ended (extra.mended: bars), these and 55 more quotes that an export "
            "broke (quotes); mended",
            "152 answers that say that there is none ('[ No response.]', 'Never experienced.') are rejects",
            "some answers refer to another one ('[ Same as in anger.]')",
            "a subject answers for each of the seven emotions, so texts of one person are in every class",
        ),
    )

    def __init__(self, encoding: str = "utf-8") -> None:
        try:
            "á".encode(encoding)
        except (LookupError, UnicodeEncodeError) as error:
            raise CorpusError(f"ISEAR: no encoding {encoding!r} that holds the corpus; e.g. utf-8, latin-1") from error
        self.encoding = encoding

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """See `Corpus.read`. Slugs beside those of tables and texts: bad-label (also where EMOT, Field1 and the end of
        MYKEY do not say the same emotion), no-response, conflicting-entries (a text of one MYKEY with two emotions)."""
        path = find_file(root, "ISEAR", _NAMES, self.card.url)
        with path.open("rb") as file:
            first = file.readline(1 << 16).removeprefix(b"\xef\xbb\xbf").decode("latin-1")
        delimiter = max("|,;\t", key=first.count)
        names = [name.strip().strip('"') for name in first.split(delimiter)]
        header = "SIT" in names
        if header and not {"EMOT", "Field1"} & set(names):
            raise CorpusError(f"ISEAR: {path} has no column EMOT or Field1. Found: {', '.join(names)[:300]}")
        if not header and not (len(names) > 1 and names[0].lower() in _EMOTIONS):
            raise CorpusError(
                f"ISEAR: {path} begins with {first[:80]!r}; expected a header with SIT and EMOT, or lines like "
                f"'joy,When I passed an examination' ({self.card.url})."
            )
        columns = ("SIT",) if header else ("Field1", "SIT")
        rows = settled(
            lambda: read_table(
                path, "ISEAR", columns=columns, delimiter=delimiter, header=header, encoding=self.encoding, rest="SIT"
            ),
            _key_of,
            lambda row: (row_of(row).get("EMOT"), row_of(row).get("Field1")),
        )
        seen: Counter[str] = Counter()
        return read_items(rows, corpus, lambda row, name: self._answer(row_of(row), name, corpus, seen))

    def _answer(self, row: Row, name: str, corpus: str, seen: Counter[str]) -> Sample:
        label = (row.get("Field1") or "").strip().lower() or known(_CODES, row["EMOT"].strip(), "EMOT")
        label = _CODES.get(label, label)
        emotion = known(_EMOTIONS, label, "emotion")
        code = row.get("EMOT", "").strip()
        if code and _CODES.get(code) != label:
            raise PayloadError("bad-label", f"EMOT {code[:20]!r} is {_CODES.get(code, 'unknown')}, Field1 {label}")
        key = row.get("MYKEY", "").strip()
        if code and key and not key.endswith(code):
            raise PayloadError("bad-label", f"EMOT is {code}, and MYKEY {key[:20]!r} ends with another digit")
        text, mended_of = mended(row["SIT"])
        text = text.strip()
        if is_no_answer(text, label):
            raise PayloadError("no-response", repr(text[:60]))
        subject = known_text(row.get("ID"))
        key = f"{subject}_{label}" if subject else name.rpartition("#")[2]
        seen[key] += 1
        extra = {"path": name} | ({"mended": ",".join(mended_of)} if mended_of else {})
        extra |= {
            field: row[column].strip()
            for field, column in (("religion", "RELI"), ("field_of_study", "FIEL"), ("when", "WHEN"), ("long", "LONG"))
            if row.get(column, "").strip()
        }
        country = row.get("COUN", "").strip()
        if country.isdigit() and 0 < int(country[:3]) <= len(countries := _COUNTRIES.split(", ")):
            extra["country"] = countries[int(country[:3]) - 1]
        age, strength = row.get("AGE", "").strip(), row.get("INTS", "").strip()
        return text_sample(
            self.card,
            corpus,
            key if seen[key] == 1 else f"{key}_{seen[key]}",
            text,
            subject=subject,
            emotion=emotion,
            emotion_raw=label,
            intensity=int(strength) / 4 if strength in ("1", "2", "3", "4") else None,  # 1 to 4; 0 is no answer
            gender=_GENDERS.get(row.get("SEX", "").strip()),
            age=float(age) if age.isdigit() and 0 < int(age[:4]) < 120 else None,
            extra=extra,
        )

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """`isear.csv` with all columns, the blanks that became 'á' and an answer in brackets now and then.

        Raises `CorpusError` for less than one subject.
        """
        from corpora.readers.fakes.text import write_sentence

        if subjects < 1:
            raise CorpusError(f"a fake ISEAR needs at least 1 subject, not {subjects}")
        rng = np.random.default_rng([seed, 0])
        people = [str(11001 + i) for i in range(subjects)]
        columns = _COLUMNS.split()
        lines = ["|".join([*columns, ""])]
        native = {emotion: (word, code) for code, word in _CODES.items() for emotion in (_EMOTIONS[word],)}
        for number, (emotion, person) in enumerate(spread(class_counts(self.card, per_class), people, rng)):
            who = int(person) - 11000
            words = write_sentence(emotion, np.random.default_rng([seed, 1, number]), person=who).split()
            words.insert(len(words) // 2, "á")
            text = " ".join(words)
            word, code = native[emotion]
            row = dict.fromkeys(columns, "1") | {
                "ID": person,
                "COUN": str(1 + who % 37),
                "SUBJ": str(who),
                "SEX": str(1 + who % 2),
                "AGE": str(19 + who % 9),
                "EMOT": code,
                "INTS": str(number % 5),
                "Field1": word,
                "MYKEY": f"0{person}{code}",
                "SIT": f"[ {text}]" if number % 9 == 4 else text,
            }
            lines.append("|".join([*row.values(), ""]))
        write_bytes(Path(root) / "isear.csv", ("\n".join(lines) + "\n").encode())


def _key_of(row: Row | PayloadError) -> tuple[str, str] | None:
    if isinstance(row, PayloadError) or not row.get("MYKEY", "").strip():
        return None
    return (row["MYKEY"].strip(), row["SIT"])
