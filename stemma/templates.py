"""The one chat template, and every row as the text that it makes of it.

Rendered here for training and scoring; carried by the tokenizer to GGUF files and to serving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma.chat_jinja import DatedTemplate, environment
from stemma.errors import Problem, UserError
from stemma.jsonl import read_json, read_object
from stemma.metered_jinja import MeteredTemplate, RunawayTemplate, TemplateFault, read_template
from stemma.plain_files import plain_file
from stemma.rows import (
    LETTERS,
    CorpusRow,
    McqRow,
    Message,
    PreferenceRow,
    Row,
    SftRow,
    mcq_answer,
    mcq_prompt,
)


class Template:
    """A Jinja chat template and the tokens it writes; a sandbox renders it, as in transformers.

    `where` names the file that holds it; `dated`: it may write the date of the day. What it cannot
    render raises TemplateFault.
    """

    def __init__(
        self,
        text: str,
        bos: str = "<bos>",
        eos: str = "<eos>",
        where: str = "the chat template",
        dated: bool = False,
    ) -> None:
        self.text = text
        self.bos = bos
        self.eos = eos
        self.where = where
        self._compiled = MeteredTemplate(environment(dated), text, where)

    @classmethod
    def read(cls, path: Path, model: Path | None = None) -> Template:
        """The template in `path` with the special tokens of a model's folder, or else Gemma's."""
        plain_file(path, "a chat template", "see recipes/templates")
        tokens = ("<bos>", "<eos>") if model is None else special_tokens(model)
        return cls(read_template(path), *tokens, where=str(path))

    @classmethod
    def unfilled(cls, path: Path) -> Template:
        """The template in `path` for a model that is not on this machine: its tokens' names stand
        in their place."""
        return cls(cls.read(path).text, "{bos_token}", "{eos_token}", str(path))

    @property
    def carried(self) -> str:
        """The text a model carries along. Its readers fill in `bos_token` by themselves: of a
        tokenizer without one, llama.cpp takes the id that config.json names all the same (Qwen's
        does), and a question would begin as none did in training. There the text says that it is
        empty."""
        return self.text if self.bos else "{%- set bos_token = '' -%}" + self.text

    def render(self, messages: Sequence[Message], ask: bool = False) -> str:
        """The conversation as text; `ask` ends it where the assistant's next answer begins."""
        return self._compiled.render(
            messages=[message.model_dump() for message in messages],
            bos_token=self.bos,
            eos_token=self.eos,
            add_generation_prompt=ask,
            tools=None,
            documents=None,
        )

    def split(self, messages: Sequence[Message]) -> tuple[str, str]:
        """(prompt, answer) of a conversation that ends with the assistant: the border every stage
        trains and scores at.

        The answer ends with the stop token; what a template writes behind it (Gemma's newline) is
        never trained.
        """
        prompt = self.render(messages[:-1], ask=True)
        whole = self.render(messages)
        if not whole.startswith(prompt):
            found = "it renders an answered conversation differently from the question alone"
            raise TemplateFault(self.where, found)
        return prompt, whole[len(prompt) :].rstrip()

    @property
    def first(self) -> str:
        """The token it begins a conversation with: `<bos>`, or nothing, as in ChatML.

        A model may name ChatML's `<|im_start|>` as its first token, as SmolLM2 does. There it
        begins every turn, so an answer brings one more.
        """
        if not self.bos or not self.render(question("q"), ask=True).startswith(self.bos):
            return ""
        asked = self.render(question("q"))
        whole = self.render(answered("q", "a"))
        begins_turns = whole.count(self.bos) > asked.count(self.bos)
        return "" if begins_turns else self.bos

    def stop(self) -> str:
        """The token that ends an answer, e.g. `<eos>` or `<end_of_turn>`."""
        marker = "STEMMA"
        _, answer = self.split(answered("q", marker))
        if marker not in answer:
            raise TemplateFault(self.where, "it leaves an answer out")
        return answer.split(marker)[1]


