"""The server: answers as `t5music.load()` gives them, in fair turns, and refuses in words what it should not do."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_font
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.inference.model import Model
from t5music.inference.promises import MEANINGFUL, PROMISES
from t5music.music import midi
from t5music.server import schema
from t5music.server.limits import Limits
from t5music.server.serve import MusicServer

LIMITS = Limits(megabytes=0.1, notes=500, minutes=2, waiting=30, waiting_each=4, patience=2)
SONG = midi.to_bytes(tiny_models.band(bars=4))
MUSIC = {"music": base64.b64encode(SONG).decode(), "name": "song.mid"}


class Client:
    """Asks a server as a browser's tab would."""

    def __init__(self, server: MusicServer, name: str = "client-1") -> None:
        self.server, self.name = server, name

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=60)
        sent = {"X-T5music-Client": self.name}
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(
            method, path, body, sent | {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, dict(answer.getheaders())

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, content, _ = self.raw(method, path, body, **headers)
        return status, json.loads(content)

    def answer(self, ability: str, **fields: Any) -> dict[str, Any]:
        """The last news of a request."""
        status, state = self.json("POST", f"/api/{ability}", fields)
        assert status == 202, state
        while state["state"] in ("waiting", "working"):
            _, state = self.json("GET", f"/api/jobs/{state['job']}?since={state['version']}")
        return state


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(tiny_models.trained(tiny_models.ABILITIES), "tiny")


@pytest.fixture(scope="module")
def server(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MusicServer]:
    font = small_font.write_font(tmp_path_factory.mktemp("font") / "font.sf2")
    with running(model, limits=LIMITS, sound_font=str(font)) as server:
        yield server


class running:  # noqa: N801 - reads as what it does
    """A server while it runs."""

    def __init__(self, model: Model, **settings: Any) -> None:
        self.server = MusicServer(model, port=0, **settings)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> MusicServer:
        self.thread.start()
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.close()
        self.thread.join()


@pytest.fixture
def client(server: MusicServer) -> Client:
    return Client(server)


def test_it_says_what_the_model_can(client: Client):
    status, about = client.json("GET", "/api")
    assert status == 200
    assert list(about["abilities"]) == ["continue", "infill", "accompany", "compose", "classify", "label"]
    continues = about["abilities"]["continue"]["schema"]
    assert continues["required"] == ["music"]
    assert continues["properties"]["instruments"]["promise"]
    assert "region" in about["abilities"]["infill"]["schema"]["properties"]
    assert ".mid" in about["formats"]


@pytest.mark.parametrize(
    ("ability", "without"),
    [("continue", {"lock"}), ("compose", {"lock"}), ("infill", {"length"}), ("accompany", {"lock", "length"})],
)
def test_controls_are_those_of_the_promises_that_have_a_meaning(
    model: Model, monkeypatch: pytest.MonkeyPatch, ability: str, without: set[str]
):
    monkeypatch.setitem(MEANINGFUL, "remi", tuple(promise.name for promise in PROMISES))
    properties = schema.abilities(model, LIMITS)[ability]["schema"]["properties"]
    expected = [promise.name for promise in PROMISES if promise.name not in without]
    assert [name for name in properties if properties[name].get("promise")] == expected


def test_bars_of_tracks_are_filled_in(client: Client, model: Model):
    state = client.answer("infill", parts="bar 2", words=60, **MUSIC)
    assert (state["state"], state["error"]) == ("done", "")
    _, data, _ = client.raw("GET", f"/api/jobs/{state['job']}/0/file.mid")
    assert data == model.infill(SONG, parts="bar 2", words=60).data
    both = client.answer("infill", parts="bar 2", region=[2.0, 4.0], **MUSIC)
    assert "give one of them" in both["error"]


@pytest.mark.parametrize("ability", ["continue", "infill", "accompany", "compose"])
def test_an_answer_is_that_of_python(client: Client, model: Model, ability: str):
    music = {} if ability == "compose" else MUSIC
    state = client.answer(ability, words=20, seed=5, **music)
    assert (state["state"], state["error"]) == ("done", "")
    status, data, headers = client.raw("GET", f"/api/jobs/{state['job']}/0/file.mid")
    assert status == 200
    ask = {"continue": model.continue_, "infill": model.infill, "accompany": model.accompany}
    expected = model.compose(words=20, seed=5) if ability == "compose" else ask[ability](SONG, words=20, seed=5)
    assert data == expected.data
    assert headers["Content-Disposition"].startswith("attachment")
    assert state["results"][0]["new"] == len(expected.notes)


def test_a_region_is_filled_in(client: Client, model: Model):
    state = client.answer("infill", region=[2.0, 4.0], words=20, **MUSIC)
    _, data, _ = client.raw("GET", f"/api/jobs/{state['job']}/0/file.mid")
    assert data == model.infill(SONG, (2.0, 4.0), words=20).data
    assert "begin first" in client.answer("infill", region=[4.0, 2.0], **MUSIC)["error"]


def test_variants_and_all_that_can_be_had_of_them(client: Client):
    state = client.answer("compose", variants=2, words=20)
    assert len(state["results"]) == 2
    for number in (0, 1):
        for path, begin in (("roll", b"<svg"), ("file.wav", b"RIFF"), ("file.musicxml", b"<?xml"), ("sound", b"")):
            status, content, _ = client.raw("GET", f"/api/jobs/{state['job']}/{number}/{path}")
            assert (status, content[: len(begin)]) == (200, begin), path
    status, page, _ = client.raw("GET", f"/api/jobs/{state['job']}/page.html")
    assert page.count(b"<audio") == 2
    assert client.raw("GET", f"/api/jobs/{state['job']}/2/roll")[0] == 404
    assert client.raw("GET", f"/api/jobs/{state['job']}/0/file.exe")[0] == 404


def test_variants_come_in_the_order_of_python_s(client: Client, model: Model):
    state = client.answer("continue", variants=3, words=30, seed=2, **MUSIC)
    variants = model.variants(SONG, 3, task="continue", words=30, seed=2)
    assert [result["seed"] for result in state["results"]] == [variant.seed for variant in variants]
    for number, (result, variant) in enumerate(zip(state["results"], variants, strict=True)):
        assert variant.rank is not None
        assert (result["rank"]["place"], result["rank"]["variants"]) == (number + 1, 3)
        assert result["rank"]["closeness"] == pytest.approx(variant.rank.closeness, abs=1e-3)
        assert str(variant.rank) in result["facts"]
        assert client.raw("GET", f"/api/jobs/{state['job']}/{number}/file.mid")[1] == variant.data


def test_every_way_to_choose_words_is_python_s(client: Client, model: Model):
    for sampling in (
        {"beams": 3},
        {"min_p": 0.3},
        {"repetition_penalty": 20, "repeats": 1, "pattern": 1},
        {"guidance": 2},
    ):
        state = client.answer("continue", words=20, **sampling, **MUSIC)
        assert (state["state"], state["error"]) == ("done", "")
        _, data, _ = client.raw("GET", f"/api/jobs/{state['job']}/0/file.mid")
        assert data == model.continue_(SONG, words=20, **sampling).data


def test_labels(client: Client, model: Model):
    assert client.answer("classify", **MUSIC)["labels"] == pytest.approx(model.classify(SONG))
    state = client.answer("label", **MUSIC)
    assert {name for name, _ in state["results"][0]["legend"]} <= {"melody", "bridge", "accompaniment", "percussion"}


def test_news_come_bar_by_bar(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("t5music.inference.bars.WORDS_AT_ONCE", 4)
    _, state = client.json("POST", "/api/compose", {"words": 60, "temperature": 1.0})
    words = []
    while state["state"] in ("waiting", "working"):
        _, state = client.json("GET", f"/api/jobs/{state['job']}?since={state['version']}")
        words.append(state["words"])
    assert words == sorted(words)
    assert state["words_at_most"] == 60


def test_ones_own_music_is_shown(client: Client):
    status, look = client.json("POST", "/api/look", MUSIC)
    assert (status, look["bars"], look["roll"][:4]) == (200, 4, "<svg")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"music": "!", "name": "a.mid"}, "base64"),
        ({"music": base64.b64encode(b"hello").decode(), "name": "a.mid"}, "a.mid: "),
        ({"music": base64.b64encode(b"PK\3\4junk").decode(), "name": "a.mxl"}, "a.mxl: "),
        ({"music": base64.b64encode(midi.to_bytes(tiny_models.band(bars=80))).decode()}, "this server takes 500"),
        ({}, "music: is missing"),
        ({**MUSIC, "seed": "x"}, "seed: must be an integer"),
        ({**MUSIC, "seed": True}, "seed: must be an integer"),
        ({**MUSIC, "variants": 99}, "variants: must be from 1 to 4"),
        ({**MUSIC, "temperature": float("nan")}, "temperature: must be from 0 to 5"),
        ({**MUSIC, "min_p": 2}, "min_p: must be from 0 to 1"),
        ({**MUSIC, "beams": 2.5}, "beams: must be an integer"),
        ({**MUSIC, "beams": 4, "temperature": 0.9}, "temperature does not go with beams"),
        ({**MUSIC, "beams": 4, "variants": 2}, "variants 2 does not go with beams"),
        ({**MUSIC, "repeats": 2}, "repeats means nothing without repetition_penalty"),
        ({**MUSIC, "style": "pop"}, "no field 'style'"),
        ({**MUSIC, "instruments": "trumpits"}, "did you mean 'trumpet'"),
        ({**MUSIC, "colour": "blue"}, "no field 'colour'"),
        ([1], "JSON object"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_words(client: Client, fields: Any, words: str):
    status, state = client.json("POST", "/api/continue", fields)
    if status == 202:  # what only the music shows
        while state["state"] in ("waiting", "working"):
            _, state = client.json("GET", f"/api/jobs/{state['job']}?since={state['version']}")
        assert state["state"] == "failed"
    else:
        assert status == 422
    assert words in state["error"]
    assert "\n" not in state["error"]
    assert "--" not in state["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"{}", {"Content_Type": "text/plain"}, 415),
        (b"{}", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        (b"x" * 200_000, {}, 413),
        (b"{}", {"Origin": "http://evil.example"}, 403),
        (b"{}", {"Origin": "null"}, 403),
        (b"{}", {"Sec_Fetch_Site": "cross-site"}, 403),
        (b"{}", {"Host": "evil.example"}, 421),
        (b"{}", {"Host": "127.0.0.1.evil.example:80"}, 421),
        (b"{}", {"Host": ""}, 421),
    ],
)
def test_requests_that_are_refused(client: Client, body: bytes, headers: dict[str, str], status: int):
    received, answer = client.json("POST", "/api/compose", body, **headers)
    assert received == status
    assert answer["error"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8765", "192.168.0.7"])
def test_names_of_this_host(client: Client, host: str):
    assert client.raw("GET", "/api", Host=host)[0] == 200
    assert client.raw("GET", "/api", Host=host, Origin=f"http://{host}")[0] == 200


def test_a_link_of_another_page_opens_the_page_but_no_answer(client: Client):
    visit = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert client.raw("GET", "/", **visit)[0] == 200
    assert client.raw("GET", "/api", **visit)[0] == 403


def test_addresses_lead_nowhere_else(client: Client):
    for path in ("/../pyproject.toml", "/page/../http_api.py", "/%2e%2e/x", "/api/jobs/../../etc", "//evil.example/",
                 "/x", "/api/jobs/unknown", "/api/jobs/unknown/0/roll", "/page.css/../page.js"):  # fmt: skip
        assert client.raw("GET", path)[0] == 404, path
    assert client.raw("PUT", "/api")[0] == 501
    assert client.json("POST", "/api/paint", {})[0] == 404


PARTS = ["api", "jobs", "x", "0", "roll", "..", "look", "?since=", "%00", "["]
BODIES = [b"{}", b"null", b'{"music": 1}', b'{"music": "", "name": []}']


@settings(max_examples=60)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
    | st.lists(st.sampled_from(PARTS), max_size=5).map("/".join),
    body=st.none() | st.binary(max_size=20) | st.sampled_from(BODIES),
)
def test_whatever_is_sent_is_answered_in_words(server: MusicServer, method: str, path: str, body: bytes | None):
    status, content, _ = Client(server, "client-any").raw(method, f"/{path}", body)
    assert status < 500
    if status >= 400 and method != "HEAD":
        assert json.loads(content)["error"]


def test_the_page_and_its_files_name_no_other_host(client: Client):
    for path in ("/", "/page.css", "/page.js", "/player.css", "/player.js"):
        status, content, headers = client.raw("GET", path)
        assert status == 200
        assert not re.search(rb"(https?:)?//[\w-]+\.\w", content)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "connect-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert b"style=" not in client.raw("GET", "/")[1]


def test_half_a_request_is_given_up(server: MusicServer):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    connection.putrequest("POST", "/api/compose")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"{")
    begin = time.monotonic()
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    assert time.monotonic() - begin < 15
    connection.close()
    assert Client(server).raw("GET", "/api")[0] == 200


class Slow(Model):
    """A model that writes until it is let go."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.trained, "slow")
        self.free = threading.Event()

    def ask(self, music, **settings):
        self.free.wait(30)
        return super().ask(music, **settings)


def test_turns_are_told_and_fair_and_bounded(model: Model):
    slow = Slow(model)
    with running(slow, limits=LIMITS) as server:
        one, two = Client(server, "client-one"), Client(server, "client-two")
        jobs = [one.json("POST", "/api/compose", {"words": 4})[1]["job"] for _ in range(4)]
        while one.json("GET", f"/api/jobs/{jobs[0]}")[1]["state"] == "waiting":
            time.sleep(0.01)
        jobs.append(one.json("POST", "/api/compose", {"words": 4})[1]["job"])
        status, answer, headers = one.raw("POST", "/api/compose", {"words": 4})
        assert (status, "Retry-After" in headers) == (429, True)
        assert "4 of your requests wait already" in json.loads(answer)["error"]
        other = two.json("POST", "/api/compose", {"words": 4})[1]
        assert other["ahead"] == 2  # the one that is written, and one of the other client's
        assert other["told"] == "2 others are served before you"
        assert one.json("GET", f"/api/jobs/{jobs[4]}")[1]["ahead"] == 5
        assert one.json("DELETE", f"/api/jobs/{jobs[1]}")[1]["state"] == "cancelled"
        assert two.json("GET", f"/api/jobs/{other['job']}")[1]["ahead"] == 2
        slow.free.set()
        for job in (*jobs, other["job"]):
            state = {"state": "waiting", "version": 0}
            while state["state"] in ("waiting", "working"):
                state = one.json("GET", f"/api/jobs/{job}?since={state['version']}")[1]
            assert state["state"] == ("cancelled" if job == jobs[1] else "done")


def test_what_takes_too_long_ends_and_answers_are_forgotten(model: Model):
    with running(model, limits=Limits(seconds=1e-6, keep_minutes=1e-9)) as server:
        client = Client(server)
        _, state = client.json("POST", "/api/compose", {"words": 60})
        news = state
        while news["state"] in ("waiting", "working"):
            _, news = client.json("GET", f"/api/jobs/{state['job']}?since={news['version']}")
        assert "took longer than 1e-06 s" in news["error"]
        client.json("POST", "/api/compose", {"words": 60})
        deadline = time.monotonic() + 20
        while client.raw("GET", f"/api/jobs/{state['job']}")[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(6)  # nobody looks at it for a while


def test_twenty_clients_at_once(server: MusicServer):
    states: list[dict[str, Any]] = []

    def use(number: int) -> None:
        client = Client(server, f"client-{number:02}")
        client.raw("GET", "/")
        client.json("POST", "/api/look", MUSIC)
        states.append(client.answer("continue", words=8, seed=number, **MUSIC))

    threads = [threading.Thread(target=use, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state["state"] for state in states] == ["done"] * 20


@pytest.mark.slow
def test_the_verb_ends_cleanly_by_ctrl_c(tmp_path: Path):
    tiny_models.write_run(tmp_path / "run", tiny_models.ABILITIES)
    code = (
        "import sys; from t5music.cli.main import main; "
        f"sys.exit(main(['serve', '--model_dir', {str(tmp_path / 'run')!r}, '--port', '0']))"
    )
    environment = os.environ | {"T5MUSIC_DATA": str(tmp_path / "data")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/api/compose", b"{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status == 202
    connection.close()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output == "the server has ended\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == ["run"]


def test_an_address_that_cannot_be_had_is_said(server: MusicServer, model: Model):
    with pytest.raises(Exception, match=f"--port {server.server_address[1]}: cannot listen there"):
        MusicServer(model, port=server.server_address[1])
