from importlib.util import find_spec

import pytest

from eval.text.tagger import load_tagger
from stemma.errors import UserError
from stemma.recipe.evaluation import TextMetrics

absent = pytest.mark.skipif(find_spec("spacy") is not None, reason="spaCy is installed here")
present = pytest.mark.skipif(find_spec("spacy") is None, reason="spaCy is not installed here")


def test_the_light_tagger_needs_nothing() -> None:
    tagger = load_tagger(TextMetrics(tagger="light"))
    assert tagger.name.startswith("light ")
    assert tagger.nouns(["The force.", "It moves."]) == [{"force"}, set()]


def test_spacy_is_what_a_recipe_gets_that_names_no_tagger() -> None:
    assert TextMetrics().tagger == "spacy"


@absent
def test_without_spacy_the_error_says_what_to_install() -> None:
    with pytest.raises(UserError) as caught:
        load_tagger(TextMetrics())
    assert str(caught.value) == (
        "eval.text.tagger: spaCy cannot be imported: No module named 'spacy'\n"
        "  expected: the package spacy\n"
        "  hint: pip install -e '.[spacy]', or `tagger: light`, which needs nothing"
    )


@present
def test_a_model_that_is_not_there_is_told_with_the_way_to_get_it() -> None:
    with pytest.raises(UserError, match="spaCy has no model `en_core_none`"):
        load_tagger(TextMetrics(spacy_model="en_core_none"))


@present
def test_spacy_finds_nouns_by_its_model() -> None:
    spacy = pytest.importorskip("spacy")
    installed = spacy.util.get_installed_models()
    if not installed:
        pytest.skip("no spaCy model is installed here")
    tagger = load_tagger(TextMetrics(spacy_model=installed[0]))
    assert tagger.name.startswith("spacy 3.")
    found = tagger.nouns(["The forces act on cells.", "It moves.", "A. x is 5."])
    assert found == [{"force", "cell"}, set(), set()]
