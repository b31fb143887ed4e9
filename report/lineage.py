"""The lineage as a picture: which weights came from which, with digests and sizes. A tree, drawn wide and tall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from report.evidence import Evidence
from report.readable import short, size

BOX_WIDTH, BOX_HEIGHT = 158, 54
COLUMN, ROW = 194, 64
TALL_WIDTH, INDENT = 350, 18
Place = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """One set of weights. `how` says how it came from its parent; `identity` is its digest and size."""

    name: str
    parent: str | None
    how: str
    identity: str
    kind: str
    shipped: bool = False


def nodes(evidence: Evidence) -> list[Node]:
    """Every set of weights of the run; a parent always comes before its children."""
    recipe = evidence.recipe
    found = [_base(evidence)]
    found += [_trained(evidence, stage) for stage in recipe.training_stages() if stage in evidence.manifests]
    for variant in recipe.exported():
        parent = recipe.export.from_ if variant == "merged" else "merged"
        how = recipe.export.merge.dtype if variant == "merged" else "bitsandbytes" if variant[0] == "b" else "llama.cpp"
        kind, shipped = "format", variant == recipe.export.ship
        found.append(Node(variant, parent, how, _identity(evidence, variant), kind, shipped))
    return found


def _base(evidence: Evidence) -> Node:
    recipe = evidence.recipe
    if recipe.base:
        return Node("base", None, "trained on the spot", _identity(evidence, "base"), "root")
    name = str(recipe.base_model).rstrip("/").split("/")[-1]
    return Node("base", None, name, f"revision {short(recipe.base_revision or 'local')}", "root")


def _trained(evidence: Evidence, stage: str) -> Node:
    start = evidence.recipe.stage(stage).start_from
    how = f"start = reference: {start}" if is_preference(evidence, stage) else f"LoRA on {start}"
    return Node(stage, start, how, _identity(evidence, stage), "stage")


def is_preference(evidence: Evidence, stage: str) -> bool:
    """Whether a stage compares its policy with a reference (its own start, adapter off)."""
    return "rl" in evidence.recipe.axolotl(stage)


def _identity(evidence: Evidence, variant: str) -> str:
    output = evidence.weights(variant)
    return f"{short(output.sha256)} · {size(output.bytes)}" if output else ""


def origins(evidence: Evidence) -> list[str]:
    """For each training stage a sentence: whose weights it started from and what its reference is."""
    said = []
    for stage in evidence.recipe.training_stages():
        start = evidence.recipe.stage(stage).start_from
        output = evidence.weights(start)
        which = f"`{start}` ({short(output.sha256)})" if output else f"`{start}`"
        tail = "; the same weights, adapter off, are its reference" if is_preference(evidence, stage) else ""
        said.append(f"{stage} starts from the merged weights of {which}{tail}.")
    return said


def text_tree(found: Sequence[Node]) -> str:
    """The tree for Markdown, one line per node."""
    last = {node.parent: node.name for node in found}.values()
    lines = []
    for node, depth in _walk(found):
        lead = "" if not depth else "   " * (depth - 1) + ("└─ " if node.name in last else "├─ ")
        ship = "  ← ships" if node.shipped else ""
        lines.append(f"{lead}{node.name}  ({node.how})  {node.identity}{ship}".rstrip())
    return "\n".join(lines)


def wide_picture(found: Sequence[Node]) -> Markup:
    """Left to right: one column per generation, parents centred on their children."""
    rows = _rows(found)
    places = {node.name: (4.0 + depth * COLUMN, 4.0 + rows[node.name] * ROW) for node, depth in _walk(found)}
    edges = [_curve(places[node.parent], places[node.name]) for node in found if node.parent is not None]
    width = max(x for x, _ in places.values()) + BOX_WIDTH + 4
    height = max(y for _, y in places.values()) + BOX_HEIGHT + 4
    boxes = [_box(node, places[node.name], BOX_WIDTH) for node in found]
    return _svg("wide", width, height, [*edges, *boxes])


def tall_picture(found: Sequence[Node]) -> Markup:
    """Top to bottom, indented like a tree of folders: for narrow screens."""
    places = {n.name: (4.0 + depth * INDENT, 4.0 + index * ROW) for index, (n, depth) in enumerate(_walk(found))}
    edges = [_elbow(places[node.parent], places[node.name]) for node in found if node.parent is not None]
    boxes = [_box(node, places[node.name], TALL_WIDTH - 4 - places[node.name][0]) for node in found]
    return _svg("tall", TALL_WIDTH, 4 + ROW * len(found), [*edges, *boxes])


def _walk(found: Sequence[Node], parent: str | None = None, depth: int = 0) -> Iterator[tuple[Node, int]]:
    for node in found:
        if node.parent == parent:
            yield node, depth
            yield from _walk(found, node.name, depth + 1)


def _rows(found: Sequence[Node]) -> dict[str, float]:
    """Leaves take a row each, in order; a parent lies in the middle of its children."""
    children = {node.name: [child.name for child in found if child.parent == node.name] for node in found}
    leaves = [node.name for node, _ in _walk(found) if not children[node.name]]
    rows = {name: float(index) for index, name in enumerate(leaves)}
    for node in reversed(found):
        if children[node.name]:
            own = [rows[name] for name in children[node.name]]
            rows[node.name] = sum(own) / len(own)
    return rows


def _curve(start: Place, end: Place) -> Markup:
    x, y = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    goal_x, goal_y = end[0], end[1] + BOX_HEIGHT / 2
    middle = (x + goal_x) / 2
    markup = Markup('<path class="edge" d="M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}"/>')
    return markup.format(x, y, middle, y, middle, goal_y, goal_x, goal_y)


def _elbow(start: Place, end: Place) -> Markup:
    markup = Markup('<path class="edge" d="M{:.1f} {:.1f}V{:.1f}H{:.1f}"/>')
    return markup.format(start[0] + INDENT / 2, start[1] + BOX_HEIGHT, end[1] + BOX_HEIGHT / 2, end[0])


def _box(node: Node, place: Place, width: float) -> Markup:
    x, y = place
    css = f"box {node.kind}{' ships' if node.shipped else ''}"
    tag = Markup('<text class="tag" x="{:.1f}" y="{:.1f}" text-anchor="end">ships</text>')
    lines = Markup('<text class="title" x="{0:.1f}" y="{1:.1f}">{2}</text>').format(x + 10, y + 18, node.name)
    for index, text in enumerate((node.how, node.identity)):
        lines += Markup('<text class="small" x="{:.1f}" y="{:.1f}">{}</text>').format(x + 10, y + 33 + 14 * index, text)
    frame = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="8"/>')
    return (
        frame.format(css, x, y, width, BOX_HEIGHT)
        + lines
        + (tag.format(x + width - 10, y + 18) if node.shipped else Markup(""))
    )


def _svg(css: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="lineage {}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="Lineage of the weights">')
    return head.format(css, width, height) + Markup("").join(parts) + Markup("</svg>")
