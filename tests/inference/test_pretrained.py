"""Pretrained models by name: where they are, what they say of themselves, and what comes of other names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from t5music.data import vocabulary
from t5music.errors import CheckpointError, ConfigError
from t5music.inference import pretrained
from t5music.inference.model_folder import open_model

VOCABULARY = vocabulary.default()


@pytest.mark.parametrize("name", pretrained.names())
def test_every_model_that_comes_with_t5music_opens_and_says_what_it_was_trained_on(name):
    model = open_model(f"{pretrained.PREFIX}{name}", VOCABULARY)
    folder = pretrained.FOLDER / name
    assert {"README.md", "config.json", "model.safetensors", "t5music.json"} <= {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 16e6
    assert model.metadata.trained_on
    assert all(run.data and all(terms.licence for terms in run.data) for run in model.metadata.trained_on)
    assert len(model.metadata.tasks) > 1
    assert f"{pretrained.PREFIX}{name} (" in pretrained.table()


def test_a_default_model_is_there():
    assert pretrained.DEFAULT.removeprefix(pretrained.PREFIX) in pretrained.names()


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(CheckpointError, match=r"^no model 'comons' comes with t5music .*did you mean 'commons'\?"):
        open_model("pretrained:comons", VOCABULARY)


@pytest.mark.parametrize("address", ["hf://", "hf://music", "hf://a/b/c", "hf://a/../b", "hf://a/b@"])
def test_what_is_no_address_of_the_hub_is_refused(address):
    with pytest.raises(ConfigError, match="is no address of the Hugging Face Hub: write hf://OWNER/NAME"):
        pretrained.locate(address)


def test_a_path_is_its_own(tmp_path):
    assert pretrained.locate(tmp_path) == tmp_path


# ------------------------------------------------------------------------------------------------- the Hugging Face Hub

FILES = {"config.json": b'{"model_type": "t5"}', "model.safetensors": b"\0" * 64, "evil.py": b"raise SystemExit"}
COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as fetching a public model needs: the list of its files, and each file with its commit."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        name = self.path.rsplit("/", 1)[-1]
        if self.path.startswith("/api/models/ann/songs/revision/main"):
            siblings = [{"rfilename": file} for file in FILES]
            content = json.dumps({"id": "ann/songs", "sha": COMMIT, "siblings": siblings}).encode()
        elif self.path.startswith(f"/api/models/ann/songs/tree/{COMMIT}"):
            entries = [{"type": "file", "oid": COMMIT, "size": len(data), "path": file} for file, data in FILES.items()]
            content = json.dumps(entries).encode()
        elif self.path.startswith(f"/ann/songs/resolve/{COMMIT}/") and name in FILES:
            content = FILES[name]
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        for header, value in {"X-Repo-Commit": COMMIT, "ETag": f'"{name}"', "Content-Length": len(content)}.items():
            self.send_header(header, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def hub():
    """The address of a Hub on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def locate(address, hub, cache, **environment):
    """What `locate` prints or raises in a process for which that is the Hub."""
    code = (
        "import sys; from t5music.inference import pretrained\n"
        "try: print(pretrained.locate(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    variables = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", **environment}
    command = [sys.executable, "-c", code, address]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.strip()


def test_a_model_of_the_hub_is_fetched_once_without_code(hub, tmp_path):
    folder = locate("hf://ann/songs", hub, tmp_path)
    fetched = {path.name: path.read_bytes() for path in Path(folder).iterdir()} if Path(folder).is_dir() else folder
    assert fetched == {name: content for name, content in FILES.items() if name != "evil.py"}
    assert locate("hf://ann/songs", hub, tmp_path, HF_HUB_OFFLINE="1") == folder


def test_a_model_that_the_hub_does_not_have_is_named_in_one_line(hub, tmp_path):
    answer = locate("hf://ann/nothing", hub, tmp_path)
    assert answer.startswith("CheckpointError hf://ann/nothing cannot be fetched: ")
    assert "\n" not in answer
    assert locate("hf://ann/songs", hub, tmp_path, HF_HUB_OFFLINE="1").startswith("CheckpointError hf://ann/songs")
