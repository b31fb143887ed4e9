from __future__ import annotations

import pytest

from stemma.generator.refusals import is_refusal
from stemma.generator.requests import Completion, TokenUsage


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I cannot help with that.",
        "I am sorry, but I am unable to provide an explanation.",
        "Sorry, I can't comply.",
        "I cannot fulfill this request.",
        "I won't be able to assist with this.",
        "Unfortunately, I'm not able to answer that.",
        "As an AI language model, I cannot solve this.",
        "My apologies, but I must decline to answer.",
        "**I apologise for the inconvenience, but I am unable to complete this.**",
        "As a language model, I'm not able to judge.",
        "I'm just an AI, I can't answer that.",
        "Hello! I'm sorry, but I can't help with that.",
        "Thank you for your question, but I cannot help with this request.",
        "It seems I can't assist with that.",
        "I'm sorry, that is not something I can assist with.",
        "I'd prefer not to answer.",
        "I'm not going to help with that.",
        "I do not have the ability to answer this question.",
        "This request violates our usage policies.",
        "I'm sorry, but the question is missing. Could you provide it?",
        "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
        "Lo siento, pero no puedo ayudar con eso.",
    ],
)
def test_a_refusal_in_prose_is_one(text: str) -> None:
    assert is_refusal(text)
    assert Completion(text, None, "stop", "m", TokenUsage(1, 0, 1)).problem() == "reply refused"


@pytest.mark.parametrize(
    "text",
    [
        "I cannot be right, since the sum of II and III is odd.",
        "We cannot conclude that the series converges, so the answer is C.",
        "The enzyme can't help the substrate bind. Completion: B",
        "Sorry for the long derivation: the answer is 19.",
        "I can answer this by symmetry: 4.",
        "I will not only answer but also explain: 19.",
        "19",
        "Unfortunately the reaction cannot provide enough energy.",
        "As an AI winter approached, funding was cut, and expert systems were not able to scale.",
        "I'm sorry to say that option B is wrong: the gas expands.",
        "Sorry, but the answer is B: the gas expands.",
        "I am not able to be zero, since V > 0.",
        "No. I cannot be larger than 3 A.",
        "I'm not going to use the formula. Counting gives 12.",
        "I won't repeat the definition. The answer is newton.",
    ],
)
def test_an_answer_that_sounds_like_one_is_not(text: str) -> None:
    assert not is_refusal(text)
