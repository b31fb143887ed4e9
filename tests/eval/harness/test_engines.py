"""Both engines on a tiny model: what they share is computed once, and changes nothing."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

from eval.harness import known, start, writing
from eval.harness.engine import Continuation, Writing, cut, has_stopped
from eval.harness.gguf import GgufEngine
from eval.harness.hf import HfEngine
from stemma.errors import StageFailed
from stemma.jsonl import read_json, write_json
from tests.factories.families import make_family
from tests.factories.models import make_gemma, tiny_gguf, tiny_model


@lru_cache
def hf() -> HfEngine:
    return HfEngine(str(tiny_model()), "<eos>", 1)


@lru_cache
def gguf() -> GgufEngine:
    return GgufEngine(str(tiny_gguf()), start.read(tiny_model()), "<eos>", 1)


def questions(count: int, shots: int, seed: int = 0) -> list[Continuation]:
    """Questions of two kinds, every other one behind the same worked examples, four answers
    each."""
    rng = random.Random(seed)

    def some(tokens: int) -> tuple[int, ...]:
        return tuple(rng.randrange(110, 440) for _ in range(tokens))

    worked = some(shots)
    found = []
    for number in range(count):
        context = (2, *(worked if number % 2 else ()), *some(rng.randrange(3, 30)))
        found += [Continuation(context, some(rng.randrange(1, 5))) for _ in range(4)]
    return found


@lru_cache
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model())


def plain(one: Continuation) -> tuple[float, bool]:
    """The same by transformers alone: one forward pass, a whole softmax."""
    ids = torch.tensor([one.context + one.tokens])
    with torch.inference_mode():
        rows = model()(ids).logits[0].log_softmax(-1)[len(one.context) - 1 : -1]
    said = torch.tensor(one.tokens)
    return float(rows.gather(-1, said[:, None]).sum()), bool((rows.argmax(-1) == said).all())


def test_scores_are_those_of_a_forward_pass_for_each() -> None:
    wanted = questions(6, 60)
    for one, (total, greedy) in zip(wanted, hf().score(wanted), strict=True):
        expected = plain(one)
        assert (total, greedy) == (pytest.approx(expected[0], abs=1e-4), expected[1])


def test_what_greedy_decoding_writes_is_marked_so() -> None:
    context = (2, 120, 130, 140)
    said: tuple[int, ...] = ()
    for _ in range(3):
        following = [Continuation(context, (*said, token)) for token in range(448)]
        found = hf().score(following)
        [best] = [one for one, (_, greedy) in zip(following, found, strict=True) if greedy]
        assert best is following[max(range(448), key=lambda token: found[token][0])]
        said = best.tokens


def test_the_tiny_models_tree_is_used_and_a_chunk_with_a_prefix_agrees() -> None:
    assert hf().facts["scoring"].startswith("laid out as a tree")
    wanted = questions(40, 200)  # more than a chunk behind the same 200 tokens
    together = hf().score(wanted)
    alone = [hf().score([one])[0] for one in wanted[::7]]
    assert [total for total, _ in together[::7]] == pytest.approx(
        [total for total, _ in alone], abs=1e-4
    )


def test_llama_cpp_reads_on_from_what_neighbours_share() -> None:
    wanted = questions(6, 60)
    shuffled = random.Random(1).sample(wanted, len(wanted))
    found = dict(zip(shuffled, gguf().score(shuffled), strict=True))
    for one in wanted:
        [alone] = GgufEngine.score(gguf(), [one])
        assert found[one][0] == pytest.approx(alone[0], abs=0.02)  # its cache is float16
        assert found[one][0] == pytest.approx(plain(one)[0], abs=0.05)


def test_text_is_the_same_alone_and_in_a_batch_and_in_both_engines() -> None:
    prompts = [list(one.context) for one in questions(12, 60)[::4]]
    wanted = [Writing(prompt, 3 + number % 4, ()) for number, prompt in enumerate(prompts)]
    together = hf().write(wanted)
    assert together == [hf().write([one])[0] for one in wanted]
    # Its weights are float16, and random weights are seldom sure of a token.
    same = [a == b for a, b in zip(together, gguf().write(wanted), strict=True)]
    assert sum(same) >= 0.75 * len(same)
    assert len({len(text) for text in together}) > 1


def test_rows_that_have_ended_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty prompts with and without a shared beginning, in batches of five."""
    rng = random.Random(3)
    prompts = [list(one.context) for one in questions(40, 60)[::4]]
    wanted = [Writing(prompt, rng.choice([2, 5, 20]), ()) for prompt in prompts]
    alone = [hf().write([one])[0] for one in wanted]
    steps = 0
    forward = writing.Decoder._next

    def counted(decoder: writing.Decoder, rows: Any, ids: Any) -> Any:
        nonlocal steps
        steps += 1
        assert len(ids) <= 5
        return forward(decoder, rows, ids)

    monkeypatch.setattr(writing, "MOST_ROWS", 5)
    monkeypatch.setattr(writing.Decoder, "_next", counted)
    assert hf().write(wanted) == alone
    # Batches that each wait for their slowest row would take as many steps as those have tokens.
    order = sorted(one.tokens for one in wanted)
    assert steps < 1.6 * sum(order) / 5


