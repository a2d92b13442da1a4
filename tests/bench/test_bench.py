"""What the benchmark counts and prints; not how fast anything is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import contenders, gemm, growth, losses, report
from bench.http_load import Lost
from bench.timing import Timing, in_turns
from policytag.tagger import Tagger

SMALL = {"hidden_size": 2, "intermediate_size": 3, "num_hidden_layers": 2}


def test_actions_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    timings = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert len(timings["a"].seconds) == len(timings["b"].seconds) == 2


def test_rates_are_the_lowest_the_median_and_the_highest() -> None:
    assert Timing((2.0, 1.0, 4.0)).rates(8) == (2.0, 4.0, 8.0)


def test_operations_are_two_for_each_weight_a_token() -> None:
    # A layer: four of 2 x 2, one of 2 x 3, one of 3 x 2: 28 weights.
    assert gemm.operations(SMALL, [5, 1], cls_only=False) == 2 * 6 * 28 * 2
    # The last layer: keys and values of every token (8 weights), the other 20 for two [CLS] rows.
    assert gemm.operations(SMALL, [5, 1], cls_only=True) == 2 * (6 * 28 + 6 * 8 + 2 * 20)


def test_the_contenders_batches_are_sorted_and_within_their_budget() -> None:
    windows = [[0] * length for length in (512, 3, 700, 512, 512, 512, 3)]
    batches = contenders.sorted_batches(windows)
    assert [len(window) for batch in batches for window in batch] == sorted(map(len, windows))
    assert all(len(batch) * len(batch[-1]) <= contenders.MAX_TOKENS for batch in batches)


def test_texts_of_a_length_are_exactly_of_it() -> None:
    texts = growth.of_length(["对企业", "给予补贴"], 5, 10)
    assert len(texts) == 10
    assert {len(text) for text in texts} == {5}
    assert texts[:2] == ["对企业给予", "补贴对企业"]


def test_the_paragraph_alone_has_its_tokens_in_all_pieces_together() -> None:
    tagger = Tagger.load(Path("models/current"))
    text = growth.alone_text(tagger)
    windows = tagger.encoder.encode([text])[0].windows
    assert len(windows) > 1
    assert growth.ALONE_TOKENS - 3 <= len(growth.as_a_whole(tagger, text)) <= growth.ALONE_TOKENS
    assert sum(map(len, windows)) == len(growth.as_a_whole(tagger, text)) + 2 * (len(windows) - 1)


@pytest.fixture
def result() -> dict[str, object]:
    clients = {"1": {"rate": 100.0, "median_ms": 10.0, "p95_ms": 12.0}}
    return {
        "paragraphs": 2000, "characters": 137.4, "tokens": 91.4, "threads": 2, "rounds": 5,
        "rates": {"policytag int8, in process": [900.0, 1000.0, 1100.0], "pipeline": [40.0, 50.0, 60.0]},
        "missing": {"LitServe, HTTP": "not measured"},
        "gemm": {"int8": 2e12, "bf16": 1e12, "fp32": 5e11}, "operations": {"network": 6e8, "computed": 5e8},
        "alone_ms": {"policytag": 1.0, "plain ONNX Runtime fp32": 4.0}, "cores": {1: 500.0, 2: 950.0},
        "lengths": {"16": 5000.0, "2000": 70.0},
        "service": {"ready_s": 2.5, "resident_mb": 250.0, "clients": clients},
    }  # fmt: skip


def test_the_table_gives_ratios_and_what_was_left_out(result: dict[str, object]) -> None:
    table = report.table(result)
    assert "| pipeline | 50 (40 to 60) | 20.0 |" in table
    assert "| LitServe, HTTP | not measured | |" in table
    assert "25%; 30%" in table
    assert "0.25 of its time (1.0 and 4.0 ms)" in table
    assert "1.90 times" in table


def test_the_plot_is_written_where_matplotlib_is(result: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.write(result, tmp_path)
    assert "paragraphs/s" in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert (tmp_path / "growth.svg").stat().st_size > 1000


def test_losses_are_read_from_both_kinds_of_log(tmp_path: Path) -> None:
    pretrained, fitted = tmp_path / "log.jsonl", tmp_path / "fit.log"
    pretrained.write_text('{"step": 10, "train_mlm": 9.5}\n{"step": 20, "validation_mlm": 9.0}\n', encoding="utf-8")
    fitted.write_text("INFO training.finetune: step 3 of 75, loss 0.1318\nINFO other\n", encoding="utf-8")
    assert losses.curves(pretrained) == {losses.MASKED: [(10, 9.5)], losses.HELD_OUT: [(20, 9.0)]}
    assert losses.curves(fitted) == {"loss": [(3.0, 0.1318)]}


@pytest.mark.parametrize(
    ("lost", "in_flight"),
    [
        (Lost(sent=9.0, failed=10.1, kept=False), True),  # under way when the worker was killed
        (Lost(sent=10.01, failed=10.02, kept=True), True),  # on its connection, whose end was not seen yet
        (Lost(sent=10.01, failed=11.0, kept=False), False),  # a new connection waits for the next worker
        (Lost(sent=12.5, failed=13.0, kept=True), False),  # the next worker was ready
        (Lost(sent=8.0, failed=9.0, kept=True), False),  # nobody was killed
    ],
)
def test_a_request_is_lost_in_flight_if_only_the_killed_worker_could_have_answered(lost: Lost, in_flight: bool) -> None:
    assert lost.in_flight(killed=[10.0], back=[12.0]) is in_flight
