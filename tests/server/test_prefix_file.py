"""The file of known prompts: what a server that was killed leaves of it is used if it is whole, or else computed anew."""
import os
import signal
import time

PROMPT = "Once there was a small dog who lived in a red house by the sea. " * 12


def ask(server):
    """The answer, and how many tokens of the prompt were known."""
    status, document = server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 16, "temperature": 0})
    assert status == 200, document
    return document["choices"][0]["text"], document["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_a_server_that_is_killed_while_it_writes_leaves_the_old_file_or_the_new_one(start_server, tmp_path):
    path = tmp_path / "prompts"
    with start_server("--prefix-cache", path) as server:
        answer, _ = ask(server)
        assert server.stop() == 0
    for n in range(4):  # at four places of its writing, if it is not faster
        with start_server("--prefix-cache", path) as server:
            text, n_cached = ask(server)
            assert text == answer and n_cached > 0
            server.process.send_signal(signal.SIGTERM)
            while server.process.poll() is None and not os.path.exists(f"{path}.part"):
                time.sleep(0.0005)
            time.sleep(n * 0.001)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(60)
    with start_server("--prefix-cache", path) as server:
        text, n_cached = ask(server)
        assert text == answer and n_cached > 0
        assert server.stop() == 0
    assert not os.path.exists(f"{path}.part")


def test_blocks_of_a_file_that_is_damaged_anywhere_are_computed_anew(start_server, tmp_path):
    path = tmp_path / "prompts"
    with start_server("--prefix-cache", path) as server:
        answer, _ = ask(server)
        n_whole = ask(server)[1]
        assert server.stop() == 0
    whole = path.read_bytes()
    for n_kept in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n_kept])
        with start_server("--prefix-cache", path) as server:
            text, n_cached = ask(server)
            assert text == answer and n_cached < n_whole
    at = len(whole) * 2 // 3
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
    with start_server("--prefix-cache", path) as server:
        text, n_cached = ask(server)
        assert text == answer and 0 < n_cached < n_whole
