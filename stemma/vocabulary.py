"""The tokens of a GGUF model: text to ids and back by llama.cpp's own tokenizer, and what a token
is."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import groupby

import llama_cpp

CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN


class Vocabulary:
    """The vocabulary of a model that llama.cpp has loaded."""

    def __init__(self, model: int) -> None:
        self._vocabulary = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self._vocabulary)

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        """Token ids; none is added. `special`: control tokens in the text are recognised; if not,
        they are read as the text that they are."""
        data = text.encode("utf-8")
        room = len(data) + 2
        ids = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(
            self._vocabulary, data, len(data), ids, room, False, special
        )
        return list(ids[:count])

    def detokenize(
        self, ids: Sequence[int], is_shown: Callable[[int], bool] = lambda _: False
    ) -> str:
        """The text of ids, without control tokens but those that are to be shown."""
        runs = ((shown, list(run)) for shown, run in groupby(ids, key=is_shown))
        return "".join(
            "".join(map(self.text, run)) if shown else self._plain(run) for shown, run in runs
        )

    def _plain(self, ids: Sequence[int]) -> str:
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        text = ctypes.create_string_buffer(1)
        # Told of no room at all, it answers minus the bytes it needs.
        room = llama_cpp.llama_detokenize(self._vocabulary, tokens, len(ids), text, 0, False, False)
        text = ctypes.create_string_buffer(abs(room) + 1)
        count = llama_cpp.llama_detokenize(
            self._vocabulary, tokens, len(ids), text, len(text), False, False
        )
        return text.raw[: max(count, 0)].decode("utf-8", errors="replace")

    def text(self, token: int) -> str:
        """A token as the vocabulary writes it."""
        return self.raw(token).decode("utf-8", "replace")

    def raw(self, token: int) -> bytes:
        """The same in the file's own bytes."""
        return bytes(llama_cpp.llama_vocab_get_text(self._vocabulary, token))

    def is_end(self, token: int) -> bool:
        """Whether llama.cpp ends an answer at this token."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))

    def is_control(self, token: int) -> bool:
        """Whether no text may say it: it marks turns, ends answers, or stands for what is not
        known."""
        return bool(self._attributes(token) & CONTROL) or self.is_end(token)

    def is_unknown(self, token: int) -> bool:
        """Whether it stands for characters that the vocabulary cannot spell."""
        return bool(self._attributes(token) & llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN)

    def is_added(self, token: int) -> bool:
        """Whether it was added to the vocabulary as a word of its own (`USER_DEFINED`): it is
        recognised in every text."""
        return bool(self._attributes(token) & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def takes_blanks(self, token: int) -> tuple[bool, bool]:
        """Whether it takes away the blanks before it, and those behind it."""
        found = self._attributes(token)
        return (
            bool(found & llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP),
            bool(found & llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP),
        )

    def controls(self) -> list[str]:
        """The texts of all control tokens."""
        found = [self.text(token) for token in range(self.size) if self.is_control(token)]
        return [text for text in found if text.strip()]

    def common(self) -> frozenset[int]:
        """Tokens that every tokenizer has: first, last, end of a turn, padding, separator, …"""
        names = "bos eos eot sep nl pad mask"
        found = (getattr(llama_cpp, f"llama_vocab_{name}") for name in names.split())
        return frozenset(one(self._vocabulary) for one in found)

    @property
    def puts_first(self) -> int | None:
        """The token that llama.cpp itself puts before a text; None for a model that wants none."""
        if not llama_cpp.llama_vocab_get_add_bos(self._vocabulary):
            return None
        return int(llama_cpp.llama_vocab_bos(self._vocabulary))

    def _attributes(self, token: int) -> int:
        return int(llama_cpp.llama_vocab_get_attr(self._vocabulary, token))
