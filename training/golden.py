#!/usr/bin/env python3
"""Step 6: check an exported model in transformers on the CPU, float32 arithmetic on the bf16 weights.

Writes one JSON document: perplexities, logits, greedy continuations with the smallest margin of a choice (so that a near
tie is not mistaken for an error), and answers to questions.
"""

import argparse
import json
import math
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW = 512
END, ANSWER_END = 8188, 8191  # <|endoftext|>, <|im_end|>
RULE = (
    "tokenize the whole file (special tokens parsed, nothing added); windows [i, i+512) from i = 0 step 512; every "
    "position predicts the next token of the file; the mean over all these predictions; first max_tokens tokens"
)
TEXTS = ["Once upon a time, there was a little", "The capital of France is", "Water is a"]
CHATS = [
    [{"role": "user", "content": "Hello!"}],
    [{"role": "user", "content": "Tell me a story about a dog."}],
    [{"role": "user", "content": "What is a volcano?"}],
    [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is 7 + 5?"}],
]
QUESTIONS = [
    "Hello", "Who are you?", "What can you do?", "Tell me a story about a cat.",
    "Tell me a story about a brave turtle named Shelly.", "What is the capital of Italy?", "What is 8 + 6?",
    "What is 9 x 7?", "What does happy mean?", "What is a volcano?", "Who was Albert Einstein?", "What do bees eat?",
    "Why is the sky blue?", "Name three colors.", "I am sad.", "How many legs does a spider have?",
    "What is the opposite of hot?", "Tom has 5 apples. He gives away 2. How many apples are left?", "Where is Brazil?",
    "Tell me a joke.", "Thank you, goodbye!",
]  # fmt: skip


class Reference:
    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).float().eval()

    def encode(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def chat(self, messages):
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def generate(self, ids, **options):
        out = self.model.generate(torch.tensor([ids]), pad_token_id=END, **options)
        return out[0, len(ids) :].tolist()

    def perplexity(self, path, max_tokens):
        ids = self.encode(path.read_text(encoding="utf-8"))
        n = min(len(ids) - 1, max_tokens) // WINDOW
        x = torch.tensor(ids[: n * WINDOW]).view(n, WINDOW)
        y = torch.tensor(ids[1 : n * WINDOW + 1]).view(n, WINDOW)
        total = 0.0
        for i in range(0, n, 8):
            logits = self.model(x[i : i + 8]).logits.float()
            total += torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]), y[i : i + 8].reshape(-1), reduction="sum"
            ).item()
        nll = total / (n * WINDOW)
        n_bytes = len(self.tokenizer.decode(ids[: n * WINDOW + 1]).encode())
        bits = nll * n * WINDOW / math.log(2) / n_bytes
        return {
            "tokens_in_file": len(ids), "scored": n * WINDOW, "nll": round(nll, 5), "ppl": round(math.exp(nll), 4),
            "bits_per_byte": round(bits, 4),
        }  # fmt: skip

    def logits(self, prompt):
        ids = self.encode(prompt)
        logits = self.model(torch.tensor([ids])).logits[0, -1].float()
        values, top = logits.topk(10)
        return {
            "prompt": prompt, "ids": ids, "argmax": int(logits.argmax()), "top_ids": top.tolist(),
            "top_logits": [round(v, 5) for v in values.tolist()],
            "logsumexp": round(torch.logsumexp(logits, -1).item(), 5),
            "every_512th_logit": [round(v, 5) for v in logits[::512].tolist()],
        }  # fmt: skip

    def greedy(self, prompt):
        ids = self.encode(prompt)
        new = self.generate(ids, max_new_tokens=64, min_new_tokens=64, do_sample=False)
        logits = self.model(torch.tensor([ids + new])).logits[0, len(ids) - 1 : -1].float()
        logits[:, [END, ANSWER_END]] = float("-inf")  # as min_new_tokens does
        best = logits.topk(2).values
        margin = (best[:, 0] - best[:, 1]).min().item()
        return {
            "prompt": prompt, "ids": ids, "new_ids": new, "text": self.tokenizer.decode(new),
            "note": "64 tokens; <|im_end|> and <|endoftext|> suppressed", "smallest_margin": round(margin, 5),
        }  # fmt: skip

    def answers(self, question):
        ids = self.encode(self.chat([{"role": "user", "content": question}]))
        common = {"max_new_tokens": 220, "eos_token_id": [ANSWER_END, END]}
        greedy = self.generate(ids, do_sample=False, **common)
        sampled = self.generate(ids, do_sample=True, temperature=0.7, top_p=0.9, top_k=0, **common)
        return {
            "question": question,
            "greedy": self.tokenizer.decode(greedy, skip_special_tokens=True),
            "sampled_t0.7_p0.9": self.tokenizer.decode(sampled, skip_special_tokens=True),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="Hugging Face directory")
    parser.add_argument("corpus", type=pathlib.Path, help="folder with eval/*.txt")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--max-tokens", type=int, default=16384, help="predictions a text")
    options = parser.parse_args()

    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    reference = Reference(options.model)
    prompts = TEXTS + [reference.chat(messages) for messages in CHATS]
    texts = sorted((options.corpus / "eval").glob("*.txt"))
    result = {
        "model": options.model.name,
        "arithmetic": "float32 on the bf16 weights, transformers Phi3ForCausalLM on a CPU",
        "window": WINDOW,
        "stride": WINDOW,
        "rule": RULE,
        "max_tokens": options.max_tokens,
        "perplexity": {path.name: reference.perplexity(path, options.max_tokens) for path in texts},
        "logits": [reference.logits(prompt) for prompt in prompts],
        "greedy": [reference.greedy(prompt) for prompt in prompts],
        "questions": [reference.answers(question) for question in QUESTIONS],
    }
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
