"""Damage between stages: whatever is not as a stage wrote it is told, and nothing is made of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from stemma import ROOT, known_digests
from stemma.chain import chain, upstream
from stemma.cli import main
from stemma.digests import files_under
from stemma.errors import UserError
from stemma.files import publish
from stemma.freshness import states
from stemma.jsonl import read_json, write_json
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run
from stemma.stages import MODULES, Result, Work, execute
from tests.conftest import Write
from tests.factories.manifests import change_manifest, write_manifest

Say = pytest.CaptureFixture[str]

ROWS = [{"id": "a", "answer": 0}, {"id": "b", "answer": 1}]


def put_rows(path: Path, *answers: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row | {"answer": answer} for row, answer in zip(ROWS, answers, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose stage `data` is done: a test file, and a folder of two files."""
    run = Run(tmp_path / "runs" / "small")
    put_rows(run.folder("data") / "mcq" / "test.jsonl", 0, 1)
    folder = run.folder("data") / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "one.bin").write_bytes(b"1111")
    (folder / "below" / "two.bin").write_bytes(b"2222")
    write_manifest(run, "data", {"mcq/test": "mcq/test.jsonl", "folder": "folder"})
    return run


def told(run: Run, name: str) -> str:
    with pytest.raises(UserError) as error:
        run.output("data", name)
    return str(error.value)


def test_what_is_whole_is_handed_out(run: Run) -> None:
    assert run.output("data", "mcq/test") == run.folder("data") / "mcq" / "test.jsonl"
    assert run.output("data", "folder") == run.folder("data") / "folder"
    assert run.damage("data") == []


def test_two_answers_swapped_are_told_though_the_length_is_the_same(run: Run) -> None:
    path = run.folder("data") / "mcq" / "test.jsonl"
    before = path.stat()
    put_rows(path, 1, 0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    message = told(run, "mcq/test")
    assert message.startswith(f"{path}: other content of the same size\n")
    assert "expected: the content that stage `data` wrote (sha256 " in message
    assert "run `make data RECIPE=small`" in message


@pytest.mark.parametrize("name", [".DS_Store", "._one.bin", ".nfs0000a1", "Thumbs.db"])
def test_what_a_desktop_leaves_in_a_folder_is_no_damage(run: Run, name: str) -> None:
    (run.folder("data") / "folder" / "below" / name).write_bytes(b"icons")
    assert run.damage("data") == []


SAME_SIZE = "other content of the same size"


def link_one_file(folder: Path) -> None:
    other = folder.with_name("other.bin")
    other.write_bytes(b"3333")
    (folder / "one.bin").unlink()
    (folder / "one.bin").symlink_to(other)


def link_the_folder(folder: Path) -> None:
    aside = folder.rename(folder.with_name("aside"))
    (aside / "one.bin").write_bytes(b"3333")
    folder.symlink_to(aside)


def put_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    folder.write_bytes(b"11112222")


def put_a_pipe(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))
    os.mkfifo(folder)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda folder: (folder / "one.bin").write_bytes(b"1121"), SAME_SIZE),
        (lambda folder: (folder / "one.bin").write_bytes(b"111"), "7 bytes"),
        (lambda folder: (folder / "one.bin").unlink(), "4 bytes"),
        (lambda folder: (folder / "three.bin").write_bytes(b"3"), "9 bytes"),
        (lambda folder: (folder / "three.bin").touch(), SAME_SIZE),
        (lambda folder: (folder / "one.bin").rename(folder / "uno.bin"), SAME_SIZE),
        (link_one_file, SAME_SIZE),
        (link_the_folder, SAME_SIZE),
        (put_a_file, SAME_SIZE),
        (put_a_pipe, "0 bytes"),
        (lambda folder: folder.rename(folder.with_name("away")), "stage `data` has no output"),
    ],
)
def test_a_damaged_folder_is_told(run: Run, damage: Callable[[Path], None], found: str) -> None:
    folder = run.folder("data") / "folder"
    damage(folder)
    message = told(run, "folder")
    assert message.startswith(f"{folder}: {found}")
    assert "run `make data RECIPE=small`" in message


