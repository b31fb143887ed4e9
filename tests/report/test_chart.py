from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from report import chart
from tests.factories.run_to_report import score


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.21, 0.69, [0.2, 0.4, 0.6, 0.8]),
        (0, 90, [0, 50, 100]),
        (5, 5, [4.5, 5, 5.5]),
    ],
)
def test_ticks_are_round_and_cover_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert chart.ticks(low, high) == expected


def test_axis_numbers_are_short_with_a_real_minus() -> None:
    assert [chart.label(value) for value in (0.0, -0.4, 1500.0)] == ["0", "−0.4", "1,500"]


def test_smoothing_is_the_mean_of_the_neighbours() -> None:
    assert chart.smoothed([(1, 0.0), (2, 3.0), (3, 6.0)], 1) == [(1, 1.5), (2, 3.0), (3, 4.5)]


def test_charts_are_well_formed_and_repeatable() -> None:
    lines = {"train": [(float(step), 1 / step) for step in range(1, 100)]}
    svg = chart.line_chart("Loss & more", lines)
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "Loss & more"
    assert [
        path.attrib["class"] for path in root.iter("path") if "line" in path.attrib["class"]
    ] == [
        "line train faint",
        "line train",
    ]
    assert svg == chart.line_chart("Loss & more", lines)


def test_one_point_at_step_zero_can_be_drawn() -> None:
    root = ElementTree.fromstring(chart.line_chart("Loss", {"eval": [(0.0, 0.0)]}))
    assert [circle[0].text for circle in root.iter("circle")] == ["eval, step 0: 0"]


def test_names_of_points_on_one_spot_do_not_overlap() -> None:
    spots = [
        chart.Spot(name, 1.0, score("v", "mcq", "accuracy", 0.5, 10))
        for name in ("merged", "gguf-F16", "mcq")
    ]
    root = ElementTree.fromstring(chart.scatter_chart("Quality", spots, chart.SIZE, "mcq"))
    names = [text for text in root.iter("text") if text.attrib["class"].startswith("name")]
    assert len({(text.attrib["x"], text.attrib["y"]) for text in names}) == 3
    assert [text.text for text in names if "strong" in text.attrib["class"]] == ["mcq"]


def test_the_front_is_a_line_through_its_spots() -> None:
    spots = [
        chart.Spot("small", 1.0, score("v", "mcq", "accuracy", 0.5, 10)),
        chart.Spot("middle", 2.0, score("v", "mcq", "accuracy", 0.4, 10)),
        chart.Spot("large", 3.0, score("v", "mcq", "accuracy", 0.6, 10)),
    ]
    svg = chart.scatter_chart("Quality", spots, chart.SIZE, "small", ["small", "large"])
    [front] = [
        path for path in ElementTree.fromstring(svg).iter("path") if path.get("class") == "front"
    ]
    assert front.attrib["d"].count("L") == 1
    assert "size on disk, MB" in svg


def test_a_long_name_leaves_its_number_room() -> None:
    name = "preference_jsonl course_template_examples/dpo_preference_example.jsonl"
    drawn = chart.bar_chart("rows", {name: 12, "short": 3})
    assert f"<title>{name}</title>" in drawn
    [shown] = re.findall(r">([^<>]*…[^<>]*)</text>", drawn)
    assert shown == "preference_js…o_preference_example.jsonl"
    assert len(shown) == chart.NAME_CHARACTERS
    assert ">short</text>" in drawn


def test_a_long_line_is_drawn_with_few_points_and_keeps_its_spike() -> None:
    points = [(float(step), 1.0) for step in range(100_000)]
    points[77_777] = (77_777.0, 9.0)
    kept = chart.thinned(points)
    assert len(kept) <= 400
    assert (77_777.0, 9.0) in kept
    assert kept == sorted(kept)
    assert len(chart.averaged(points)) <= 200
    short = points[:400]
    assert chart.thinned(short) == chart.averaged(short) == short
    assert len(chart.line_chart("loss", {"train": points})) < 20_000


PLACES = (("a", 1), ("gguf-Q4_K_M", 9))


def test_a_name_at_the_right_edge_is_not_cut() -> None:
    spots = [
        chart.Spot(name, x, score(name, "mcq", "accuracy", 0.5, 10))
        for name, x in (("a", 1), ("gguf-Q4_K_M", 9))
    ]
    picture = chart.scatter_chart("t", spots, chart.SIZE, "a")
    assert 'text-anchor="end">gguf-Q4_K_M' in picture
