"""The report of a study: all its files, what they say of what is not finished, and that they depend on nothing else."""

from __future__ import annotations

import base64
import csv
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import fake_studies as fakes
import pytest
from fake_studies import cells

from t5music import figures, written_text
from t5music.errors import DataError
from t5music.studies.grid import Study
from t5music.studies.report import write
from t5music.studies.stage_folders import Record

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page, and holds that every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tables: list[list[list[str]]] = []  # [table][row][cell]
        self.texts: dict[str, list[str]] = {}  # element -> texts in it
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert tag not in ("script", "link", "iframe")
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attributes["src"] or "")
            assert attributes["alt"]
        if tag == "a":
            self.links.append(attributes["href"] or "")
        if "id" in attributes:
            self.ids.append(attributes["id"] or "")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines))


def unfinished(root: Path) -> tuple[Study, dict[str, Record]]:
    """A study with a cell that failed, one that runs, a setting that was never begun, and all others finished."""
    study = fakes.study()
    records = fakes.finished(study, root)
    fakes.stop(records, fakes.WORSE, 1, {"pretrain": ("failed", "the loss is nan,\nsee <diverged/> & more")})
    fakes.stop(records, fakes.LONG, 2, {"finetune": ("running", "")})
    for seed in study.seeds:
        fakes.stop(records, fakes.UNTRAINED, seed, {"finetune": ("missing", "")})
    fakes.write_metrics(records)
    return study, records


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Study, dict[str, Record]]:
    """(the table that was returned, the report's folder, study, records)."""
    folder = tmp_path_factory.mktemp("study")
    study, records = unfinished(folder / "runs")
    return write.write(study, records, folder / "report"), folder / "report", study, records


PROBLEMS = {
    "failed": 'pretrain of "10", seed 1: the loss is nan, see <diverged/> & more',
    "running": 'finetune of "i.i.d. | one word", seed 2',
    "missing": 'finetune of "no pre-training", seeds 0, 1, 2',
}


def test_all_files_are_there_and_the_table_is_returned(report: tuple[str, Path, Study, dict[str, Record]]):
    text, folder, _, _ = report
    assert sorted(path.name for path in folder.iterdir()) == [
        "axis.png",
        "curves_finetune.png",
        "curves_pretrain.png",
        "index.html",
        "settings.png",
        "table.csv",
        "table.md",
        "values.csv",
    ]
    assert (folder / "table.md").read_text() == text + "\n"


def test_the_table_says_what_is_not_finished(report: tuple[str, Path, Study, dict[str, Record]]):
    text = report[0]
    table = cells(text)
    assert re.fullmatch(r"52\.\d ± \d\.\d \(2 of 3; 1 failed\)", table["10"][0])
    assert re.fullmatch(r"\*\*63\.\d ± \d\.\d \(2 of 3\)\*\*", table["i.i.d. ¦ one word"][0])
    assert table["no pre-training"] == ["missing", "missing"]
    for status, where in PROBLEMS.items():
        assert f"- **{status}** {written_text.markdown(where)}\n" in text
    assert "22 of 33 stages finished" in text


def test_the_csvs_say_what_is_not_finished(report: tuple[str, Path, Study, dict[str, Record]]):
    _, folder, _, _ = report
    rows = {(line["row"], line["column"]): line for line in read_csv(folder / "table.csv")}
    assert len(rows) == 6 * 2
    assert {name: rows[name, "composer"]["status"] for name in fakes.SHIFTS} == {
        fakes.BASELINE: "finished",
        fakes.WORSE: "failed",
        fakes.LONG: "running",
        fakes.UNTRAINED: "missing",
    }
    seeds = {name: (rows[name, "composer"]["seeds"], rows[name, "composer"]["seeds_of"]) for name in fakes.SHIFTS}
    assert list(seeds.values()) == [("3", "3"), ("2", "3"), ("2", "3"), ("0", "3")]
    assert rows[fakes.UNTRAINED, "composer"]["mean"] == ""
    (failed,) = (
        line for line in read_csv(folder / "values.csv") if line["status"] == "failed" and line["column"] == "composer"
    )
    assert (failed["row"], failed["seed"], failed["value"]) == (fakes.WORSE, "1", "")
    assert failed["reason"] == "pretrain: the loss is nan, see <diverged/> & more"


