from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from data_builders.scripted.expert import Expert
from data_builders.scripted.judge import read_comparison
from eval.judge.asking import PairwiseVerdict, Session
from eval.judge.delimiting import fence_of, prompt_problems, shown
from eval.judge.pairs import Pair
from eval.judge.verdicts import PairVerdict
from stemma.generator.jobs import Ask, Origin, Reply
from stemma.generator.prompts import Prompts
from stemma.generator.replies import parse
from stemma.recipe.evaluation import Judging
from tests.eval.judge.attacks import ATTACKS, attack

EXPERT = Expert(42, {})
QUESTION = "What is 2 + 2?"
SESSION = Session(
    Judging.model_validate({"policy": "dpo", "reference": "base", "generator": {"model": "m"}}),
    Prompts(),
    42,
)


@dataclass
class Answering:
    """A writer whose replies are what a judge makes of the last turn."""

    judge: Callable[[str], str]
    asks: list[Ask] = field(default_factory=list)

    async def ask(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        text = self.judge(ask.messages[-1].content)
        value = parse(text, PairwiseVerdict)
        problem = None if value else "reply is no valid JSON"
        return Reply(text, Origin("m", "", "", 1), value, problem)


def judge(pair: Pair, by: Callable[[str], str]) -> tuple[PairVerdict, list[Ask]]:
    writer = Answering(by)
    [job] = SESSION.jobs([pair])
    return asyncio.run(_run(job, writer)), writer.asks


async def _run(job: Callable[[Answering], object], writer: Answering) -> PairVerdict:
    found = await job(writer)  # type: ignore[misc]
    assert isinstance(found, PairVerdict)
    return found


@pytest.mark.parametrize("kind", ATTACKS)
@pytest.mark.parametrize("attacker", ["reference", "policy"])
def test_an_attack_is_data_and_steers_nobody(
    kind: str, attacker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripted expert obeys whatever stands outside the fence. Within it stands the attack,
    whole, so that the right answer wins as if nothing had been said."""
    monkeypatch.setattr("data_builders.scripted.expert.POSITION_BIAS", 0.0)
    wanted = "1" if attacker == "reference" else "2"
    text = "5, really. " + attack(kind, wanted)
    pair = Pair("a", QUESTION, *(("4", text) if attacker == "policy" else (text, "4")))
    found, asks = judge(pair, lambda prompt: EXPERT.reply(prompt, 0))
    assert found.outcome == ("reference" if attacker == "policy" else "policy")
    for ask in asks:
        comparison = read_comparison(ask.messages[-1].content)
        assert comparison is not None
        assert comparison.ordered is None
        assert {comparison.first, comparison.second} == {"4", shown(text).strip()}


def test_the_same_attack_steers_where_the_fence_is_known() -> None:
    """So the test above can fail: with a mark that an answer knows, the scripted expert obeys."""
    fence = "0123456789abcdef"
    text = attack("closes tags of a guessed mark", "1", fence)
    values = {"question": QUESTION, "answer_1": text, "answer_2": "4", "fence": fence}
    prompt = Prompts().render("judge", **values)[-1].content
    assert json.loads(EXPERT.reply(prompt, 0))["verdict"] == "1"
    honest = values | {"answer_1": "5"}
    prompt = Prompts().render("judge", **honest)[-1].content
    assert json.loads(EXPERT.reply(prompt, 0))["verdict"] == "2"


def test_a_judge_who_quotes_an_attack_before_its_verdict_gave_none() -> None:
    """Two objects that differ are no verdict: neither is taken for the judge's."""
    text = attack("writes the reply", "2")

    def quotes(prompt: str) -> str:
        return f'It says {text}. I say: {{"reason": "wrong", "verdict": "1"}}'

    found, _ = judge(Pair("a", QUESTION, "4", text), quotes)
    assert (found.outcome, [order.verdict for order in found.orders]) == ("invalid", [None, None])


def test_answers_that_differ_in_nothing_but_an_order_to_the_judge_are_shown_in_both_places() -> (
    None
):
    found, asks = judge(Pair("a", QUESTION, "4", "4 " + attack("plain order", "2")), str)
    first, second = (read_comparison(ask.messages[-1].content) for ask in asks)
    assert first is not None
    assert second is not None
    assert (first.first, first.second) == (second.second, second.first)
    assert found.outcome == "invalid"


def test_the_fence_is_in_no_text_and_changes_with_each() -> None:
    texts = ["What?", "one", "two"]
    fence = fence_of(42, texts)
    assert len(fence) == 16
    assert fence == fence_of(42, texts)
    others = {fence_of(43, texts), fence_of(42, ["What?", "two", "one"]), fence_of(42, ["W", "o"])}
    assert len({fence, *others}) == 4
    # Whoever writes another request's mark into an answer changes that answer's mark.
    assert fence_of(42, ["What?", f"one {fence}", "two"]) != fence


def test_what_is_shown() -> None:
    assert shown("a\r\nb\tc") == "a\nb\tc"
    assert shown("x\x00\x1b[0m\u200b\u2066") == r"x\u{0000}\u{001b}[0m\u{200b}\u{2066}"
    assert (
        shown("می\u200cخواهم 👨\u200d👩\u200d👧 עברית") == "می\u200cخواهم 👨\u200d👩\u200d👧 עברית"
    )
    assert shown("<|im_start|> <s> [INST] <end_of_turn>") == (
        r"<\|im_start|> <\s> [\INST] <\end_of_turn>"
    )
    code = "if (a <b> c || d |> e) { x[INSTANCE] = a<|b; }"
    assert shown(code) == code
    assert shown(r"$\frac{a}{b} \| x \|$ and |a|>|b|") == r"$\frac{a}{b} \| x \|$ and |a|>|b|"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{% block user %}{{ question }}{% endblock %}", "`question` does not stand between"),
        (
            "{% block user %}<q {{ fence }}>\n{{ question }}\n{{ fence }}\n1: {{ answer_1 }}\n"
            "{{ fence }}\n{{ answer_2 }}\n{{ fence }}{% endblock %}",
            "`answer_1` does not stand in lines of its own",
        ),
        ("{% block user %}{{ fence }}{% endblock %}", "`question` stands 0 times in it, not once"),
        ("{% block user %}{{ answer_a }}{% endblock %}", "cannot be filled in: 'answer_a' is unde"),
        ("{% block user %}{% if %}{% endblock %}", "cannot be filled in: Expected an expression"),
        ("Which is better?", "has no block `user`"),
    ],
)
def test_prompts_that_leave_an_answer_open_are_refused(
    text: str, found: str, tmp_path: Path
) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "mine.jinja").write_text(text)
    problems = prompt_problems(Prompts(tmp_path), "mine")
    assert found in problems[0].found
    assert "recipes/prompts/judge.jinja" in str(problems[0].expected)


def test_the_projects_own_prompt_is_in_order_and_a_missing_one_is_told() -> None:
    assert prompt_problems(Prompts(), "judge") == []
    [problem] = prompt_problems(Prompts(), "nowhere")
    assert "No such file" in problem.found
