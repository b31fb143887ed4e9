from __future__ import annotations

import random

from data_builders.filters.number_sets import NumberSets


def test_equal_sets_are_one_and_the_empty_set_is_within_all() -> None:
    sets = NumberSets([frozenset("12"), frozenset(), frozenset("21"), frozenset("3")])
    assert sets.of == [0, 1, 0, 2]
    assert sorted(sets.within(frozenset("312"))) == [0, 1, 2]
    assert sorted(sets.within(frozenset("129"))) == [0, 1]
    assert sets.within(frozenset()) == [1]
    assert NumberSets([]).within(frozenset("1")) == []


def test_the_tree_finds_what_comparing_each_finds() -> None:
    chance = random.Random(1)
    given = [frozenset(chance.choices("0123456789", k=chance.randrange(5))) for _ in range(200)]
    sets = NumberSets(given)
    for _ in range(200):
        numbers = frozenset(chance.choices("0123456789", k=chance.randrange(12)))
        assert sorted(sets.within(numbers)) == sorted(
            {sets.of[n] for n, one in enumerate(given) if one <= numbers}
        )
