"""Reading bare clones of public repositories, and writing one JSON-lines file a source."""

import json
import os
import subprocess


class Mirror:
    """A folder of clones named OWNER+NAME/repo."""

    def __init__(self, root):
        self.root = root
        self.environment = dict(os.environ, GIT_NO_LAZY_FETCH="1")

    def _git(self, name, *arguments):
        folder = self.root / name.replace("/", "+") / "repo"
        if (folder / ".git").is_dir():
            folder = folder / ".git"
        return ["git", "-c", "core.quotepath=off", "-C", str(folder), *arguments]

    def matching(self, pattern):
        """Folders of the clones whose OWNER+NAME matches, sorted."""
        return sorted(str(path) for path in self.root.glob(pattern))

    def ls(self, name, rev="HEAD"):
        """(path, hash, size) of every file; size is None where the clone lacks the file."""
        out = subprocess.run(self._git(name, "ls-tree", "-r", "-l", rev), capture_output=True, env=self.environment)
        for line in out.stdout.decode("utf-8", "replace").splitlines():
            meta, path = line.split("\t", 1)
            _, _, sha, size = meta.split()
            yield path, sha, (None if size in ("BAD", "-") else int(size))

    def blobs(self, name, hashes):
        """The contents of many files through one git process; empty for a missing one."""
        with subprocess.Popen(
            self._git(name, "cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
        ) as git:
            for sha in hashes:
                git.stdin.write(sha.encode() + b"\n")
                git.stdin.flush()
                head = git.stdout.readline().split()
                if len(head) < 3:
                    yield b""
                    continue
                data = git.stdout.read(int(head[2]))
                git.stdout.read(1)
                yield data
            git.stdin.close()

    def show(self, name, path, rev="HEAD"):
        out = subprocess.run(self._git(name, "show", f"{rev}:{path}"), capture_output=True, env=self.environment)
        return out.stdout.decode("utf-8", "replace")


class Writer:
    """NAME.jsonl in the output folder: {"s": source, "k": title or key, "t": text} a line."""

    def __init__(self, out, name):
        self.name = name
        self.file = open(out / f"{name}.jsonl", "w", encoding="utf-8")
        self.n_documents = self.n_characters = 0

    def put(self, key, text):
        self.file.write(json.dumps({"s": self.name, "k": key, "t": text}, ensure_ascii=False) + "\n")
        self.n_documents += 1
        self.n_characters += len(text)

    def done(self):
        self.file.close()
        print(f"{self.name}: {self.n_documents} documents, {self.n_characters / 1e6:.1f} M characters", flush=True)
