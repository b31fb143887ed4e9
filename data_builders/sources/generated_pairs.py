"""Preference pairs written and ranked by the recipe's `generator`: two answers in separate chats, then a ranking.

Takes no file. For the question "What is 12 + 7?" the generator answers "19" and "20", and ranks them as
{"criteria": {"correctness": "A", …}, "overall": "A"}, which gives

    {"prompt": "What is 12 + 7?", "chosen": "19", "rejected": "20", "meta": {"correctness": "A", …}}

The questions are `stem_exercises`' that lie in no evaluation part, from the end of the list (where a limited
`stem_exercises` set has taken none); `limit` is the number of questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError

from data_builders.drafts import Context, Draft, Drop
from data_builders.exercises import exercises
from data_builders.split import question_key
from stemma import ROOT
from stemma.recipe import SourceOptions

if TYPE_CHECKING:
    from data_builders.generator import Writer

KINDS = ("dpo",)
PHASE = "generate"
PROMPTS = ROOT / "recipes" / "prompts"


class Options(SourceOptions):
    source: Literal["generated_pairs"]

    def files(self) -> list[str]:
        return [str(PROMPTS / f"{name}.jinja") for name in ("answer", "rank")]


class _Ranking(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    criteria: dict[str, Literal["A", "B", "AB", "None"]]
    overall: Literal["A", "B"]


def render(name: str, **values: str) -> str:
    """The prompt `recipes/prompts/<name>.jinja`, filled in, in a sandbox."""
    text = (PROMPTS / f"{name}.jinja").read_text(encoding="utf-8")
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(text).render(**values)


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    from data_builders.generator import connect  # loads the network client: half a second that `check` must not pay

    assert context.generator, "a recipe without a generator is refused when it is read"
    held_out = {placed.key for placed in context.placed if placed.part != "train"}
    questions = [e.question for e in reversed(exercises(context.seed)) if question_key(e.question) not in held_out]
    questions = questions[: options.limit]
    context.say(f"generator: {len(questions)} questions, two answers and a ranking each")
    with (
        connect(context.generator, context.folder / "generator.jsonl", context.seed) as writer,
        ThreadPoolExecutor(context.generator.concurrency) as pool,
    ):
        compared = list(pool.map(lambda question: _compare(question, writer, context.seed), questions))
        context.say(f"generator: {writer.requests_sent} requests sent, the rest came from the journal")
    yield from compared


def _compare(question: str, writer: Writer, seed: int) -> Draft | Drop:
    rng = random.Random(f"{seed}/{question}")
    prompt = render("answer", question=question)
    replies = [writer.ask(prompt, rng.getrandbits(31)) for _ in range(2)]
    first, second = answers = [reply.text for reply in replies]
    row: dict[str, Any] = {"question": question, "answers": answers}
    problem = replies[0].problem or replies[1].problem or ("identical answers" if first == second else None)
    if problem:
        return Drop(question, problem, row)
    prompt = render("rank", question=question, answer_a=first, answer_b=second)
    reply = writer.ask(prompt, rng.getrandbits(31), as_json=True)
    ranking = parse_ranking(reply.text)
    if ranking is None:
        problem = f"ranking: {reply.problem or 'not the JSON that was asked for'}"
        return Drop(question, problem, {**row, "ranking": reply.text})
    if ranking.criteria.get("correctness") == "None":
        return Drop(question, "neither answer is correct", row)
    chosen, rejected = answers if ranking.overall == "A" else (second, first)
    pair = {"prompt": question, "chosen": chosen, "rejected": rejected, "meta": ranking.criteria}
    return Draft(question, question, pair)


def parse_ranking(text: str) -> _Ranking | None:
    """The ranking in a reply, which may wrap its JSON in a code fence or a sentence."""
    try:
        return _Ranking.model_validate_json(text[text.find("{") : text.rfind("}") + 1])
    except ValidationError:
        return None