def test_a_link_to_the_same_content_is_the_same(run: Run) -> None:
    folder = run.folder("data") / "folder"
    folder.symlink_to(folder.rename(run.root / "aside"))
    assert run.output("data", "folder") == folder


def test_all_that_is_damaged_is_told_at_once(run: Run) -> None:
    put_rows(run.folder("data") / "mcq" / "test.jsonl", 1, 0)
    (run.folder("data") / "folder" / "one.bin").unlink()
    named = [Path(problem.where).name for problem in run.damage("data")]
    assert named == ["test.jsonl", "folder"]


def test_a_file_that_cannot_be_read_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(known_digests, "digest_of", fails)
    message = told(run, "mcq/test")
    assert message.startswith(f"{run.folder('data')}: cannot be read: Input/output error\n")


# --- manifests


def manifest_told(run: Run) -> str:
    with pytest.raises(UserError) as error:
        run.manifest("data")
    return str(error.value)


@pytest.mark.parametrize("name", ["key", "seed", "counts", "facts", "inputs", "versions"])
def test_an_edited_manifest_is_told(run: Run, name: str) -> None:
    path = run.folder("data") / MANIFEST
    value = read_json(path)
    other = {"key": "other", "seed": 43}.get(name, {"a": "1"})
    write_json(path, value | {name: other})
    assert manifest_told(run) == (
        f"{path}: edited or damaged: its digest is of other content\n"
        "  expected: the file as stage `data` wrote it\n"
        "  hint: put back the file as it was, or run `make data RECIPE=small FORCE=1`"
    )
    write_json(path, value)
    assert run.manifest("data").seed == 42


def test_an_output_digest_edited_with_the_file_is_told(run: Run) -> None:
    put_rows(run.folder("data") / "mcq" / "test.jsonl", 1, 0)
    path = run.folder("data") / MANIFEST
    value = read_json(path)
    value["outputs"]["mcq/test"]["sha256"] = "0" * 64
    write_json(path, value)
    assert "edited or damaged" in told(run, "mcq/test")


def test_a_manifest_without_its_digest_is_told(run: Run) -> None:
    path = run.folder("data") / MANIFEST
    value = read_json(path)
    del value["digest"]
    write_json(path, value)
    assert manifest_told(run) == (
        f"{path}: no digest of itself: an older Stemma wrote it, or it was edited\n"
        "  expected: the file as stage `data` wrote it\n"
        "  hint: `make verify RECIPE=small SEAL=1` checks its outputs and adds one; "
        "or run `make data RECIPE=small FORCE=1`"
    )


def test_the_manifest_of_another_stage_is_told(run: Run) -> None:
    write_manifest(run, "sft", {})
    path = run.folder("data") / MANIFEST
    (run.folder("sft") / MANIFEST).replace(path)
    assert manifest_told(run).startswith(f"{path}: the manifest of stage `sft`\n")


def test_the_manifest_of_another_run_does_not_fit_the_outputs(run: Run) -> None:
    other = Run(run.root.with_name("other"))
    put_rows(other.folder("data") / "mcq" / "test.jsonl", 1, 1)
    write_manifest(other, "data", {"mcq/test": "mcq/test.jsonl"})
    (other.folder("data") / MANIFEST).replace(run.folder("data") / MANIFEST)
    assert "other content of the same size" in told(run, "mcq/test")


def test_values_that_json_knows_in_other_words_are_read_as_written(run: Run) -> None:
    facts = {"by number": {10: "ten", 2: "two"}, "pair": (1, 2.5), "text": "ä\u2028"}
    change_manifest(run, "data", facts=facts)
    assert run.manifest("data").facts["by number"] == {"10": "ten", "2": "two"}


# --- the engine


