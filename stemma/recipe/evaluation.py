"""The recipe's section `eval`: variants to score, and tasks to score them on."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stemma.recipe.eval_arms import answers_in_arms, split_arm
from stemma.recipe.eval_servers import OPERATIONAL as SERVER_OPERATIONAL
from stemma.recipe.eval_servers import EvalServer, server_problems
from stemma.recipe.eval_tasks import ARM_TASKS, BENCHMARK, FIGURED, TASK_OPTIONS, EvalTask
from stemma.recipe.folders import PathText
from stemma.recipe.generator import OPERATIONAL, JudgeGenerator
from stemma.recipe.sections import Count, Section, Start, Tokens


class Abstention(Section):
    """Answering multiple choice only where the model is sure: how sure is fitted on validation."""

    risk: float = Field(gt=0, lt=1)
    """The share of wrong answers among those given, at most."""


class NonInferiority(Section):
    """What counts as "as good as merged": at most so much worse, shown with so much confidence."""

    margin: float = Field(default=0.02, gt=0, lt=1)
    """The largest loss of accuracy that is acceptable, as a share (0.02: two points)."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    """The confidence with which a larger loss must be ruled out, one-sided."""
    changed: float = Field(default=0.1, gt=0, le=1)
    """The share of answers that a format is expected to change, for better or worse: what `plan`
    reckons with before anything is measured."""


class HubBenchmark(Section):
    """A benchmark of the Hugging Face hub that a task's test rows are.

    It decides nothing that is measured: it names the scores in the model card.
    """

    dataset: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """Its data set, as `owner/name`."""
    task_id: str
    """The task's id in that data set's `eval.yaml`."""
    revision: str | None = None
    """The data set's commit."""


class Judging(Section):
    """Two variants' replies to the same questions, compared by a chat model.

    The replies are those of the task `generation`.
    """

    policy: str
    """The variant whose win rate it is."""
    reference: str
    """The variant it is compared with."""
    questions: Count = 100
    """How many questions, drawn by the seed from those of `generation`; each is asked in both
    orders."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] | None = None
    """Its task's name in the results; by default `judge-` and the reference, with `-scripted`
    where a script judges. Several judges of the same two variants need one each."""
    prompt: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "judge"
    """The prompt: `prompts/<name>.jinja` beside the recipe, or else the project's own."""
    generator: JudgeGenerator
    """The chat model that judges, its limits, prices and `max_cost_usd`."""

    @property
    def task(self) -> str:
        """The task's name in the results."""
        scripted = "-scripted" if self.generator.server == "scripted-expert" else ""
        return self.name or f"judge-{self.reference}{scripted}"


class TextMetrics(Section):
    """Text metrics of the replies of task `generation`: overlap with the row's own answer, entity
    graph, repetition."""

    tagger: Literal["spacy", "light"] = "spacy"
    """What finds the nouns of the entity graph: spaCy's English model (`pip install -e '.[spacy]'`
    and the model), or the bundled word lists, which need no download."""
    spacy_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = "en_core_web_sm"
    """The name of the installed spaCy model."""
    k: int = Field(default=3, ge=2, le=1000)
    """Sentences of each reply that `entity_graph_first_k` looks at; shorter replies are left
    out."""


PLANNED: dict[str, Any] = {"hub_benchmarks": True, "non_inferiority": {"changed"}}
"""Settings that others read than the evaluation."""


class Benchmarks(Section):
    """Standard benchmarks, measured through lm-evaluation-harness on every variant."""

    tasks: list[str] = Field(min_length=1)
    """Names of tasks, groups or tags: of task files beside the recipe, or that the harness
    brings."""
    include_path: PathText = "tasks"
    """The folder with task files of one's own, beside the recipe."""
    num_fewshot: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Worked examples before each question; by default as many as the task says, or none."""
    limit: Count | None = None
    """The first n questions of each task (all by default)."""
    revisions: dict[str, str] = {}
    """The commit of each data set of the hub that a task reads, by its name there."""
    use_chat_template: bool = False
    """Ask in the recipe's chat template; by default as plain text, as published figures do."""
    fewshot_as_multiturn: bool = True
    """In the chat template, worked examples are turns of their own."""
    max_length: Tokens | None = None
    """Tokens of context at most; by default, and never more than, what the model was made for."""
    harness: Literal["0.4.11"] = "0.4.11"
    """The version of lm-evaluation-harness: tasks and metrics are those of this version."""

    @model_validator(mode="after")
    def _each_once(self) -> Benchmarks:
        if again := [name for name, times in Counter(self.tasks).items() if times > 1]:
            raise ValueError(f"tasks: `{again[0]}` stands there twice")
        return self


