"""The door: quick help, one message and the right exit code, and what it prints can be read by people and machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.errors import IntegrityError
from tests.flows.conduct.test_dvcrun import SLEEPER, gone, sleepers
from tests.toy import Toy

REPO = Path(__file__).resolve().parents[2]
RELEASES = ("verify", "log", "diff", "report", "trace", "checkout", "redraw", "rebuild", "push-hub")
HEAVY = ("torch", "ray", "prefect", "dvc", "pyarrow", "numpy", "pandas", "librosa", "great_expectations", "diffusers")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = Toy(tmp_path_factory.mktemp("built") / "toy")
    made.repro()
    made.calls()
    return made


@pytest.fixture
def toy(built: Toy, tmp_path: Path) -> Toy:
    return Toy(tmp_path / "toy", built)


def call(*arguments: str, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emoforge", *arguments]
    env = os.environ | {"PYTHONPATH": str(REPO), "COLUMNS": "100"}
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, env=env, timeout=120)


MOST_MODULES = 1000  # of all libraries that `--help` may import


def test_help_imports_little() -> None:
    code = (
        "import sys; from emoforge.cli import app\ntry: app(['--help'])\n"
        f"finally: print('HEAVY', sorted({set(HEAVY)!r} & set(sys.modules)), len(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True)
    assert "HEAVY []" in done.stdout
    assert int(done.stdout.split()[-1]) < MOST_MODULES
    assert "emoforge run ravdess" in done.stdout and "Exit codes" in done.stdout


@pytest.mark.parametrize("entry", ["emoforge", "flows.engine.pool", "flows.engine.train", "flows.engine.worker"])
@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_threads_that_wait_sleep(entry: str, given: str | None) -> None:
    """What OpenMP itself reads in the process of a command, a stage, an actor or a worker of a fit: the library that
    torch brings is loaded behind the first import, and says how its threads wait."""
    code = (
        "import ctypes, importlib.util, runpy, sys; from pathlib import Path\n"
        f"sys.argv = ['{entry}', '--version']\n"
        f"try: runpy.run_module('{entry}', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules\n"
        "folder = Path(importlib.util.find_spec('torch').origin).parent\n"
        "for library in [*folder.glob('lib/lib*omp*.so*'), *folder.parent.glob('torch.libs/lib*omp*.so*')][:1]:\n"
        "    ctypes.CDLL(str(library))"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")}
    env |= {"OMP_DISPLAY_ENV": "VERBOSE"} | ({"OMP_WAIT_POLICY": given} if given else {})
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    says = [line for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    assert says and all(f"'{given or 'PASSIVE'}'" in line for line in says)
    spins = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    assert all(("'0'" in line) == (given is None) for line in spins)


NEVER = ("torch", "sklearn", "scipy", "pandas", "numba", "pyworld", "librosa", "prefect", "ray", "great_expectations")
ASKED = "import emoforge.projects.conductor, emoforge.summary, flows.artifacts.of_run, flows.stages.report.provenance"
FORESEEN = (
    "import flows.conduct.proposals, flows.stages.plan.components, flows.stages.plan.feasible\n"
    "from generators.generator import generator_class; from validators.gate import gate_class\n"
    "from generators.params import parse_params\n"
    "parse_params(generator_class('transfer').Params, {'scale': 'scores'}, 'transfer')\n"
    "[gate_class(name) for name in ('agreement', 'copies', 'support', 'validity')]"
)


@pytest.mark.parametrize(
    "asks", [pytest.param(ASKED, id="nothing-to-do"), pytest.param(f"{ASKED}\n{FORESEEN}", id="check")]
)
def test_what_is_asked_before_the_work_imports_little(asks: str) -> None:
    """A second `run` or `demo` that finds nothing to do and prints what is there; `check` of a run by `transfer`, which
    is what `link` proposes."""
    heavy = f"print('HEAVY', sorted({set(NEVER)!r} & set(sys.modules)), len(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{asks}\n{heavy}"], cwd=REPO, text=True, capture_output=True
    )
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) < MOST_MODULES


def test_what_a_representation_is_needs_nothing_that_it_works_with() -> None:
    """`check` asks each run's class whether its release holds features. pyworld takes next to nothing."""
    code = (
        "import sys; from features.representation import REPRESENTATIONS, representation_class\n"
        "[representation_class(name) for name in REPRESENTATIONS]\n"
        f"print('HEAVY', sorted({set(NEVER) - {'pyworld'}!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True)
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    ["link", "run", "stage", "publish", "schedule", "check", "inspect", "audit", "claims", "labels", *RELEASES],
)
def test_every_command_teaches_by_example(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0 and f"Example:  emoforge {command}" in done.stdout


def test_version() -> None:
    assert call("--version").stdout.startswith("emoforge 0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "toi"), "Did you mean 'toy'"),
        (("check", "toi"), "Did you mean 'toy'"),
        (("publish", "toi"), "Did you mean 'toy'"),
        (("stage", "fot", "toy"), "Did you mean 'fit'"),
        (("stage", "augment", "../../etc"), "'../../etc' is no name"),
        (("stage", "../x", "toy"), "unknown stage"),
        (("stage", "fit", "a" * 300), "is no name"),
        (("stage", "fit", "/etc"), "is no name"),
        (("run", "../x"), "unknown run"),
        (("check", "/etc"), "unknown run"),
        (("publish", "../x"), "unknown run"),
        (("schedule", "../x"), "unknown run"),
        (("link", "../x", "."), "cannot name a corpus"),
        (("inspect", "nowhere"), "unknown release 'nowhere'"),
        (("verify", "nowhere"), "unknown release 'nowhere'"),
        (("diff", "toy", "../x"), "is no release"),
        (("trace",), "name a sample or a subject"),
        (("log", "toi"), "no version of 'toi' is published here"),
        (("log", "toy@v1.0.0"), "emoforge log toy"),
        (("verify", "toy@v9.9.9"), "unknown version 'toy@v9.9.9'"),
        (("rebuild", "toy@v9.9.9"), "unknown version 'toy@v9.9.9'"),
        (("push-hub", "toy@v1.0.0", "s3://lab/toy"), "hf://datasets/OWNER/NAME"),
        (("corpora", "show", "ravdes"), "Did you mean 'ravdess'"),
        (("schedule", "--cron", "soon"), "five fields"),
        (("link", "lab", "nowhere"), "does not exist"),
    ],
)
def test_bad_input_is_one_message_and_code_2(toy: Toy, arguments: tuple[str, ...], says: str) -> None:
    done = call(*arguments, cwd=toy.folder)
    assert done.returncode == 2
    assert says in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1 and done.stdout == ""
    assert not [p for p in (toy.folder / ".emoforge").rglob("*") if "etc" in p.name or ".." in p.name]
    assert {p.name for p in toy.folder.parent.iterdir()} <= {"toy", ".config", ".cache"}


