"""HTTP itself, with raw sockets: framing, limits, clients that leave, keys, web pages, the end."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import setting

CHAT = "/v1/chat/completions"
STORY = {"messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 0, "ignore_eos": True}

# Answers that take many seconds on any machine: eight at a time, as long as the context allows, and the embedded
# model's two stop tokens cannot come.
LONG = dict(STORY, max_tokens=1900, n=8, logit_bias={"8190": -100, "8191": -100})


def request_bytes(body, path=CHAT, headers="", version="1.1"):
    body = json.dumps(body).encode() if not isinstance(body, bytes) else body
    return (f"POST {path} HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{headers}\r\n").encode() + body


def read_reply(file):
    """One reply with a length or in chunks: (status, headers, body)."""
    status = int(file.readline().split()[1])
    headers = {}
    while (line := file.readline().strip()):
        name, value = line.decode().split(":", 1)
        headers[name.lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while (size := int(file.readline(), 16)):
            body += file.read(size)
            file.readline()
        file.readline()
    elif "content-length" in headers:
        body = file.read(int(headers["content-length"]))
    else:
        body = file.read()
    return status, headers, body


def exchange(server, data):
    with server.socket() as s:
        s.sendall(data)
        return read_reply(s.makefile("rb"))


def test_health_models_and_unknown_paths(server):
    assert server.get("/health")[0] == 200
    assert server.get("/ready")[0] == 200
    assert server.request("HEAD", "/health")[0] == 200
    assert server.get("/nothing")[0] == 404
    status, headers, text = server.request("PUT", CHAT, {})
    assert (status, headers["Allow"]) == (405, "POST")
    assert json.loads(text)["error"]["type"] == "invalid_request_error"
    assert server.request("DELETE", "/health")[0] == 405
    assert server.request("OPTIONS", CHAT)[0] == 405  # web pages of others are not invited


def test_pipelined_requests_are_answered_in_order(server):
    bodies = [dict(STORY, max_tokens=n) for n in (1, 2, 3)]
    with server.socket() as s:
        s.sendall(b"".join(map(request_bytes, bodies)))
        file = s.makefile("rb")
        replies = [json.loads(read_reply(file)[2]) for _ in bodies]
    assert [r["usage"]["completion_tokens"] for r in replies] == [1, 2, 3]


def test_chunked_body(server):
    body = json.dumps(dict(STORY, max_tokens=2)).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7))
    status, _, reply = exchange(server, b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                b"application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert status == 200
    assert json.loads(reply)["usage"]["completion_tokens"] == 2


def test_http_1_0_stream_ends_with_the_connection(server):
    status, headers, body = exchange(server, request_bytes(dict(STORY, max_tokens=3, stream=True), version="1.0"))
    assert status == 200
    assert "transfer-encoding" not in headers
    assert body.endswith(b"data: [DONE]\n\n")


def test_expect_continue(server):
    body = json.dumps(dict(STORY, max_tokens=1)).encode()
    with server.socket() as s:
        s.sendall(request_bytes(body, headers="Expect: 100-continue\r\n")[:-len(body)])
        file = s.makefile("rb")
        assert b"100" in file.readline()
        file.readline()
        s.sendall(body)
        assert read_reply(file)[0] == 200


@pytest.mark.parametrize("data", [
    b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"%00%ff%0a" * 50 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n" * 1000,
    b"GET /v1/models/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
], ids=lambda data: repr(data[:30]))
def test_bad_http_is_refused_or_cut(server, data):
    with server.socket() as s:
        reply = b""
        s.settimeout(1)  # a connection may stay open for another request
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while (part := s.recv(65536)):
                reply += part
        except OSError:  # cut while it was still sending, or kept open
            pass
    assert reply == b"" or re.match(rb"HTTP/1\.[01] [45]\d\d ", reply), reply[:100]
    assert server.get("/health")[0] == 200


def test_body_must_say_that_it_is_json(server):
    body = json.dumps(dict(STORY, max_tokens=1)).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        assert server.request("POST", CHAT, body, {"Content-Type": kind})[0] == 415
    assert server.request("POST", CHAT, body, {"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200


def test_foreign_host_name_is_refused(server):
    for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        assert server.get("/v1/models", Host=name)[0] == 403
    for name in ("localhost", "127.0.0.1:8080", "[::1]:80", "LOCALHOST"):
        assert server.get("/v1/models", Host=name)[0] == 200


CANCELLED = 'upg_requests_finished_total{reason="cancelled"}'


def test_client_that_leaves_a_stream_frees_its_place(server):
    before = server.metrics()
    with server.socket() as s:
        s.sendall(request_bytes(dict(LONG, stream=True)))
        assert any(line.startswith(b"data:") for line in s.makefile("rb"))  # it has begun
        server.wait_for(lambda m: m["upg_requests_running"] == LONG["n"])
    after = server.wait_idle()
    assert after[CANCELLED] == before[CANCELLED] + LONG["n"]
    n_tokens = after["upg_generated_tokens_total"] - before["upg_generated_tokens_total"]
    assert n_tokens < LONG["n"] * LONG["max_tokens"]
    server.wait_for(lambda m: m["upg_http_requests_open"] == 1)  # this one


def test_client_that_leaves_while_it_waits_frees_its_place(server):
    before = server.metrics()
    with server.socket() as s:
        s.sendall(request_bytes(LONG))  # not streamed: nothing is written meanwhile
        server.wait_for(lambda m: m["upg_requests_running"] == LONG["n"])
    after = server.wait_idle()
    assert after[CANCELLED] == before[CANCELLED] + LONG["n"]


def test_one_client_leaving_does_not_end_another(server):
    alone = server.post(CHAT, dict(STORY, max_tokens=100))[1]["choices"][0]["message"]["content"]
    result = []
    thread = threading.Thread(target=lambda: result.append(server.post(CHAT, dict(STORY, max_tokens=100))[1]))
    with server.socket() as s:
        s.sendall(request_bytes(dict(LONG, stream=True)))
        s.recv(1000)
        thread.start()
    thread.join()
    assert result[0]["choices"][0]["message"]["content"] == alone


def test_answers_in_a_batch_are_those_given_alone(server):
    def ask(i, results):
        body = {"messages": [{"role": "user", "content": f"Story number {i} of the {['dog', 'cat', 'bird'][i % 3]}"}],
                "temperature": 0, "max_tokens": 30}
        results[i] = server.post(CHAT, body)[1]["choices"][0]["message"]["content"]

    alone, together = {}, {}
    for i in range(12):
        ask(i, alone)
    threads = [threading.Thread(target=ask, args=(i, together)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_log_has_no_prompt_and_one_line_a_request(server):
    secret = "xyzzy-plugh"
    path = f"/{secret}%0aevent=forged"
    server.post(CHAT, {"messages": [{"role": "user", "content": secret}], "max_tokens": 1})
    server.get(path)
    server.wait_log(lambda line: "event=request" in line and CHAT in line and "prompt_tokens=" in line and
                    "status=200" in line and "first_token_seconds=" in line)
    server.wait_log(lambda line: "event=request" in line and secret in line)
    assert not any(secret in line for line in server.log if CHAT in line)
    assert not any(line.startswith("event=forged") for line in server.log)


def test_metrics_are_what_prometheus_reads(server):
    _, headers, text = server.get("/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in text.splitlines():
        assert re.match(r"# (HELP|TYPE) \w+ |\w+(\{[^}]*\})? [-+0-9.e]+$|\w+_bucket\{le=\"\+Inf\"\} \d+$", line), line
    typed = re.findall(r"# TYPE (\w+) (\w+)", text)
    assert len(typed) == len(set(name for name, _ in typed))
    for name, kind in typed:
        assert re.search(rf"^{name}(_bucket)?[ {{]", text, re.M)
        if kind == "histogram":
            counts = [int(n) for n in re.findall(rf"^{name}_bucket{{.*}} (\d+)$", text, re.M)]
            assert counts == sorted(counts)


def test_api_document_names_every_field_and_its_range(server):
    document = json.loads(server.get("/openapi.json")[2])
    assert document["openapi"].startswith("3.1")
    body = document["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["temperature"]["maximum"] == 2
    assert body["required"] == ["messages"]
    for path, methods in document["paths"].items():
        for method in methods:
            assert server.request(method.upper(), path, {} if method == "post" else None)[0] in (200, 400)


def test_keys(start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("first\n\nsecond key\r\n")
    with start_server("--api-key", "third", "--api-key-file", keys, env={**os.environ, "UPG_API_KEY": "fourth"}) as server:
        for key in ("first", "second key", "third", "fourth"):
            assert server.get("/v1/models", Authorization=f"Bearer {key}")[0] == 200
        for header in ("Bearer ", "Bearer firs", "Bearer firstt", "first", "Basic first", "Bearer first second key"):
            status, headers, text = server.get("/v1/models", Authorization=header)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert json.loads(text)["error"]["code"] == "invalid_api_key"
        assert server.get("/metrics")[0] == server.request("POST", CHAT, STORY)[0] == 401
        assert server.get("/health")[0] == server.get("/")[0] == 200
        assert server.get("/v1/models", Host="any.example", Authorization="Bearer first")[0] == 200
        assert server.client(api_key="third").models.list().data[0].id == "default"
        assert not any("third" in line or "fourth" in line for line in server.log)


def test_a_key_file_without_keys_opens_no_server(upg, tmp_path):
    (tmp_path / "keys").write_text("\n\n")
    process = upg("serve", "--port", "0", "--api-key-file", tmp_path / "keys")
    assert process.returncode == 2
    assert "no key" in process.stderr


def test_a_server_open_to_everybody_says_so(start_server):
    with start_server("--host", "0.0.0.0") as server:
        assert server.get("/v1/models", Host="any.example")[0] == 200
        assert server.stop() == 0
        assert any("event=warning" in line and "keys" in line for line in server.log)
    with start_server("--host", "0.0.0.0", "--api-key", "k") as server:
        assert server.stop() == 0
        assert not any("event=warning" in line for line in server.log)


def test_pages_of_allowed_origins_only(start_server):
    with start_server("--cors", "https://good.example") as server:
        status, headers, _ = server.request("OPTIONS", CHAT, headers={
            "Origin": "https://good.example", "Access-Control-Request-Method": "POST"})
        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == "https://good.example"
        assert "Authorization" in headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Origin" not in server.get("/health", Origin="https://evil.example")[1]
        assert server.get("/health", Origin="https://good.example")[1]["Access-Control-Allow-Origin"]


def test_limits_of_size(start_server):
    with start_server("--max-body", "2KiB", "--max-tokens", "20", "--model-name", "tiny/one", "--json",
                      "--no-page") as server:
        big = {"messages": [{"role": "user", "content": "x" * 5000}]}
        assert server.request("POST", CHAT, big)[0] == 413
        assert exchange(server, request_bytes(big))[0] == 413
        assert "20" in server.refusal(CHAT, dict(STORY, max_tokens=21))["message"]
        status, reply = server.post(CHAT, STORY)
        assert (status, reply["usage"]["completion_tokens"]) == (200, 20)
        assert reply["model"] == server.client().models.retrieve("tiny/one").id == "tiny/one"
        assert server.get("/")[0] == 404
        with server.socket() as s:  # endless: the connection is cut
            with pytest.raises(OSError):
                s.sendall(b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          b"Content-Length: 100000000\r\n\r\n")
                for _ in range(1000):
                    s.sendall(b" " * 100000)
        assert server.stop() == 0
        assert all(json.loads(line) for line in server.log)


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: lo", request_bytes(STORY)[:-10]],
                         ids=["nothing", "headers", "body"])
def test_slow_requests_are_cut(start_server, beginning):
    """A byte now and then keeps no connection; one that says nothing is closed, too."""
    with start_server("--request-timeout", "1", "--idle-timeout", "1") as server:
        with server.socket() as s:
            s.sendall(beginning)
            until = time.monotonic() + setting.PATIENCE
            with pytest.raises(OSError):
                while time.monotonic() < until:
                    s.sendall(b"a")
                    time.sleep(0.2)
        with server.socket() as s:
            s.sendall(beginning)
            try:
                assert b" 200 " not in s.recv(65536)  # the end, or a word about it
            except ConnectionError:
                pass
        assert server.stop() == 0


def test_full_server_says_when_to_come_again(start_server):
    """One is answered, one waits; the others are told to come again, at once."""
    with start_server("--parallel", "1", "--queue", "1") as server:
        sockets = [server.socket() for _ in range(8)]
        for s in sockets:
            s.sendall(request_bytes(dict(LONG, n=1)))
        server.wait_for(lambda m: m["upg_requests_refused_total"] > 0 and
                        m["upg_requests_running"] + m["upg_requests_waiting"] > 0)
        assert server.get("/health")[0] == 200
        replies = {}
        while 503 not in replies:
            readable, _, _ = select.select(sockets, [], [], setting.PATIENCE)
            assert readable
            for s in readable:
                status, headers, body = read_reply(s.makefile("rb"))
                replies[status] = headers, body
                sockets.remove(s)
                s.close()
        headers, body = replies[503]
        assert int(headers["retry-after"]) > 0
        assert json.loads(body)["error"]["code"] == "overloaded"
        for s in sockets:
            s.close()
        server.wait_idle()
        assert server.post(CHAT, dict(STORY, max_tokens=2))[0] == 200


def test_termination_lets_answers_finish(start_server):
    with start_server("--grace", setting.PATIENCE) as server:
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(server.post(CHAT, dict(STORY, max_tokens=150))))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        server.wait_for(lambda m: m["upg_requests_submitted_total"] == 4)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert [status for status, _ in replies] == [200] * 4
        assert all(reply["usage"]["completion_tokens"] == 150 for _, reply in replies)
        assert server.process.wait(setting.PATIENCE) == 0  # a second signal would end it at once
        with pytest.raises(OSError):
            server.socket()


def test_termination_cancels_after_the_grace_time(start_server):
    with start_server("--grace", "0") as server:
        with server.socket() as s:
            s.sendall(request_bytes(dict(LONG, stream=True)))
            file = s.makefile("rb")
            server.wait_for(lambda m: m["upg_requests_running"] == LONG["n"])
            assert server.stop() == 0
            body = read_reply(file)[2]
        last = json.loads(body.decode().strip().split("data: ")[-1])
        assert last["error"]["type"] == "service_unavailable_error"


def test_port_in_use_is_named(server, upg):
    process = upg("serve", "--port", server.port)
    assert process.returncode == 1
    assert str(server.port) in process.stderr and "--port" in process.stderr


def test_tls(start_server, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
                    certificate], check=True, capture_output=True)
    with start_server("--tls-cert", certificate, "--tls-key", key) as server:
        assert server.url.startswith("https://")
        script = ("import sys, urllib.request, ssl; print(urllib.request.urlopen(sys.argv[1], context="
                  "ssl.create_default_context(cafile=sys.argv[2])).read().decode())")
        out = subprocess.run([sys.executable, "-c", script, server.url + "/v1/models", certificate], text=True,
                             capture_output=True, check=True).stdout
        assert json.loads(out)["data"][0]["id"] == "default"
