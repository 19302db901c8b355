"""Pictures of a study: what is on them is checked on the figure itself."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import drawn_figures
import fake_studies as fakes
import numpy as np
import pytest
from matplotlib.figure import Figure

from t5music import figures as canvas
from t5music.studies.grid import Axis, Column
from t5music.studies.report import curves, plots
from t5music.studies.report.summarise import summarise
from t5music.studies.report.summary import Summary
from t5music.training import learning_curves


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, instead of their bytes."""
    return drawn_figures.collect(monkeypatch)


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    study = fakes.study()
    return summarise(study, fakes.finished(study, tmp_path))


def test_a_picture_is_the_same_whatever_a_person_likes(monkeypatch: pytest.MonkeyPatch):
    import matplotlib

    def draw(figure: Figure) -> None:
        figure.add_subplot().plot([1, 2], [3, 4])

    plain = canvas.png(draw, 2, 2)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20}):
        assert canvas.png(draw, 2, 2) == plain
    assert plain.startswith(b"\x89PNG")


def test_metrics_are_drawn_against_the_axis(drawn: list[Figure], summary: Summary):
    plots.axis_png(summary)
    composer, continued = drawn[0].axes
    assert [composer.get_title(), continued.get_title()] == ["composer (%) ↑", "continue (bits/note) ↓"]
    line = composer.lines[0]
    order = [fakes.LONG, fakes.BASELINE, fakes.WORSE]  # by length, not by row
    means = {row.name: row.entries[0].mean for row in summary.settings}
    np.testing.assert_allclose(line.get_xdata(), [1, 3, 10])
    np.testing.assert_allclose(line.get_ydata(), [100 * means[name] for name in order])
    assert composer.get_xscale() == "log"
    assert [label.get_text() for label in composer.get_xticklabels()] == ["1", "3", "10"]


def test_an_axis_with_zero_has_a_logarithm_too(drawn: list[Figure], tmp_path: Path):
    study = fakes.study(axis=Axis("replay (%)", {fakes.BASELINE: 0, fakes.LONG: 1, fakes.WORSE: 20}, log=True))
    plots.axis_png(summarise(study, fakes.finished(study, tmp_path)))
    assert drawn[0].axes[0].get_xscale() == "symlog"


def test_close_numbers_on_an_axis_do_not_run_into_each_other(drawn: list[Figure], tmp_path: Path):
    study = fakes.study(axis=Axis("parameters", {fakes.BASELINE: 64, fakes.LONG: 384, fakes.WORSE: 1e6}))
    plots.axis_png(summarise(study, fakes.finished(study, tmp_path)))
    ticks = drawn[0].axes[0].get_xticks()
    assert 384 not in ticks
    assert np.diff(ticks).min() > 1e5


def test_large_powers_of_two_are_written_as_such(drawn: list[Figure], tmp_path: Path):
    study = fakes.study(axis=Axis("K", {fakes.BASELINE: 2**16, fakes.LONG: 2**12, fakes.WORSE: 5000}, log=True))
    plots.axis_png(summarise(study, fakes.finished(study, tmp_path)))
    labels = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert labels[-1] == "$2^{16}$"


def test_settings_have_rows_and_what_failed_says_so(drawn: list[Figure], tmp_path: Path):
    study = fakes.study()
    records = fakes.finished(study, tmp_path)
    for seed in study.seeds:
        fakes.stop(records, fakes.WORSE, seed, {"test": ("failed", "no memory")})
    fakes.stop(records, fakes.LONG, 0, {"test": ("running", "")})
    plots.settings_png(summarise(study, records))
    composer, continued = drawn[0].axes
    assert [label.get_text() for label in composer.get_yticklabels()] == [
        "★ 3",
        "10",
        "i.i.d. | one word",
        "no pre-training",
        "majority class",
        "a paper, 2021",
    ]
    texts = {text.get_text().strip(): text.get_position()[1] for text in composer.texts}
    assert texts == {"failed": 1, "← 22.2": 4}  # the majority is too far away to be a point
    assert [text.get_text() for text in continued.texts] == ["failed"]


def test_recalls_are_means_over_the_seeds_that_finished(drawn: list[Figure], tmp_path: Path):
    again = Column("composer, F1", "test", "pianist8_composer", "macro_f1")
    study = fakes.study(columns=(*fakes.COLUMNS, again))
    records = fakes.finished(study, tmp_path)
    for number, record in enumerate(records.values()):
        if composer := record.results.get("pianist8_composer"):
            composer["recall/Bach"], composer["recall/Satie"] = 0.5, 0.01 * number
    numbers = [number for number, record in enumerate(records.values()) if record.results]
    fakes.stop(records, fakes.WORSE, 0, {"test": ("running", "")})
    for seed in study.seeds:
        fakes.stop(records, fakes.LONG, seed, {"test": ("failed", "no memory")})
    plots.recalls_png(summarise(study, records))
    (axes,) = drawn[0].axes  # one of each task; music that is continued has no labels
    assert axes.get_title() == "composer"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Bach", "Satie"]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["★ 3", "10", "i.i.d. | one word", "no pre-training"]
    written = [text.get_text() for text in axes.texts]
    # Tests come in the order of the cells: seed by seed, and in each the four settings.
    means = [np.mean(numbers[row::4][1:] if row == 1 else numbers[row::4]) for row in (0, 1, 3)]
    assert written == [text for mean in means for text in ("50", f"{mean:.0f}")]
    assert np.isnan(np.asarray(axes.images[0].get_array().filled(np.nan))[2]).all()


