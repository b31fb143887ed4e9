"""The proof that an encoder's GGUF is the encoder: both read the same texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.original import vectors_of
from stemma.gate import Gate, HandOver
from stemma.retrieval.embedding import LlamaEmbedder, Pooling

MIN_COSINE = 0.999
"""Of a text's vectors by the GGUF and by the original; F16 weights leave 0.99999."""
PROOF_TEXTS = 100
FIRST_WORDS = 12
"""Words of the shorter texts of the proof: about a question's length."""
SPECIAL = re.compile(r"\[(SEP|CLS|MASK|PAD|UNK)\]|</?s>|<(pad|unk|mask|bos|eos)>|<\|\w+\|>")
"""Special tokens written out, which are text to us and not to the original."""
HARD_TEXTS = (
    "물은 섭씨 100도에서 끓는다. 광합성이란 무엇입니까?",
    "水在摄氏一百度沸腾。光合作用是什麼？",
    "水は百度で沸騰する。ガラスとパピプペポ、ﾊﾝｶｸ。",
    "पानी सौ डिग्री सेल्सियस पर उबलता है। हिन्दी में क्षत्रिय।",
    "น้ำเดือดที่หนึ่งร้อยองศาเซลเซียส",
    "يغلي الماء عند مئة درجة مئوية. ما هو التمثيل الضوئي؟",
    "מים רותחים במאה מעלות צלזיוס.",
    "Вода кипит при ста градусах Цельсия; ёж, йод.",
    "Το νερό βράζει στους εκατό βαθμούς Κελσίου.",
    "Nước sôi ở một trăm độ C. Tiếng Việt có dấu.",
    "Ångström, naïve café, Straße, İstanbul, ﬁne, Ⅷ ℃ ½",
    "e\u0301tude of combining accents: n\u0303, o\u0308, a\u030a",
    "😀 emoji 👩\u200d🔬 and 🇨🇭 flags 👍🏽",
    "E = mc², ∮ B·dl = µ₀I, α → β, x₁ ≤ √2, ∀ε>0 ∃δ>0",
    r"\frac{d}{dx} \int_0^x f(t)\,dt = f(x) \quad \text{if } f \in C([0,1])",
    "def f(a_b: int) -> dict: return {'x': [a_b ** 2 for _ in range(3)]}  # 50 %",
    "https://example.org/a/b?c=d&e=%20f#g, name@example.org, 10.1000/xyz-123",
    "CH3CH2OH + 3 O2 -> 2 CO2 + 3 H2O; Fe2O3, H₂SO₄, [Cu(NH₃)₄]²⁺",
    "methionylthreonylthreonylglutaminylarginyl" * 4,
    "a" * 100 + " and " + "b" * 101,
    "ACGTTGCA" * 40 + " is a gene",
    "soft\u00adhyphen, zero\u200bwidth, no\u00a0break, \ufeffmark, tab\tand\u2028line",
    "don’t — “quote” … ‘single’ `code` __bold__ *it* ~ ^ | § ¶ † ©",
    "1,234,567.89 3.14159 6.022e23 0xff 12:30 2026-11-29 №7 1/2",
    "The mitochondrion is the powerhouse of the cell, as every pupil has heard. " * 60,
)
"""Texts on which tokenizers differ: scripts, accents, emoji, formulas, code, long words, and one
longer than an encoder reads."""


def proof_texts(passages: Sequence[str]) -> list[str]:
    """HARD_TEXTS, and of the passages' own as many as make PROOF_TEXTS, evenly spread: whole ones,
    and first words alone."""
    plain = [text for text in dict.fromkeys(passages) if not SPECIAL.search(text)]
    step = max(1, 2 * len(plain) // PROOF_TEXTS)
    whole = plain[::step]
    words = [text.split() for text in whole]
    places = range(0, max(map(len, words), default=0), FIRST_WORDS)
    short = (
        " ".join(one[place : place + FIRST_WORDS])
        for place in places
        for one in words
        if place < len(one)
    )
    half = (PROOF_TEXTS - len(HARD_TEXTS)) // 2
    return list(dict.fromkeys([*HARD_TEXTS, *whole[:half], *short, *plain]))[:PROOF_TEXTS]


def prove(embedder: LlamaEmbedder, folder: Path, pooling: Pooling, texts: Sequence[str]) -> Gate:
    """The gate of the conversion: the smallest cosine of a text's vectors by the GGUF and by the
    original model in `folder`, pooled as `pooling` says."""
    reference = vectors_of(folder, pooling, embedder.max_tokens, texts)
    cosines = (embedder.bare(texts) * reference).sum(axis=1)
    step = HandOver("encoder", "sentence encoder to GGUF")
    smallest = float(np.min(cosines))
    return step.at_least("smallest cosine to the original", smallest, MIN_COSINE, len(texts))
