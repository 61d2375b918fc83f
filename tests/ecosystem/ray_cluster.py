"""upg.ray on a real local cluster of two workers.  Run by `make ecosystem`, which installs Ray."""
import json
import os
import urllib.request

import pytest
import ray
from ray import serve

import upg
import upg.ray

PROMPTS = [f"{i} little dogs" for i in range(24)]
OPTIONS = {"max_tokens": 4, "greedy": True}


class DiesOnce(upg.ray.Generate):
    """A worker that is killed in the middle of its work, once."""

    def __init__(self, marker, **keywords):
        super().__init__(**keywords)
        self._marker = marker

    def __call__(self, batch):
        if PROMPTS[9] in list(batch["prompt"]) and not os.path.exists(self._marker):
            open(self._marker, "w").close()
            os._exit(1)
        return super().__call__(batch)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    folders = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]  # of this file, of the package
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False,
             runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(folders)}})
    yield
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="module")
def alone():
    with upg.Model.open(threads=1) as model:
        return [answer.text for answer in model.batch(PROMPTS, **OPTIONS)]


def test_a_job_completes_though_a_worker_is_killed(tmp_path, alone):
    rows = ray.data.from_items([{"prompt": prompt} for prompt in PROMPTS]).map_batches(
        DiesOnce, concurrency=2, batch_size=4, num_cpus=1,
        fn_constructor_kwargs={"marker": str(tmp_path / "died"), **OPTIONS}).take_all()
    assert (tmp_path / "died").exists()
    assert sorted((row["prompt"], row["answer"]) for row in rows) == sorted(zip(PROMPTS, alone))


def test_texts_are_evaluated():
    texts = ["Once upon a time there was a turtle.", "The dog was happy."]
    data = ray.data.from_items([{"text": text} for text in texts])
    rows = data.map_batches(upg.ray.Evaluate, concurrency=1).take_all()
    with upg.Model.open(threads=1) as model:
        for row in rows:
            expected = upg.evaluate(model, row["text"])
            assert row["nll"] / row["predictions"] == pytest.approx(expected["nll"])


def ask(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:8000{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_the_application_speaks_the_openai_api(alone):
    serve.run(upg.ray.from_config({"arguments": ["--threads", "1", "--model-name", "upg"], "num_replicas": 2}))
    body = {"model": "upg", "prompt": PROMPTS[0], "max_tokens": 4, "temperature": 0}
    assert json.loads(ask("/v1/completions", body))["choices"][0]["text"] == alone[0]
    stream = ask("/v1/completions", {**body, "stream": True})
    pieces = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    assert "".join(piece["choices"][0]["text"] for piece in pieces if piece["choices"]) == alone[0]
    assert stream.rstrip().endswith("data: [DONE]")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask("/v1/completions", {**body, "max_tokens": -1})
    assert refused.value.code == 400
