"""What a licence says of handing on what was made after samples, in its own words: yes, no, or nothing.

A synthetic sample and a vector of features are adapted material of the samples that they were made from, so one clause
of a licence answers for both. Words are those of corpora/terms/texts (a test looks them up there); of terms without a
text, what is known of them is said in the row of the table, and of what is made after samples that is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from corpora.terms.table import LICENCES

Says = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Clause:
    """says: what a licence says of passing on what is made after samples. place: which clause; words: of it, "" where
    none are quoted. url: where the text stands. content: it gives rights in the samples themselves, and not in code or
    in a database alone."""

    says: Says
    place: str
    words: str = ""
    url: str = ""
    content: bool = False

    @property
    def sentence(self) -> str:
        """For people: where, and in which words."""
        quoted = f': "{self.words}"' if self.words else ""
        return f"{self.place}{quoted}{f' ({self.url})' if self.url else ''}"


_SHARE = "produce, reproduce, and Share Adapted Material"
_DISTRIBUTE = "to Distribute and Publicly Perform Adaptations"
_DATABASE = "including of any Derivative Database"
_BSD = "Redistribution and use in source and binary forms, with or without modification, are permitted"
# licence -> (says, clause, its words, whether it gives rights in the samples themselves)
_CLAUSES: dict[str, tuple[Says, str, str, bool]] = {
    "CC0-1.0": ("yes", "section 2", "waives, abandons, and surrenders all of Affirmer's Copyright", True),
    "CC-PDDC": ("yes", "third paragraph", "used, modified, built upon, or otherwise exploited by anyone", True),
    "PDDL-1.0": ("yes", "section 3.1", "relinquishes all rights in Copyright and Database Rights over the Work", False),
    "Unlicense": ("yes", "second paragraph", "free to copy, modify, publish, use, compile, sell, or distribute", False),
    "CC-BY-3.0": ("yes", "section 3(d)", _DISTRIBUTE, True),
    "CC-BY-SA-3.0": ("yes", "section 3(d)", _DISTRIBUTE, True),
    "CC-BY-NC-3.0": ("yes", "section 3(d)", _DISTRIBUTE, True),
    "CC-BY-NC-SA-3.0": ("yes", "section 3(d)", _DISTRIBUTE, True),
    "CC-BY-4.0": ("yes", "section 2(a)(1)(B)", _SHARE, True),
    "CC-BY-SA-4.0": ("yes", "section 2(a)(1)(B)", _SHARE, True),
    "CC-BY-NC-4.0": ("yes", "section 2(a)(1)(B)", f"{_SHARE} for NonCommercial purposes only", True),
    "CC-BY-NC-SA-4.0": ("yes", "section 2(a)(1)(B)", f"{_SHARE} for NonCommercial purposes only", True),
    "CC-BY-ND-4.0": ("no", "section 2(a)(1)(B)", "produce and reproduce, but not Share, Adapted Material", True),
    "CC-BY-NC-ND-4.0": ("no", "section 2(a)(1)(B)", "produce and reproduce, but not Share, Adapted Material", True),
    "ODC-By-1.0": ("yes", "section 3.1(e)", _DATABASE, False),
    "ODbL-1.0": ("yes", "section 3.1(e)", _DATABASE, False),
    "LicenseRef-DbCL-1.0": (
        "yes",
        "grant of rights in the contents of a database, as its licensor holds them",
        "",
        False,
    ),
    "CDLA-Permissive-2.0": ("yes", "section 2.1", "may share Data, with or without modifications", True),
    "MIT": ("yes", "first paragraph", "to use, copy, modify, merge, publish, distribute", False),
    "BSD-2-Clause": ("yes", "first paragraph", _BSD, False),
    "BSD-3-Clause": ("yes", "first paragraph", _BSD, False),
    "Apache-2.0": ("yes", "section 2", "distribute the Work and such Derivative Works", False),
    "GPL-2.0-only": ("yes", "section 2", "copy and distribute such modifications or work", False),
    "GPL-3.0-only": ("yes", "section 5", "You may convey a work based on the Program", False),
    "GPL-3.0-or-later": ("yes", "section 5", "You may convey a work based on the Program", False),
}


def clause_of(licence: str) -> Clause:
    """By its id: of SPDX, or a LicenseRef."""
    row = LICENCES.get(licence)
    if row is None:
        return Clause("unknown", "terms of the corpus' own, of which nothing is known here")
    if licence in _CLAUSES:
        says, place, words, content = _CLAUSES[licence]
        return Clause(says, place, words, row.url, content)
    return Clause("unknown", f"{row.name}: as far as is known here it is silent on that", "", row.url)
