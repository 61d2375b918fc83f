"""upg pull against a hub on this machine, on good days and bad ones; read back by the hub's official package."""
import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time

import huggingface_hub
import pytest

from hub import COMMIT, TOKEN, Hub
from setting import PATIENCE

NAME = "acme/tiny"
WEIGHTS = random.Random(1).randbytes(20_000_000)  # three chunks


@pytest.fixture
def hub():
    files = {"config.json": b'{"a": 1}', "deep/er/notes.md": b"notes", "empty.txt": b"", "model.safetensors": WEIGHTS,
             "pytorch_model.bin": b"old" * 1000, "with space.json": b"[]"}
    hub = Hub({NAME: files, "closed/tiny": {"config.json": b"{}", "model.safetensors": WEIGHTS[:5000]}})
    yield hub
    hub.close()


@pytest.fixture
def environment(hub, tmp_path):
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "", "HF_HUB_CACHE": "",
            "no_proxy": "127.0.0.1", "HF_TOKEN_PATH": ""}


@pytest.fixture
def pull(upg, environment):
    def call(*arguments, **more):
        return upg("pull", *arguments, env={**environment, **more})

    return call


def cache(tmp_path):
    return tmp_path / "home" / "hub" / "models--acme--tiny"


def blobs(tmp_path):
    return sorted(path.name for path in (cache(tmp_path) / "blobs").iterdir())


def test_a_repository_comes_into_the_cache_of_the_official_package(hub, pull, tmp_path, monkeypatch):
    done = pull(NAME, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["files"] == 5 and told["downloaded_bytes"] == told["bytes"] > len(WEIGHTS)
    assert told["folder"] == str(cache(tmp_path) / "snapshots" / COMMIT)
    assert (cache(tmp_path) / "refs" / "main").read_text() == COMMIT

    hub.trouble = lambda request: hub.send(request, 500) or True
    for file, data in hub.repositories[NAME].items():
        found = huggingface_hub.try_to_load_from_cache(NAME, file, cache_dir=tmp_path / "home" / "hub")
        if file.endswith(".bin"):
            assert found is None
        else:
            assert open(found, "rb").read() == data
    folder = huggingface_hub.snapshot_download(NAME, cache_dir=tmp_path / "home" / "hub", local_files_only=True)
    assert folder == told["folder"]
    info, = huggingface_hub.scan_cache_dir(tmp_path / "home" / "hub").repos
    assert (info.repo_id, info.nb_files) == (NAME, 5)


def test_what_is_there_is_not_fetched_again(hub, pull):
    pull(NAME)
    hub.requests.clear()
    done = pull(NAME, "--json")
    assert json.loads(done.stdout)["downloaded_bytes"] == 0
    assert [path for _, path, *_ in hub.requests] == [f"/api/models/{NAME}/revision/main?blobs=true"]


def test_named_files_and_revisions(hub, pull, tmp_path):
    assert pull(NAME, "config.json", "--revision", COMMIT).returncode == 0
    assert len(blobs(tmp_path)) == 1 and not (cache(tmp_path) / "refs").exists()
    done = pull(NAME, "missing.json")
    assert done.returncode == 2 and "missing.json" in done.stderr
    done = pull(NAME, "--revision", "../../x")
    assert done.returncode == 2 and "revision" in done.stderr


@pytest.mark.parametrize("name", ["tiny", "/tiny", "acme/", "acme/../x", "a b/c", "acme/tiny/x", "-x/y", ".a/b"])
def test_what_is_no_name(pull, name):
    done = pull("--", name)
    assert done.returncode == 2 and "name" in done.stderr


def test_large_files_come_in_parts_from_another_host_without_the_token(hub, pull):
    assert pull("closed/tiny", HF_TOKEN=TOKEN).returncode == 0
    assert pull(NAME, HF_TOKEN=TOKEN).returncode == 0
    ranges = {wanted for host, path, wanted, _ in hub.requests if host == "cdn" and NAME in path}
    assert ranges == {"bytes=0-8388607", "bytes=8388608-16777215", "bytes=16777216-19999999"}
    assert {authorization for host, *_, authorization in hub.requests if host == "cdn"} == {None}
    assert {authorization for host, *_, authorization in hub.requests if host == "hub"} == {f"Bearer {TOKEN}"}


def test_the_token_of_the_file(pull, tmp_path):
    done = pull("closed/tiny")
    assert done.returncode == 1 and "HF_TOKEN" in done.stderr and "401" in done.stderr
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "token").write_text(f"{TOKEN}\n")
    assert pull("closed/tiny").returncode == 0


def test_404(pull):
    done = pull("acme/other")
    assert done.returncode == 1 and "404" in done.stderr


