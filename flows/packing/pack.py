"""The reviewer pack of a release: what a paper about it needs, with this release's numbers.

    methods.tex     a paragraph, with citations
    tables.tex      samples by split and class, verdicts of gates, licences
    statement.tex   the data statement
    checklist.tex   questions of reviewers; what the release cannot tell is marked for the author
    references.bib  corpora, generator, gates
    main.tex        all of them in one document that compiles
    croissant.json  the release's, with url, creator and date, as far as they are known (flows/publishing/announced.py)

Numbers come from the release's manifest and tables alone (flows/describing/facts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpora.errors import UserError
from corpora.schema import SAMPLES, SCORES
from corpora.store.atomic import atomic_folder, write_text
from corpora.store.release import SCORE_TABLE, open_release
from corpora.store.shards import read_table
from flows.artifacts.base import read_as
from flows.artifacts.prepared import FindingRecord
from flows.artifacts.released import PartOf, Released
from flows.describing.croissant import CROISSANT
from flows.describing.facts import Facts, facts_of
from flows.describing.statement import counted, gates, statement, what
from flows.packing.checklist import AUTHOR, Question, checklist
from flows.packing.citations import References, references
from flows.packing.latex import code, escaped, prose, section, table
from flows.publishing.announced import Announced, announced

# columns of which a checklist says how often they are empty
_TOLD = ("subject_id", "emotion", "gender", "age", "language", "intensity", "valence", "arousal", "dominance")


class _Audit(BaseModel):
    """audit.json."""

    model_config = ConfigDict(extra="ignore")

    findings: tuple[FindingRecord, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """What sample gates did. gates: their names; candidates: how many they scored."""

    gates: tuple[str, ...]
    candidates: int


@dataclass(frozen=True, slots=True)
class Pack:
    """Where it lies, its files, and the questions that the author has to answer."""

    folder: Path
    files: tuple[str, ...]
    unanswered: tuple[str, ...]


def write_pack(release: Path, folder: Path, about: Announced | None = None) -> Pack:
    """Writes the pack of the release in `release`, whose manifest and tables are checked first. about: of its
    publisher; with croissant.json of what is published, None: without.

    Raises `UserError` where `folder` is there already, what `open_release` raises, `ResourceError` for a full disk.
    """
    if folder.exists():
        raise UserError(f"{folder} is there already; name another folder, or remove it")
    opened = open_release(release)
    facts = facts_of(release, Released(release).manifest())
    scored = _scored(release)
    real = opened.index.filter(pc.is_null(opened.index["generator_id"]))
    missing = {name: real[name].null_count for name in SAMPLES.names if name in _TOLD}
    questions = checklist(facts, read_as(release / "audit.json", _Audit).findings, missing)
    cited = references(facts, [*scored.gates, *(row.gate for row in facts.verdicts)])
    files = {
        "methods.tex": methods(facts, scored, cited, opened.release_hash),
        "tables.tex": tables(facts),
        "statement.tex": "\n".join(section(told) for told in statement(facts)),
        "checklist.tex": questions_text(questions),
        "references.bib": cited.text(),
        "main.tex": MAIN,
    }
    if about is not None and (copy := announced(release, about)) is not None:
        files[CROISSANT] = copy
    with atomic_folder(folder) as place:
        for name, text in files.items():
            write_text(place / name, text)
    return Pack(folder, tuple(files), tuple(q.text for q in questions if not q.answer))


def _scored(release: Path) -> Scored:
    if not (release / SCORE_TABLE).exists():
        return Scored((), 0)
    scores = read_table(release / SCORE_TABLE, SCORES)
    return Scored(tuple(sorted(pc.unique(scores["gate"]).to_pylist())), pc.count_distinct(scores["sample_id"]).as_py())


def methods(facts: Facts, scored: Scored, cited: References, release_hash: str) -> str:
    """A paragraph of a paper's section on methods."""
    manifest = facts.manifest
    corpora = ", ".join(
        f"{escaped(s.title)}{_cite(cited.corpora[s.id])}"
        + (f" ({s.samples} samples{_of_people(s.subjects)})" if facts.part is None else "")
        for s in facts.sources
    )
    splits = ", ".join(f"{sum(n.real for n in by.values())} in {code(split)}" for split, by in manifest.counts.items())
    steps = ", ".join(code(step.step) for step in facts.prepared.steps)
    lines = [
        f"The data set {code(manifest.name)} was built with emoforge~\\cite{{emoforge}}. It holds {counted(facts)} "
        f"of modality {escaped(manifest.modality)} in "
        f"{len(manifest.classes)} classes ({escaped(', '.join(manifest.classes))}; Table~\\ref{{tab:samples}}).",
        f"Real samples come from {corpora}." if facts.part is None else _part_of(facts.part, corpora),
        f"They were split by the view {code(manifest.view)}: {splits}.",
        f"Preparation: {steps}." if steps else "Payloads are as the corpora have them.",
        *_making(facts, scored, cited),
        f"The release is identified by its hash {code(release_hash[:16])}.",
    ]
    return "\n".join(lines) + "\n"


