"""The bars of the C core on the smallest processor, and the report that finds them."""

import json
from pathlib import Path

import pytest

from tools.cross.sizes import BAR_TARGET, BASELINE, core_breaks_bar, sizes, worst_stack
from tools.cross.targets import CORE, TARGETS, target

FINE = {"text": 1536, "data": 0, "bss": 0, "stack": 100}


def node(name: str, size: int, kind: str = "static") -> str:
    return f'node: {{ title: "{name}" label: "{name}\\nx.c:1:1\\n{size} bytes ({kind})" }}\n'


def edge(caller: str, callee: str) -> str:
    return f'edge: {{ sourcename: "{caller}" targetname: "{callee}" label: "x.c:1:1" }}\n'


def test_core_is_within_three_kib_of_text_and_has_no_static_ram() -> None:
    report = sizes((target(BAR_TARGET),))
    assert core_breaks_bar(report) == []
    assert set(report[BAR_TARGET]) == set(CORE)
    assert all(each["text"] > 100 and each["stack"] > 0 for each in report[BAR_TARGET].values())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"text": 1537}, "3073 bytes of text, 3072 allowed"),
        ({"data": 4}, "chunker has static RAM"),
        ({"bss": 4}, "chunker has static RAM"),
    ],
)
def test_bar_notices_what_breaks_it(change: dict[str, int], complaint: str) -> None:
    assert core_breaks_bar({BAR_TARGET: {"arena": FINE, "chunker": FINE}}) == []
    assert core_breaks_bar({BAR_TARGET: {"arena": FINE, "chunker": {**FINE, **change}}}) == [complaint]


def test_stack_is_the_deepest_chain_not_the_largest_frame() -> None:
    graph = node("a", 10) + node("b", 20) + node("c", 5) + node("d", 24) + edge("a", "b") + edge("b", "c")
    assert worst_stack(graph) == 35
    assert worst_stack(graph + edge("a", "memset")) == 35
    assert worst_stack(graph + node("e", 40, "dynamic,bounded")) == 40, "arguments that are pushed"


def test_every_object_of_every_target_can_be_measured() -> None:
    report = sizes()
    assert {name: tuple(objects) for name, objects in report.items()} == {each.name: each.objects for each in TARGETS}
    assert all(each["text"] > 100 for objects in report.values() for each in objects.values())


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (node("a", 8, "dynamic"), "variable size"),
        (node("a", 8) + node("b", 8) + edge("a", "b") + edge("b", "a"), "calls itself"),
    ],
)
def test_stack_without_a_bound_is_an_error(graph: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        worst_stack(graph)


def test_static_memory_is_seen_by_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.cross import sizes as module

    source = tmp_path / "bad.c"
    source.write_text("int f(void); static int n[4]; int f(void) { int b[16]; n[0]++; b[n[0] & 15] = 1; return b[3]; }")
    found = module.measure(target(BAR_TARGET), source, tmp_path)
    assert found["bss"] == 16 and found["data"] == 0 and found["stack"] == 64


def test_baseline_knows_every_target() -> None:
    baseline = json.loads(BASELINE.read_text())
    names = [each.name for each in TARGETS]
    assert list(baseline["sizes"]) == list(baseline["counts"]) == names
    assert all(tuple(baseline["sizes"][each.name]) == each.objects for each in TARGETS)
    assert target("armel").objects == (*CORE, "digest", "memory", "posix", "scan", "sum")
