"""Models of upg on a Ray cluster: the OpenAI API as a Ray Serve application, and stages of Ray Data.

    import ray, upg.ray
    from ray import serve

    serve.run(upg.ray.application("/models/phi-4.upg", num_replicas=2))

    answers = ray.data.read_json("questions.jsonl").map_batches(
        upg.ray.Generate, concurrency=2, num_cpus=2, batch_size=32,
        fn_constructor_kwargs={"model": "/models/phi-4.upg", "max_tokens": 200, "greedy": True})

Every node needs the package upg and the file of the model.  The package ray must be installed, `ray[serve]` for the
application.
"""
from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import Any, Sequence

from .files import evaluate
from .model import Model

OF_ONE_HOP = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+")


class Generate:
    """A stage for Dataset.map_batches() that continues texts, those of a batch together.

    model    as for Model.open(); opened once by each worker, with `threads` threads
    column   the texts; with chat they are questions to answer
    to       the new column with answers; TO_finish_reason and TO_tokens come beside it
    options  upg.GenerateOptions.  A batch whose worker dies is computed again, the same with `greedy` or a `seed`.
    """

    def __init__(self, model: str | None = None, column: str = "prompt", to: str = "answer", chat: bool = False,
                 threads: int = 1, **options: Any):
        self._model = Model.open(model, threads=threads)
        self._column, self._to, self._chat, self._options = column, to, chat, options

    def __call__(self, batch: dict) -> dict:
        prompts = [str(text) for text in batch[self._column]]
        if self._chat:
            streams = [self._model.chat(prompt, stream=True, **self._options) for prompt in prompts]
            answers = [stream.result() for stream in streams]
        else:
            answers = self._model.batch(prompts, **self._options)
        return {**batch, self._to: [answer.text for answer in answers],
                f"{self._to}_finish_reason": [answer.finish_reason for answer in answers],
                f"{self._to}_tokens": [answer.completion_tokens for answer in answers]}


class Evaluate:
    """A stage for Dataset.map_batches() that adds how well a model predicts each text: columns `nll` (nats, sum) and
    `predictions`.  The perplexity of all is exp(sum of nll / sum of predictions).

    model, threads  as for Generate
    column          the texts
    ctx, stride     as for upg.evaluate()
    """

    def __init__(self, model: str | None = None, column: str = "text", threads: int = 1, ctx: int = 0, stride: int = 0):
        self._model = Model.open(model, threads=threads)
        self._column, self._ctx, self._stride = column, ctx, stride

    def __call__(self, batch: dict) -> dict:
        results = [evaluate(self._model, str(text), ctx=self._ctx, stride=self._stride) for text in batch[self._column]]
        return {**batch, "nll": [result["nll"] * result["tokens"] for result in results],
                "predictions": [result["tokens"] for result in results]}


class Replica:
    """A replica of the application: `upg serve` on a port of its own, and requests that are passed on to it."""

    def __init__(self, model: str | None, arguments: Sequence[str]):
        command = [sys.executable, "-m", "upg", "serve", *([] if model is None else [model]), "--port", "0", *arguments]
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._session = None
        for line in self._server.stderr:
            print(line, end="", file=sys.stderr)
            found = ADDRESS.search(line)
            if found:
                break
        else:
            raise RuntimeError(f"{' '.join(command)}: ended with status {self._server.wait()}")
        self._address = found.group()
        threading.Thread(target=self._pass_log_on, daemon=True).start()

    def _pass_log_on(self):
        for line in self._server.stderr:
            print(line, end="", file=sys.stderr)

    def __del__(self):
        self._server.terminate()

    def check_health(self) -> None:
        """Asked by Ray Serve, which starts another replica when it raises."""
        if self._server.poll() is not None:
            raise RuntimeError(f"upg serve ended with status {self._server.returncode}")

    async def __call__(self, request):
        import aiohttp
        from starlette.responses import StreamingResponse

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False)
        headers = {name: value for name, value in request.headers.items() if name not in OF_ONE_HOP}
        answer = await self._session.request(request.method, f"{self._address}{request.url.path}",
                                             params=request.url.query, headers=headers, data=await request.body())

        async def pieces():
            try:
                async for piece in answer.content.iter_any():
                    yield piece
            finally:  # also when the client has left: then the server stops computing
                answer.close()

        kept = {name: value for name, value in answer.headers.items() if name.lower() not in OF_ONE_HOP}
        return StreamingResponse(pieces(), status_code=answer.status, headers=kept)


def application(model: str | None = None, *, arguments: Sequence[str] = (), num_cpus: float = 1,
                **deployment_options: Any):
    """An application for serve.run(): the OpenAI API of `upg serve`, streams included, on replicas.

    model               as for `upg serve`; None: the embedded model
    arguments           options of `upg serve`, as on the command line
    num_cpus            cores of a replica; give `--threads` in arguments to match
    deployment_options  of Ray Serve: num_replicas, autoscaling_config, max_ongoing_requests, ...
    """
    from ray import serve

    deployment = serve.deployment(Replica).options(name="upg", ray_actor_options={"num_cpus": num_cpus},
                                                   **deployment_options)
    return deployment.bind(model, tuple(arguments))


def from_config(args: dict):
    """application() for a Serve config file: `import_path: upg.ray:from_config`, its keywords under `args`."""
    return application(**args)
