"""Conversations that are hard for tokenizers: LaTeX, code, digits, unicode, blanks."""

from __future__ import annotations

TURNS = [
    ("What is 12 + 7?", "12 + 7 = 19."),
    ("Which planet is the largest?", "Jupiter; it's more than 300 times as heavy as Earth."),
    (
        "I've been told he's there, aren't they? WE'LL see, I'D say.",
        "They'RE here; I'm sure you're right.",
    ),
    ("", "An empty question."),
    (" ", "  two blanks in front and behind  "),
    (
        "Is $\\frac{1}{2} \\leq \\sqrt{x}$ for $x \\geq 1$?",
        "Yes: $\\sqrt{x} \\geq 1 > \\frac{1}{2}$.",
    ),
    (
        "Show that \\[\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}.\\]",
        "Square it: $I^2 = \\pi/4$.",
    ),
    (
        "Evaluate \\begin{pmatrix} 1 & 0 \\\\ 0 & -1 \\end{pmatrix}^2",
        "$$\\begin{pmatrix}1&0\\\\0&1\\end{pmatrix}$$",
    ),
    ("What does ΔG = ΔH − TΔS say at 298.15 K?", "ΔG° < 0 ⇒ spontaneous; e.g. −237.1 kJ·mol⁻¹."),
    ("Balance 2H₂ + O₂ → 2H₂O.", "It is balanced: 4 H, 2 O on both sides ⇌."),
    ("∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε. What is it?", "Continuity of f at a (∈ ℝ)."),
    ("Wie groß ist der Winkel α in einem gleichseitigen Dreieck?", "60°, denn 180°/3 = 60°."),
    ("Où se trouve l'énergie d'un photon ? E = hν, n'est-ce pas ?", "Oui : c'est là — « E = hν »."),
    ("水的化学式是什么？", "H₂O，由氢和氧组成。"),
    ("二次方程式の解の公式は？", "x = (−b ± √(b²−4ac)) / 2a です。"),
    ("Чему равно ускорение свободного падения?", "Около 9,81 м/с²."),
    ("ما هي سرعة الضوء؟", "حوالي ٢٩٩٧٩٢ كم/ث"),
    ("प्रकाश की गति क्या है?", "लगभग 3 × 10⁸ मी/से"),
    ("Emoji: 🚀🦙👩‍🔬🏳️‍🌈 and a flag 🇨🇭?", "🔬 + 🧪 = 😶‍🌫️"),
    ("1 12 123 1234 12345 123456 1234567 3.14159 1,000,000 0x1F 1e-05", "007 + 42 = 49"),
    ("2024-11-28T11:44:04Z, v1.2.3, 10:1, 50%, №5, ½, Ⅳ, ٣", "3/4 ≠ 0.7500001"),
    (
        "def f(x):\n\treturn  x ** 2\n\n\n# end",
        '```python\nfor i in range(10):\n    print(f"{i:>3}")\n```',
    ),
    ("SELECT * FROM t WHERE a != 'b' AND c >= 10;", "int main(void) { return (1 << 3) & ~0x7; }"),
    ('<b>bold</b> & <i>it</i> <br/> <a href="#x">y</a>', "&lt;tag&gt; {{ braces }} {% block %}"),
    (
        "\ttabs\t\tand \t mixed   blanks\r\nwindows lines\r\n\r\n",
        "\n\n\n\nfour lines\n \n  \n   end",
    ),
    ("!!!??? ... ---- ==== **** ____ #### ~~~~ ^^^^ ;:,.'\"`", "(([[{{<<>>}}]]))"),
    ("ALLCAPS CamelCase snake_case kebab-case dot.case path/to/file C:\\dir", "aAaA bBbB"),
    ("Zażółć gęślą jaźń; þorn, æther, œuvre, ß, ﬁ", "Łódź, Ångström (Å), naïve, 1 Å = 10⁻¹⁰ m"),
    (
        "non-breaking\u00a0space, thin\u2009space, zero\u200bwidth, soft\u00adhyphen",
        "\u2028line separator\u3000wide",
    ),
    ("A. 3 m/s²\nB. 4 m/s²\nC. 9.81 m/s²\nD. none", "C"),
    (
        "Question: Which base pairs with adenine?\n\nOptions:\nA. thymine\nB. guanine\n\nAnswer:",
        "A. thymine",
    ),
    (
        "What is the big-O of binary search?",
        "O(log n), because each step halves what is left: n, n/2, n/4, …",
    ),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "abababababababababababababababababab",
    ),
    ("supercalifragilisticexpialidocious antidisestablishmentarianism", "pneumonoultramicroscopic"),
    ("Compute 17 × 24 step by step.", "17 × 24 = 17 × 20 + 17 × 4 = 340 + 68 = 408."),
    (
        "A car drives 150 km in 2 h. What is its mean speed in m/s?",
        "75 km/h = 75/3.6 m/s ≈ 20.8 m/s.",
    ),
    (
        "Why does ice float on water?",
        "Because its density, 0.92 g/cm³, is lower than that of liquid water.",
    ),
    (
        "What is a hash table?",
        "An array of buckets; a key's hash picks the bucket, so lookup takes O(1) on average.",
    ),
    ("Differentiate x³ − 2x + 1.", "3x² − 2, by the power rule."),
    ("Name the organelle that makes ATP.", "The mitochondrion, by oxidative phosphorylation."),
]
"""(question, answer), of our own writing."""