def _part_of(part: PartOf, corpora: str) -> str:
    return (
        f"It is a part of the release {code(part.release)} (hash {code(part.release_hash[:16])}), whose "
        f"{sum(part.left_out.values())} real samples, of {corpora}, are left out."
    )


def _making(facts: Facts, scored: Scored, cited: References) -> list[str]:
    made = facts.made
    if made is None:
        return ["No sample is synthetic."]
    after = f", preset {code(made.preset)}~\\cite{{{cited.preset}}}" if made.preset else ""
    lines = [f"Synthetic samples were drawn by the generator {code(made.generator)}{after}, fitted on train alone."]
    counted = sum(n.effective or 0 for by in facts.manifest.counts.values() for n in by.values())
    if facts.manifest.is_weighted:
        lines.append(f"They are weighted: {facts.n_synthetic} of them count for {counted}.")
    if scored.gates:
        names = ", ".join(code(gate) + _cite(cited.gates.get(gate, ())) for gate in scored.gates)
        lines.append(f"Gates on single samples ({names}) scored {scored.candidates} candidates.")
    if facts.verdicts:
        on_sets = ", ".join(
            code(g) + _cite(cited.gates.get(g, ())) for g in dict.fromkeys(v.gate for v in facts.verdicts)
        )
        counts = ", ".join(f"{sum(v.verdict == said for v in facts.verdicts)} {said}" for said in VERDICTS)
        lines.append(f"Gates on the whole set ({on_sets}) gave {len(facts.verdicts)} verdicts: {counts}")
        lines[-1] += r" (Table~\ref{tab:gates})."
    return lines


VERDICTS = ("pass", "fail", "undecided")


def _cite(keys: Sequence[str]) -> str:
    return f"~\\cite{{{','.join(keys)}}}" if keys else ""


def _of_people(subjects: int) -> str:
    return f" of {subjects} people" if subjects else ""


def tables(facts: Facts) -> str:
    """Samples, verdicts, licences."""
    told = [table("samples", "Samples by split and class.", what(facts).rows)]
    if rows := gates(facts).rows:
        told.append(
            table(
                "gates",
                "Verdicts on synthetic samples together; n: how many were judged, of conditions all candidates.",
                rows,
            )
        )
    licences = [
        ("corpus", "licence", "samples"),
        *((s.id, s.licence.expression.text, str(s.samples)) for s in facts.sources),
    ]
    told.append(table("licences", f"Licences of the corpora; together {facts.expression}.", licences))
    return "\n".join(told)


def questions_text(questions: Sequence[Question]) -> str:
    """checklist.tex: a list of each part."""
    lines: list[str] = []
    for part in dict.fromkeys(q.part for q in questions):
        lines += [rf"\subsection{{{escaped(part)}}}", r"\begin{description}"]
        for question in (q for q in questions if q.part == part):
            answer = " ".join(f"{prose(line)}." for line in question.answer) or rf"\textbf{{{AUTHOR}}}"
            lines.append(rf"  \item[{escaped(question.text)}] {answer}")
        lines.append(r"\end{description}")
    return "\n".join(lines) + "\n"


MAIN = r"""\documentclass{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[utf8]{inputenc}
  \usepackage[T1]{fontenc}
\else
  \usepackage{fontspec}
\fi
\usepackage{textcomp}
\begin{document}
\section{Methods}
\input{methods}
\input{tables}
\section{Data statement}
\input{statement}
\section{Checklist}
\input{checklist}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""
