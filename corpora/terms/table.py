"""The licences that cards of corpora name, one row each: what its text lets be done, and where that text stands.

`LicenseRef-...` is what SPDX prescribes for terms that have no identifier. Of an agreement that is signed nobody but
its owner says what it allows: its row lets nothing be passed on. No row is legal advice; the text at its address goes
before what stands here.

- what is made by a generator counts as adapted material (`synthetic`), and so do features, unless a text says otherwise
- a licence of code on data (MIT, Apache, GPL) is read as if it said "data" where it says "software"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from corpora.terms.terms import PERMISSIONS, Duty, Permission, Terms

Kind = Literal["free", "by", "by-nc", "by-nd", "by-nc-nd", "notice", "none"]
_ALL: frozenset[Permission] = frozenset(PERMISSIONS)
_NC: frozenset[Permission] = _ALL - {"commercial"}
_ND: frozenset[Permission] = frozenset({"real", "commercial"})  # CC 4.0, 2(a)(1)(B): adapted material is not shared
_CREDIT: frozenset[Duty] = frozenset({"credit"})
# a kind of licence -> what it lets be done, and for what
_KINDS: dict[Kind, tuple[frozenset[Permission], frozenset[Duty]]] = {
    "free": (_ALL, frozenset()),
    "by": (_ALL, _CREDIT),
    "by-nc": (_NC, _CREDIT),
    "by-nd": (_ND, _CREDIT),
    "by-nc-nd": (_ND - {"commercial"}, _CREDIT),
    "notice": (_ALL, frozenset({"notice"})),
    "none": (frozenset(), frozenset()),
}


@dataclass(frozen=True, slots=True)
class Licence:
    """id: of SPDX, or a LicenseRef. url: where its text stands. hub: its name on the Hugging Face hub; None: "other".
    adapted_under: licences that adapted material may be handed on under; (): any that keeps the duties."""

    id: str
    name: str
    url: str
    terms: Terms
    hub: str | None = None
    adapted_under: frozenset[str] = frozenset()


_CC = "https://creativecommons.org/licenses"
_GNU = "https://www.gnu.org/licenses"
# id, name, where its text stands, its name on the hub, kind, licences for adapted material (share-alike; "": any)
_SPDX: tuple[tuple[str, str, str, str | None, Kind, str], ...] = (
    (
        "CC0-1.0",
        "Creative Commons Zero 1.0",
        "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
        "cc0-1.0",
        "free",
        "",
    ),
    ("CC-PDDC", "Public Domain Dedication", "https://spdx.org/licenses/CC-PDDC.html", None, "free", ""),
    ("PDDL-1.0", "ODC Public Domain 1.0", "https://opendatacommons.org/licenses/pddl/1-0/", "pddl", "free", ""),
    ("Unlicense", "The Unlicense", "https://unlicense.org/", "unlicense", "free", ""),
    ("CC-BY-3.0", "Creative Commons Attribution 3.0", f"{_CC}/by/3.0/legalcode", "cc-by-3.0", "by", ""),
    ("CC-BY-4.0", "Creative Commons Attribution 4.0", f"{_CC}/by/4.0/legalcode", "cc-by-4.0", "by", ""),
    ("ODC-By-1.0", "ODC Attribution 1.0", "https://opendatacommons.org/licenses/by/1-0/", "odc-by", "by", ""),
    (
        "CC-BY-SA-3.0",
        "Creative Commons Attribution-ShareAlike 3.0",
        f"{_CC}/by-sa/3.0/legalcode",
        "cc-by-sa-3.0",
        "by",
        "CC-BY-SA-3.0 CC-BY-SA-4.0",
    ),
    (
        "CC-BY-SA-4.0",
        "Creative Commons Attribution-ShareAlike 4.0",
        f"{_CC}/by-sa/4.0/legalcode",
        "cc-by-sa-4.0",
        "by",
        "CC-BY-SA-4.0 GPL-3.0-only",  # creativecommons.org/share-your-work/licensing-considerations/compatible-licenses
    ),
    (
        "ODbL-1.0",
        "ODC Open Database License 1.0",
        "https://opendatacommons.org/licenses/odbl/1-0/",
        "odbl",
        "by",
        "ODbL-1.0",
    ),
    (
        "CC-BY-NC-3.0",
        "Creative Commons Attribution-NonCommercial 3.0",
        f"{_CC}/by-nc/3.0/legalcode",
        "cc-by-nc-3.0",
        "by-nc",
        "",
    ),
    (
        "CC-BY-NC-4.0",
        "Creative Commons Attribution-NonCommercial 4.0",
        f"{_CC}/by-nc/4.0/legalcode",
        "cc-by-nc-4.0",
        "by-nc",
        "",
    ),
    (
        "CC-BY-NC-SA-3.0",
        "Creative Commons Attribution-NonCommercial-ShareAlike 3.0",
        f"{_CC}/by-nc-sa/3.0/legalcode",
        "cc-by-nc-sa-3.0",
        "by-nc",
        "CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0",
    ),
    (
        "CC-BY-NC-SA-4.0",
        "Creative Commons Attribution-NonCommercial-ShareAlike 4.0",
        f"{_CC}/by-nc-sa/4.0/legalcode",
        "cc-by-nc-sa-4.0",
        "by-nc",
        "CC-BY-NC-SA-4.0",
    ),
    (
        "CC-BY-ND-4.0",
        "Creative Commons Attribution-NoDerivatives 4.0",
        f"{_CC}/by-nd/4.0/legalcode",
        "cc-by-nd-4.0",
        "by-nd",
        "",
    ),
    (
        "CC-BY-NC-ND-4.0",
        "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
        f"{_CC}/by-nc-nd/4.0/legalcode",
        "cc-by-nc-nd-4.0",
        "by-nc-nd",
        "",
    ),
    (
        "CDLA-Permissive-2.0",
        "Community Data License Agreement Permissive 2.0",
        "https://cdla.dev/permissive-2-0/",
        "cdla-permissive-2.0",
        "notice",
        "",
    ),
    ("MIT", "MIT License", "https://opensource.org/license/mit", "mit", "notice", ""),
    ("BSD-2-Clause", "BSD 2-Clause", "https://opensource.org/license/bsd-2-clause", "bsd-2-clause", "notice", ""),
    ("BSD-3-Clause", "BSD 3-Clause", "https://opensource.org/license/bsd-3-clause", "bsd-3-clause", "notice", ""),
    ("Apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0", "notice", ""),
    (
        "GPL-2.0-only",
        "GNU General Public License 2",
        f"{_GNU}/old-licenses/gpl-2.0.html",
        "gpl-2.0",
        "notice",
        "GPL-2.0-only",
    ),
    (
        "GPL-3.0-only",
        "GNU General Public License 3",
        f"{_GNU}/gpl-3.0.html",
        "gpl-3.0",
        "notice",
        "GPL-3.0-only",
    ),
    (
        "GPL-3.0-or-later",
        "GNU General Public License 3 or later",
        f"{_GNU}/gpl-3.0.html",
        "gpl-3.0",
        "notice",
        "GPL-3.0-only GPL-3.0-or-later",
    ),
)
# Terms of corpora without an identifier of SPDX: id, what they are, where they stand, duties. What the sources of the
# corpora's cards say of them (docs/corpora.md); "unstated": no terms are published, so nothing may be passed on.
_OWN: tuple[tuple[str, str, str, str], ...] = (
    ("AFEW-agreement", "agreement with the authors of AFEW and SFEW", "https://cs.anu.edu.au/few/", "agreement"),
    (
        "AMIGOS",
        "licence agreement of AMIGOS",
        "http://www.eecs.qmul.ac.uk/mmv/datasets/amigos/",
        "agreement research",
    ),
    (
        "AffectNet-agreement",
        "licence agreement of AffectNet",
        "http://mohammadmahoor.com/affectnet/",
        "agreement research",
    ),
    (
        "BU-3DFE-agreement",
        "agreement of Binghamton University",
        "https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html",
        "agreement",
    ),
    ("CFEE-agreement", "agreement with the authors", "https://cbcsl.ece.ohio-state.edu/compound.html", "agreement"),
    (
        "CKPlus-agreement",
        "agreement of the Cohn-Kanade distribution",
        "http://www.jeffcohn.net/Resources/",
        "agreement",
    ),
    (
        "DEAP-EULA",
        "end user licence agreement of DEAP",
        "https://www.eecs.qmul.ac.uk/mmv/datasets/deap/",
        "agreement",
    ),
    ("DREAMER", "terms of access to DREAMER", "https://zenodo.org/record/546113", "agreement"),
    ("EMOVO-unknown", "unstated", "http://voice.fub.it/activities/corpora/emovo/index.html", ""),
    ("ESD-research", "licence form of ESD", "https://github.com/HLTSingapore/Emotional-Speech-Data", "research"),
    (
        "EmoV-DB-non-commercial",
        "licence of EmoV-DB, for non-commercial purposes",
        "https://github.com/numediart/EmoV-DB",
        "",
    ),
    ("ExpW-unstated", "unstated", "http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html", ""),
    ("FACES-research-only", "application to FACES", "https://faces.mpdl.mpg.de", "agreement research"),
    ("IEMOCAP", "licence of IEMOCAP, accepted in a form", "https://sail.usc.edu/iemocap/", "agreement research"),
    (
        "JAFFE-non-commercial-research",
        "terms of access to JAFFE",
        "https://zenodo.org/records/3451524",
        "agreement research",
    ),
    ("JL-Corpus-unstated", "unstated", "https://github.com/tli725/JL-Corpus", ""),
    ("JTES-on-request", "given by its authors on request", "https://ieeexplore.ieee.org/document/7918977", "agreement"),
    (
        "KDEF-non-commercial-research",
        "terms of KDEF: never redistributed without written consent",
        "https://kdef.se",
        "agreement research",
    ),
    ("MEAD-terms-of-use", "terms of use of MEAD", "https://wywu.github.io/projects/MEAD/MEAD.html", "agreement"),
    (
        "MSP-IMPROV",
        "agreement with the MSP lab",
        "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
        "agreement",
    ),
    (
        "MSP-Podcast",
        "agreement with the MSP lab",
        "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
        "agreement",
    ),
    (
        "OuluCASIA-agreement",
        "agreement with the University of Oulu",
        "http://www.cse.oulu.fi/CMV/Downloads/Oulu-CASIA",
        "agreement",
    ),
    (
        "RAF-DB-research-only",
        "terms of RAF-DB, non-commercial research",
        "http://www.whdeng.cn/raf/model1.html",
        "agreement research",
    ),
    ("RaFD-agreement", "application to RaFD", "https://rafd.socsci.ru.nl", "agreement"),
    ("SAVEE-research", "registration for research", "http://kahlan.eps.surrey.ac.uk/savee/", "agreement research"),
    ("SEED", "licence agreement of SEED", "https://bcmi.sjtu.edu.cn/home/seed/seed.html", "agreement"),
    ("SEED-IV", "licence agreement of SEED-IV", "https://bcmi.sjtu.edu.cn/home/seed/seed-iv.html", "agreement"),
    ("SEED-V", "licence agreement of SEED-V", "https://bcmi.sjtu.edu.cn/home/seed/seed-v.html", "agreement"),
    (
        "SemEval2018-Task1",
        "terms of use: the data are not redistributed",
        "https://competitions.codalab.org/competitions/17751",
        "credit",
    ),
    ("ShEMO-academic", "academic purposes", "https://github.com/mansourehk/ShEMO", "research"),
    ("TweetEval-unstated", "unstated", "https://huggingface.co/datasets/cardiffnlp/tweet_eval", ""),
    (
        "UCR-Archive",
        "terms of the UCR archive",
        "https://www.timeseriesclassification.com/description.php?Dataset=ECG200",
        "",
    ),
    ("URDU-research", "research purposes only", "https://github.com/siddiquelatif/URDU-Dataset", "research"),
    (
        "WESAD",
        "terms of WESAD",
        "https://archive.ics.uci.edu/dataset/465/wesad+wearable+stress+and+affect+detection",
        "",
    ),
    (
        "eNTERFACE05-research",
        "scientific research purposes",
        "https://enterface.net/enterface05/emotion.html",
        "research",
    ),
    (
        "research-and-education",
        "educational and research purposes only",
        "https://github.com/dair-ai/emotion_dataset",
        "research",
    ),
    ("unknown", "unstated", "http://www.affective-sciences.org/researchmaterial", ""),
)


def _duties(words: str) -> frozenset[Duty]:
    known: dict[str, Duty] = {"agreement": "agreement", "research": "research", "credit": "credit"}
    return frozenset(known[word] for word in words.split())


def _rows() -> Iterable[Licence]:
    for name, title, url, hub, kind, under in _SPDX:
        may, must = _KINDS[kind]
        alike = frozenset({name}) if under else frozenset()
        yield Licence(name, title, url, Terms(may, must, alike), hub, frozenset(under.split()))
    yield Licence(
        "LicenseRef-DbCL-1.0",  # ODC gave it no identifier in SPDX's list
        "ODC Database Contents License 1.0",
        "https://opendatacommons.org/licenses/dbcl/1-0/",
        Terms(_ALL),
    )
    for name, title, url, words in _OWN:
        yield Licence(f"LicenseRef-{name}", title, url, Terms(frozenset(), _duties(words)))


LICENCES: dict[str, Licence] = {row.id: row for row in _rows()}