def test_a_window_that_slides_sees_what_it_sees_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding behind a shared beginning would shift the window: nothing is shared."""

    folder = make_family(tmp_path / "gemma3", "gemma3_text")
    config = read_json(folder / "config.json")
    kinds = ["sliding_attention"] * config["num_hidden_layers"]
    changed = {"sliding_window": 52, "layer_types": kinds}
    write_json(folder / "config.json", config | changed)
    engine = HfEngine(str(folder), "<eos>", 1)
    assert engine._can_share  # which reads beginnings to find out

    def shared(*_: Any) -> Any:
        raise AssertionError("a beginning was read by itself")

    monkeypatch.setattr(known, "read", shared)
    behind_worked_examples = questions(12, 60)[4::8]
    prompts = [list(one.context) for one in behind_worked_examples]
    together = engine.write([Writing(prompt, 6, ()) for prompt in prompts])
    for prompt, text in zip(prompts, together, strict=True):
        with torch.inference_mode():
            plainly = engine._model.generate(
                torch.tensor([prompt]), max_new_tokens=6, do_sample=False, eos_token_id=1
            )[0, len(prompt) :].tolist()
        assert text == engine.detokenize(plainly[: plainly.index(1)] if 1 in plainly else plainly)


def test_text_ends_before_a_stop_that_lies_across_tokens() -> None:
    prompt = [2, 120, 130, 140]
    [whole] = hf().write([Writing(prompt, 12, ())])
    assert len(whole) >= 6
    stop = whole[3:6]  # of two tokens or three
    [text] = hf().write([Writing(prompt, 12, (stop, "never"))])
    assert text == whole[: whole.index(stop)]
    [whole] = gguf().write([Writing(prompt, 12, ())])
    stop = whole[3:6]
    [text] = gguf().write([Writing(prompt, 12, (stop, "never"))])
    assert text == whole[: whole.index(stop)]


def test_nothing_is_written_where_nothing_is_asked_for() -> None:
    for engine in (hf(), gguf()):
        assert engine.write([]) == []
        assert engine.score([]) == []


def test_a_model_of_nan_stops_the_measuring(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_gemma(tmp_path / "broken", hidden=32, layers=1)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})
    engine = HfEngine(str(folder), "<eos>", 1)
    with pytest.raises(StageFailed, match=r"log-probabilities are no numbers; .* damaged"):
        engine.score(questions(1, 0))
    with pytest.raises(StageFailed, match="logits that are not finite"):
        engine.write([Writing([2, 120], 4, ())])


def test_cutting_and_stopping() -> None:
    assert cut("one Question: two", ("Question:", "two")) == "one "
    assert cut("one", ("two",)) == "one"
    letters = "".join
    text = [*"the end of it"]

    def detokenize(ids: list[int]) -> str:
        return letters(text[place] for place in ids)

    assert not has_stopped([0, 1, 2], ("end",), detokenize)
    assert has_stopped([4, 5, 6], ("end",), detokenize)
    assert not has_stopped([4, 5, 6], (), detokenize)


def test_how_a_text_begins_is_the_tokenizers_own() -> None:
    """The tiny tokenizer puts nothing first, as its own `tokenizer(text)` has it; an empty context
    is its first token."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model())
    begin = start.read(tiny_model())
    assert begin.first + hf().tokenize("2 + 3") == list(tokenizer("2 + 3")["input_ids"])
    assert begin.empty == tokenizer.bos_token_id == 2


def test_a_first_token_that_the_tokenizer_adds_is_known() -> None:
    class Adding:
        bos_token_id = 9
        eos_token_id = 1

        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            bare = [ord(letter) for letter in text]
            return {"input_ids": [9, *bare, 1] if add_special_tokens else bare}

        def decode(self, ids: list[int]) -> str:
            return "<s>" * ids.count(9)

    assert start.of(Adding()) == start.Start([9], "<s>", 9)
