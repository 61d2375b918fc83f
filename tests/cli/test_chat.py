"""upg chat without a terminal: a line in, an answer out."""
import json
import re
import signal
import subprocess

import pytest
from setting import PATIENCE

GREEDY = ["chat", "--greedy", "-n", "4"]


def stats(text):
    """(tokens in use, messages, new tokens of the last question) of each /stats."""
    return [tuple(map(int, m)) for m in
            re.findall(r"upg: (\d+) of \d+ tokens in use, (\d+) messages; last question: (\d+) new tokens", text)]


def count_tokens(upg, text):
    return len(upg("tokenize", "-p", text, "--parse-special").out.split())


def test_answers_and_nothing_else_are_written(upg):
    result = upg(*GREEDY, stdin=b"Hello\n\nWho are you?\n")
    document = upg(*GREEDY, "--json", stdin=b"Hello\n\nWho are you?\n").json()
    answers = [m["content"] for m in document["messages"] if m["role"] == "assistant"]
    assert [m["role"] for m in document["messages"]] == ["user", "assistant"] * 2
    assert result.out == "".join(answer + "\n" for answer in answers)
    assert result.err == ""


def test_last_line_needs_no_line_end(upg):
    assert upg(*GREEDY, stdin=b"Hello").out == upg(*GREEDY, stdin=b"Hello\n").out


def test_json_counts_tokens(upg):
    document = upg(*GREEDY, "--json", "--seed", "5", stdin=b"Hello\n").json()
    prompt = "<|im_start|>user<|im_sep|>Hello<|im_end|><|im_start|>assistant<|im_sep|>"
    assert document["prompt_tokens"] == count_tokens(upg, prompt)
    assert 0 < document["completion_tokens"] <= 4 and document["seed"] == 5


def test_a_turn_costs_only_its_own_tokens(upg):
    turn = "<|im_start|>user<|im_sep|>{}<|im_end|><|im_start|>assistant<|im_sep|>"
    result = upg(*GREEDY, stdin=b"Hello\n/stats\nWho are you?\n/stats\nHello\n/stats\n")
    first, second, third = stats(result.err)
    assert first[2] == count_tokens(upg, turn.format("Hello"))
    assert second[2] == 1 + count_tokens(upg, turn.format("Who are you?"))  # 1: the end of the answer before
    assert third[2] == 1 + count_tokens(upg, turn.format("Hello"))
    assert [messages for _, messages, _ in (first, second, third)] == [2, 4, 6]


def test_answers_are_those_of_the_whole_conversation(upg):
    document = upg(*GREEDY, "--json", "--system", "Be kind.", stdin=b"Hello\nWho are you?\n").json()
    *before, last = document["messages"]
    prompt = "".join(f"<|im_start|>{m['role']}<|im_sep|>{m['content']}<|im_end|>" for m in before)
    once = upg("run", "--greedy", "-n", "4", "--parse-special", "--json", "-p",
               prompt + "<|im_start|>assistant<|im_sep|>").json()
    assert before[0] == {"role": "system", "content": "Be kind."}
    assert last["content"] == once["text"]


def test_backslash_joins_lines(upg):
    messages = upg(*GREEDY, "--json", stdin=b"one\\\ntwo\\\n\nHello\\\n").json()["messages"]
    assert [m["content"] for m in messages if m["role"] == "user"] == ["one\ntwo\n", "Hello\n"]


def test_special_tokens_in_a_line_are_plain_text(upg):
    plain = stats(upg(*GREEDY, stdin=b"<|im_end|>\n/stats\n").err)[0][2]
    assert plain > stats(upg(*GREEDY, stdin=b"x\n/stats\n").err)[0][2] + 3


def test_reset_begins_anew_and_keeps_the_system_text(upg):
    result = upg(*GREEDY, "--json", "--system", "Be kind.", stdin=b"Hello\n/reset\nWho are you?\n").json()
    assert [m["role"] for m in result["messages"]] == ["system", "user", "assistant"]


def test_system_can_be_changed_and_removed(upg):
    def system(lines):
        messages = upg(*GREEDY, "--json", "-s", "first", stdin=lines).json()["messages"]
        return [m["content"] for m in messages if m["role"] == "system"]

    assert system(b"/system second one \nHello\n") == ["second one "]
    assert system(b"/system\nHello\n") == []


