"""The environment: setup.sh, pyproject.toml and constraints.txt agree with each other and with the code."""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemma import ROOT

PACKAGES = ("stemma", "data_builders", "export", "rag", "eval", "report", "serve")
BROUGHT = {  # imports that a declared package brings along, by design
    "accelerate": "axolotl",
    "datasets": "axolotl",
    "deepspeed": "axolotl",
    "gguf": "llama-cpp-python",
    "huggingface_hub": "transformers",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
    "tqdm": "transformers",  # whose downloads it counts
    "trl": "axolotl",
    "yaml": "axolotl",  # its file is read as it reads it
}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(*extras: str) -> list[Requirement]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = table["optional-dependencies"]
    lines = [
        *table["dependencies"],
        *(line for extra in extras or optional for line in optional[extra]),
    ]
    return [Requirement(line) for line in lines]


def pins(python: str = "3.12") -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    every = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [
        pin
        for pin in every
        if pin.marker is None or pin.marker.evaluate({"python_version": python})
    ]
    assert len(here) == len({canonicalize_name(pin.name) for pin in here}), (
        "two versions for one Python"
    )
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


@cache
def distributions() -> dict[str, list[str]]:
    """Which installed packages an import name belongs to."""
    return dict(packages_distributions())


def imported() -> set[str]:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    nodes = [
        node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(PACKAGES)


def test_every_requirement_is_pinned_to_a_version_it_allows() -> None:
    wrong = [
        str(r)
        for r in requirements()
        if not r.specifier.contains(pins()[canonicalize_name(r.name)])
    ]
    assert wrong == []


def test_every_python_of_the_laptop_has_its_pins() -> None:
    older, newer = pins("3.10"), pins("3.13")
    assert set(older) == set(newer) == set(pins())
    assert older["numpy"] != newer["numpy"] == pins()["numpy"]
    assert pins("3.11")["scipy"] == "1.16.3"  # of a look at data on Debian 12


def test_constraints_suit_every_torch_build() -> None:
    theirs = ("triton", "nvidia-cu", "nvidia-nccl", "cuda-")
    assert [name for name in pins() if name.startswith(theirs)] == []
    assert pins()["torch"] == "2.13.0"


def test_every_import_is_declared() -> None:
    declared = {canonicalize_name(r.name) for r in requirements()}
    owners = {
        name: [BROUGHT[name]] if name in BROUGHT else distributions().get(name, [])
        for name in imported()
    }
    assert {
        name: found
        for name, found in owners.items()
        if not {canonicalize_name(o) for o in found} & declared
    } == {}


def test_every_declared_package_is_imported() -> None:
    indirect = {"protobuf"}  # read by llama.cpp's converter
    used = {
        canonicalize_name(owner) for name in imported() for owner in distributions().get(name, [])
    }
    needed = {canonicalize_name(r.name) for r in requirements("train", "export", "eval", "laptop")}
    assert needed - used - indirect == set()


def test_the_laptop_extra_brings_no_training_engine() -> None:
    names = {canonicalize_name(r.name) for r in requirements("laptop")}
    assert (
        names & {"torch", "transformers", "axolotl", "deepspeed", "bitsandbytes", "openai"} == set()
    )


def copy_of_setup(folder: Path) -> Path:
    for name in ("setup.sh", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run_setup(folder: Path, *purpose: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """With no Python to be found, unless `variables` say where, so that nothing is ever installed."""
    given = {"PYTHON": "python-that-is-not-there"} | variables
    environment = {**os.environ, "STEMMA_CACHE": str(folder / "store"), **given}
    return subprocess.run(
        ["./setup.sh", *purpose],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


TOOLS = ("bash", "cat", "cut", "dirname", "du", "env", "grep", "gzip", "mkdir", "mktemp", "mv", "rm", "sed",
         "sha256sum", "sleep", "tar", "touch", "uname")  # fmt: skip
"""No more, so that a tool macOS lacks (flock) is not called."""


def bare_machine(folder: Path) -> dict[str, str]:
    """A home without Pythons, and a PATH of `bin` alone: what setup.sh calls, a compiler, 50 GB of disk."""
    copy_of_setup(folder)
    (folder / "bin").mkdir()
    for tool in TOOLS:
        (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))
    script(folder / "bin/c++", "exit 0")
    script(folder / "bin/df", "echo head; echo map of a share 0 0 50000000 1% /")
    home = {
        "HOME": str(folder),
        "PYENV_ROOT": str(folder / "pyenv"),
        "OS_RELEASE": str(folder / "os-release"),
    }
    return home | {"PATH": str(folder / "bin"), "PYTHON": ""}


def script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def interpreter(path: Path, on_venv: str = "exit 3") -> None:
    """A Python 3.12 that says that it was chosen where it is asked for an environment."""
    script(
        path,
        f'case "$1" in -c) exec {sys.executable} "$@";; esac; echo "chosen: $0" >&2; {on_venv}',
    )


def chosen(done: subprocess.CompletedProcess[str]) -> str:
    """The Python that was asked for an environment first."""
    return re.findall(r"^chosen: (.*)$", done.stderr, re.MULTILINE)[0]


def make_ready(folder: Path) -> None:
    llama = pins()["llama-cpp-python"]
    (folder / f".cache/llama_cpp_python-{llama}").mkdir(parents=True)
    script(folder / ".venv/bin/python", "exit 0")
    command = (
        "cat setup.sh constraints.txt pyproject.toml | sha256sum | cut -d' ' -f1 > .venv/.ready"
    )
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)


PIPX = "sudo apt install pipx && pipx install uv && ~/.local/bin/uv python install 3.12"
HINTS = {
    'ID=debian\nVERSION_ID="12"': PIPX,
    'ID=debian\nVERSION_ID="13"': PIPX,
    'ID=ubuntu\nVERSION_ID="22.04"\nID_LIKE=debian': PIPX,
    'ID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=debian': "sudo apt install python3.12-venv python3.12-dev",
    "ID=fedora\nVERSION_ID=43": "sudo dnf install python3.12 python3.12-devel",
    'ID=ubuntu\nVERSION_ID="25.10"\nID_LIKE=debian': PIPX,
    'ID=rocky\nVERSION_ID="9.6"\nID_LIKE="rhel centos fedora"': "sudo dnf install python3.12 python3.12-devel",
    "ID=alpine\nVERSION_ID=3.23.0": "none helps here: torch has no wheel for Alpine's musl; use a system or container "
    "with glibc",
    "ID=arch": "install Python 3.12 (uv python install 3.12, or pyenv), or set PYTHON=/path/to/python3.12",
}


@pytest.mark.parametrize("system", HINTS)
def test_without_python_one_line_says_how_to_get_one_here(tmp_path: Path, system: str) -> None:
    given = bare_machine(tmp_path)
    script(tmp_path / "bin/python3.12", "exit 127")  # pyenv's shim, where another version is chosen
    (tmp_path / "os-release").write_text(system, encoding="utf-8")
    done = run_setup(tmp_path, **given)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"setup: no Python 3.12 that runs and makes environments\n  hint: {HINTS[system]}\n"
    )


def test_on_macos_it_is_homebrew(tmp_path: Path) -> None:
    given = bare_machine(tmp_path)
    (tmp_path / "bin/uname").unlink()
    script(tmp_path / "bin/uname", "echo Darwin")
    assert run_setup(tmp_path, **given).stderr.endswith("\n  hint: brew install python@3.12\n")


@pytest.mark.parametrize(
    "place", ["bin/python3", "pyenv/versions/3.12.9/bin/python3.12", "elsewhere/python3.12"]
)
def test_a_python_that_really_runs_is_found(tmp_path: Path, place: str) -> None:
    given = bare_machine(tmp_path)
    script(tmp_path / "bin/python3.12", "exit 127")
    interpreter(tmp_path / place)
    if place.startswith("elsewhere"):
        script(
            tmp_path / ".local/bin/uv", f'[ "$*" = "python find 3.12" ] && echo {tmp_path / place}'
        )
    done = run_setup(tmp_path, **given)
    assert (done.returncode, chosen(done)) == (2, f"{tmp_path / place}")


def test_a_shim_on_the_path_tells_where_its_pyenv_lies(tmp_path: Path) -> None:
    """Of another user, as on a CI machine: neither PYENV_ROOT nor the home folder leads there."""
    given = bare_machine(tmp_path)
    script(tmp_path / "theirs/shims/python3.12", "exit 127")
    found = tmp_path / "theirs/versions/3.12.9/bin/python3.12"
    interpreter(found)
    done = run_setup(tmp_path, **given | {"PATH": f"{given['PATH']}:{tmp_path / 'theirs/shims'}"})
    assert (done.returncode, chosen(done)) == (2, str(found))


def test_a_python_that_is_named_must_be_the_right_one(tmp_path: Path) -> None:
    given = bare_machine(tmp_path)
    interpreter(tmp_path / "bin/python3.12")
    script(tmp_path / "python3.13", "exit 1")
    done = run_setup(tmp_path, **given | {"PYTHON": str(tmp_path / "python3.13")})
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"setup: no Python 3.12 that runs and makes environments at PYTHON={tmp_path}"
    )