def test_a_misspelt_parameter_and_a_folder_without_a_project(toy: Toy, tmp_path: Path) -> None:
    params = toy.folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 1", "sede: 1"))
    done = toy.emoforge("run")
    assert done.returncode == 2 and "Did you mean 'seed'" in done.stderr and toy.calls() == []
    done = call("run", cwd=tmp_path)
    assert done.returncode == 2 and "project's folder" in done.stderr


def test_a_defect_keeps_its_traceback_and_the_error_file(toy: Toy) -> None:
    toy.behave("plan@toy", "raise RuntimeError('a defect')")
    done = toy.sh(sys.executable, "tool.py", "stage", "plan", "toy", check=False)
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert toy.error("plan@toy") == {"type": "RuntimeError", "message": "a defect", "exit_code": 1, "transient": False}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_stage_ends_with_3(toy: Toy, number: int) -> None:
    toy.behave("plan@toy", SLEEPER)
    child = subprocess.Popen(
        [sys.executable, "tool.py", "stage", "plan", "toy"], cwd=toy.folder, env=toy.env, stderr=subprocess.PIPE
    )
    pids = sleepers(toy)
    child.send_signal(number)
    assert child.wait(30) == 3
    os.kill(pids[1], signal.SIGKILL)
    assert toy.error("plan@toy")["exit_code"] == 3


def test_nothing_to_do_is_said_and_the_table_is_printed(toy: Toy) -> None:
    done = toy.emoforge("demo")
    assert done.returncode == 0, done.stderr
    assert "nothing to do: toy up to date" in done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("fear"))
    assert line.split() == ["fear", "3", "9", "8", "6", "validity", "2", "NO"]
    mixture = next(line for line in done.stdout.splitlines() if line.startswith("0.5 fear + 0.5 joy"))
    assert mixture.split()[-6:] == ["0", "4", "4", "4", "-", "yes"]
    assert f"Report: {toy.folder / 'data/runs/toy/report.html'}" in done.stdout
    assert toy.calls() == []


