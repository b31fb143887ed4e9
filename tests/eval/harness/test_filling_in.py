"""Templates of task files, filled in as the harness itself does."""

from __future__ import annotations

import pytest
from lm_eval.utils import apply_template as of_the_harness

from eval.harness.tasks import fill_in

OWN = of_the_harness  # before `load` puts ours in its place
ROW = {"question": " What is <b>é</b>?\n", "choices": {"text": ["4", "5"], "label": ["A", "B"]}}


@pytest.mark.parametrize(
    "template",
    [
        "{{question}}\n\n",
        "  {% if question %}\n x\n  {% endif %}\n",
        "{{ question.strip()|tojson }}",
        "{{ choices|tojson }} {{ choices|tojson(indent=2) }}",
        "{{ choices|tojson ~ '<' }}",
        "{{ question|e }}{{ question|regex_replace('b', 'i') }}",
        "{{ choices.label.index('B') }}",
        "{% for one in choices.text %}{{ loop.index }}. {{ one }}\n{% endfor %}",
    ],
)
def test_as_the_harness_does(template: str) -> None:
    assert fill_in(template, ROW) == OWN(template, ROW)