@pytest.mark.parametrize("python", ["another", "gone"])
def test_an_environment_of_another_python_is_made_anew(tmp_path: Path, python: str) -> None:
    """`gone`: the Python it was made with was uninstalled, and its pip is still there."""
    given = bare_machine(tmp_path)
    interpreter(tmp_path / "bin/python3.12")
    script(tmp_path / ".venv/bin/pip", "exit 1")
    script(tmp_path / ".venv/bin/python", "exit 1")
    if python == "gone":
        (tmp_path / ".venv/bin/python").unlink()
        (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "python3.12-that-was")
    (tmp_path / ".venv/.ready").write_text("of the commit before\n", encoding="utf-8")
    done = run_setup(tmp_path, **given)
    said = "setup: .venv is of another Python than 3.12, or of one that is gone: starting it anew"
    assert done.stderr.splitlines()[2] == said
    assert chosen(done) == f"{tmp_path / 'bin/python3.12'}"
    assert not (tmp_path / ".venv/bin/python").is_symlink()
    assert not (tmp_path / ".venv/.ready").exists()


def test_the_environments_own_python_is_not_what_it_is_made_anew_with(tmp_path: Path) -> None:
    """Where .venv is activated it comes first on PATH, and goes when an interrupted set-up starts anew."""
    given = bare_machine(tmp_path)
    interpreter(tmp_path / ".venv/bin/python3.12")
    (tmp_path / ".venv/.unfinished").touch()
    interpreter(tmp_path / "elsewhere/python3.12")
    path = f"{tmp_path / '.venv/bin'}:{given['PATH']}:{tmp_path / 'elsewhere'}"
    done = run_setup(tmp_path, **given | {"PATH": path})
    assert chosen(done) == f"{tmp_path / 'elsewhere/python3.12'}"


