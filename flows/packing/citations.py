"""references.bib: whom a paper about a release has to cite.

Entries of corpora are those of their cards, word for word. A preset names its paper in a line of text, and that line is
kept as it is: an entry that took it apart would guess. The papers of gates stand here, as docs/gates.md names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from flows.describing.facts import Facts
from flows.packing.latex import escaped
from generators.preset import load_preset

_KEY = re.compile(r"@\s*\w+\s*\{\s*([^,\s]+)\s*,")


@dataclass(frozen=True, slots=True)
class References:
    """entries: key -> BibTeX. corpora: a corpus' id -> its keys, () where its card names none. preset: key of the
    generator's paper. gates: gate -> keys of what it measures by."""

    entries: Mapping[str, str]
    corpora: Mapping[str, tuple[str, ...]]
    preset: str | None
    gates: Mapping[str, tuple[str, ...]]

    def text(self) -> str:
        """references.bib, entries by key."""
        return "\n\n".join(self.entries[key] for key in sorted(self.entries)) + "\n"


def references(facts: Facts, gates: Iterable[str]) -> References:
    """gates: names of sample and set gates that judged the release."""
    entries: dict[str, str] = {}
    corpora: dict[str, tuple[str, ...]] = {}
    for source in facts.sources:
        found = _entries(source.bibtex)
        entries |= found
        corpora[source.id] = tuple(found)
    preset = None
    if facts.made is not None and facts.made.preset is not None:
        preset = facts.made.preset.rpartition("/")[2]
        entries[preset] = _paper(preset, " ".join(load_preset(facts.made.preset).source.split()))
    used = {gate: GATES[gate] for gate in dict.fromkeys(gates) if gate in GATES}
    for key in [*(key for keys in used.values() for key in keys), *ALWAYS]:
        entries[key] = PAPERS[key]
    return References(entries, corpora, preset, used)


def _entries(bibtex: str) -> dict[str, str]:
    """Key -> entry of a card's text, which may hold several; {} of one that holds none."""
    starts = [match.start() for match in re.finditer(r"@\s*\w+\s*\{", bibtex)]
    parts = [bibtex[a:b].strip() for a, b in pairwise([*starts, len(bibtex)])]
    return {match.group(1): part for part in parts if (match := _KEY.match(part)) is not None}


def _paper(key: str, source: str) -> str:
    """An entry of a line of text."""
    return f"@misc{{{key}, note={{{escaped(source)}}}}}"


def _entry(kind: str, key: str, **fields: str) -> str:
    body = ",\n  ".join(f"{name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{key},\n  {body}\n}}"


def _paper_of(*row: str) -> str:
    """A row of `_ROWS`."""
    key, kind, author, title, place, year = row
    where = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}[kind]
    return _entry(kind, key, author=author, title=f"{{{title}}}", **{where: place}, year=year)


