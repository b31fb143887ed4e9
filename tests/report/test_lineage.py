from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from report import lineage
from report.evidence import Evidence
from report.run import gather
from tests.report.run_folder import make_recipe, make_work


def evidence_of(root: Path, **changes: object) -> Evidence:
    return gather(make_work(root, make_recipe(**changes)))


def test_the_chain_from_base_to_the_formats(tmp_path: Path) -> None:
    found = {node.name: node for node in lineage.nodes(evidence_of(tmp_path))}
    assert [found[name].parent for name in ("base", "sft", "dpo", "mcq", "merged", "gguf-Q8_0")] == [
        None, "base", "sft", "dpo", "mcq", "merged",
    ]  # fmt: skip
    assert found["dpo"].how == "start = reference: sft"
    assert found["gguf-Q8_0"].identity.endswith(" · 236 kB")
    assert [name for name, node in found.items() if node.shipped] == ["gguf-Q4_K_M"]


def test_dpo_straight_on_base_branches_off(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path, dpo={"start_from": "base", "rl": "dpo"})
    text = lineage.text_tree(lineage.nodes(evidence))
    digest = evidence.manifests["base"].outputs["merged"].sha256[:8]
    assert text.splitlines()[0] == f"base  (trained on the spot)  {digest} · 820 kB"
    assert text.splitlines()[1].startswith("├─ sft  (LoRA on base)")
    assert text.splitlines()[2].startswith("└─ dpo  (start = reference: base)")
    assert text.splitlines()[-1].endswith("← ships")
    assert (
        f"dpo starts from the merged weights of `base` ({digest}); the same weights, adapter off, are its reference."
        in (lineage.origins(evidence))
    )


def test_a_base_from_a_hub_or_folder_is_named_with_its_revision(tmp_path: Path) -> None:
    changes = {
        "base": None,
        "base_model": "google/gemma-2b",
        "base_revision": "9cf48e52b224239de00d483ec8eb84fb8d0f3a3a",
    }
    base = lineage.nodes(evidence_of(tmp_path, **changes))[0]
    assert (base.how, base.identity) == ("gemma-2b", "revision 9cf48e52")


def test_both_pictures_are_well_formed_with_a_box_per_node(tmp_path: Path) -> None:
    found = lineage.nodes(evidence_of(tmp_path))
    for picture in (lineage.wide_picture(found), lineage.tall_picture(found)):
        assert len(list(ElementTree.fromstring(picture).iter("rect"))) == len(found)
