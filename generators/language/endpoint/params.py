"""Parameters of generators that ask an endpoint: the server, the model, what it may cost, and who judges."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from corpora.errors import ParamsError
from corpora.params import StrictParams
from generators.params import GeneratorParams

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Prices(StrictParams):
    """What tokens cost, and what may be spent. The unit of money is the user's own."""

    price_in: float = Field(0.0, ge=0, description="price of a million tokens of a prompt")
    price_out: float = Field(0.0, ge=0, description="price of a million tokens of an answer")
    budget: float | None = Field(
        None,
        gt=0,
        description="most that this endpoint and model may cost in all, over every run whose answers are kept in the "
        "same folder; a request that could exceed it is not sent",
    )
    budget_tokens: int | None = Field(
        None, ge=1, description="the same in tokens, in and out together: for servers without a price"
    )

    @model_validator(mode="after")
    def _a_budget_has_prices(self) -> Self:
        if self.budget is not None and self.price_in == 0.0 and self.price_out == 0.0:
            raise ValueError(
                "budget is set without price_in and price_out: nothing would ever reach it. Set them, or budget_tokens"
            )
        return self


class Limits(StrictParams):
    """How fast, how long and how often."""

    requests_per_minute: int = Field(
        60, ge=1, description="most requests that all processes of a machine send a minute"
    )
    tokens_per_minute: int = Field(
        100_000, ge=1000, description="most tokens, in and out, of all processes of a machine a minute"
    )
    concurrency: int = Field(4, ge=1, le=256, description="requests under way at once in one process")
    timeout_s: float = Field(60.0, gt=0, le=3600, description="seconds after which an unfinished answer is given up")
    retries: int = Field(
        5, ge=0, le=20, description="how often a request that failed for no fault of its own is sent again"
    )
    backoff_s: float = Field(
        1.0, gt=0, le=60, description="seconds before the first repetition; each further one waits up to twice as long"
    )
    longest_wait_s: float = Field(
        120.0, gt=0, le=3600, description="most seconds before a repetition, whatever the server asks for"
    )


class Server(StrictParams):
    """One model behind one address."""

    url: str = Field(description="address up to and with the version: https://host/v1; /chat/completions is added")
    model: str = Field(min_length=1, max_length=200, description="name of the model, as the server calls it")
    key_env: str | None = Field(
        None, description="NAME of the environment variable that holds the key; the key itself stands in no file"
    )
    response_format: Literal["json_schema", "json_object", "none"] = Field(
        "json_schema",
        description="how the server is asked for JSON; answers are checked against the schema in any case",
    )
    prices: Prices = Field(default_factory=Prices, description="what tokens cost, and the budget")
    limits: Limits = Field(default_factory=Limits, description="rates, time-outs, repetitions")

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write an address such as https://host/v1 or http://localhost:8000/v1")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            # a ParamsError of its own: a ValueError would be shown with the value, and so with the password
            raise ParamsError("url holds a user, password, query or fragment; name the variable of the key in key_env")
        return url.rstrip("/").removesuffix("/chat/completions")

    @field_validator("key_env")
    @classmethod
    def _a_name(cls, name: str | None) -> str | None:
        if name is not None and not _NAME.fullmatch(name):
            # not a ValueError, which would be shown with the value: that may be the key itself
            raise ParamsError("key_env is the NAME of an environment variable (letters, digits, _), never the key")
        return name

    @model_validator(mode="after")
    def _keys_travel_encrypted(self) -> Self:
        parts = urlsplit(self.url)
        if self.key_env is not None and parts.scheme == "http" and not _is_near(parts.hostname or ""):
            raise ValueError(f"url {self.url} is not encrypted and would carry the key of {self.key_env}; use https")
        return self


class Annotator(Server):
    """The annotator's role: another prompt, and best another model, that names the class of a line without being told
    which was asked for (Koptyra 2023)."""

    on_disagreement: Literal["reject", "keep"] = Field(
        "reject", description="a line that the annotator takes for another class: rejected, or kept and counted"
    )
    check_train: int = Field(
        0,
        ge=0,
        le=10_000,
        description="train lines that the annotator labels at the fit, to report its agreement with the corpus",
    )


class AskingParams(GeneratorParams, Server):
    """What every generator that asks an endpoint shares."""

    language: str = Field("English", min_length=2, max_length=60, description="language of the lines")
    domain: str = Field(
        "a short message as people write them online", min_length=3, max_length=400, description="what a line is"
    )
    describe: dict[str, str] = Field(
        default_factory=dict,
        description="class -> what the prompt says of it; the class' own name where it is not there",
    )
    temperature: float = Field(1.0, ge=0, le=2, description="of the answers")
    max_tokens: int = Field(200, ge=8, le=16_384, description="longest answer, in tokens")
    attempts: int = Field(
        3, ge=1, le=20, description="answers that a draw may use up before its line is rejected with the last reason"
    )
    annotator: Annotator | None = Field(None, description="who checks the label; None: nobody")


class WriteParams(AskingParams):
    """Of `endpoint`."""

    shots: int = Field(
        4,
        ge=0,
        le=64,
        description="train lines of the class in a prompt, chosen by the draw's seed. They are sent to the endpoint: "
        "0 where the corpus' licence forbids it",
    )


class RewriteParams(AskingParams):
    """Of `endpoint_rewrite`. The source line is sent to the endpoint."""

    task: Literal["paraphrase", "back-translate", "translate"] = Field(
        "paraphrase",
        description="paraphrase: the same in other words; back-translate: into `pivot` and back; "
        "translate: into `pivot`",
    )
    pivot: tuple[str, ...] = Field(
        ("German", "French", "Spanish"), description="languages to go through or to; the draw's seed chooses one"
    )

    @model_validator(mode="after")
    def _a_pivot_is_another_language(self) -> Self:
        if self.task != "paraphrase":
            if not self.pivot:
                raise ValueError(f"task {self.task} needs at least one language in pivot")
            same = [name for name in self.pivot if name.casefold() == self.language.casefold()]
            if same:
                raise ValueError(f"pivot {same[0]!r} is the language of the lines; choose another one")
        return self


class RestyleParams(AskingParams):
    """Of `endpoint_restyle`. The source line is sent to the endpoint."""

    augmented: bool = Field(
        True,
        description="the prompt shows rewrites of other kinds first (augmented zero-shot, Reif 2022); off: it does not",
    )


def _is_near(host: str) -> bool:
    """Whether an address is this machine or its own network."""
    if host == "localhost" or ("." not in host and ":" not in host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private