def probe(template: Template) -> None:
    """Render what training may ask for: several turns, and a system's. Raises DatedTemplate where a
    template writes the date of the day, which may be only there, and RunawayTemplate. What else a
    template refuses it refuses with its reason, when asked."""
    talk = [*answered("q", "a"), *answered("q", "a")]
    for messages in (talk, [Message(role="system", content="s"), *talk]):
        for asked in (messages, messages[:-1]):
            try:
                template.render(asked, ask=asked is not messages)
            except (DatedTemplate, RunawayTemplate):
                raise
            except TemplateFault:
                continue


def special_tokens(model: Path) -> tuple[str, str]:
    """The texts of a model's first and last token; empty where its tokenizer has none.

    Qwen has no first one. Raises UserError where a token is neither a text nor an object with one.
    """
    path = model / "tokenizer_config.json"
    config = read_object(path)
    named = {name: config.get(name) or "" for name in ("bos_token", "eos_token")}
    contents = {
        name: token.get("content") if isinstance(token, dict) else token
        for name, token in named.items()
    }
    texts = {name: text for name, text in contents.items() if isinstance(text, str)}
    if len(texts) < len(named):
        expected = "a token's text, or an object with its `content`"
        wrong = [name for name in named if name not in texts]
        raise UserError(
            Problem(str(path), f"`{name}` is {named[name]!r}", expected) for name in wrong
        )
    return texts["bos_token"], texts["eos_token"]


def read_special_tokens(tokenizer: Path) -> list[str]:
    """Special tokens of a `tokenizer.json` that are drawn as something: no text may say one."""
    return [
        t["content"]
        for t in read_json(tokenizer)["added_tokens"]
        if t["special"] and t["content"].strip()
    ]


def question(text: str) -> list[Message]:
    """A conversation of one user turn."""
    return [Message(role="user", content=text)]


def answered(prompt: str, answer: str) -> list[Message]:
    """A conversation of one question and its answer."""
    return [*question(prompt), Message(role="assistant", content=answer)]


def conversations_of(row: SftRow | PreferenceRow | McqRow) -> list[list[Message]]:
    """A row as whole conversations, one for each of its answers: of a pair the chosen one first."""
    if isinstance(row, PreferenceRow):
        return [row.conversation(row.chosen), row.conversation(row.rejected)]
    if isinstance(row, SftRow):
        return [row.messages]
    return [answered(mcq_prompt(row), mcq_answer(row, row.answer))]


@dataclass(frozen=True)
class Rendered:
    """A row as text: the prompt, and the answers that training or evaluation puts behind it."""

    prompt: str
    answers: tuple[str, ...]


def rendered(row: Row, template: Template) -> Rendered:
    """Prompt and answers of a row: one answer, of a pair the chosen and the rejected one.

    Plain text continues the first token and ends with the last, whatever the template.
    """
    if isinstance(row, CorpusRow):
        return Rendered(template.bos, (row.text + template.eos,))
    prompts, answers = zip(*map(template.split, conversations_of(row)), strict=True)
    return Rendered(prompts[0], answers)


def rendered_choices(row: McqRow, template: Template) -> Rendered:
    """A multiple-choice question with one answer for each choice, to compare by likelihood.

    A choice is picked by its letter alone, without the stop token, also where an explanation would
    follow. Rows answered by a choice's text keep the stop token: without it 10 would beat 100.
    """
    letters = LETTERS[: len(row.choices)]
    by_letter = row.answer_as != "text"
    prompt = mcq_prompt(row)
    said = [letter if by_letter else mcq_answer(row, letter) for letter in letters]
    prompts, answers = zip(*(template.split(answered(prompt, one)) for one in said), strict=True)
    stop = template.stop() if by_letter else ""
    return Rendered(prompts[0], tuple(answer.removesuffix(stop) for answer in answers))


def rendered_cloze(row: McqRow, template: Template) -> Rendered:
    """A multiple-choice question without its options, and each choice's text as its answer.

    Without the stop token, as lm-evaluation-harness scores choices: how likely an answer ends there
    says more of its form than of its truth. Longer choices are so the less likely, which is why
    accuracy by length stands beside.
    """
    said = [answered(row.question, choice) for choice in row.choices]
    prompts, answers = zip(*map(template.split, said), strict=True)
    stop = template.stop()
    return Rendered(prompts[0], tuple(answer.removesuffix(stop) for answer in answers))
