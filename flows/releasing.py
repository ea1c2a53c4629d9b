"""What a run models, and what its release holds beside payloads: the parameters, a part of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpora.params import StrictParams as _Model

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class RepresentationParams(BaseModel):
    """What the generator models. Further keys go to the representation and are checked by it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: Name = Field(
        description="world, functionals (speech) | pixels, hog (faces) | rows, bands, heart, features (physio) | "
        "sentence (text)."
    )

    @property
    def params(self) -> dict[str, Any]:
        """The representation's own keys."""
        return dict(self.model_extra or {})


class ReleaseParams(_Model):
    """What a release holds beside payloads and labels."""

    features: Annotated[list[RepresentationParams], Field(min_length=1)] = Field(
        description="Tables features-NAME.parquet of every sample: names of representations without a way back "
        "(functionals | hog | bands, heart | sentence, minilm), or mappings of a name and its parameters."
    )

    @field_validator("features", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return [{"name": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    @field_validator("features")
    @classmethod
    def _each_once(cls, tables: list[RepresentationParams]) -> list[RepresentationParams]:
        names = [table.name for table in tables]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is named twice: a table bears the name of its representation")
        return tables
