"""What dvc.lock says that each stage of a run wrote: out -> DVC's hash of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# what the stages behind a stage read; page, curves and numbers for people are not compared
COMPARED = {
    "ingest": ("data/corpora/{name}",),
    "prepare": ("data/runs/{name}/prepared",),
    "fit": ("data/runs/{name}/model",),
    "augment": ("data/runs/{name}/augmented",),
    "evaluate": ("data/runs/{name}/evaluation",),
    "release": ("data/runs/{name}/release",),
}


@dataclass(frozen=True, slots=True)
class Outs:
    """Stage ("fit@demo_text") -> path -> hash, of the stages that dvc.lock knows."""

    stages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, lock: str) -> Outs:
        """lock: the text of dvc.lock; "" is one of no stages."""
        from ruamel.yaml import YAML

        known = (YAML(typ="safe").load(lock) or {}).get("stages") or {}
        return cls(
            {
                str(stage): {str(out["path"]): str(out["md5"]) for out in said.get("outs") or [] if "md5" in out}
                for stage, said in known.items()
            }
        )

    @staticmethod
    def compared(run: str, corpora: Sequence[str]) -> list[str]:
        """Stages of a run in their order, as far as they are compared."""
        taken_in = [f"ingest@{corpus}" for corpus in corpora]
        return [*taken_in, *(f"{verb}@{run}" for verb in COMPARED if verb != "ingest")]

    def made(self, stage: str) -> dict[str, str]:
        """Outs of a stage that are compared, with their hashes."""
        verb, _, name = stage.partition("@")
        wanted = [path.format(name=name) for path in COMPARED.get(verb, ())]
        return {path: md5 for path, md5 in self.stages.get(stage, {}).items() if path in wanted}
