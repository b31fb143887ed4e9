"""Stemma: one YAML recipe takes a base model through data, training, export, evaluation and a
laptop bundle.

This package holds what all stages share; each stage lives in a top-level folder of its own and
never imports another.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout. The project runs from here; nothing but this package is ever installed."""

LLAMA_CPP = ROOT / ".cache" / "llama_cpp_python-0.3.36" / "vendor" / "llama.cpp"
"""llama.cpp's sources, from the sdist of llama-cpp-python.

Its converter, gguf-py and vocabularies match the runtime.
"""

__version__ = "0.1.0"
