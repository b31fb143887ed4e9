import pytest

from eval.text.light_tagger import NAME, nouns


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("", ""),
        ("The force moves the mass.", "force mass"),
        ("Forces move the masses.", "force mass"),
        ("The cells divide quickly, and each cell grows.", "cell"),
        ("Newton described the laws of motion.", "newton law motion"),
        ("The mitochondria produce most of the energy.", "mitochondria energy"),
        ("We need to measure it.", ""),
        ("The measure of energy is the joule.", "measure energy joule"),
        ("She can work here, and her work is good.", "work"),
        ("It is a very small, chemical reaction.", "reaction"),
        ("x = 5, so y is 6 and F is 7.", ""),
        ("The student's answer is wrong.", "student answer"),
        ("They were running and had melted.", ""),
        ("The meaning of a species", "meaning species"),
        ("Photosynthesis converts light into chemical energy.", "photosynthesis light energy"),
        ("القوة هي الكتلة", ""),
    ],
)
def test_nouns(sentence: str, found: str) -> None:
    assert nouns(sentence) == set(found.split())


def test_case_at_the_beginning_and_repetition_change_nothing() -> None:
    assert nouns("FORCE is mass, and the force is the Force.") == {"force", "mass"}


def test_it_says_its_version_and_its_lemmas() -> None:
    assert NAME.startswith("light 1 (simplemma ")