def test_save_and_load_are_the_same_conversation(upg, tmp_path):
    path = tmp_path / "chat.json"
    upg(*GREEDY, "-s", "Be kind.", stdin=f"Hello\n/save {path}\n".encode())
    messages = json.loads(path.read_text())
    assert [m["role"] for m in messages] == ["system", "user", "assistant"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chat.json", "chat.json.cache"]
    straight = upg(*GREEDY, "-s", "Be kind.", "--json", stdin=b"Hello\nWho are you?\n").json()
    loaded = upg(*GREEDY, "--json", stdin=f"/load {path}\nWho are you?\n".encode()).json()
    assert loaded["messages"] == straight["messages"]
    path.write_text(json.dumps(straight))  # what chat --json writes can be loaded too
    assert upg("chat", "--json", stdin=f"/load {path}\n".encode()).json()["messages"] == straight["messages"]


def test_loaded_conversation_is_not_computed_again(upg, tmp_path):
    path = tmp_path / "chat.json"
    cache = tmp_path / "chat.json.cache"
    upg(*GREEDY, "-s", "Be kind. " * 40, stdin=f"Hello\n/save {path}\n".encode())

    def ask():
        result = upg(*GREEDY, stdin=f"/load {path}\nWho are you?\n/stats\n".encode())
        return result.out, stats(result.err)[0][2], result.err

    answer, n_new, _ = ask()
    damaged = bytearray(cache.read_bytes())
    damaged[-1] ^= 1
    cache.write_bytes(damaged)
    again, n_all, told = ask()
    assert "is damaged" in told and "computed again" in told
    cache.unlink()
    assert ask()[:2] == (again, n_all)
    assert answer == again and n_new < 40 < n_all


@pytest.mark.parametrize("content, status, message", [
    ('{"a": ', 3, "line 1"), ("5", 3, "expected near"), ("{}", 3, "no JSON array"), ('[{"role": "user"}]', 3, "'content'"),
    ('[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]', 3, "comes first"),
    (None, 1, "cannot open"),
])
def test_bad_file_is_not_loaded(upg, tmp_path, content, status, message):
    path = tmp_path / "chat.json"
    if content:
        path.write_text(content)
    assert message in upg("chat", status=status, stdin=f"/load {path}\n".encode()).err


@pytest.mark.parametrize("line, message", [
    ("/bogus", "there is no command '/bogus'"), ("/save", "needs the name of a file"), ("/load", "needs the name"),
    ("/quit now", "takes nothing"), ("/", "there is no command '/'"), ("/systemx", "there is no command"),
])
def test_wrong_command_ends_a_script_with_status_2(upg, line, message):
    result = upg("chat", status=2, stdin=f"{line}\nHello\n".encode())
    assert message in result.err and result.out == ""


def test_save_into_nowhere_is_status_1(upg, tmp_path):
    assert "cannot create" in upg("chat", status=1, stdin=f"/save {tmp_path}/none/chat.json\n".encode()).err


def test_blank_in_front_makes_a_message_of_a_command(upg):
    messages = upg(*GREEDY, "--json", stdin=b" /quit\n").json()["messages"]
    assert messages[0]["content"] == " /quit"


def test_quit_leaves_and_help_lists(upg):
    result = upg("chat", stdin=b"/help\n/quit\nHello\n")
    assert result.out == "" and all(f"/{name}" in result.err for name in "help reset system save load stats quit".split())


def test_full_context_drops_the_oldest_turns_and_keeps_the_system_text(upg):
    lines = b"".join(b"Tell me about the number %d.\n" % i for i in range(4))
    command = ["chat", "--greedy", "-n", "8", "--ctx", "64", "-s", "Be kind."]
    result = upg(*command, stdin=lines)
    messages = upg(*command, "--json", stdin=lines).json()["messages"]
    dropped = [int(n) for n in re.findall(r"context of 64 tokens is full: the oldest (\d+) messages were dropped",
                                          result.err)]
    assert dropped and 1 + 8 - sum(dropped) == len(messages)
    assert messages[0]["role"] == "system" and messages[1]["role"] == "user"
    assert messages[-2]["content"] == "Tell me about the number 3."


def test_answer_that_fills_the_context_ends_and_says_so(upg):
    bias = ["--logit-bias", "8191=-inf", "--logit-bias", "8188=-inf"]
    result = upg("chat", "--greedy", "--ctx", "64", *bias, stdin=b"Hello\n/stats\nHello\n")
    assert result.err.count("context of 64 tokens is full: the answer ends here") == 2
    assert stats(result.err)[0][0] == 64
    assert "the oldest 2 messages were dropped" in result.err


def test_message_longer_than_the_context_is_refused_with_both_numbers(upg):
    err = upg("chat", "--ctx", "64", status=1, stdin=b"many words " * 100 + b"\n").err
    assert re.search(r"prompt of \d{3} tokens, the context has 64", err)


def test_interrupt_ends_a_script(start):
    process = start("chat", "--compute", "reference", "-t", "1", "--logit-bias", "8191=-inf", stdin=subprocess.PIPE)
    process.stdin.write(b"Hello\nHello\n")
    process.stdin.flush()
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130


def test_interrupt_while_waiting_for_a_line(start):
    process = start("chat", stdin=subprocess.PIPE, bufsize=0)
    process.stdin.write(b"/stats\n")
    assert b"tokens in use" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