class EvalSection(Section):
    """Variants to score and tasks to score them on."""

    variants: list[str] = Field(min_length=1)
    """What to score: `base`, a stage's name, `merged`, `bnb-nf4`, `gguf-Q4_K_M`, …, or one of
    `servers`; with an arm behind a plus, asked with passages: `dpo+retrieved` (what the search
    finds), `dpo+random` (as many by chance), `dpo+gold` (the question's own)."""
    tasks: list[EvalTask] = Field(min_length=1)
    """What to score it on."""
    servers: dict[str, EvalServer] = {}
    """Models behind OpenAI-compatible servers, by the names that `variants` gives them."""
    benchmarks: Benchmarks | None = None
    """Standard benchmarks through lm-evaluation-harness; none by default."""
    beta: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """Scales rewards: beta * (log p_policy - log p_reference), summed over the answer's tokens."""
    reference: Start = "base"
    """Whose merged weights the rewards of `preference` are measured against."""
    text: TextMetrics | None = None
    """Text metrics of generated replies; null: none."""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    """CPU threads; by default as many as there are usable cores."""
    repeat: int = Field(default=1, ge=1, le=4)
    """How often every variant is measured, each time in other batches and with other threads: what
    changes is noise."""
    abstention: Abstention | None = None
    """Fits a threshold of confidence for `mcq` on the validation rows, and tries it on the test
    rows; null: none."""
    non_inferiority: NonInferiority = NonInferiority()
    """When a variant counts as good as `merged`."""
    hub_benchmarks: dict[str, HubBenchmark] = {}
    """By task of this evaluation: whole benchmarks of the hub, whose scores the report writes as
    `.eval_results` files for the model card."""
    judge: list[Judging] = []
    """Win rates: which variant is compared with which, and by whom."""

    @model_validator(mode="after")
    def _variants_stand_once(self) -> EvalSection:
        if again := [name for name, times in Counter(self.variants).items() if times > 1]:
            raise ValueError(f"variants: `{again[0]}` stands there twice")
        return self

    @model_validator(mode="after")
    def _judges_what_is_generated(self) -> EvalSection:
        generates = any(options.task == "generation" for options in self.tasks)
        for number, judging in enumerate(self.judge):
            place = f"judge.{number}"
            for key, variant in (("policy", judging.policy), ("reference", judging.reference)):
                if variant not in self.variants:
                    raise ValueError(f"{place}.{key}: `{variant}` is none of `eval.variants`")
            if judging.policy == judging.reference:
                raise ValueError(f"{place}.reference: a variant is not compared with itself")
            if not generates:
                raise ValueError(f"{place}: replies are judged, so `tasks` needs `generation`")
        named = Counter((judging.policy, judging.task) for judging in self.judge)
        for (policy, task), count in named.items():
            if count > 1:
                raise ValueError(f"judge: {count} of {policy} are called `{task}`: give `name`s")
            if task in {*TASK_OPTIONS, *FIGURED}:
                raise ValueError(f"judge: `name: {task}` is the name of another task")
        return self

    def content(self) -> dict[str, Any]:
        """The settings that decide what is measured, for the stage's key."""
        operational: dict[str, Any] = {
            "judge": {"__all__": {"generator": OPERATIONAL}},
            "servers": {"__all__": SERVER_OPERATIONAL},
        }
        found = self.model_dump(mode="json", exclude=operational | PLANNED)
        if not self.judge:
            del found["judge"]  # as before there were judges: what was measured stays measured
        if not self.servers:
            del found["servers"]  # likewise
        return found

    @property
    def local(self) -> list[str]:
        """The variants that no server holds."""
        return [name for name in self.variants if not self.is_served(name)]

    def is_served(self, variant: str) -> bool:
        """Whether a server holds the variant, in whatever arm."""
        return split_arm(variant)[0] in self.servers

    @property
    def closed_book(self) -> list[str]:
        """The local variants that are asked without passages: benchmarks bring their own text."""
        return [name for name in self.local if not split_arm(name)[1]]

    def tasks_of(self, variant: str) -> list[EvalTask]:
        """The tasks that a variant is scored on: all, those that its server is asked, or those
        that can be asked with passages."""
        weights, arm = split_arm(variant)
        server = self.servers.get(weights)
        return [
            one
            for one in self.tasks
            if (server is None or one.task in server.tasks) and answers_in_arms(one.task, arm)
        ]

    @model_validator(mode="after")
    def _arms_are_asked(self) -> EvalSection:
        for name in self.variants:
            if split_arm(name)[1] and not self.tasks_of(name):
                raise ValueError(
                    f"variants: `{name}` is asked with passages, and none of `tasks` can be: "
                    f"{', '.join(ARM_TASKS)}"
                )
        return self

    @model_validator(mode="after")
    def _servers_are_asked(self) -> EvalSection:
        if problems := list(server_problems(self)):
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _has_what_is_figured_of(self) -> EvalSection:
        names = {options.task for options in self.tasks}
        if self.text and "generation" not in names:
            raise ValueError("text: its metrics are of replies; `tasks` has no `generation`")
        if self.abstention and "mcq" not in names:
            raise ValueError("abstention: it is of multiple choice; `tasks` has no `mcq`")
        return self

    @model_validator(mode="after")
    def _names_scores_that_are_made(self) -> EvalSection:
        known = {options.task for options in self.tasks} | {one.task for one in self.judge}
        for name in self.hub_benchmarks:
            is_benchmark = self.benchmarks is not None and name.startswith(BENCHMARK)
            if name not in known and not is_benchmark:
                listed = ", ".join(sorted(known))
                raise ValueError(
                    f"hub_benchmarks: `{name}` is no task of this evaluation: {listed}, "
                    f"or a benchmark's name behind `{BENCHMARK}`"
                )
        return self
