"""Strict gin: what is misspelt, missing or unused is an error that suggests the nearest name."""

from __future__ import annotations

from pathlib import Path

import gin
import pytest

from t5music.configuration import gin_files, registry
from t5music.errors import ConfigError, DataError
from t5music.model.config import SIZES, T5Config, named
from t5music.studies import runner  # noqa: F401  (registers "study")

ROOT = Path(__file__).resolve().parents[2]
SET = ["MIXTURE_OR_TASK_NAME = 'some_task'", "MODEL_DIR = 'run'"]


@pytest.fixture(autouse=True)
def clear_gin():
    yield
    gin.clear_config()


def test_run_files_parse_and_later_bindings_win():
    gin_files.configure(["runs/train.gin"], [*SET, "TRAIN_STEPS = 7"])
    assert gin.query_parameter("train.train_steps").config_key[0] == "TRAIN_STEPS"
    assert gin.query_parameter("TRAIN_STEPS/macro.value") == 7


@pytest.mark.parametrize("path", sorted((ROOT / "gin").rglob("*.gin")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_gin_file_parses(path: Path):
    files = [str(path.relative_to(ROOT / "gin"))]
    if path.relative_to(ROOT / "gin").parts[0] == "models":
        files.insert(0, "runs/train.gin")
    required = {
        "finetune": ["INITIAL_CHECKPOINT_PATH = 'run'"],
        "personalise": ["INITIAL_CHECKPOINT_PATH = 'run'"],
        "anneal": ["INITIAL_CHECKPOINT_PATH = 'run'"],
        "macros": ["TRAIN_STEPS = 1", "Update.optimizer = @adafactor()", "adafactor.rate = @schedules.constant()"],
        "nes": ["adamw.rate = @schedules.constant()"] if path.parent.name == "paper" else [],
        "muon": ["warmup_linear.warmup_steps = 1", "warmup_linear.total_steps = 2"],
        "audit": ["MODEL_DIR = ['run', 'reference']"],
    }.get(path.stem, [])
    if path.match("pretrained/*/common.gin"):
        required = ["TRAIN_STEPS = 1", "muon.rate = @schedules.constant()"]
    gin_files.configure(files, [*SET, *required])


@pytest.mark.parametrize("version", SIZES)
def test_model_files_are_the_published_sizes(version: str):
    folder = {"v1.0": "t5_1_0", "v1.1": "t5_1_1"}[version]
    for size in SIZES[version]:
        gin_files.configure(["runs/train.gin", f"models/{folder}/{size}.gin"], SET)
        assert gin.get_configurable("T5Config")(vocab_size=256) == named(version, size, vocab_size=256, dtype="auto")


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (["tran.seed = 1"], r"nothing is called 'tran'; did you mean 'train'"),
        (["train.sed = 1"], r"train has no parameter 'sed'; did you mean 'seed'"),
        (["train.seed = %SEDE"], r"reads %SEDE, which is not set; did you mean 'SEED'"),
        (["train.seed = ]"], "gin: Unable to parse"),
        (
            ["adafactor.rate = @warmup_linear()", "warmup_linear.peak = 0.1"],
            r"adafactor\.rate calls warmup_linear, which "
            r"needs more: --gin\.warmup_linear\.warmup_steps=\.\.\. --gin\.warmup_linear\.total_steps=\.\.\.",
        ),
        (
            ["adafactor.rate = @warmup_linear"],
            r"adafactor\.rate must be a reference .*@truncated_rsqrt\(\)",
        ),
        (["adafactor.rate = @Transpose()"], r"adafactor\.rate must be a reference to a function, .*, not @Transpose"),
        (["Update.optimizer = @muon()"], r"Update\.optimizer calls muon, which needs more: --gin\.muon\.rate=\.\.\."),
    ],
)
def test_misspelt(bindings: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        gin_files.configure(["runs/train.gin"], [*SET, *bindings])


def test_required_macro():
    with pytest.raises(ConfigError, match=r"MODEL_DIR must be set: --gin.MODEL_DIR="):
        gin_files.configure(["runs/train.gin"], SET[:1])


def test_missing_gin_file_suggests_the_nearest():
    with pytest.raises(ConfigError, match=r"runs/trian.gin: not found.*did you mean 'runs/train.gin'"):
        gin_files.configure(["runs/trian.gin"])


def test_unused_macro_is_an_error_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    gin_files.configure(["runs/train.gin"], [*SET, "TRAIN_STEP = 3"])
    with pytest.raises(ConfigError, match=r"read by nothing in this run: TRAIN_STEP; did you mean 'TRAIN_STEPS'"):
        registry.train()


def test_unused_binding_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    gin_files.configure(["runs/train.gin"], [*SET, "adamw.weight_decay = 0.1"])
    with pytest.raises(ConfigError, match=r"read by nothing in this run: adamw\.weight_decay"):
        registry.train()


STUDY = "studies/small/generation.gin"  # Adafactor, its rate by warmup_linear; transposition


@pytest.mark.parametrize(
    "bindings",
    [
        ["Update.optimizer = @muon()", "muon.rate = @warmup_cosine()", "warmup_cosine.peak = 0.005",
         "warmup_cosine.warmup_steps = 5", "warmup_cosine.total_steps = %TRAIN_STEPS"],
        ["Update.optimizer = @muon()", "muon.rate = @warmup_linear()"],
        ["adafactor.rate = @schedules.constant()"],
        ["TrainingData.augmentations = []"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("included", [False, True], ids=["in flags", "in a file"])
def test_what_a_later_line_puts_aside_may_stay(
    bindings: list[str], included: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    (tmp_path / "mine.gin").write_text("\n".join([f'include "{STUDY}"', *bindings]))
    directory = f"MODEL_DIR = '{tmp_path}'"
    if included:
        gin_files.configure([str(tmp_path / "mine.gin")], [directory])
    else:
        gin_files.configure([STUDY], [directory, *bindings])
    with pytest.raises(DataError, match="not built"):  # the corpora: the gin files are in order
        registry.train()


@pytest.mark.parametrize(
    ("bindings", "name"),
    [
        (["Update.optimizer = @muon()", "muon.rate = @warmup_linear()", "adafactor.rate = @schedules.constant()"],
         r"adafactor\.rate"),
        (["Update.optimizer = @muon()", "muon.rate = @schedules.constant()", "warmup_linear.peak = 1.0"],
         r"warmup_linear\.peak"),
        (["TrainingData.augmentations = []", "Transpose.low = -1"], r"Transpose\.low"),
        (["adamw.b1 = 0.5", "Update.optimizer = @muon()", "muon.rate = @warmup_linear()"], r"adamw\.b1"),
    ],
)  # fmt: skip
def test_what_is_set_after_it_was_put_aside_is_an_error(
    bindings: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("T5MUSIC_DATA", str(tmp_path))
    gin_files.configure([STUDY], [f"MODEL_DIR = '{tmp_path}'", *bindings])
    with pytest.raises(ConfigError, match=rf"read by nothing in this run: {name}(\W|$)"):
        registry.train()


@pytest.mark.parametrize("stage", ["train", "evaluate", "probe"])
def test_a_model_s_file_without_a_run_s_is_said_in_a_line(stage: str):
    gin_files.configure(["models/t5_1_1/tiny.gin"], [])
    example = {"train": "=runs/train.gin", "evaluate": "=runs/eval.gin", "probe": "a gin file that does"}[stage]
    with pytest.raises(ConfigError, match=rf"no gin file sets [\w, ]+ of {stage}: name .*{example}"):
        registry.STAGES[stage]()


def test_dataclasses_made_by_gin_equal_those_made_by_hand():
    gin_files.configure([], ["T5Config.d_model = 32"])
    made = gin.get_configurable("T5Config")(
        vocab_size=128, d_kv=8, num_heads=4, d_ff=64, num_encoder_layers=1, num_decoder_layers=1
    )
    assert made == T5Config(
        vocab_size=128, d_model=32, d_kv=8, num_heads=4, d_ff=64, num_encoder_layers=1, num_decoder_layers=1
    )
