"""A hub on this machine: the parts of the Hugging Face hub's HTTP API that downloads use, and its bad days."""
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections import Counter

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Repositories {name: {file: bytes}}; files of more than `large` bytes are on another host, as LFS files are.

    trouble(request) may answer instead of the hub: it gets the handler and returns True if it did.
    """

    def __init__(self, repositories, large=1000):
        self.repositories, self.large = repositories, large
        self.trouble = lambda request: False
        self.announced = {}  # file: a hash or size instead of the true one
        self.requests = []  # (host, path, range, authorization)
        self.lock = threading.Lock()
        self.counts = Counter()
        self.servers = [self._serve("hub"), self._serve("cdn")]

    def _serve(self, host):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            name = host

            def do_GET(self):
                with hub.lock:
                    hub.requests.append((host, self.path, self.headers["Range"], self.headers["Authorization"]))
                    hub.counts[host] += 1
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *arguments: None  # clients that leave
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    @property
    def url(self):
        return f"http://127.0.0.1:{self.servers[0].server_port}"

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def send(self, request, status, body=b"", **headers):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), str(value))
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def answer(self, request):
        if self.trouble(request):
            return
        path = urllib.parse.unquote(request.path.split("?")[0])
        if request.name == "cdn":
            organisation, name, file = path[1:].split("/", 2)
            self.send_part(request, self.repositories[f"{organisation}/{name}"][file])
            return
        api = re.match(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path)
        file = re.match(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        name = (api or file)[1] if api or file else None
        if name not in self.repositories or (api and api[2] not in ("main", COMMIT)):
            self.send(request, 404, b"not found")
        elif name.startswith("closed/") and request.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send(request, 401, b"unauthorized")
        elif api:
            self.send(request, 200, json.dumps(self.listing(name)).encode(), Content_Type="application/json")
        elif file[3] not in self.repositories[name]:
            self.send(request, 404, b"no such file")
        else:
            self.send_file(request, name, file[3])

    def listing(self, name):
        siblings = []
        for file, data in self.repositories[name].items():
            entry = {"rfilename": file, "size": len(data), "blobId": git_hash(data)}
            if len(data) > self.large:
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entry.update(self.announced.get(file, {}))
            siblings.append(entry)
        return {"id": name, "sha": COMMIT, "siblings": siblings}

    def send_file(self, request, name, file):
        data = self.repositories[name][file]
        if len(data) > self.large:
            cdn = f"http://127.0.0.1:{self.servers[1].server_port}/{name}/{file}?signature=x"
            self.send(request, 302, Location=cdn, X_Repo_Commit=COMMIT, X_Linked_Size=len(data),
                      X_Linked_ETag=f'"{hashlib.sha256(data).hexdigest()}"')
        else:
            self.send_part(request, data, X_Repo_Commit=COMMIT, ETag=f'"{git_hash(data)}"')

    def send_part(self, request, data, **headers):
        wanted = re.match(r"bytes=(\d+)-(\d*)", request.headers["Range"] or "")
        if not wanted:
            self.send(request, 200, data, **headers)
            return
        begin, end = int(wanted[1]), int(wanted[2] or len(data) - 1)
        self.send(request, 206, data[begin:end + 1], Content_Range=f"bytes {begin}-{end}/{len(data)}", **headers)
