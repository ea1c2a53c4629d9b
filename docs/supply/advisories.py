"""Asks pip-audit whether packages of this environment have published advisories (`make audit`).

    python docs/supply/advisories.py

Exit code 0: asked, none. 1: there are some, listed. 2: could not ask (pip-audit is not installed, or its service did
not answer): nothing is known then, and CI must not read it as "none". pip-audit itself ends with 1 in both cases.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

NONE, SOME, UNKNOWN = 0, 1, 2
TIMEOUT_S = 600
COMMAND = "pip-audit"


def ask() -> tuple[int, str]:
    """-> the exit code, and what to say."""
    tool = shutil.which(COMMAND)
    if tool is None:
        return UNKNOWN, f"NOT AUDITED: {COMMAND} is not on the PATH. Install it apart, e.g. pipx install {COMMAND}."
    # it looks at this Python's packages, wherever it is installed itself
    environment = os.environ | {"PIPAPI_PYTHON_LOCATION": sys.executable}
    command = [tool, "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return UNKNOWN, f"NOT AUDITED: {COMMAND} gave no answer in {TIMEOUT_S} s."
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return UNKNOWN, f"NOT AUDITED: {COMMAND} ended with {done.returncode} and no answer: {last}"
    return answer(packages)


def answer(packages: list[dict]) -> tuple[int, str]:
    """Of pip-audit's `dependencies` -> the exit code, and what to say."""
    lines = []
    skipped = [p for p in packages if "skip_reason" in p]
    for package in packages:
        for each in package.get("vulns") or []:
            fixed = ", ".join(each.get("fix_versions") or []) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {each['id']} (mended in {fixed})")
    lines += [f"not looked up: {p['name']} ({p['skip_reason']})" for p in skipped]
    some = len(lines) - len(skipped)
    asked = len(packages) - len(skipped)
    if asked == 0:
        return UNKNOWN, "\n".join([*lines, "NOT AUDITED: no package could be looked up."])
    return SOME if some else NONE, "\n".join([*lines, f"{asked} packages looked up, {some} advisories."])


def main() -> None:
    """Says it, and ends with the code."""
    code, text = ask()
    print(text, file=sys.stderr if code == UNKNOWN else sys.stdout)
    sys.exit(code)


if __name__ == "__main__":
    main()
