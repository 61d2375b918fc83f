"""Models of upg in EleutherAI's lm-evaluation-harness, as `--model upg`.

    python -m upg.lm_eval run --model upg --model_args path=phi-4.upg --tasks hellaswag

The package lm_eval must be installed.  Model arguments: `path` (none: the embedded model), and what Model.open() takes
(threads, ctx, kv; --device is the harness's own option); `prefix_id` is the token in front of a text that has no
context (default: the model's first stop id, which for Phi-4 is also what begins a text).
"""
from __future__ import annotations

import numpy
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from .model import Model

NOT_ARGUMENTS = ("batch_size", "max_batch_size")  # that the harness passes to every model
HARNESS_DEVICE = "cuda:0"  # what it passes when its --device is not given


@register_model("upg")
class UpgLM(LM):
    """A model of upg as the harness sees one.  Texts that are longer than the context lose their beginning, as with the
    harness's other models; `n_cut` counts them."""

    def __init__(self, path=None, prefix_id=None, **options):
        super().__init__()
        for name in NOT_ARGUMENTS:
            options.pop(name, None)
        device = options.pop("device", None) or HARNESS_DEVICE
        device = "auto" if device == HARNESS_DEVICE else device
        self.model = Model.open(path, device=device, **options)
        self.context = options.get("ctx") or min(self.model.info.context, 4096)
        self.prefix_id = self.model.info.stop_ids[0] if prefix_id is None else int(prefix_id)
        self.parse_special = False
        self.n_cut = 0

    @property
    def tokenizer_name(self) -> str:
        """Names the chat template in the harness's caches."""
        return self.model.info.path

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        """The text of a conversation; from now on its control tokens are read as such."""
        if not add_generation_prompt:
            raise NotImplementedError("upg renders conversations that the assistant answers")
        self.parse_special = True
        text, _ = self.model.tokenizer.render_chat(chat_history)
        return text

    def _encode(self, text):
        return list(self.model.tokenizer.encode(text, parse_special=self.parse_special))

    def _score(self, before, scored):
        """Log-likelihood of tokens behind others, and whether each was the most probable one."""
        ids = (before + scored)[-(self.context + 1):]
        self.n_cut += len(ids) < len(before) + len(scored)
        scored = ids[-min(len(scored), len(ids) - 1):]
        logits = self.model.logits(ids[:-1], last=len(scored)).astype(numpy.float64)
        logits -= logits.max(axis=-1, keepdims=True)
        of_scored = logits[numpy.arange(len(scored)), scored]
        return float((of_scored - numpy.log(numpy.exp(logits).sum(axis=-1))).sum()), bool((of_scored == 0).all())

    def _encode_pair(self, context, continuation):
        """Ids of both; spaces between them belong to the continuation, where the tokenizer has them."""
        n_spaces = len(context) - len(context.rstrip())
        if n_spaces:
            continuation = context[-n_spaces:] + continuation
            context = context[:-n_spaces]
        before = self._encode(context)
        return before or [self.prefix_id], self._encode(context + continuation)[len(before):]

    def loglikelihood(self, requests, disable_tqdm=False):
        """(log-likelihood, greedy?) of each (context, continuation)."""
        return [self._score(*self._encode_pair(*request.args)) for request in requests]

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        """Log-likelihood of each whole text."""
        totals = []
        for request in requests:
            windows = get_rolling_token_windows(self._encode(request.args[0]), self.prefix_id, self.context, 1)
            totals.append(sum(self._score(*make_disjoint_window(window))[0] for window in windows))
        return totals

    def generate_until(self, requests, disable_tqdm=False):
        """Answers, computed together."""
        answers = [self._start(*request.args) for request in requests]
        return [stream.result().text for stream in answers]

    def _start(self, context, options):
        stop = options.get("until") or []
        n_most = int(options.get("max_gen_toks", 256))
        ids = self._encode(context) or [self.prefix_id]
        room = max(1, self.context - n_most)
        self.n_cut += len(ids) > room
        sampling = {"greedy": True}
        if options.get("do_sample") and options.get("temperature", 1.0) > 0:
            sampling = {"temperature": options.get("temperature", 1.0), "top_p": options.get("top_p", 1.0), "seed": 1}
        return self.model.generate(ids[-room:], max_tokens=n_most, stop=[stop] if isinstance(stop, str) else stop,
                                   stream=True, **sampling)


def main():
    """The harness's command line, with the model `upg`."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
