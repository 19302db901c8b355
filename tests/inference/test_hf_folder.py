"""Folders as Hugging Face keeps them: what is kept of a foreign model, what is exported, and what each refusal says."""

import dataclasses
import json
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from mutations import damage, faults, refusal
from safetensors import SafetensorError
from safetensors.numpy import save_file

from t5music.data import vocabulary
from t5music.errors import CheckpointError, ConfigError, DataError
from t5music.inference import export
from t5music.inference.hf_folder import HuggingFaceFolder
from t5music.model import huggingface, parameters
from t5music.model.config import T5Config
from t5music.runs import initial_weights
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.train_state import TrainState

PEERS = Path(__file__).resolve().parents[2] / ".venv-peers" / "bin" / "python"  # made by `make peers`
VOCABULARY = vocabulary.default()
FIELDS = {
    "model_type": "t5",
    "vocab_size": 384,
    "d_model": 16,
    "d_kv": 4,
    "num_heads": 3,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
WO = "encoder.block.1.layer.1.DenseReluDense.wo.weight"


def weights_of(fields, seed=0):
    random = np.random.default_rng(seed)
    shapes = huggingface.names(huggingface.config_from(fields))
    return {name: 3 * random.standard_normal(shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def make(tmp_path):
    """`make(fields, **files)` -> a model's folder and its weights."""

    def made(fields=None, tokenizer=None, **files):
        fields = {**FIELDS, **(fields or {})}
        folder = tmp_path / "foreign"
        folder.mkdir()
        weights = weights_of(fields)
        (folder / "config.json").write_text(json.dumps(fields))
        save_file(weights, folder / "model.safetensors")
        for name, content in ({"tokenizer": tokenizer} if tokenizer else {}).items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder, weights

    return made


def loaded(folder, **changes):
    opened = HuggingFaceFolder(folder, VOCABULARY)
    state = parameters.abstract(opened.config)[1]
    nnx.replace_by_pure_dict(state, opened.params(**changes))
    return opened.config, huggingface.to_huggingface(state, opened.config)


def test_byt5_keeps_bytes_and_sentinels_and_every_other_weight(make):
    folder, theirs = make({"tokenizer_class": "ByT5Tokenizer"})
    config, ours = loaded(folder)
    assert (config.vocab_size, config.version, config.num_encoder_layers) == (VOCABULARY.rows, "v1.1", 2)
    for name in theirs.keys() - set(huggingface.TABLES):
        np.testing.assert_array_equal(ours[name], theirs[name])
    for name in huggingface.TABLES:
        np.testing.assert_array_equal(ours[name][:259], theirs[name][:259])
        np.testing.assert_array_equal(ours[name][VOCABULARY.sentinel(0)], theirs[name][258])
        np.testing.assert_array_equal(ours[name][VOCABULARY.sentinel(99)], theirs[name][159])
        drawn = ours[name][259 : VOCABULARY.sentinel(99)]
        assert drawn.std() == pytest.approx(theirs[name].std(), rel=0.05)
        assert not np.isin(drawn[:, 0], theirs[name]).any()


def test_t5_keeps_its_sentinels_and_single_characters(make):
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["\u2581", -2.0], ["\u2581the", -3.0], ["e", -4.0]]
    pieces += [["\u00e9", -5.0]]
    small = {"feed_forward_proj": "relu", "tie_word_embeddings": True, "vocab_size": 32128}
    folder, theirs = make(small, tokenizer={"model": {"vocab": pieces}})
    config, ours = loaded(folder)
    assert config.version == "v1.0"
    table = theirs["shared.weight"]
    assert len(HuggingFaceFolder(folder, VOCABULARY).shared_ids) == 3 + 100 + 2
    ids = [0, 1, 2, VOCABULARY.sentinel(0), *VOCABULARY.encode(" "), *VOCABULARY.encode("e")]
    np.testing.assert_array_equal(ours["shared.weight"][ids], table[[0, 1, 2, 32099, 3, 5]])


def test_the_rows_that_are_drawn_depend_on_the_seed_alone(make):
    folder, _ = make()
    first, again, other = (loaded(folder, seed=seed)[1]["shared.weight"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_weights_in_parts_are_read_through_their_index(make):
    folder, theirs = make()
    names = sorted(theirs)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    (folder / "model.safetensors").unlink()
    for file, held in parts.items():
        save_file({name: theirs[name] for name in held}, folder / file)
    where = {name: file for file, held in parts.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    np.testing.assert_array_equal(loaded(folder)[1][WO], theirs[WO])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "'bert' model; t5music reads t5 and mt5"),
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj is 'gated-silu', not one of relu, gated-gelu"),
        ({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon is not 1e-06 but 1e-05"),
        ({"d_ff": None}, "config.json does not describe a T5: T5Config.d_ff is missing"),
    ],
)
def test_a_model_that_is_no_t5_is_refused(tmp_path, change, message):
    (tmp_path / "config.json").write_text(json.dumps({**FIELDS, **change}))
    with pytest.raises(CheckpointError, match=message):
        HuggingFaceFolder(tmp_path, VOCABULARY).config  # noqa: B018


def test_another_architecture_than_hugging_face_s_is_refused(make):
    folder, _ = make()
    opened = HuggingFaceFolder(folder, VOCABULARY)
    config = dataclasses.replace(opened.config, architecture="prefix_lm", num_encoder_layers=0)
    with pytest.raises(ConfigError, match=r"an encoder-decoder without shared layers; this model is .*'prefix_lm'"):
        opened.params(config)


def test_damaged_and_missing_files_are_named(make):
    folder, weights = make()
    opened = HuggingFaceFolder(folder, VOCABULARY)
    without = {name: value for name, value in weights.items() if name != WO}
    save_file(without, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"foreign: the state dict has no {WO}"):
        opened.params()
    (folder / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        opened.params()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors; where it has pytorch_model\.bin"):
        opened.params()
    with pytest.raises(CheckpointError, match=r"has no t5music.json: train it first \(t5music train"):
        opened.metadata  # noqa: B018


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "[]", "config.json cannot be read: it is not a JSON object"),
        ("config.json", "{", "config.json cannot be read: Expecting property name"),
        ("config.json", "[" * 100_000, "config.json cannot be read: it is nested too deeply"),
        ("config.json", {"d_model": "16"}, "T5Config.d_model must be a whole number from 1 to 65,536"),
        ("config.json", {"num_layers": 4000}, "the config has 4,000 num_encoder_layers, and the files have 2"),
        ("config.json", {"d_ff": 10**40}, "T5Config.d_ff must be a whole number from 1 to 1,048,576"),
        ("config.json", {"d_ff": 48}, r"DenseReluDense.wi_0.weight has shape \(24, 16\); the config says \(48, 16\)"),
        (
            "config.json",
            {"feed_forward_proj": ["relu"]},
            r"config.json: feed_forward_proj is \['relu'\], which is no text",
        ),
        (
            "config.json",
            {"vocab_size": 32128},
            r"weight has shape .384, 16.; it must have a row .* up to 32099",
        ),
        ("tokenizer.json", "{}", "tokenizer.json has no list of pieces as model.vocab"),
        ("tokenizer.json", '{"model": {"vocab": [["a"]]}}', "tokenizer.json has no list of pieces as model.vocab"),
        ("model.safetensors.index.json", "{}", "index.json cannot be used: weight_map must be an object, not null"),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"shared.weight": "../x.safetensors"}}',
            "weight_map names '../x.safetensors', which is no safetensors file in the folder",
        ),
    ],
)
def test_a_folder_that_says_what_cannot_be_is_refused_in_one_line(make, file, content, message):
    folder, _ = make()
    text = content if isinstance(content, str) else json.dumps({**FIELDS, **content})
    (folder / file).write_text(text)
    with pytest.raises(CheckpointError, match=message) as error:
        HuggingFaceFolder(folder, VOCABULARY).params()
    assert "\n" not in str(error.value)