def test_blanks_in_every_path(tmp_path: Path) -> None:
    """Of the checkout, of the store, of the pyenv that a shim tells of."""
    here = tmp_path / "my work"
    here.mkdir()
    given = bare_machine(here)
    script(here / "their pyenv/shims/python3.12", "exit 127")
    found = here / "their pyenv/versions/3.12.9/bin/python3.12"
    interpreter(found)
    done = run_setup(here, **given | {"PATH": f"{given['PATH']}:{here / 'their pyenv/shims'}"})
    assert chosen(done) == f"{found}"


def test_a_relative_python_is_seen_from_where_the_caller_stands(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    given = bare_machine(tmp_path / "checkout")
    interpreter(tmp_path / "mine/python3.12")
    environment = (
        os.environ | given | {"PYTHON": "mine/python3.12", "STEMMA_CACHE": str(tmp_path / "store")}
    )
    command = ["checkout/setup.sh"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert chosen(done) == f"{tmp_path / 'mine/python3.12'}"


@pytest.mark.parametrize("name", ["say", "test", "."])
def test_a_shells_own_word_is_no_python(tmp_path: Path, name: str) -> None:
    """`say` is a function of setup.sh, `test` bash's own: both would have run."""
    done = run_setup(tmp_path, **bare_machine(tmp_path) | {"PYTHON": name})
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"setup: no Python 3.12 that runs and makes environments at PYTHON={name}\n"
    )


def test_a_shim_that_talks_or_reads_spoils_nothing(tmp_path: Path) -> None:
    given = bare_machine(tmp_path)
    script(tmp_path / "bin/python3.12", "cat; echo /nowhere/python3.12; exit 127")
    interpreter(tmp_path / "bin/python3")
    done = run_setup(tmp_path, **given)
    assert chosen(done) == f"{tmp_path / 'bin/python3'}"


LATER = "then call this again"
FAILURES = {
    "a read-only folder": (
        "making .cache and {store} failed, for the reason above",
        "make the folder writable",
    ),
    "venv": ("making .venv failed, for the reason above", "free some space"),
    "no index": ("making .venv failed, for the reason above", "is the package index reached"),
    "no sdist": (
        "fetching llama.cpp's sources failed, for the reason above",
        "is the package index reached",
    ),
}


def failing(folder: Path, failure: str) -> dict[str, str]:
    """A machine on which one step fails; pip is a script that answers without doing anything."""
    given = bare_machine(folder)
    if failure == "a read-only folder":
        (folder / ".cache").write_text(
            "a file", encoding="utf-8"
        )  # root writes into read-only folders
    refused = {"no index": "*pip==*", "no sdist": "*download*"}.get(failure, "nothing")
    script(
        folder / "made",
        f'case "$1" in -c) exec {sys.executable} "$@";; esac; case "$*" in {refused}) exit 1;; esac',
    )
    copy = "mkdir -p .venv/bin; cat made > .venv/bin/python; cat made > .venv/bin/pip"
    run = f"{shutil.which('chmod')} +x .venv/bin/python .venv/bin/pip"
    interpreter(
        folder / "bin/python3.12", on_venv="exit 1" if failure == "venv" else f"{copy}; {run}"
    )
    return given


@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_fails_ends_with_one_clear_error(tmp_path: Path, failure: str) -> None:
    done = run_setup(tmp_path, **failing(tmp_path, failure))
    error, hint = done.stderr.splitlines()[-2:]
    assert done.returncode == 2
    assert error == "setup: " + FAILURES[failure][0].format(store=tmp_path / "store")
    assert hint.startswith("  hint: ")
    assert FAILURES[failure][1] in hint
    assert LATER in hint.lower()
    assert not (tmp_path / ".venv/.ready").exists()
    assert (tmp_path / ".venv/.unfinished").exists() == (failure != "a read-only folder")


@pytest.mark.parametrize("compiler", ["none", "macOS's, that only says how to get one"])
def test_without_a_compiler_nothing_is_made(tmp_path: Path, compiler: str) -> None:
    given = bare_machine(tmp_path)
    interpreter(tmp_path / "bin/python3.12")
    (tmp_path / "bin/c++").unlink()
    if compiler != "none":
        script(tmp_path / "bin/c++", "exit 1")
    done = run_setup(tmp_path, **given)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "setup: no C++ compiler, and llama.cpp must be built\n  hint: apt install"
    )
    assert not (tmp_path / ".venv").exists()


