"""Code blocks of a document, and how they are run: as a reader would, from top to bottom in one folder.

console  each line that begins with "$ " is a command of the shell, what follows is its standard output, where "..." stands
         for anything; a command that ends in "&" stays until the page ends
python   all blocks up to the next console block are one program
"""
import contextlib
import doctest
import os
import re
import subprocess
import sys

from setting import BUILD, PATIENCE, ROOT, UPG

SHOWN_URL = "http://127.0.0.1:8080"  # where servers are in the documents; in tests each has a port of its own
AS_SHOWN = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(document):
    """[(language, text)] of a document's fenced blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)


def blocks_in(document, language):
    return [text for each, text in blocks(document) if each == language]


def run(command, folder, **environment):
    """A finished process; a str is a command of the shell."""
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, shell=isinstance(command, str),
                          capture_output=True, text=True, timeout=PATIENCE)


class Reader:
    """Somebody who types what a page shows, with `upg` on the path and the package installed."""

    def __init__(self, folder):
        self.folder, self.url, self.servers = folder, SHOWN_URL, []
        self.environment = {"PATH": f"{UPG.parent}:{os.environ['PATH']}", "PYTHONPATH": str(BUILD / "python")}

    def here(self, text):
        return text.replace(SHOWN_URL, self.url)

    def serve(self, command):
        """Start 'upg serve ... --port 8080' on a free port and wait until it listens."""
        words = command.replace("--port 8080", "--port 0").split()
        server = subprocess.Popen([UPG, *words[1:]], cwd=self.folder, stderr=subprocess.PIPE, text=True)
        self.servers.append(server)
        for line in server.stderr:
            if match := re.search(r"event=listening.* url=(\S+)", line):
                self.url = match[1]
                return
        raise AssertionError(f"{command}: does not listen")

    def type(self, command, expected):
        if command.endswith("&"):
            self.serve(command[:-1])
            return
        done = run(self.here(command), self.folder, **self.environment)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert doctest.OutputChecker().check_output(expected, done.stdout, AS_SHOWN), f"{command}:\n{done.stdout}"

    def run_program(self, code):
        done = run([sys.executable, "-c", self.here(code)], self.folder, **self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self):
        for server in self.servers:
            server.terminate()
        codes = [server.wait(PATIENCE) for server in self.servers]
        for server in self.servers:
            server.stderr.close()
        assert not any(codes), codes


@contextlib.contextmanager
def reader(folder):
    person = Reader(folder)
    try:
        yield person
    except BaseException:
        for server in person.servers:
            server.kill()
        raise
    finally:
        person.close()


def read_page(document, folder):
    """Run a page; what its programs in Python print."""
    printed, program = [], []
    with reader(folder) as person:

        def end_of_program():
            if program:
                printed.append(person.run_program("\n".join(program)))
                program.clear()

        for language, text in blocks(document):
            if language == "python":
                program.append(text)
            elif language == "console":
                end_of_program()
                for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
                    person.type(command, expected)
        end_of_program()
    return "".join(printed)
