"""Writes what an environment is made of, as a CycloneDX 1.6 document (`make sbom`).

    python docs/supply/sbom.py build/sbom.cdx.json

Everything comes from the metadata of the packages that are installed; nothing is asked of anybody. The same
environment gives the same bytes: no time, no random number. Licences are as declared: an SPDX expression where the text
is one, else the text. A package's RECORD lists the SHA-256 of every file that it installed, so the hash of RECORD
stands for all of them; the archive that a package came from is gone, and its hash is not known unless the installer
noted it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from corpora.store.atomic import write_text

OURS = "emoforge"
LICENSE_CLASS = "License :: "
LONGEST = 120  # characters: longer ones are texts of licences, not their names
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Package:
    """One distribution, its metadata parsed once. `record`, `origin`: RECORD and direct_url.json, None where absent."""

    about: PackageMetadata
    record: str | None
    origin: str | None

    @classmethod
    def of(cls, distribution: Distribution) -> Package:
        """What is installed of it."""
        return cls(distribution.metadata, distribution.read_text("RECORD"), distribution.read_text("direct_url.json"))

    @property
    def name(self) -> str:
        """As its author writes it."""
        return self.about["Name"]

    @property
    def key(self) -> str:
        """As others may ask for it: small letters and hyphens."""
        return canonicalize_name(self.name)

    @property
    def reference(self) -> str:
        """Its package URL, e.g. pkg:pypi/ray@2.55.0."""
        return f"pkg:pypi/{self.key}@{quote(self.about['Version'], safe='.-_~')}"


def licenses(package: Package) -> list[Json]:
    """What a package declares: `License-Expression`, else `License` where it is a name, else its classifiers. An empty
    list where it says nothing."""
    about = package.about
    for field in ("License-Expression", "License"):
        text = (about.get(field) or "").strip()
        if not text or text == "UNKNOWN" or len(text) > LONGEST or "\n" in text:
            continue
        try:
            return [{"expression": str(canonicalize_license_expression(text)), "acknowledgement": "declared"}]
        except InvalidLicenseExpression:
            return [{"license": {"name": text, "acknowledgement": "declared"}}]
    classes = [c.removeprefix(LICENSE_CLASS) for c in about.get_all("Classifier") or [] if c.startswith(LICENSE_CLASS)]
    names = sorted({text.rpartition(" :: ")[2] for text in classes} - {"OSI Approved"})
    return [{"license": {"name": name, "acknowledgement": "declared"}} for name in names]


def component(package: Package, kind: str = "library") -> Json:
    """One package."""
    whole: Json = {
        "type": kind,
        "bom-ref": package.reference,
        "name": package.name,
        "version": package.about["Version"],
    }
    if summary := (package.about.get("Summary") or "").strip():
        whole["description"] = summary
    if archive := _archive_hash(package):
        whole["hashes"] = [{"alg": "SHA-256", "content": archive}]
    if declared := licenses(package):
        whole["licenses"] = declared
    whole["purl"] = package.reference
    if package.record:
        digest = hashlib.sha256(package.record.encode()).hexdigest()
        file: Json = {"type": "file", "bom-ref": f"{package.reference}#RECORD", "name": "RECORD"}
        whole["components"] = [file | {"hashes": [{"alg": "SHA-256", "content": digest}]}]
    return whole


def _archive_hash(package: Package) -> str | None:
    """SHA-256 of the archive that was installed, where the installer noted it (direct_url.json, PEP 610)."""
    archive = json.loads(package.origin or "{}").get("archive_info") or {}
    noted = (archive.get("hashes") or {}).get("sha256") or str(archive.get("hash") or "").partition("sha256=")[2]
    return noted if re.fullmatch(r"[0-9a-f]{64}", noted or "") else None


def requirements(package: Package, extras: Iterable[str]) -> list[Requirement]:
    """What it needs here: markers answered for this machine, with these extras."""
    wanted = []
    for line in package.about.get_all("Requires-Dist") or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of a package older than the rule; the document lists it all the same
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *extras]):
            wanted.append(requirement)
    return wanted


def dependencies(installed: dict[str, Package], root: str) -> list[Json]:
    """Who needs whom, of what is installed. Of `root` all extras count, of others those that somebody asks for."""
    extras: dict[str, set[str]] = {name: set() for name in installed}
    extras[root] = set(installed[root].about.get_all("Provides-Extra") or [])
    waiting = list(installed)
    needs: dict[str, set[str]] = {}
    while waiting:
        name = waiting.pop()
        asked = requirements(installed[name], sorted(extras[name]))
        there = [(canonicalize_name(r.name), r.extras) for r in asked if canonicalize_name(r.name) in installed]
        needs[name] = {other for other, _ in there} - {name}
        for other, wanted in there:
            if not wanted <= extras[other]:
                extras[other] |= wanted
                waiting.append(other)
    reference = {name: package.reference for name, package in installed.items()}
    return [{"ref": reference[name], "dependsOn": sorted(reference[n] for n in needs[name])} for name in sorted(needs)]


def document(found: Iterable[Distribution], root: str = OURS) -> Json:
    """The whole document. The first of a name is what Python imports, and counts. Raises `KeyError` where `root` is not
    installed."""
    installed: dict[str, Package] = {}
    for package in map(Package.of, found):
        if package.name:  # what is left of an installation that was cut short has none
            installed.setdefault(package.key, package)
    body: Json = {
        "metadata": {"component": component(installed[root], "application")},
        "components": [component(installed[name]) for name in sorted(installed) if name != root],
        "dependencies": dependencies(installed, root),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head: Json = {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX"}
    return head | {"specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1} | body


def main() -> None:
    """Writes the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    whole = document(distributions())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    print(f"{path}: {len(whole['components'])} packages")


if __name__ == "__main__":
    main()
