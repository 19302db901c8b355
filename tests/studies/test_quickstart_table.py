"""The quickstart's table and what it asks for music, and tables and curves at large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_scores import BAR, chorale

from t5music.music import midi
from t5music.studies import quickstart
from t5music.studies.report import curves, table


def test_markdown_is_aligned():
    markdown = table.markdown(["", "bits"], {"uniform": ["27.10"], "t5": ["6.5"]})
    assert markdown.splitlines() == [
        "|         |  bits |",
        "|---------|------:|",
        "| uniform | 27.10 |",
        "| t5      |   6.5 |",
    ]


def test_quickstart_table_reads_every_figure_from_its_run():
    def run(bits: float, accuracy: float) -> dict[str, dict[str, float]]:
        baselines = {"uniform_bits_per_note": 30.0, "unigram_bits_per_note": 15.0}
        recall = {f"recall/{name}": 0.5 for name in ("a", "b", "c", "d")}
        return {
            quickstart.CONTINUE: {"bits_per_note": bits, **baselines},
            quickstart.ACCOMPANY: {"bits_per_note": bits + 1, **baselines},
            quickstart.COMPOSER: {"accuracy": accuracy, "macro_f1": 0.25, "majority_accuracy": 0.6, **recall},
        }

    lines = quickstart.results_table({"from scratch": run(9.0, 0.7), "pre-trained": run(8.5, 0.8)}).splitlines()
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:]}
    assert cells == {
        "uniform": ["30.00", "30.00", "25.0 %", ""],
        "unigram / majority class": ["15.00", "15.00", "60.0 %", ""],
        "from scratch": ["9.00", "10.00", "70.0 %", "25.0 %"],
        "pre-trained": ["8.50", "9.50", "80.0 %", "25.0 %"],
    }


def test_the_soprano_alone_is_accompanied_and_the_first_bars_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sources: dict[str, str] = {}
    monkeypatch.setattr(quickstart.generate, "generate", lambda source, *_, task, **__: sources.update({task: source}))
    midi.write(chorale(bars=16), tmp_path / "bwv1.mid")
    quickstart._write_music(tmp_path, tmp_path / "bwv1.mid")
    soprano, prompt = midi.read(Path(sources["accompany"])), midi.read(Path(sources["continue"]))
    assert set(soprano.notes["pitch"].tolist()) == {72, 73, 74, 75}
    assert len(soprano.notes) == 64
    assert prompt.end_tick == quickstart.PROMPT_BARS * BAR
    assert len(set(prompt.notes["track"].tolist())) == 4


def test_curves_are_drawn_from_the_runs_metrics(tmp_path: Path):
    for name in ("one", "two"):
        lines = [{"step": step, "loss": 3.0 / step} for step in (1, 2, 3)] + [{"step": 3, "validation/loss": 1.2}]
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = tmp_path / "loss.png"
    curves.draw({name: tmp_path / name for name in ("one", "two")}, path, title="a title")
    assert path.read_bytes().startswith(b"\x89PNG")
