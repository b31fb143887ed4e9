"""The laptop side: answers from the shipped GGUF on a CPU. Imports neither torch nor Axolotl."""