def test_a_busy_hub_is_asked_again_when_it_says(hub, pull):
    times = []

    def busy(request):
        times.append(time.monotonic())
        if len(times) > 1:
            return False
        hub.send(request, 429, b"slow down", Retry_After=1)
        return True

    hub.trouble = busy
    assert pull(NAME, "config.json").returncode == 0
    assert times[1] - times[0] >= 0.9


def test_a_hub_that_stays_busy_is_given_up(hub, pull):
    hub.trouble = lambda request: hub.send(request, 429, Retry_After=100000) or True
    done = pull(NAME)
    assert done.returncode == 1 and "429" in done.stderr


def test_lines_that_drop_go_on_where_they_were(hub, pull, tmp_path):
    def drop(request):
        if request.name != "cdn" or hub.counts["cdn"] > 6:
            return False
        begin, end = map(int, request.headers["Range"][6:].split("-"))
        request.send_response(206)
        request.send_header("Content-Length", str(end + 1 - begin))
        request.end_headers()
        request.wfile.write(WEIGHTS[begin:begin + 100_000])
        request.close_connection = True
        return True

    hub.trouble = drop
    done = pull(NAME, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["downloaded_bytes"] == json.loads(done.stdout)["bytes"]  # no byte came twice
    begins = [int(wanted[6:].split("-")[0]) for host, _, wanted, _ in hub.requests if host == "cdn"]
    assert 100_000 in begins


def test_a_killed_download_goes_on(hub, upg_binary, environment, pull, tmp_path):
    killed = threading.Event()

    def stuck(request):
        if request.name == "cdn" and not request.headers["Range"].startswith("bytes=0-"):
            killed.wait(PATIENCE)
            return True
        return False

    hub.trouble = stuck
    child = subprocess.Popen([upg_binary, "pull", NAME], env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    with child:
        journal = cache(tmp_path) / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.upg-done"
        while not journal.exists() or not journal.read_text():
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    killed.set()
    assert not (cache(tmp_path) / "snapshots" / COMMIT / "model.safetensors").exists()
    hub.trouble = lambda request: False
    told = json.loads(pull(NAME, "--json").stdout)
    assert 0 < told["downloaded_bytes"] <= len(WEIGHTS) - 8 * 2**20 + 100
    assert (cache(tmp_path) / "snapshots" / COMMIT / "model.safetensors").read_bytes() == WEIGHTS
    assert not list(cache(tmp_path).glob("blobs/*.upg-*"))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_flipped_byte_is_noticed_and_not_kept(hub, pull, tmp_path, file):
    good = hub.repositories[NAME][file]
    bad = bytes([good[0] ^ 1]) + good[1:]
    hub.trouble = lambda request: request.path.split("?")[0].endswith(file) and (
        request.name == "cdn" or file == "config.json") and (hub.send_part(request, bad) or True)
    done = pull(NAME, file)
    assert done.returncode == 3 and file in done.stderr and "hash" in done.stderr
    assert blobs(tmp_path) == []
    hub.trouble = lambda request: False
    assert pull(NAME, file).returncode == 0


@pytest.mark.parametrize("difference", [1, -1])
def test_a_wrong_length_is_noticed(hub, pull, tmp_path, difference):
    hub.announced["config.json"] = {"size": 8 - difference}
    done = pull(NAME, "config.json")
    assert done.returncode == 3 and "announced" in done.stderr
    assert not list(cache(tmp_path).glob("snapshots/*/*"))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b", "a\\b", "a\nb", ""])
def test_names_that_would_leave_the_folder_are_refused(hub, pull, tmp_path, name):
    hub.repositories[NAME][name] = b"bad"
    done = pull(NAME)
    assert done.returncode == 3 and "no name of a file" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"sha": "x", "siblings": []}', b"[" * 1000,
                                  b'{"sha": "' + COMMIT.encode() + b'", "siblings": [{"rfilename": "a", "size": -1}]}',
                                  b'{"sha": "' + COMMIT.encode() + b'", "siblings": [1]}'])
def test_a_listing_that_is_none(hub, pull, body):
    hub.trouble = lambda request: hub.send(request, 200, body) or True
    assert pull(NAME).returncode == 3


def test_no_hub_at_all(pull):
    done = pull(NAME, HF_ENDPOINT="http://no-such-host.invalid")
    assert done.returncode == 1 and "no-such-host" in done.stderr


def test_compress_pulls_first(hub, upg, environment, tmp_path):
    upg("synth", tmp_path / "tiny", "--shape", "tiny", "--layers", "1", "--format", "hf")
    hub.repositories["acme/model"] = {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()}
    done = upg("compress", "acme/model", tmp_path / "out.upg", "--bpw", "6", "--effort", "fast", "--tune-steps", "0",
               env=environment)
    assert done.returncode == 0, done.stderr
    assert upg("verify", tmp_path / "out.upg").returncode == 0
