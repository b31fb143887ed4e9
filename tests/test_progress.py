"""stemma.progress: one live line on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import pytest

from stemma import progress
from stemma.progress import At, Progress, duration, rate


class Watch:
    """A clock that a test sets, and what was drawn or printed."""

    def __init__(self, draws: bool) -> None:
        self.now = 0.0
        self.drawn: list[str] = []
        self.said: list[str] = []
        self.progress = Progress(
            "sft", lambda: self.now, lambda: draws, self.said.append, self.drawn.append
        )

    def at(self, now: float, at: At) -> None:
        self.now = now
        self.progress.show(at)


def steps(done: int, note: str = "") -> At:
    return At("training", done, 200, "steps", note)


def test_a_terminal_sees_steps_share_time_left_rate_and_loss() -> None:
    watch = Watch(draws=True)
    watch.at(0, At("loading the model"))
    watch.at(1, steps(0))
    for second in range(1, 11):
        watch.at(1 + second, steps(2 * second, "loss 0.413"))
    assert watch.drawn[0] == "[sft] loading the model"
    assert watch.drawn[1] == "[sft] training: 0 of 200 steps, 0 %"
    # 180 steps at 2 a second.
    assert watch.drawn[-1] == (
        "[sft] training: 20 of 200 steps, 10 %, 90 s left, 2.0 steps/s, loss 0.413"
    ).replace("90 s", duration(90))
    assert watch.said == []


def test_a_resumed_training_is_paced_by_its_own_steps() -> None:
    watch = Watch(draws=True)
    watch.at(0, steps(150))
    watch.at(10, steps(160))
    assert watch.drawn == [
        "[sft] training: 150 of 200 steps, 75 %",
        "[sft] training: 160 of 200 steps, 80 %, 40 s left, 1.0 steps/s",
    ]


def test_a_terminal_is_not_drawn_more_often_than_one_can_read() -> None:
    watch = Watch(draws=True)
    for number in range(100):
        watch.at(number / 100, steps(number))
    assert 9 <= len(watch.drawn) <= 11


def test_what_is_not_counted_tells_its_seconds() -> None:
    watch = Watch(draws=True)
    watch.at(0, At("merging"))
    watch.now = 12
    watch.progress.tick()
    assert watch.drawn == ["[sft] merging", "[sft] merging, 12 s"]


def test_elsewhere_a_line_for_each_twentieth() -> None:
    watch = Watch(draws=False)
    for number in range(201):
        watch.at(2.0 * number, steps(number))  # 400 seconds in all: a twentieth takes 20
    assert len(watch.said) == 21
    assert watch.said[0] == "[sft] training: 0 of 200 steps, 0 %"
    assert watch.said[10] == "[sft] training: 100 of 200 steps, 50 %, 3 min left, 2.0 s each"
    assert watch.said[20] == "[sft] training: 200 of 200 steps, 100 %, 2.0 s each"


def test_elsewhere_quick_work_says_little() -> None:
    watch = Watch(draws=False)
    for number in range(201):
        watch.at(0.02 * number, steps(number))
    assert watch.said == ["[sft] training: 0 of 200 steps, 0 %"]


def test_elsewhere_slow_work_is_not_silent_for_long() -> None:
    watch = Watch(draws=False)
    watch.at(0, At("training", 0, 10_000, "steps"))
    watch.at(299, At("training", 9, 10_000, "steps"))
    watch.at(310, At("training", 10, 10_000, "steps"))
    watch.now = 700
    watch.progress.tick()  # nothing moved: nothing is new
    assert watch.said[1:] == ["[sft] training: 10 of 10,000 steps, 0 %, 3 d 14 h left, 31 s each"]
    watch.at(700, At("merging"))
    watch.now = 1001
    watch.progress.tick()
    assert watch.said[2:] == ["[sft] merging", "[sft] merging, 5 min"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 00 min"),
        (12_000, "3 h 20 min"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_spans_of_time(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("pace", "unit", "said"),
    [
        (40.4, "rows", "40 rows/s"),
        (2.13, "steps", "2.1 steps/s"),
        (0.25, "steps", "4.0 s each"),
        (0.005, "steps", "3 min each"),
        (31_000_000.0, "bytes", "31.0 MB/s"),
    ],
)
def test_rates(pace: float, unit: str, said: str) -> None:
    assert rate(pace, unit) == said


def test_bytes_are_told_as_people_tell_them() -> None:
    watch = Watch(draws=True)
    watch.at(0, At("fetching google/gemma-2b", 0, 5_000_000_000, "bytes"))
    watch.at(10, At("fetching google/gemma-2b", 310_000_000, 5_000_000_000, "bytes"))
    # 4,690 MB at 31 MB/s are 151 s.
    assert watch.drawn[-1] == (
        "[sft] fetching google/gemma-2b: 310.0 MB of 5.00 GB, 6 %, 3 min left, 31.0 MB/s"
    )


def test_a_stage_that_fails_leaves_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with progress.of_stage("eval"):
            progress.show("measuring", 1, 2, "rows")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    progress.show("later")
    assert capsys.readouterr().err == "[eval] measuring: 1 of 2 rows, 50 %\nlater\n"


def test_names_of_models_reach_the_terminal_as_text() -> None:
    watch = Watch(draws=True)
    watch.at(0, At("fetching \x1b[31mred\nmodel"))
    assert watch.drawn == ["[sft] fetching ␛[31mred model"]