def test_on_musl_nothing_is_made(tmp_path: Path) -> None:
    """torch has no wheel there: pip would say, gigabytes later, that it found no version."""
    given = bare_machine(tmp_path)
    script(
        tmp_path / "bin/python3.12", 'case "$*" in *GNU_TYPE*) echo x86_64-alpine-linux-musl;; esac'
    )
    done = run_setup(tmp_path, **given)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "setup: this system's C library is musl, for which there is no torch\n"
    )
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(("cpu_wheel", "needed", "holds"), [("exit 1", 12, 8), ("exit 0", 8, 5)])
def test_disk_is_asked_for_before_anything_big(
    tmp_path: Path, cpu_wheel: str, needed: int, holds: int
) -> None:
    """Less where pip knows of a torch for CPUs alone; with a GPU that one is not looked for."""
    if any(Path("/dev").glob("nvidia[0-9]*")):
        needed, holds = 12, 8
    given = bare_machine(tmp_path)
    script(tmp_path / "bin/df", "echo head; echo map of a share 0 0 3900000 96% /")
    pip = f'case "$*" in *--dry-run*) {cpu_wheel};; esac'
    script(tmp_path / "made", pip)
    copy = f"{shutil.which('mkdir')} -p .venv/bin; for name in python pip; do {shutil.which('cp')} made .venv/bin/$name"
    interpreter(tmp_path / "bin/python3.12", on_venv=f"{copy}; done")
    done = run_setup(tmp_path, **given)
    found = f"3 GB free here; the environment takes about {holds} GB, and making it up to {needed}"
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        2,
        [f"setup: {found}", "  hint: free some space"],
    )


