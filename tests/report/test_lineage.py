from __future__ import annotations

from pathlib import Path

from report.lineage import Node, tree
from report.page import MARKDOWN, render
from report.run import gather
from report.run_data import RunData
from tests.factories.run_to_report import make_recipe, make_work


def evidence_of(root: Path, **changes: object) -> RunData:
    return gather(make_work(root, make_recipe(**changes)))


def flat(node: Node) -> list[Node]:
    return [node, *(inner for child in node.children for inner in flat(child))]


def test_the_chain_from_base_to_the_formats(tmp_path: Path) -> None:
    base = tree(evidence_of(tmp_path))
    found = {node.name: node for node in flat(base)}
    chain = ["base", "sft", "dpo", "mcq", "merged"]
    assert list(found)[:5] == chain
    assert [len(found[name].children) for name in chain] == [1, 1, 1, 1, 6]
    assert found["dpo"].made == "LoRA on sft; reference: sft"
    assert found["gguf-Q8_0"].identity.endswith(" · 236 kB")
    assert [name for name, node in found.items() if node.shipped] == ["gguf-Q4_K_M"]


def test_dpo_straight_on_base_branches_off(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path, dpo={"start_from": "base", "rl": "dpo"})
    digest = evidence.manifests["base"].outputs["merged"].sha256[:8]
    lineage = render(evidence, MARKDOWN).split("## Lineage\n\n")[1].split("\n\n")[0].splitlines()
    assert lineage[0] == f"- base: trained on the spot, {digest} · 820 kB"
    assert lineage[1].startswith("  - sft: LoRA on base, ")
    assert lineage[2].startswith("  - dpo: LoRA on base; reference: base, ")
    assert lineage[3].startswith("    - mcq: LoRA on dpo, ")
    assert lineage[-1].startswith("        - **gguf-Q4_K_M** (ships): llama.cpp, ")
    assert len(lineage) == 11


def test_a_base_from_a_hub_or_folder_is_named_with_its_revision(tmp_path: Path) -> None:
    changes = {
        "base": None,
        "base_model": "google/gemma-2b",
        "base_revision": "9cf48e52b224239de00d483ec8eb84fb8d0f3a3a",
    }
    base = tree(evidence_of(tmp_path, **changes))
    assert (base.made, base.identity) == ("google/gemma-2b", "revision 9cf48e52")
