"""Size, memory and speed as a user meets them: file size, load time, peak memory, prompt and decode
tokens a second.

Speeds and load times are medians of REPEATS, with the quartiles as their bounds. Load time is that
of the weights (`eval.loading`); that of the first load, from the engine's import on, is given too.

Runs first in its fresh process, so that the peak is that of loading and answering, not of scoring
in batches. The peak is of the whole process: interpreter and engine included, which is most of it
for a tiny model.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from eval.backends.interface import Backend, Ids
from eval.task import MeasuredRow, Metric, ScoreContext, Setting, Task, TaskScores
from stemma.digests import size_of
from stemma.recipe.eval_tasks import SpeedTask
from stemma.templates import Template, question

REPEATS = 5
FILLER = (
    "A body of mass 2 kg moves at 3 m/s. What is its kinetic energy, and which force stops it "
    "within 10 s? "
)


class SpeedSample(MeasuredRow):
    """The whole measurement: sizes, and the seconds of every repeat."""

    size_bytes: int
    load_seconds: float
    loaded_again: list[float]
    peak_memory_bytes: int
    prompt_tokens: int
    decode_tokens: int
    prompt_seconds: list[float]
    decode_seconds: list[float]


def measure(backend: Backend, setting: Setting[object]) -> list[SpeedSample]:
    """One sample: loading and answering, timed.

    The seconds of decoding are those of answering less the median of reading the prompt.
    """
    assert isinstance(setting.options, SpeedTask)
    prompt = prompt_of(backend, setting.template, setting.options.prompt_tokens)
    count = setting.options.max_new_tokens
    backend.extend(prompt, 2)  # the first call pays for memory and kernels
    short = [_seconds(backend, prompt, 1) for _ in range(REPEATS)]
    long = [_seconds(backend, prompt, 1 + count) for _ in range(REPEATS)]
    return [
        SpeedSample(
            id="speed",
            size_bytes=size_of(setting.weights),
            load_seconds=setting.load_seconds,
            loaded_again=setting.loaded_again,
            peak_memory_bytes=peak_memory_bytes(),
            prompt_tokens=len(prompt),
            decode_tokens=count,
            prompt_seconds=short,
            decode_seconds=[seconds - median(short) for seconds in long],
        )
    ]


def prompt_of(backend: Backend, template: Template, tokens: int) -> Ids:
    """A prompt of exactly `tokens` tokens: the template's beginning, then text repeated."""
    text = template.render(question(FILLER * (1 + tokens // 20)), ask=True)
    return backend.tokenize(text)[:tokens]


def _seconds(backend: Backend, prompt: Ids, count: int) -> float:
    begin = perf_counter()
    backend.extend(prompt, count)
    return perf_counter() - begin


def peak_memory_bytes() -> int:
    """The most memory this process ever held resident, file pages of its weights included."""
    # Not getrusage: its figure is inherited from the parent across fork and exec.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _per_second(name: str, tokens: int, seconds: list[float]) -> Metric:
    """The median speed between the slower and the faster quartile; none where noise is larger than
    what was timed."""
    fast, _, slow = quantiles(seconds, n=4, method="inclusive")
    low, high = (tokens / slow, tokens / fast) if fast > 0 else (None, None)
    return Metric(name, tokens / median(seconds), len(seconds), low, high)


def _seconds_of(name: str, repeats: list[float]) -> Metric:
    """The median time between its quartiles."""
    low, middle, high = quantiles(repeats, n=4, method="inclusive")
    return Metric(name, middle, len(repeats), low, high)


def score(samples: list[SpeedSample], _context: ScoreContext[SpeedSample]) -> TaskScores:
    """Size, memory, load time, time to the first token, and the two speeds."""
    [row] = samples
    metrics = [
        Metric("size_bytes", row.size_bytes, 1),
        Metric("peak_memory_bytes", row.peak_memory_bytes, 1),
        _seconds_of("load_seconds", row.loaded_again),
        Metric("first_load_seconds", row.load_seconds, 1),
        # From the question to the first token: reading a prompt of `prompt_tokens`, and one step.
        _seconds_of("first_token_seconds", row.prompt_seconds),
        _per_second("prompt_tokens_per_second", row.prompt_tokens, row.prompt_seconds),
        _per_second("decode_tokens_per_second", row.decode_tokens, row.decode_seconds),
    ]
    facts = {
        "prompt tokens": row.prompt_tokens,
        "decode tokens": row.decode_tokens,
        "repeats": REPEATS,
    }
    return TaskScores(metrics, [row.model_dump()], {}, facts)


TASK = Task(
    None,
    SpeedSample,
    measure,
    score,
    reads=("max_new_tokens", "prompt_tokens"),
    measures_process=True,
)