def test_a_ready_environment_is_left_alone(tmp_path: Path) -> None:
    make_ready(copy_of_setup(tmp_path))
    done = run_setup(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "change", ["interrupted", "new constraints", "sources gone", "its Python gone"]
)
def test_anything_unfinished_or_changed_is_set_up_again(tmp_path: Path, change: str) -> None:
    make_ready(copy_of_setup(tmp_path))
    if change == "interrupted":
        (tmp_path / ".venv/.unfinished").touch()
    elif change == "new constraints":
        (tmp_path / "constraints.txt").write_text("llama-cpp-python==0.3.36\n", encoding="utf-8")
    elif change == "sources gone":
        shutil.rmtree(tmp_path / ".cache")
    else:
        (tmp_path / ".venv/bin/python").unlink()
        (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "python3.12-that-was")
    assert run_setup(tmp_path).returncode == 2


PIP = """case "$*" in
    "-I - "*) exec {python} - "$3";;
    -c*) exit 0;;
    *"pip install"*) echo "asked: $*" >&2;;
esac"""


def by_hand(folder: Path, *packages: str) -> dict[str, str]:
    """A machine with a .venv that the README's lines made: it holds `packages`, and no mark of ours."""
    given = bare_machine(folder)
    interpreter(folder / "bin/python3.12")
    for name in packages:
        info = folder / f".venv/lib/python3.11/site-packages/{name}-1.0.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        if name == "stemma":
            text += (
                "Requires-Dist: typer>=1\nRequires-Dist: llama-cpp-python==1; extra == 'laptop'\n"
            )
            text += "Requires-Dist: pyarrow; extra == 'look'\n"
            text += "Requires-Dist: torch==2; extra == 'train'\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
    site = folder / ".venv/lib/python3.11/site-packages"
    script(
        folder / ".venv/bin/python",
        PIP.format(python=f"env PYTHONPATH={site} {sys.executable} -S"),
    )
    script(folder / ".venv/bin/pip", "exit 0")
    return given


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


CHATTING = ("stemma", "typer", "llama_cpp_python")


@pytest.mark.parametrize("purpose", ["core", "chat", "laptop"])
def test_a_laptops_environment_is_used_as_it_is(tmp_path: Path, purpose: str) -> None:
    given = by_hand(tmp_path, *CHATTING)
    before = contents(tmp_path / ".venv")
    done = run_setup(tmp_path, purpose, **given)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(tmp_path / ".venv") == before


def test_training_leaves_a_laptops_environment_alone(tmp_path: Path) -> None:
    """It used to be marked as unfinished, and the next call removed it."""
    given = by_hand(tmp_path, *CHATTING)
    before = contents(tmp_path / ".venv")
    done = run_setup(tmp_path, **given)
    assert done.returncode == 2
    assert done.stderr == (
        "setup: .venv was made by hand or for chat alone, and is left as it is; it lacks torch\n"
        "  hint: to train here: mv .venv .venv-laptop, then the same again; to chat: make chat\n"
    )
    assert contents(tmp_path / ".venv") == before


def test_a_whole_environment_made_by_hand_is_used_as_it_is(tmp_path: Path) -> None:
    done = run_setup(tmp_path, **by_hand(tmp_path, *CHATTING, "torch"))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_laptops_environment_lacks_is_named(tmp_path: Path) -> None:
    given = by_hand(tmp_path, *CHATTING)
    done = run_setup(tmp_path, "look", **given)
    assert done.returncode == 2
    assert done.stderr == (
        "setup: .venv was made by hand, and this needs more: pyarrow\n"
        "  hint: .venv/bin/python -m pip install -c constraints.txt -e '.[look]'\n"
    )