def test_nothing_finished_has_no_picture():
    study = fakes.study()
    summary = summarise(study, {})
    assert plots.settings_png(summary) is None
    assert plots.axis_png(summary) is None
    assert plots.recalls_png(summary) is None
    assert curves.stage_png(study, {}, "finetune") is None
    assert plots.axis_png(summarise(dataclasses.replace(study, axis=None), {})) is None


def write(folder: Path, losses: dict[int, float | None], metric: str = "validation/loss") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": step, metric: loss}) + "\n" for step, loss in losses.items()]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def test_a_curve_is_the_mean_over_the_seeds_where_all_have_it(tmp_path: Path):
    one = write(tmp_path / "0", {10: 3.0, 20: 2.0, 30: 1.0})
    two = write(tmp_path / "1", {10: 4.0, 20: 2.5})
    curve = learning_curves.read([one, two], "validation/loss")
    np.testing.assert_array_equal(curve.steps, [10, 20])
    np.testing.assert_allclose(curve.mean, [3.5, 2.25])
    np.testing.assert_allclose(curve.deviation, [math.sqrt(0.5), math.sqrt(0.125)])
    assert learning_curves.read([one], "validation/loss").deviation is None
    assert learning_curves.read([one, tmp_path / "not begun"], "validation/loss") is None


def test_a_loss_that_was_not_finite_is_a_gap(tmp_path: Path):
    curve = learning_curves.read([write(tmp_path, {10: 3.0, 20: None})], "validation/loss")
    np.testing.assert_array_equal(curve.mean, [3.0, math.nan])


def test_settings_that_share_runs_share_a_line(drawn: list[Figure], tmp_path: Path):
    study = fakes.study()
    shared = {seed: fakes.stages_of(fakes.BASELINE, seed)["pretrain"] for seed in study.seeds}
    together = (fakes.BASELINE, fakes.WORSE)
    cells = [
        dataclasses.replace(cell, stages={**cell.stages, "pretrain": shared[cell.seed]})
        if cell.setting in together
        else cell
        for cell in study.cells
    ]
    study = dataclasses.replace(study, cells=tuple(cells))
    records = fakes.finished(study, tmp_path)
    fakes.write_metrics(records)
    curves.stage_png(study, records, "pretrain")
    figure = drawn[0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["★ 3, 10", "i.i.d. | one word"]  # and nothing of the setting without pre-training
    expected = learning_curves.read([records[stage.fingerprint].folder for stage in shared.values()], "validation/loss")
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), expected.mean)


def test_finished_runs_are_drawn_before_others(drawn: list[Figure], tmp_path: Path):
    study = fakes.study(settings=(fakes.UNTRAINED,))
    records = fakes.finished(study, tmp_path)
    fakes.stop(records, fakes.UNTRAINED, 0, {"finetune": ("running", "")})
    for seed, losses in ((0, {10: 9.0}), (1, {10: 3.0, 20: 2.0}), (2, {10: 4.0, 20: 1.0})):
        write(records[fakes.stages_of(fakes.UNTRAINED, seed)["finetune"].fingerprint].folder, losses)
    curves.stage_png(study, records, "finetune")
    np.testing.assert_allclose(drawn[0].axes[0].lines[0].get_ydata(), [3.5, 1.5])


def test_training_loss_stands_in_where_nothing_was_validated(drawn: list[Figure], tmp_path: Path):
    study = fakes.study(settings=(fakes.UNTRAINED,), seeds=(0,))
    records = fakes.finished(study, tmp_path)
    write(records[fakes.stages_of(fakes.UNTRAINED, 0)["finetune"].fingerprint].folder, {10: 2.0, 20: 1.5}, "loss")
    curves.stage_png(study, records, "finetune")
    assert drawn[0].axes[0].get_ylabel() == "training loss (nats per target token)"


def test_one_point_is_no_curve(drawn: list[Figure], tmp_path: Path):
    """Neither a loss of one step, nor a metric of one setting on the axis."""
    study = fakes.study(settings=(fakes.UNTRAINED,), seeds=(0,))
    records = fakes.finished(study, tmp_path)
    write(records[fakes.stages_of(fakes.UNTRAINED, 0)["finetune"].fingerprint].folder, {10: 2.0}, "loss")
    assert curves.stage_png(study, records, "finetune") is None
    study = fakes.study(settings=(fakes.BASELINE, fakes.UNTRAINED))  # of which the second is not on the axis
    study = dataclasses.replace(study, axis=Axis("mean span length", {fakes.BASELINE: 3}))
    assert plots.axis_png(summarise(study, fakes.finished(study, tmp_path))) is None
    assert drawn == []


def test_many_settings_have_a_panel_each(drawn: list[Figure], tmp_path: Path):
    study = fakes.study(settings=tuple(f"setting {number}" for number in range(13)), seeds=(0,))
    records = fakes.finished(study, tmp_path, shifts=dict.fromkeys(study.settings, 0.0))
    fakes.write_metrics(records)
    curves.stage_png(study, records, "finetune")
    shown = [axes for axes in drawn[0].axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["★ setting 0", *study.settings[1:]]
    for axes in shown[9:13]:  # the lowest of each column, also above an empty place
        assert axes.xaxis.get_tick_params()["labelbottom"]