class Stages:
    """Tiny stages in the places of all: each writes one large file and one of its rows, and keeps,
    as `export` does, what an attempt before it finished."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self, work: Work) -> Result:
        self.ran.append(work.stage)
        text = work.stage * 10
        publish(work.folder / "weights.bin", lambda part: part.write_text(text))
        publish(work.folder / "results.json", lambda part: part.write_text("0.7875"))
        self.meanwhile()
        return Result({"weights": "weights.bin", "results": "results.json"})


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    tiny = Stages()
    for name in MODULES:
        monkeypatch.setitem(MODULES, name, lambda: SimpleNamespace(run=tiny.run))
    return tiny


@pytest.fixture
def done(recipe: Recipe, stages: Stages, tmp_path: Path) -> Run:
    """The whole chain, done."""
    run = Run(tmp_path / "runs" / "small")
    for stage in chain(recipe):
        execute(recipe, run, stage, print)
    stages.ran.clear()
    return run


def refused(recipe: Recipe, run: Run, stage: str) -> str:
    with pytest.raises(UserError) as error:
        execute(recipe, run, stage, print)
    return str(error.value)


def damage(path: Path, text: str) -> Path:
    """Other content of the same size and date."""
    before = path.stat()
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


@pytest.mark.parametrize("stage", ["report"])
@pytest.mark.parametrize("of", ["data", "base", "sft", "dpo", "export", "eval"])
@pytest.mark.parametrize("name", ["results.json", "weights.bin"])
def test_a_stage_refuses_what_is_not_as_it_was_written(
    recipe: Recipe, done: Run, stages: Stages, stage: str, of: str, name: str
) -> None:
    path = done.folder(of) / name
    damage(path, "0.9999" if name == "results.json" else "X" + path.read_text()[1:])
    message = refused(recipe, done, stage)
    assert message.startswith(f"{path}: other content of the same size\n")
    assert f"that stage `{of}` wrote" in message
    assert f"run `make {of} RECIPE=small`" in message
    assert stages.ran == []
    found = states(recipe, done)
    said = f"stale: {of}/{name} is damaged (other content of the same size)"
    assert (str(found[of]), found[stage].is_fresh) == (said, False)


def test_all_damage_is_told_at_once(recipe: Recipe, done: Run) -> None:
    for of in ("data", "eval"):
        damage(done.folder(of) / "results.json", "0.9999")
    message = refused(recipe, done, "report")
    assert "data/results.json: other content" in message
    assert "eval/results.json: other content" in message
    assert str(states(recipe, done)["eval"]) == (
        "stale: waits for data, base, sft, dpo, export; "
        "eval/results.json is damaged (other content of the same size)"
    )


def test_a_damaged_stage_is_made_anew_of_nothing_damaged(
    recipe: Recipe, done: Run, stages: Stages
) -> None:
    path = damage(done.folder("export") / "results.json", "0.9999")
    said: list[str] = []
    for stage in chain(recipe):
        execute(recipe, done, stage, said.append)
    assert stages.ran == ["export"]
    assert said == [f"{path}: other content of the same size; it is made anew"]
    assert path.read_text() == "0.7875"
    assert all(state.is_fresh for state in states(recipe, done).values())


@pytest.mark.parametrize("stage", ["data", "sft"])
def test_a_stage_with_an_edited_manifest_is_made_anew_by_force(
    recipe: Recipe, done: Run, stages: Stages, stage: str
) -> None:
    path = done.folder(stage) / MANIFEST
    write_json(path, read_json(path) | {"seed": 7})
    assert f"{path}: edited or damaged" in refused(recipe, done, stage)
    assert f"{path}: edited or damaged" in refused(recipe, done, "report")
    assert str(states(recipe, done)[stage]).endswith("its digest is of other content")
    assert execute(recipe, done, stage, print, force=True) == "done"
    assert stages.ran == [stage]


def test_what_is_gone_is_told_by_who_asks_for_it(recipe: Recipe, done: Run) -> None:
    (done.folder("data") / "weights.bin").unlink()
    assert execute(recipe, done, "report", print) == "up to date"
    assert str(states(recipe, done)["data"]) == ("stale: data/weights.bin is gone")


def test_an_input_that_changes_while_a_stage_runs_is_told(
    recipe: Recipe, done: Run, stages: Stages
) -> None:
    path = done.folder("data") / "results.json"
    stages.meanwhile = lambda: damage(path, "0.9999")
    with pytest.raises(UserError, match=r"data/results\.json: other content of the same size"):
        execute(recipe, done, "sft", print, force=True)
    assert done.read_manifest("sft") is None


def test_a_source_that_changes_while_a_stage_runs_is_told(
    recipe: Recipe, done: Run, stages: Stages, tmp_path: Path
) -> None:
    stages.meanwhile = lambda: (tmp_path / "train.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError) as error:
        execute(recipe, done, "data", print, force=True)
    assert "train.jsonl: changed while stage `data` read it\n" in str(error.value)
    assert done.read_manifest("data") is None


def test_nothing_damaged_is_taken_over_from_another_run(
    recipe: Recipe, done: Run, stages: Stages, write_recipe: Write
) -> None:
    write_recipe(name="other", text="extends: small\nname: other\n")
    other = Run(done.root.with_name("other"))
    path = damage(done.folder("data") / "results.json", "0.9999")
    assert execute(load("other"), other, "data", print) == "done"
    damage(path, "0.7875")
    again = Run(done.root.with_name("again"))
    assert execute(load("other"), again, "data", print) == "reused"


# --- verify


def verify(capsys: Say, *options: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["verify", "small", *options])
    return code, capsys.readouterr().out


def test_verify_tells_damaged_manifests_and_outputs(recipe: Recipe, done: Run, capsys: Say) -> None:
    assert verify(capsys)[0] == 0
    damage(done.folder("sft") / "weights.bin", "x" * 30)
    path = done.folder("data") / MANIFEST
    write_json(path, read_json(path) | {"seed": 7})
    code, out = verify(capsys)
    assert code == 1
    lines = out.splitlines()
    assert "data    manifest.json      DAMAGED: edited or damaged: its digest is of" in lines[0]
    assert "FORCE=1" in lines[1]
    assert "sft     weights            DAMAGED: other content of the same size" in lines
    assert "sft     results            ok" in lines


def test_manifests_of_an_earlier_stemma_are_sealed_where_their_outputs_are_whole(
    recipe: Recipe, done: Run, stages: Stages, capsys: Say
) -> None:
    for stage in chain(recipe):
        path = done.folder(stage) / MANIFEST
        value = read_json(path)
        del value["digest"]
        write_json(path, value)
    damage(done.folder("eval") / "results.json", "0.9999")
    assert "no digest of itself" in refused(recipe, done, "report")
    assert verify(capsys)[0] == 1
    code, out = verify(capsys, "--seal")
    assert code == 1
    assert "sft     manifest.json      carries a digest of itself" in out
    assert "eval    manifest.json" not in out
    assert "eval    results            DAMAGED: other content of the same size" in out
    found = states(recipe, done)
    assert [name for name, state in found.items() if not state.is_fresh] == ["eval", "report"]
    assert stages.ran == []


def test_sealing_takes_no_edited_manifest(recipe: Recipe, done: Run, capsys: Say) -> None:
    path = done.folder("data") / MANIFEST
    write_json(path, read_json(path) | {"seed": 7})
    assert verify(capsys, "--seal")[0] == 1
    assert read_json(path)["seed"] == 7
    assert "edited or damaged" in manifest_told(done)


# --- the demo


@pytest.mark.slow
def test_a_flipped_byte_between_any_two_stages_of_the_demo_is_told(tmp_path: Path) -> None:
    demo = ROOT / "runs" / "tiny"
    if not (demo / "report" / MANIFEST).is_file():
        pytest.skip("no finished demo in runs/tiny: `make demo`")
    run = Run(tmp_path / "runs" / "tiny")
    shutil.copytree(demo, run.root)
    recipe = load("tiny")
    flipped = 0
    for stage in chain(recipe)[:-1]:
        readers = [name for name in chain(recipe) if stage in upstream(recipe, name)]
        for output in run.manifest(stage).outputs.values():
            file = files_under(run.folder(stage) / output.path)[-1]
            if not (content := file.read_bytes()):
                continue
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            for reader in {readers[0], readers[-1]}:
                message = refused(recipe, run, reader)
                assert f"{run.folder(stage) / output.path}: other content of the same" in message
                assert f"run `make {stage} RECIPE=tiny`" in message
            file.write_bytes(content)
            flipped += 1
    assert flipped > 50
    assert all(state.is_fresh for state in states(recipe, run).values())
