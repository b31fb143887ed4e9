"""Refusals in prose: a server may send "I'm sorry, but I can't help with that" as a good reply."""

from __future__ import annotations

import re

# What may stand in front of a refusal: "Hello! Thank you, but unfortunately, as an AI model, …".
_I_AM = r"(?:(?:i|we)(?:['’]m|['’]re| am| are) (?:\w+ )?)"
_SORRY = (
    rf"(?:{_I_AM}?sorry|(?:i |we |my )?(?:sincer\w+ )?apolog(?:ies|i[sz]e))(?: for [\w ]{{1,40}})?"
)
_MODEL = (
    r"(?:as|(?:i(?:['’]m| am)|being)(?: \w+){0,3}) an? (?:ai|(?:large )?language model)\b"
    r"[^.!?,;]{0,60}?(?=[,;.]|\bi\b|\band\b|\bcan(?:not|['’]t))"
)
_OPENING = re.compile(
    r"[\W_]*(?:(?:hello|hi|no|well|thank(?:s| you)(?: [\w' ]{1,40})?|unfortunately|however|but|and"
    r"|it (?:seems|appears|looks like)|i regret(?: to say)?(?: that)?|i(?:['’]m| am) afraid"
    rf"|{_SORRY}|{_MODEL})(?![\w'’])[\W_]*){{1,6}}",
    re.IGNORECASE,
)
_NOT_DOING = (
    r"(?:(?:i|we)(?:(?:['’]m|['’]re| am| are) "
    r"(?:unable|not (?:able|allowed|permitted|comfortable|going))"
    r"| (?:can ?not|can['’]t|could ?n['’]t|wo ?n['’]t|will not|(?:must |have to )?decline"
    r"|do(?:n['’]t| not) feel comfortable)))(?: in good conscience)?(?: to| with)?"
)
_HELPING = (
    r"(?:assist|help|provid|fulfil|comply|answer|continu|discuss|creat|generat|shar|engag|respond"
    r"|complet|process|support|offer|talk|judge|do (?:that|this))"
)
_DECLINES = re.compile(
    rf"{_NOT_DOING}\s+(?:(?!only\b)\w+\s+){{0,3}}?{_HELPING}"
    r"|(?:i|we)(?:['’]d| would) (?:rather not|prefer not to)\b"
    r"|i (?:must |have to )?decline (?:this|that|your)\b"
    r"|i (?:do not|don['’]t) have (?:the ability|access|(?:enough|sufficient) information) to"
    r" (?:answer|help|judge|see)"
    r"|i(?:['’]m| am) programmed to\b"
    r"|(?:that|this|it)(?:['’]s| is) not something (?:that )?i can"
    r"|(?:this|your|the) (?:request|prompt|question|content) "
    r"(?:was rejected|(?:may )?violates?|goes against)\b",
    re.IGNORECASE,
)
_CANNOT = re.compile(
    r"(?:i |and )?(?:am |do |is |are )?(?:can ?not|can['’]t|unable|not\b)", re.IGNORECASE
)
# An apology that goes on with "but" answers nothing: "I'm sorry, but the question is missing".
_APOLOGY = re.compile(
    rf"[\W_]*(?:(?:hello|hi)\W+)?(?:{_SORRY}|(?:je suis )?désolée?|(?:es )?tut mir leid|lo siento"
    r"|desculpe|mi dispiace)[\W_]+(?:but|mais|aber|pero|mas|ma)\b"
    r"(?![^.!?\n]*\b(?:answer|option|choice) (?:is|[A-J]\b))"
    r"|\W*(?:抱歉|对不起|申し訳)",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a text opens by declining to answer.

    "I cannot be right, since …" and "We cannot conclude …" are answers.
    """
    text = text.strip(" \n\t*_#>\"'“")[:500]
    if _APOLOGY.match(text):
        return True
    opening = _OPENING.match(text)
    start = opening.end() if opening else 0
    as_model = re.search(r"\b(?:ai|language model)\b", text[:start], re.IGNORECASE)
    return bool(_DECLINES.match(text, start) or (as_model and _CANNOT.match(text, start)))