# key, kind, authors, title, where, year
_ROWS = (
    (
        *("dowson1982frechet", "article", "Dowson, D. C. and Landau, B. V."),
        "The {Fr{\\'e}chet} distance between multivariate normal distributions",
        *("Journal of Multivariate Analysis", "1982"),
    ),
    (
        *("heusel2017gans", "inproceedings"),
        "Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp",
        "{GANs} trained by a two time-scale update rule converge to a local {Nash} equilibrium",
        *("Advances in Neural Information Processing Systems", "2017"),
    ),
    (
        *("binkowski2018demystifying", "inproceedings"),
        "Bi{\\'n}kowski, Miko{\\l}aj and Sutherland, Danica J. and Arbel, Michael and Gretton, Arthur",
        "Demystifying {MMD} {GANs}",
        *("International Conference on Learning Representations", "2018"),
    ),
    (
        *("friedman2023vendi", "article", "Friedman, Dan and Dieng, Adji Bousso"),
        "The {Vendi} score: a diversity evaluation metric for machine learning",
        *("Transactions on Machine Learning Research", "2023"),
    ),
    (
        *("naeem2020reliable", "inproceedings"),
        "Naeem, Muhammad Ferjad and Oh, Seong Joon and Uh, Youngjung and Choi, Yunjey and Yoo, Jaejun",
        "Reliable fidelity and diversity metrics for generative models",
        *("International Conference on Machine Learning", "2020"),
    ),
    (
        *("lopezpaz2017revisiting", "inproceedings", "Lopez-Paz, David and Oquab, Maxime"),
        "Revisiting classifier two-sample tests",
        *("International Conference on Learning Representations", "2017"),
    ),
    (
        *("chen2020ganleaks", "inproceedings", "Chen, Dingfan and Yu, Ning and Zhang, Yang and Fritz, Mario"),
        "{GAN-Leaks}: a taxonomy of membership inference attacks against generative models",
        *("ACM SIGSAC Conference on Computer and Communications Security", "2020"),
    ),
    (
        *("vovk2005algorithmic", "book", "Vovk, Vladimir and Gammerman, Alexander and Shafer, Glenn"),
        *("Algorithmic learning in a random world", "Springer", "2005"),
    ),
    (
        *("mccullagh1980regression", "article", "McCullagh, Peter", "Regression models for ordinal data"),
        *("Journal of the Royal Statistical Society: Series B", "1980"),
    ),
    (
        *("sun2022out", "inproceedings", "Sun, Yiyou and Ming, Yifei and Zhu, Xiaojin and Li, Yixuan"),
        "Out-of-distribution detection with deep nearest neighbors",
        *("International Conference on Machine Learning", "2022"),
    ),
    (
        *("kubichek1993mel", "inproceedings", "Kubichek, Robert F."),
        "Mel-cepstral distance measure for objective speech quality assessment",
        *("IEEE Pacific Rim Conference on Communications Computers and Signal Processing", "1993"),
    ),
    (
        *("toda2007speech", "article", "Toda, Tomoki and Tokuda, Keiichi"),
        "A speech parameter generation algorithm considering global variance for {HMM}-based speech synthesis",
        *("IEICE Transactions on Information and Systems", "2007"),
    ),
    (
        *("guo2017calibration", "inproceedings"),
        "Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.",
        "On calibration of modern neural networks",
        *("International Conference on Machine Learning", "2017"),
    ),
    (
        *("gebru2021datasheets", "article"),
        "Gebru, Timnit and Morgenstern, Jamie and Vecchione, Briana and Vaughan, Jennifer Wortman and Wallach, Hanna "
        "and Daum{\\'e} III, Hal and Crawford, Kate",
        *("Datasheets for datasets", "Communications of the ACM", "2021"),
    ),
    (
        *("bender2018data", "article", "Bender, Emily M. and Friedman, Batya"),
        "Data statements for natural language processing: toward mitigating system bias and enabling better science",
        *("Transactions of the Association for Computational Linguistics", "2018"),
    ),
)
PAPERS: dict[str, str] = {row[0]: _paper_of(*row) for row in _ROWS}
PAPERS["emoforge"] = _entry(
    "misc",
    "emoforge",
    author="{The emoforge contributors}",
    title="{emoforge: versioned, class-balanced, quality-gated releases of emotion corpora}",
)
ALWAYS = ("emoforge", "gebru2021datasheets", "bender2018data")
# gate -> the papers that its number is of (docs/gates.md)
GATES: dict[str, tuple[str, ...]] = {
    "frechet": ("dowson1982frechet", "heusel2017gans"),
    "kid": ("binkowski2018demystifying",),
    "vendi": ("friedman2023vendi",),
    "coverage": ("naeem2020reliable",),
    "c2st": ("lopezpaz2017revisiting",),
    "mia": ("chen2020ganleaks",),
    "conformal": ("vovk2005algorithmic",),
    "ordinal": ("mccullagh1980regression",),
    "support": ("sun2022out",),
    "mcd": ("kubichek1993mel",),
    "variance": ("toda2007speech",),
    "agreement": ("guo2017calibration",),
}
