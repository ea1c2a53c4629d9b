"""ISEAR: published rows, what is mended in them, and answers that are none. Expected: rows of the published file."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.errors import CorpusError
from corpora.readers import make_corpus
from corpora.schema import Reject, Sample


def read(root: Path, **options: str) -> tuple[list[Sample], list[Reject]]:
    found = list(make_corpus("isear", options).read(root, "c"))
    return [x for x in found if isinstance(x, Sample)], [x for x in found if isinstance(x, Reject)]


def text(sample: Sample) -> str:
    return sample.payload.decode()


# header and first rows of isear.csv of sinmaniphel/py_isear_dataset
ISEAR = (
    "ID|CITY|COUN|SUBJ|SEX|AGE|RELI|PRAC|FOCC|MOCC|FIEL|EMOT|WHEN|LONG|INTS|ERGO|TROPHO|TEMPER|EXPRES|MOVE|EXP1|EXP2|"
    "EXP10|PARAL|CON|EXPC|PLEA|PLAN|FAIR|CAUS|COPING|MORL|SELF|RELA|VERBAL|NEUTRO|Field1|Field3|Field2|MYKEY|SIT|STATE"
    "|\n11001|1|1|1|1|33|1|2|6|1|2|1|4|4|3|0|0|1|1|0|1|0|0|0|1|2|1|1|1|4|4|2|3|3|2|0|joy|4|3|0110011|During the period "
    "of falling in love, each time that we met and á especially when we had not met for a long time.|1|\n"
    "11002|1|1|2|2|23|0|0|7|5|2|6|1|1|2|3|0|2|2|1|1|0|0|0|3|3|3|2|1|1|2|0|1|2|0|0|shame|1|2|0110026|"
    "[ No response.]|1|\n"
    "11011|1|1|11|1|25|1|2|7|6|2|3|3|3|0|3|0|0|1|0|0|0|0|1|1|2|0|0|1|3|4|2|3|0|2|0|anger|3|2|0110113|When I spoke to "
    "Jan-Erik Wikstr÷m on the telephone. |1|\n"
    "11011|1|1|11|1|25|1|2|7|6|2|7|2|4|4|1|2|0|1|0|0|0|0|1|3|2|1|3|0|0|0|3|1|0|1|2|guilt|4|4|0110117|"
    "I was the reason.|1|\n"
)


def test_isear_fields_and_mended_text(tmp_path: Path) -> None:
    (tmp_path / "isear.csv").write_text(ISEAR, encoding="utf-8")
    samples, rejects = read(tmp_path)
    assert [(r.reason, r.path) for r in rejects] == [("no-response", "isear.csv#000001")]
    joy, anger, guilt = samples
    assert (joy.subject_id, joy.group_id, joy.gender, joy.age) == ("c:11001", "c:11001", "male", 33.0)
    assert (joy.emotion, joy.emotion_raw, joy.intensity, joy.extra["country"]) == ("happiness", "joy", 0.75, "Sweden")
    assert text(joy).endswith("each time that we met and especially when we had not met for a long time.")
    assert text(anger) == "When I spoke to Jan-Erik Wikström on the telephone."
    assert (anger.intensity, guilt.emotion, guilt.sample_id) == (None, "guilt", "c/11011_guilt")


def test_isear_other_exports(tmp_path: Path) -> None:
    (tmp_path / "isear.csv").write_text('disgust,[ No response.]\nshame,"When I had insulted, my father"\nbliss,x\n')
    samples, rejects = read(tmp_path)
    assert [(s.emotion, text(s), s.subject_id) for s in samples] == [("shame", "When I had insulted, my father", None)]
    assert [r.reason for r in rejects] == ["no-response", "bad-label"]
    (tmp_path / "isear.csv").write_bytes("ID,EMOT,SIT\n7,2,In a caf\xe9\n7,2,Again\n7,9,x\n".encode("latin-1"))
    samples, rejects = read(tmp_path, encoding="latin-1")
    assert [(s.sample_id, s.emotion, text(s)) for s in samples] == [
        ("c/7_fear", "fear", "In a café"),
        ("c/7_fear_2", "fear", "Again"),
    ]
    assert [r.reason for r in rejects] == ["bad-label"]
    assert [r.reason for r in read(tmp_path)[1]] == ["undecodable-row", "bad-label"]
    with pytest.raises(CorpusError, match="no encoding"):
        make_corpus("isear", {"encoding": "klingon"})
    for content, message in (("ID,SIT\n1,x\n", "no column EMOT or Field1"), ("hello,world\n", "begins with 'hello")):
        (tmp_path / "isear.csv").write_text(content)
        with pytest.raises(CorpusError, match=message):
            make_corpus("isear").read(tmp_path, "c")


def isear_row(words: str, *, emot: str = "2", field: str = "fear", key: str = "0110012", person: str = "11001") -> str:
    head = f"{person}|1|1|1|1|33|1|2|6|1|2|{emot}|4|3|2|2|0|0|1|0|0|0|0|2|1|1|3|0|2|2|1|3|2|2|0|0"
    return f"{head}|{field}|3|2|{key}|{words}|1|"


def write_isear(root: Path, *rows: str) -> None:
    (root / "isear.csv").write_text("\n".join([ISEAR.partition("\n")[0], *rows]) + "\n", encoding="utf-8")


# texts in the forms of the published file: as it stands there, what it was, what was mended
MENDED = [
    (
        r"""by \terror ringing\", i.e á|continously." """,
        'by "terror ringing", i.e continously.',
        "bars,characters,quotes",
    ),
    (r"""The same as in \shame\"." """, 'The same as in "shame".', "quotes"),
    ("by hand á|and | twice |", "by hand and twice", "bars,characters"),
    ("a 180¦ turn, see record n¦231 á now", "a 180° turn, see record n°231 now", "characters"),
    ("feared itá being discovered.á ", "feared it being discovered.", "characters"),
    ("I met Ã¡ a friend, Ã¡|and another", "I met a friend, and another", "bars,characters"),
    ("In Málaga á we met", "In Málaga á we met", None),  # a letter before a letter: nobody can tell
    ("In a café  with blanks", "In a café  with blanks", None),
    ("100¦ of all", "100° of all", "characters"),
    ("¦ alone", "¦ alone", None),
]


def test_isear_texts_are_mended_where_one_reading_alone_is_possible(tmp_path: Path) -> None:
    write_isear(tmp_path, *(isear_row(words, person=str(11001 + i)) for i, (words, _, _) in enumerate(MENDED)))
    samples, rejects = read(tmp_path)
    assert rejects == []
    assert [(text(s), s.extra.get("mended")) for s in samples] == [(was, of) for _, was, of in MENDED]
    assert {(s.emotion, s.intensity, s.gender, s.age) for s in samples} == {("fear", 0.5, "male", 33.0)}


def test_isear_delimiters_in_a_text_without_quotes_are_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "isear.csv").write_text('joy,When I won, at last, a prize\nfear,"Dark, alone"\nfear,"Dark",a,b\n')
    samples, rejects = read(tmp_path)
    assert [text(s) for s in samples] == ["When I won, at last, a prize", "Dark, alone"]
    assert [r.reason for r in rejects] == ["bad-row"]  # where the text ends is not told
    (tmp_path / "isear.csv").write_text("ID,EMOT,SIT,STATE\n7,2,one, two, three,1\n7,2\n")
    samples, rejects = read(tmp_path)
    assert [text(s) for s in samples] == ["one, two, three"]
    assert [r.reason for r in rejects] == ["bad-row"]


def test_isear_row_whose_columns_name_two_emotions_is_a_reject(tmp_path: Path) -> None:
    rows = [
        isear_row("a", emot="3"),
        isear_row("b", field="anger"),
        isear_row("c", key="0110013"),
        isear_row("d"),
        isear_row("d", emot="3", field="anger", key="0110012"),
        isear_row("e"),
    ]
    write_isear(tmp_path, *rows)
    samples, rejects = read(tmp_path)
    assert [text(s) for s in samples] == ["e"]
    assert [r.reason for r in rejects] == ["bad-label"] * 3 + ["conflicting-entries"] * 2


NO_ANSWER = [
    "[ No response.]",
    "no response",
    "NO RESPONSE.",
    "(no response)",
    "[ No reponse.]",
    "[ No description.]",
    "No answer",
    "[ Never experienced.]",
    "never experienced",
    "Never.",
    "NEVER FELT IT",
    "[ Never felt the emotion.]",
    "I have never felt this emotion.",
    "[ I have not felt this emotion in my life.]",
    "I've never experienced this.",
    "I haven't felt this emotion yet",
    "never happened to me",
    "[ ....has not really happened.]",
    "Not applicable.",
    "[ not applicable to me ]",
    "N/A",
    "n.a.",
    "Doesn't apply.",
    "Does not apply to me",
    "none",
    "None.",
    "[ Nothing.]",
    "Blank.",
    "-",
    "...",
    "",
    "[ ]",
    "[ Do not know.]",
    "DO NOT REMEMBER.",
    "Can't remember any episode of fear.",
    "I can’t remember such a situation",
    "[ Can not think of anything just now.]",
    "Cannot recall any incident when I felt fear",
    "[ Honestly, I have never felt fear at any situation in my life.]",
    "Can think of no time that I have felt fear.",
    "[ I am quite fearless, not applicable.]",
]
ANSWERS = [
    "I have never experienced such fear as when the car turned over.",
    "I have never felt such fear.",
    "I had never felt fear like that day in the forest.",
    "No one came to my birthday.",
    "None of my friends called me.",
    "Nothing worked in the exam.",
    "When I could not remember anything in the exam.",
    "Never trust a dog.",
    "Not doing well in the examn.",
    "I do not know who followed me home.",
    "When I did not know the answer.",
    "[ Same as in anger.]",
    "I did not feel joy.",
    "[ Depressions.]",
    "[ In an aeroplane.]",
    "My father did not respond.",
    "I never felt guilty",
    "When I felt nothing",
    "Notes on my door",
]


@pytest.mark.parametrize(("answers", "reason"), [(NO_ANSWER, "no-response"), (ANSWERS, None)])
def test_isear_answers_that_say_that_there_is_none_are_rejects(
    answers: list[str], reason: str | None, tmp_path: Path
) -> None:
    """In every case and bracket: what is no answer to fear, and what begins like it and goes on."""
    spelt = [form for words in answers for form in (words, words.upper(), f"[ {words} ]", f" {words.lower()}. ")]
    write_isear(tmp_path, *(isear_row(form, person=str(11001 + i)) for i, form in enumerate(spelt)))
    samples, rejects = read(tmp_path)
    if reason:
        assert [text(s) for s in samples] == [] and {r.reason for r in rejects} == {reason}
    else:
        assert [r.detail for r in rejects] == [] and len(samples) == len(spelt)
