"""HTML pages: what a reader reads, under its headings; scripts, menus and fields are left out.

Formulas are kept as the TeX that stands behind them, and a power as `10^23`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
from bs4.element import NavigableString, PreformattedString, Tag

from rag.documents import Part
from rag.formats.markdown import Headings, is_power, part_under
from rag.formats.plain import Unreadable

LARGEST = 32 * 2**20
"""Bytes of a page that is read: its tree takes about 30 times as much memory."""
LEFT_OUT = frozenset(
    (
        *(
            "script",
            "style",
            "noscript",
            "template",
            "nav",
            "header",
            "footer",
            "aside",
            "button",
            "label",
            "select",
            "textarea",
            "svg",
        ),
        *("iframe", "object", "canvas", "audio", "video", "head"),
    )
)
BLOCKS = frozenset(
    (
        *(
            "address",
            "article",
            "blockquote",
            "body",
            "dd",
            "details",
            "div",
            "dl",
            "dt",
            "fieldset",
            "figcaption",
            "figure",
            "h1",
            "h2",
            "h3",
        ),
        *(
            "h4",
            "h5",
            "h6",
            "hr",
            "html",
            "li",
            "main",
            "ol",
            "p",
            "pre",
            "section",
            "summary",
            "table",
            "tbody",
            "td",
            "tfoot",
            "th",
            "thead",
            "tr",
            "ul",
        ),
    )
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ANCHORS = frozenset(("headerlink", "anchor", "anchorjs-link", "hash-link"))
"""Classes of the link signs that documentation puts behind its headings."""
_UNSEEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_TEX = re.compile(r"\{\\(?:displaystyle|textstyle)\s*(.*)\}$", re.DOTALL)
"""How Wikipedia wraps its formulas."""


def read_html(path: Path) -> tuple[str, list[Part]]:
    """The title ("" where there is none) and the sections of a page. Raises Unreadable."""
    if path.stat().st_size > LARGEST:
        raise Unreadable(f"larger than {LARGEST // 2**20} MiB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        try:
            tree = BeautifulSoup(path.read_bytes(), "lxml")
        except (ValueError, RecursionError, AssertionError) as error:
            raise Unreadable(f"not readable as HTML ({type(error).__name__})") from None
    title = tree.title.get_text(" ", strip=True) if tree.title else ""
    # Pages that a script fills have an empty frame, and their text beside it.
    parts = list(_parts(_main(tree))) or list(_parts(tree))
    if not title and (heading := tree.find("h1")):
        title = heading.get_text(" ", strip=True)
    return title, parts


def _main(tree: BeautifulSoup) -> Tag:
    """What the page says its text is, where it says so once; the whole page otherwise."""
    for name in ("main", "article"):
        found = tree.find_all(name, limit=2)
        if len(found) == 1:
            return found[0]
    return tree


def _parts(root: Tag) -> Iterator[Part]:
    headings = Headings()
    blocks: list[str] = []
    level = 0
    for kind, text in _blocks(root):
        if kind in HEADINGS:
            if blocks:
                yield part_under(headings, blocks)
                blocks = []
            level = HEADINGS[kind]
            headings.enter(level, text.rstrip("#¶ "))
        else:
            blocks.append(text)
    if blocks:
        yield part_under(headings, blocks)


def _blocks(root: Tag) -> Iterator[tuple[str, str]]:
    """(tag, text) of each run of text that no block's border divides, in order. No recursion: a
    page may be nested as deeply as it likes."""
    held: list[str] = []
    tag = ""
    for event, node in _walk(root):
        if event == "text":
            held.append(str(node))
            continue
        name = node.name if isinstance(node, Tag) else ""
        if name == "br":
            held.append("\n")
        elif name in BLOCKS:
            if name in ("td", "th") and event == "end":
                held.append(" | ")
            elif name not in ("td", "th"):
                if text := _tidy(held, is_listing=tag == "pre"):
                    yield tag, text
                held = []
                tag = name if event == "begin" else ""
    if text := _tidy(held, is_listing=False):
        yield tag, text


def _walk(root: Tag) -> Iterator[tuple[str, Tag | NavigableString]]:
    waiting: list[tuple[str, Tag | NavigableString]] = [("begin", root)]
    while waiting:
        event, node = waiting.pop()
        if isinstance(node, NavigableString):
            if not isinstance(node, PreformattedString):
                yield "text", node
        elif event == "end":
            yield event, node
        elif node.name == "math":
            yield "text", NavigableString(_formula(node))
        elif node.name not in LEFT_OUT and not _is_hidden(node):
            if node.name == "sup" and is_power(node.get_text()):
                yield "text", NavigableString("^")
            yield event, node
            waiting.append(("end", node))
            children = [
                child for child in node.contents if isinstance(child, (Tag, NavigableString))
            ]
            waiting += [("begin", child) for child in reversed(children)]


def _is_hidden(node: Tag) -> bool:
    if node.name == "a" and not _ANCHORS.isdisjoint(node.get_attribute_list("class")):
        return True
    is_hidden = (
        "hidden" in node.attrs
        or node.get("aria-hidden") == "true"
        or bool(_UNSEEN.search(str(node.get("style") or "")))
    )
    # Where a formula is drawn by a picture or by styled letters, it stands hidden beside them.
    return is_hidden and not (node.name == "span" and node.find("math"))


def _formula(node: Tag) -> str:
    """A formula as TeX where its page says it so, or else its letters."""
    tex = node.find("annotation", encoding="application/x-tex")
    said = tex.get_text() if tex else str(node.get("alttext") or "")
    wrapped = _TEX.match(said.strip())
    return (wrapped[1] if wrapped else said).strip() or node.get_text(" ", strip=True)


def _tidy(held: list[str], is_listing: bool) -> str:
    text = "".join(held)
    if is_listing:
        return text.strip("\n").rstrip()
    lines = (" ".join(line.split()) for line in text.split("\n")) if "\n" in held else [text]
    return "\n".join(found for line in lines if (found := " ".join(line.split()).strip(" |")))