def test_check_tells_what_would_run_and_why(toy: Toy) -> None:
    toy.set_seed(2)
    told = json.loads(toy.emoforge("check", "--json").stdout)
    assert told["ok"] and told["stages"] == {"plan@toy": ["parameter runs.toy is modified"]}
    assert told["starts_at"] == {"toy": "plan@toy"}
    assert "parameter runs.toy is modified" in toy.emoforge("check", "toy").stdout
    params = toy.folder / "params.yaml"
    params.write_text(
        params.read_text()
        .replace("corpora: [toy]", "corpora: [gone]")
        .replace("  toy: {reader: ravdess}  ", "  gone: {reader: ravdess}")
    )
    done = toy.emoforge("check")
    assert done.returncode == 2 and "emoforge link gone PATH" in done.stdout.replace("\n", " ")


def test_lists_for_people_and_machines() -> None:
    cards = json.loads(call("corpora", "--json").stdout)
    assert {"ravdess", "fer2013", "emodb"} <= {card["name"] for card in cards}
    assert json.loads(call("corpora", "show", "ravdess", "--json").stdout)["license"] == "CC-BY-NC-SA-4.0"
    assert {g["name"] for g in json.loads(call("generators", "--json").stdout)} >= {
        "cvae",
        "cgan",
        "diffusion",
        "transfer",
    }
    gates = {g["name"]: g for g in json.loads(call("gates", "--json").stdout)}
    assert gates["frechet"]["looks_at"] == "set" and gates["validity"]["looks_at"] == "sample"
    assert "RAVDESS" in call("corpora").stdout and "transfer" in call("generators").stdout


def test_presets_are_listed_and_shown() -> None:
    listed = json.loads(call("generators", "--presets", "--json").stdout)
    assert len({p["name"] for p in listed}) == len(listed) > 0
    name = listed[0]["name"]
    shown = call("generators", name).stdout
    assert f"generator: {{preset: {name}}}" in shown and "must show" in shown
    own = json.loads(call("generators", "--modality", "physio", "--json").stdout)
    assert own and all(p["name"].startswith("physio/") for p in own)
    refused = call("generators", "physio/luo-1999").stderr
    assert "Did you mean 'physio/luo-" in refused and "nearest of" in refused and "speech/" not in refused
    own = call("generators", "cvae").stdout
    assert "free_bits" in own and "nats of KL" in own and "layouts image, rows, vector" in own
    assert json.loads(call("generators", "endpoint", "--json").stdout)["params"]["required"] == ["url", "model"]
    assert "faces" in call("generators", "--modality", "face").stderr


def test_what_suits_a_run_is_said_or_why_it_cannot_be() -> None:
    done = call("generators", "--for", "no_such_run")
    assert done.returncode == 2 and "unknown run 'no_such_run'" in done.stderr


@pytest.mark.slow
def test_kill_9_leaves_nothing_running_and_the_same_command_goes_on(toy: Toy) -> None:
    toy.set_seed(2)
    toy.behave("fit@toy", SLEEPER)
    run = toy.start("run")
    pids = sleepers(toy)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert gone(pids[:1]), "a stage outlived the run that started it"
    os.kill(pids[1], signal.SIGKILL)
    toy.behave("fit@toy", None)
    toy.calls()
    done = toy.emoforge("run")
    assert done.returncode == 0, done.stderr
    assert toy.calls() == ["fit@toy", "augment@toy", "evaluate@toy", "release@toy", "report@toy"]
    assert "http://127.0.0.1" not in done.stdout


@pytest.mark.slow
def test_ctrl_c_ends_a_run_with_3(toy: Toy) -> None:
    toy.set_seed(2)
    toy.behave("fit@toy", SLEEPER)
    run = toy.start("run")
    pids = sleepers(toy)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 3, output
    assert gone(pids)
    assert "Traceback" not in output


def test_inspect_tells_what_is_wrong_and_ends_with_1(toy: Toy) -> None:
    release = toy.folder / "data/runs/toy/release"
    (release / "notes.txt").write_text("mine")
    done = toy.emoforge("inspect", str(release))
    assert done.returncode == 0 and "notes.txt" in done.stdout, done.stderr
    manifest = release / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"publishable": true', '"publishable": false'))
    done = toy.emoforge("inspect", str(release))
    assert done.returncode == 1 and "was changed" in done.stderr and "Traceback" not in done.stderr
    manifest.write_text(text)
    (release / "a.txt").write_text("x" * 64)
    done = toy.emoforge("inspect", "--json", str(release))
    assert done.returncode == 1 and json.loads(done.stdout)["intact"] is False


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"classes": [3]}', None])
def test_a_damaged_balance_is_one_message(toy: Toy, content: bytes | None) -> None:
    from emoforge.summary import print_run

    place = toy.folder / "data/runs/toy/augmented/balance.json"
    place.unlink()
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"balance\.json"):
        print_run("toy", toy.folder)
