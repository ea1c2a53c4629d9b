"""What licences will let be done with a run's release, from params.yaml and the cards alone: before anything is built.

The release says the same of itself once it is there (`restrictions` and `terms` of its manifest). docs/licences.md
"""

from __future__ import annotations

from pathlib import Path

from corpora.licences import Held, restrictions
from corpora.permits import PARTS, Part, Verdict, verdict
from corpora.readers import make_corpus
from flows.params import Params


def licence_entries(params: Params, run: str, repo: Path) -> list[dict[str, object]]:
    """As `corpora` of a manifest: id, card (license, may_redistribute), made_up. Raises as `make_corpus`."""
    entries = []
    for corpus in params.run(run).corpora:
        entry = params.corpus(corpus)
        card = make_corpus(entry.reader, entry.options, base=repo).card
        about = {"license": card.license, "may_redistribute": card.may_redistribute}
        entries.append({"id": corpus, "card": about, "made_up": corpus in params.demo})
    return entries


def restrictions_of_run(params: Params, run: str, repo: Path) -> list[str]:
    """Why the release of `run` may not be passed on; []: it may. Raises as `make_corpus`."""
    return restrictions(licence_entries(params, run, repo), synthetic=params.run(run).generator is not None)


def parts_of_run(params: Params, run: str, repo: Path) -> dict[Part, Verdict]:
    """Whether synthetic samples, or features, of `run` may be published without the real ones; {} where it has neither:
    no generator and no tables of features. Raises as `make_corpus`, and `UnknownNameError` for a representation that
    nobody knows."""
    one = params.run(run)
    draws, tables = one.generator is not None, one.release is not None and bool(one.release.features)
    if not draws and not tables:
        return {}
    held = [Held.of(entry) for entry in licence_entries(params, run, repo)]
    from features.representation import representation_class  # here: most questions need no arrays

    modelled = one.representation is not None and _is_features(representation_class(one.representation.name))
    there: dict[Part, bool] = {"synthetic": draws, "features": tables or (draws and modelled)}
    return {part: verdict(held, part, params.publish.permits, synthetic=draws) for part in PARTS if there[part]}


def _is_features(kind: object) -> bool:
    """Whether a run of this class of representation gets features.parquet (flows/stages/feature_rows.py)."""
    return not getattr(kind, "way_back", True)
