"""The blind kit: one offline page that asks raters, and the key that stays with its maker."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.errors import UnknownNameError, UserError
from corpora.fingerprint import hash_json
from corpora.store.atomic import write_json, write_text
from corpora.store.release import Release
from corpora.store.shards import iter_payloads
from flows.raters.choose import Chosen, Secret, choose
from flows.raters.orders import balanced_rows
from flows.raters.records import KEY_FORMAT, TASKS, Key, Task
from flows.raters.stimuli import stimulus
from flows.raters.wording import Wording, worded
from flows.stages.report.gallery.island import island

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a maker chooses. per_class: samples of each kind and class; raters: rows of the balanced order; most_mb:
    the page's size; seed: None: chance, so that nobody can draw the key again."""

    tasks: Sequence[Task] = tuple(TASKS)
    per_class: int = 4
    raters: int = 24
    most_mb: float = 25.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Kit:
    """page: HTML. trials: of one rater, practice and checks among them. left_out: task -> why."""

    page: str
    key: Key
    trials: int
    left_out: Mapping[Task, str]

    @property
    def n_bytes(self) -> int:
        """Of the page."""
        return len(self.page.encode())


def chosen_tasks(names: str) -> tuple[Task, ...]:
    """ "real,quality" -> tasks in the order of `TASKS`. Raises `UnknownNameError`."""
    given = [name.strip() for name in names.split(",") if name.strip()]
    for name in given:
        if name not in TASKS:
            raise UnknownNameError.of("task", name, TASKS)
    return tuple(task for task in TASKS if task in given) or tuple(TASKS)


def make_kit(release: Release, asked: Asked, wording: Wording) -> Kit:
    """Raises `UserError`: nothing to compare, a modality that nobody can rate, a page that is too large;
    `IntegrityError` for payloads that are not what the index says."""
    release.require_payloads()
    if asked.per_class < 1 or asked.raters < 1:
        raise UserError(f"{asked.per_class} samples a class for {asked.raters} raters; at least 1 of both is needed")
    secret = Secret(secrets.token_hex(16) if asked.seed is None else f"seed {asked.seed} {release.release_hash}")
    chosen = choose(release, secret, asked.tasks, asked.per_class)
    modality = str(release.manifest["modality"])
    held = _stimuli(release, chosen)
    classes = [str(c) for c in release.manifest["classes"]]
    tasks = [task for task in asked.tasks if task not in chosen.left_out]
    blocks = [_block(task, chosen, classes, modality, asked) for task in tasks]
    data: Mapping[str, Any] = {
        "modality": modality,
        "raters": asked.raters,
        "consent": list(wording.consent),
        "instructions": list(wording.instructions),
        "items": held,
        "blocks": blocks,
        "orders": balanced_rows(len(blocks), asked.raters),
    }
    kit = hash_json(dict(data))[:16]
    page = _rendered({"kit": kit, **data}, modality)
    if (size := len(page.encode()) / 1e6) > asked.most_mb:
        raise UserError(
            f"the page would have {size:.1f} MB, more than the {asked.most_mb:g} that are allowed: ask for fewer "
            f"samples of each class (--per-class, {asked.per_class} now) or allow more (--max-mb)"
        )
    key = Key(
        format=KEY_FORMAT,
        kit=kit,
        release=str(release.manifest["name"]),
        release_hash=release.release_hash,
        modality=modality,
        classes=tuple(classes),
        raters=asked.raters,
        secret=secret.text,
        items=chosen.items,
        trials=chosen.trials,
    )
    return Kit(page, key, len(chosen.trials), chosen.left_out)


def write_kit(kit: Kit, page: Path, key: Path) -> None:
    """Both files; one that is there is left alone. Raises `UserError`."""
    for path in (page, key):
        if path.exists():
            raise UserError(f"{path} is there already, and raters may be answering it: name another, or remove it")
    if page.absolute() == key.absolute():
        raise UserError(f"{page} cannot be both the page and its key")
    write_json(key, kit.key.to_json())
    write_text(page, kit.page)


def _stimuli(release: Release, chosen: Chosen) -> dict[str, dict[str, str]]:
    """Code -> stimulus, in the order of the codes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    code_of = {item.sample_id: item.code for item in chosen.items}
    wanted = pa.array(sorted(code_of), pa.string())
    table = release.index.filter(pc.is_in(release.index["sample_id"], value_set=wanted))
    held = {
        code_of[row["sample_id"]]: stimulus(payload, row["codec"])
        for row, payload in iter_payloads(release.path, table)
    }
    return dict(sorted(held.items()))


def _block(task: Task, chosen: Chosen, classes: Sequence[str], modality: str, asked: Asked) -> Mapping[str, Any]:
    """Trials of one task in the order of their codes; orders: places of the trials that count, a row for each rater."""
    own = [trial for trial in chosen.trials if trial.task == task]
    scored = [i for i, trial in enumerate(own) if trial.counts]
    practice = [i for i, trial in enumerate(own) if not trial.counts and trial.expected is None]
    (check,) = [i for i, trial in enumerate(own) if trial.expected is not None]
    orders = []
    for rater, row in enumerate(balanced_rows(len(scored), asked.raters)):
        order = [scored[place] for place in row]
        order.insert(len(order) // 2 + rater % 3 - 1 if len(order) > 3 else 1, check)
        orders.append(order)
    words = worded(task, modality, classes)
    return {
        "task": task,
        "title": words.title,
        "question": words.question,
        "options": [[value, label] for value, label in words.options],
        "trials": [
            {
                "code": trial.code,
                "items": [trial.item, *([trial.other] if trial.other else [])],
                **({"check": trial.expected} if trial.expected is not None else {}),
            }
            for trial in own
        ],
        "practice": practice,
        "orders": orders,
    }


def _rendered(data: Mapping[str, Any], modality: str) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page: str = environment.get_template("kit.html.j2").render(data=island(dict(data)), modality=modality)
    return page