def test_weights_that_are_not_finite_are_named(make):
    folder, weights = make()
    weights[WO][0, 0] = np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"{WO} has weights that are not finite"):
        HuggingFaceFolder(folder, VOCABULARY).params()


@settings(max_examples=25, deadline=None)
@given(fault=faults(["config.json", "model.safetensors", "tokenizer.json"]))
def test_damaged_folders_are_read_or_refused(fault):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "config.json").write_text(json.dumps(FIELDS))
        (folder / "tokenizer.json").write_text('{"model": {"vocab": [["e", 0.5]]}}')
        save_file(weights_of(FIELDS), folder / "model.safetensors")
        name, kind, where = fault
        damage(folder / name, kind, where)
        assert "\n" not in refusal(lambda: HuggingFaceFolder(folder, VOCABULARY).params())


def test_half_precision_weights_are_read(make):
    folder, weights = make()
    header, data = {}, b""
    for name, value in weights.items():
        half = (value.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)  # bfloat16, rounded towards zero
        header[name] = {
            "dtype": "BF16",
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + half.nbytes],
        }
        data += half.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    halved = (weights[WO].view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(loaded(folder)[1][WO], halved)


CONFIG = T5Config(
    vocab_size=VOCABULARY.rows,
    d_model=16,
    d_kv=4,
    num_heads=3,
    d_ff=24,
    num_encoder_layers=2,
    num_decoder_layers=1,
    scan_layers=True,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with one checkpoint of random weights, and the weights."""
    folder = tmp_path_factory.mktemp("run")
    params = parameters.initialise(CONFIG, jax.random.key(5))[1]
    own = {"fingerprint": VOCABULARY.fingerprint, "size": VOCABULARY.size}
    metadata = {"version": "1", "config": CONFIG.to_dict(), "vocabulary": own, "task": "a", "tasks": {"a": {}}}
    checkpoints = Checkpoints(folder)
    state = TrainState(np.asarray(7), nnx.to_pure_dict(params), (), np.zeros(2), np.zeros(1))
    checkpoints.save(state, {}, metadata, best_step=None)
    checkpoints.close()
    return folder, params


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    return export.export(Checkpoint.open(run[0]), str(folder), VOCABULARY)


def test_a_full_disk_at_export_is_one_line_and_leaves_nothing(run, tmp_path, monkeypatch):
    def save(arrays, path, metadata):
        Path(path).write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(export, "save_file", save)
    folder = tmp_path / "model"
    with pytest.raises(
        DataError, match=r"^cannot write .*model.safetensors: .*No space left on device \(os error 28\)"
    ):
        export.export(Checkpoint.open(run[0]), str(folder), VOCABULARY)
    assert list(tmp_path.iterdir()) == []


def test_an_exported_model_comes_back_whole(run, exported, capsys):
    assert {path.name for path in exported.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "t5music.json",
        "vocabulary.json",
    }
    config = initial_weights.config_of(str(exported), VOCABULARY)
    assert {**config.to_dict(), "scan_layers": True} == CONFIG.to_dict()
    back = initial_weights.initial_params(str(exported), CONFIG, VOCABULARY, key=jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, back, nnx.to_pure_dict(run[1]))
    assert HuggingFaceFolder(exported, VOCABULARY).step == 7
    assert json.loads((exported / "vocabulary.json").read_text())[VOCABULARY.sentinel(3)] == "<extra_id_3>"


def test_weights_in_bfloat16_are_those_rounded_and_half_the_file(run, exported, tmp_path):
    folder = export.export(Checkpoint.open(run[0]), str(tmp_path / "half"), VOCABULARY, export.BFLOAT16)
    sizes = [(path / "model.safetensors").stat().st_size for path in (folder, exported)]
    assert sizes[0] < 0.6 * sizes[1]
    back = initial_weights.initial_params(str(folder), CONFIG, VOCABULARY, key=jax.random.key(0))
    for weight, original in zip(jax.tree.leaves(back), jax.tree.leaves(nnx.to_pure_dict(run[1])), strict=True):
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, np.asarray(original).astype(ml_dtypes.bfloat16).astype(np.float32))


def test_a_folder_of_links_is_read_as_the_hub_keeps_it(exported, tmp_path):
    for file in exported.iterdir():
        (tmp_path / file.name).symlink_to(file)
    assert HuggingFaceFolder(tmp_path, VOCABULARY).step == 7
    back = initial_weights.initial_params(str(tmp_path), CONFIG, VOCABULARY, key=jax.random.key(0))
    assert len(jax.tree.leaves(back)) > 10


def test_a_model_of_another_vocabulary_is_refused(exported):
    other = vocabulary.Vocabulary({"tx1": ["WT_1"]})
    with pytest.raises(CheckpointError, match=f"fingerprint is {VOCABULARY.fingerprint}, this one's"):
        HuggingFaceFolder(exported, other)


def test_export_replaces_an_exported_model_where_that_is_said(run, exported, tmp_path):
    checkpoint, folder = Checkpoint.open(run[0]), tmp_path / "model"
    shutil.copytree(exported, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match="model exists: choose another name by --to, or replace it by --force"):
        export.export(checkpoint, str(folder), VOCABULARY)
    assert (folder / "README.md").read_text() == "mine"
    export.export(checkpoint, str(folder), VOCABULARY, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").touch()
    for other in ("letters", "letters/mine.txt"):
        with pytest.raises(ConfigError, match=f"{other} is no exported model, and --force replaces nothing else"):
            export.export(checkpoint, str(tmp_path / other), VOCABULARY, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters", "model"]


IN_TRANSFORMERS = """
import sys
import numpy as np, torch
from transformers import T5Config, T5ForConditionalGeneration
folder, tokens, logits, own = sys.argv[1:]
tokens = {name: torch.from_numpy(value) for name, value in np.load(tokens).items()}

def run(model):
    with torch.no_grad():
        ids, targets = tokens["inputs"], tokens["targets"]
        return model.eval()(input_ids=ids, attention_mask=(ids != 0).long(), labels=targets).logits.numpy()

torch.manual_seed(0)
results = {"read": run(T5ForConditionalGeneration.from_pretrained(folder))}
for version, change in {"v1.0": {}, "v1.1": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}}.items():
    fields = dict(vocab_size=2304, d_model=16, d_kv=4, num_heads=3, d_ff=24, num_layers=2, num_decoder_layers=1)
    fields["decoder_start_token_id"] = 0
    model = T5ForConditionalGeneration(T5Config(**fields, **change))
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(model.shared.weight * (1 if version == "v1.0" else -0.5))
    model.save_pretrained(f"{own}/{version}")
    results[version] = run(model)
np.savez(logits, **results)
"""


def test_transformers_reads_what_we_write_and_we_what_it_writes(run, exported, tmp_path):
    if not PEERS.exists():
        pytest.skip("Hugging Face transformers is not at hand: make peers")
    random = np.random.default_rng(0)
    tokens = {"inputs": random.integers(3, 2200, (2, 9)), "targets": random.integers(3, 2200, (2, 5))}
    tokens["inputs"][1, 6:] = 0
    np.savez(tmp_path / "tokens.npz", **tokens)
    (tmp_path / "program.py").write_text(IN_TRANSFORMERS)
    command = [PEERS, "program.py", exported, "tokens.npz", "logits.npz", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = np.load(tmp_path / "logits.npz")
    shifted = np.pad(tokens["targets"], ((0, 0), (1, 0)))[:, :-1]

    def logits(config, params):
        return nnx.merge(parameters.abstract(config)[0], params)(tokens["inputs"], shifted)

    np.testing.assert_allclose(logits(CONFIG, run[1]), expected["read"], rtol=0, atol=1e-4)
    for version in ("v1.0", "v1.1"):
        opened = HuggingFaceFolder(tmp_path / version, VOCABULARY)
        config = opened.config
        assert config.version == version
        weights = opened._weights()
        ours = logits(config, huggingface.from_huggingface(weights, config))
        np.testing.assert_allclose(ours, expected[version], rtol=0, atol=1e-4)


def test_some_parameters_are_restored_and_the_rest_is_as_from_scratch(run, capsys):
    folder, saved = run
    key = jax.random.key(9)
    patterns = [r"encoder\..*", "embedding"]
    params = initial_weights.initial_params(str(folder), CONFIG, VOCABULARY, patterns=patterns, key=key)
    fresh = nnx.to_pure_dict(parameters.initialise(CONFIG, key)[1])
    saved = nnx.to_pure_dict(saved)
    for part, expected in (("encoder", saved), ("embedding", saved), ("decoder", fresh), ("head", fresh)):
        jax.tree.map(np.testing.assert_array_equal, params[part], expected[part])
    lines = capsys.readouterr().err.splitlines()
    assert "restored encoder.layers.*.mlp.wo 24 x 16 (2 layers)" in [" ".join(line.split()) for line in lines]
    assert any(line.split()[:2] == ["initialised", "head"] for line in lines)
    assert any(line.split()[:2] == ["ignored", "decoder.norm.scale"] for line in lines)


def test_adapters_that_a_checkpoint_has_not_are_put_in(run, capsys, monkeypatch):
    folder, saved = run
    config = dataclasses.replace(CONFIG, adapter_dim=4)

    def initialise(config, key):  # without a compilation
        graphdef, abstract = parameters.abstract(config)
        return graphdef, jax.tree.map(lambda leaf: np.full(leaf.shape, 7, leaf.dtype), abstract)

    monkeypatch.setattr(parameters, "initialise", initialise)
    params = initial_weights.initial_params(str(folder), config, VOCABULARY, key=jax.random.key(9))
    flat = nnx.traversals.flatten_mapping(params)
    adapters = {path: flat.pop(path) for path in list(flat) if "adapter" in path}
    found = {(value.shape[1:], float(value.min())) for value in adapters.values()}  # stacked
    assert found == {((16, 4), 7), ((4, 16), 7)}
    for path, param in nnx.to_flat_state(saved):
        np.testing.assert_array_equal(flat.pop(path), param[...])
    assert not flat
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert "initialised encoder.layers.*.adapter.wi 16 x 4 (2 layers)" in lines


@pytest.mark.parametrize(
    ("pattern", "change", "error", "message"),
    [
        ("encodr", {}, ConfigError, "'encodr' matches no parameter"),
        ("enc(", {}, ConfigError, r"'enc\(' is no regular expression"),
        (
            r"encoder\.layers\..*",
            {"num_encoder_layers": 3},
            CheckpointError,
            r"asks for encoder\.layers\.2\..*does not have",
        ),
        (r".*\.wo", {"d_ff": 32}, CheckpointError, r"mlp\.wo, which is \[24, 16\] there and \[32, 16\] here"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(run, pattern, change, error, message):
    config = T5Config.from_dict({**CONFIG.to_dict(), **change})
    with pytest.raises(error, match=message):
        initial_weights.initial_params(str(run[0]), config, VOCABULARY, patterns=[pattern], key=jax.random.key(0))