def test_every_value_traces_to_its_run(report: tuple[str, Path, Study, dict[str, Record]]):
    _, folder, _, records = report
    lines = read_csv(folder / "values.csv")
    assert len(lines) == 4 * 3 * 2 + 3  # settings, seeds, columns; and the majority class
    columns = {column.name: column for column in fakes.COLUMNS}
    for line in lines:
        record = records[line["fingerprint"]]
        assert record.folder.name == line["folder"]
        assert (line["git"], line["version"], line["seconds"]) == (record.git, record.version, str(record.seconds))
        assert int(line["seed"]) == record.stage.seed
        if line["kind"] == "setting" and line["value"]:
            column = columns[line["column"]]
            assert float(line["value"]) == record.results[column.task][column.metric]  # to the last bit


def test_the_page_is_whole_and_needs_nothing_else(report: tuple[str, Path, Study, dict[str, Record]]):
    text, folder, study, _ = report
    html = (folder / "index.html").read_text()
    page = Page(html)
    table, differences, *provenance = page.tables
    assert [row[0] for row in differences] == ["", *study.settings[1:]]
    assert [row[0] for row in table] == ["", "★ 3", *study.settings[1:], "majority class", "a paper, 2021"]
    # The same figures as in Markdown.
    plain = text.replace("*", "")
    for row in table[1:]:
        expected = cells(plain)[row[0].replace("|", "¦")]
        assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row[1:]] == expected
    assert page.texts["strong"][-3:] == ["failed", "running", "missing"]
    told = [" ".join(item.split()) for item in page.texts["li"]]
    assert told == list(PROBLEMS.values())
    drawn = ["settings.png", "axis.png", "curves_pretrain.png", "curves_finetune.png"]
    assert [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in page.images] == [
        (folder / name).read_bytes() for name in drawn
    ]
    assert len(provenance) == len(study.settings)
    stages = study.stages()
    for stage in stages:
        assert stage.folder in html
        assert page.ids.count(stage.fingerprint) == 1
    assert {link.removeprefix("#") for link in page.links} == set(page.ids)
    assert sorted(page.texts["pre"]) == sorted(stage.configuration for stage in stages)
    assert not re.search(r"(src|href)=\"(?!#|data:)", html)
    assert "url(" not in html


def test_recalls_are_drawn_where_there_are_some(tmp_path: Path):
    study = fakes.study()
    records = fakes.finished(study, tmp_path)
    for record in records.values():
        if record.results:
            record.results["pianist8_composer"]["recall/Bach"] = 0.5
    write.write(study, records, tmp_path / "report")
    picture = (tmp_path / "report" / "recalls.png").read_bytes()
    assert base64.b64encode(picture).decode() in (tmp_path / "report" / "index.html").read_text()
    write.write(study, {}, tmp_path / "report")
    assert not (tmp_path / "report" / "recalls.png").exists()


def test_the_same_run_folders_give_the_same_bytes(tmp_path: Path, report: tuple[str, Path, Study, dict[str, Record]]):
    """Elsewhere, with records found in another order, and a study whose seeds were named in another order."""
    _, folder, _, _ = report
    study, records = unfinished(tmp_path / "elsewhere")
    study = dataclasses.replace(study, seeds=(2, 0, 1), cells=tuple(reversed(study.cells)))
    write.write(study, dict(reversed(records.items())), tmp_path / "report")
    for path in folder.iterdir():
        assert (tmp_path / "report" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_picture_that_nothing_is_left_for_goes(tmp_path: Path):
    study, records = unfinished(tmp_path / "runs")
    folder = tmp_path / "report"
    write.write(study, records, folder)
    write.write(dataclasses.replace(study, axis=None), {}, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "table.csv", "table.md", "values.csv"]


def test_without_matplotlib_there_is_all_but_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    study, records = unfinished(tmp_path / "runs")
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    monkeypatch.setattr(figures, "_left_out", [])
    write.write(study, records, tmp_path / "report")
    assert sorted(path.suffix for path in (tmp_path / "report").iterdir()) == [".csv", ".csv", ".html", ".md"]
    assert capsys.readouterr().err.count("left out: settings.png") == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file/report"):
        write.write(fakes.study(), {}, tmp_path / "file" / "report")
