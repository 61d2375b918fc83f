"""/v1/completions, /v1/embeddings, /tokenize and /detokenize."""
import base64
import math
import struct

import pytest

PROMPT = "Once upon a time"


def complete(client, prompt=PROMPT, **options):
    return client.completions.create(**{"model": "default", "prompt": prompt, "temperature": 0, "max_tokens": 12,
                                        **options})


def test_text_is_that_of_the_command_line(client, upg_text):
    reply = complete(client)
    assert reply.choices[0].text == upg_text(PROMPT, 12)["text"]
    assert reply.object == "text_completion"
    assert "".join(c.choices[0].text for c in complete(client, stream=True)) == reply.choices[0].text


def test_ids_are_as_good_as_text(client, server):
    _, tokens = server.post("/tokenize", {"content": PROMPT})
    assert complete(client, tokens["tokens"]).choices[0].text == complete(client).choices[0].text


def test_several_prompts_and_choices_keep_their_order(client):
    prompts = [PROMPT, "The dog", "A small fish"]
    alone = [complete(client, prompt).choices[0].text for prompt in prompts]
    reply = complete(client, prompts, n=2)
    assert [c.index for c in reply.choices] == list(range(6))
    assert [c.text for c in reply.choices] == [text for text in alone for _ in range(2)]
    ids = [[5, 6, 7], [8, 9]]
    assert len(complete(client, ids).choices) == 2


def test_echo_returns_the_prompt(client):
    plain = complete(client).choices[0].text
    assert complete(client, echo=True).choices[0].text == PROMPT + plain
    assert "".join(c.choices[0].text for c in complete(client, echo=True, stream=True)) == PROMPT + plain


def test_logprobs_of_completions(client):
    choice = complete(client, logprobs=2).choices[0]
    logprobs = choice.logprobs
    assert "".join(logprobs.tokens) == choice.text
    assert logprobs.text_offset == [len("".join(logprobs.tokens[:i])) for i in range(len(logprobs.tokens))]
    for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs):
        assert top[token] == logprob == max(top.values())
        assert len(top) == 2
    parts = [c.choices[0].logprobs for c in complete(client, logprobs=2, stream=True)]
    assert [o for part in parts if part for o in part.text_offset] == logprobs.text_offset


def test_usage_counts_each_prompt_once(client):
    one = complete(client).usage
    three = complete(client, n=3).usage
    assert three.prompt_tokens == one.prompt_tokens
    assert three.completion_tokens == 3 * one.completion_tokens


def test_embeddings_have_length_one_and_meaning(client):
    texts = ["The cat sat on the mat.", "The cat sat on a mat.", "Seven big ships sailed far away over the sea."]
    reply = client.embeddings.create(model="default", input=texts, encoding_format="float")
    vectors = [item.embedding for item in reply.data]
    assert [item.index for item in reply.data] == [0, 1, 2]
    for vector in vectors:
        assert math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-5)

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b))

    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2])
    assert reply.usage.prompt_tokens == reply.usage.total_tokens > 10


def test_embeddings_in_base64_are_the_same_numbers(client, server):
    numbers = client.embeddings.create(model="default", input="Hello", encoding_format="float").data[0].embedding
    _, document = server.post("/v1/embeddings", {"model": "default", "input": "Hello", "encoding_format": "base64"})
    raw = base64.b64decode(document["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(numbers, abs=1e-7)
    assert client.embeddings.create(model="default", input="Hello").data[0].embedding == pytest.approx(numbers)


def test_embeddings_can_be_shortened(client):
    whole = client.embeddings.create(model="default", input="Hello").data[0].embedding
    short = client.embeddings.create(model="default", input="Hello", dimensions=16).data[0].embedding
    length = math.sqrt(sum(x * x for x in whole[:16]))
    assert short == pytest.approx([x / length for x in whole[:16]], abs=1e-6)


def test_tokens_and_back(server, upg):
    text = "Hello <|im_end|> wörld 🐢"
    _, tokens = server.post("/tokenize", {"content": text, "with_pieces": True})
    ids = [token["id"] for token in tokens["tokens"]]
    assert ids == [int(i) for i in upg("tokenize", "-p", text).stdout.split()]
    assert tokens["count"] == len(ids)
    assert server.post("/detokenize", {"tokens": ids})[1]["content"] == text
    _, special = server.post("/tokenize", {"content": text, "parse_special": True})
    assert special["count"] < tokens["count"]
    assert "<|im_end|>" not in server.post("/detokenize", {"tokens": special["tokens"],
                                                            "keep_special": False})[1]["content"]


def test_half_a_character_becomes_a_replacement(server):
    _, tokens = server.post("/tokenize", {"content": "🐢"})
    if len(tokens["tokens"]) > 1:
        assert "\ufffd" in server.post("/detokenize", {"tokens": tokens["tokens"][:1]})[1]["content"]
    assert server.refusal("/detokenize", {"tokens": [10**9]})["param"] == "tokens"