def test_chat_never_starts_a_setup(tmp_path: Path) -> None:
    given = bare_machine(tmp_path)
    interpreter(tmp_path / "bin/python3.12")
    done = run_setup(tmp_path, "chat", **given)
    assert done.returncode == 2
    assert done.stderr == (
        "setup: no environment here that can chat: .venv lacks everything\n"
        "  hint: make laptop (8 minutes, no torch), or make setup (all, to train too)\n"
    )
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(("purpose", "extra"), [("core", "."), ("look", ".[look]")])
def test_to_look_a_few_packages_are_enough(tmp_path: Path, purpose: str, extra: str) -> None:
    """Without a compiler, and on the Python 3.11 of Debian 12."""
    given = bare_machine(tmp_path)
    (tmp_path / "bin/c++").unlink()
    script(tmp_path / "pip", PIP.format(python=sys.executable))
    copy = f"for name in python pip; do {shutil.which('install')} -D pip .venv/bin/$name; done"
    interpreter(tmp_path / "bin/python3", on_venv=copy)
    done = run_setup(tmp_path, purpose, **given)
    said = done.stderr.splitlines()
    assert done.returncode == 0
    assert said[0].startswith("setup: making a small .venv to look at ")
    assert f"asked: -m pip install --quiet --constraint constraints.txt --editable {extra}" in said
    assert not any("torch" in line for line in said[1:])
    assert (tmp_path / ".venv/.light").exists()


def test_a_small_environment_grows_into_the_whole_one(tmp_path: Path) -> None:
    """It is ours, so that it need not be moved away first."""
    given = by_hand(tmp_path, "stemma", "typer")
    (tmp_path / ".venv/.light").touch()
    done = run_setup(tmp_path, **given)
    assert done.stderr.startswith("setup: making .venv: about 290 packages, up to 4 GB to download")
    assert (tmp_path / ".venv/.unfinished").exists()
    assert not (tmp_path / ".venv/.light").exists()


ON_DEBIAN = {
    "all": ("3.12", PIPX.replace("pipx &&", "g++ pipx &&", 1)),
    "laptop": ("3.10 to 3.13", "sudo apt install g++ python3-venv"),
    "look": ("3.11 to 3.13", "sudo apt install python3-venv"),
    "core": ("3.10 to 3.13", "sudo apt install python3-venv"),
}


@pytest.mark.parametrize("purpose", ON_DEBIAN)
def test_without_python_and_compiler_one_line_gets_both(tmp_path: Path, purpose: str) -> None:
    """Of a compiler only where llama.cpp is to be built."""
    given = bare_machine(tmp_path)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="12"', encoding="utf-8")
    (tmp_path / "bin/c++").unlink()
    done = run_setup(tmp_path, purpose, **given)
    versions, hint = ON_DEBIAN[purpose]
    found = f"no Python {versions} that runs and makes environments"
    assert done.stderr == f"setup: {found}\n  hint: {hint}\n"


def test_a_laptop_without_a_compiler_is_told_of_another_way(tmp_path: Path) -> None:
    given = bare_machine(tmp_path)
    interpreter(tmp_path / "bin/python3")
    (tmp_path / "bin/c++").unlink()
    done = run_setup(tmp_path, "laptop", **given)
    assert done.returncode == 2
    assert done.stderr.startswith("setup: no C++ compiler, and llama.cpp must be built\n")
    assert "without one the GGUF file runs in Ollama or LM Studio" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_what_new_preview_and_plan_import_is_in_their_extra() -> None:
    """Beside the core; no torch and no llama.cpp among them."""
    names = {canonicalize_name(r.name) for r in requirements("look")}
    assert {"tokenizers", "pyarrow", "langdetect", "datasketch"} <= names
    assert names & {"torch", "transformers", "datasets", "llama-cpp-python", "axolotl"} == set()
