"""What only happens on a terminal: line editing, Ctrl-C in a chat, progress bars."""
import os
import pty
import re
import select
import signal
import termios
import time

import pytest
from program import UPG, environment
from setting import PATIENCE

ENDLESS = ["--logit-bias", "8191=-inf", "--logit-bias", "8188=-inf"]
SLOW = ["--compute", "reference", "-t", "1"]
SMALL_WINDOWS = ["--ctx", "16"]


class Terminal:
    """upg on a terminal of its own."""

    def __init__(self, *args, **env):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(UPG, [UPG, *map(str, args)], environment(**{"TERM": "xterm", **env}))

    def type(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def read(self, wanted):
        """Read a little; False at the end."""
        assert select.select([self.fd], [], [], PATIENCE)[0], f"no {wanted} in {self.seen!r}"
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # how Linux tells that the other side is closed
            return False
        self.seen += data
        return bool(data)

    def expect(self, pattern):
        """Read until the pattern comes; returns what was read up to its end."""
        while not (match := re.search(pattern.encode(), self.seen)):
            assert self.read(repr(pattern)), f"ended without {pattern!r}: {self.seen!r}"
        text, self.seen = self.seen[:match.end()], self.seen[match.end():]
        return text.decode("utf-8", "replace")

    def expect_prompt(self):
        """Wait until the line editor reads; before that, the terminal itself would take what is typed."""
        text, until = self.expect("> "), time.monotonic() + PATIENCE
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            assert time.monotonic() < until, "the line editor does not read"
            time.sleep(0.01)
        return text

    def finish(self):
        """Read to the end; returns the rest and the exit status."""
        while self.read("end"):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return self.seen.decode("utf-8", "replace"), os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def _open(*args, **env):
        opened.append(Terminal(*args, XDG_STATE_HOME=str(tmp_path / "state"), HOME=str(tmp_path), **env))
        return opened[-1]

    yield _open
    for one in opened:
        one.close()


def test_question_answer_and_leaving(terminal):
    chat = terminal("chat", "--greedy", "-n", "8")
    chat.expect(r"/help lists commands, Ctrl-D leaves\r\n")
    chat.expect_prompt()
    chat.type("Hello\n")
    chat.expect(r"Hello\r\n\S.*\r\n")
    chat.expect_prompt()
    chat.type("\x04")
    assert chat.finish()[1] == 0


def test_lines_can_be_edited_and_have_characters_of_all_scripts(terminal):
    chat = terminal("chat", "--greedy", "-n", "4")
    chat.expect_prompt()
    chat.type("/sysem wörld 你好")
    chat.expect("你好")
    chat.type("\x01\x06\x06\x06\x06t\n")  # to the beginning, four to the right, the missing letter
    chat.expect("the system text is set")


def test_history_is_kept_between_chats_and_private(terminal, tmp_path):
    first = terminal("chat", "--greedy", "-n", "2")
    first.expect_prompt()
    first.type("/stats\n")
    first.expect("in use")
    first.expect_prompt()
    first.type("/quit\n")
    assert first.finish()[1] == 0
    history = tmp_path / "state" / "upg" / "history"
    assert "/stats" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600 and [p.name for p in history.parent.iterdir()] == ["history"]
    second = terminal("chat", "--greedy", "-n", "2")
    second.expect_prompt()
    second.type("\x1b[A\x1b[A")
    second.expect("/stats")
    second.type("\n")
    second.expect("in use")


def test_no_history_without_a_terminal(upg, tmp_path):
    upg("chat", "--greedy", "-n", "1", stdin=b"Hello\n", env={"XDG_STATE_HOME": str(tmp_path)})
    assert not list(tmp_path.iterdir())


def test_ctrl_c_stops_the_answer_and_not_the_program(terminal):
    chat = terminal("chat", "--greedy", *SLOW, *ENDLESS)
    chat.expect_prompt()
    chat.type("Hello\n")
    chat.expect(r"Hello\r\n.{4}")
    chat.type("\x03")
    chat.expect_prompt()
    chat.type("/stats\n")
    chat.expect("2 messages;")
    chat.expect_prompt()
    chat.type("\x03")
    chat.expect("/quit or Ctrl-D leaves")
    chat.expect_prompt()
    chat.type("/quit\n")
    assert chat.finish()[1] == 0


def test_ctrl_c_clears_what_was_typed(terminal):
    chat = terminal("chat", "--greedy", "-n", "2")
    chat.expect_prompt()
    chat.type("/quit")
    chat.expect("/quit")
    chat.type("\x03")
    assert "leaves" not in chat.expect_prompt()
    chat.type("/stats\n")
    chat.expect("in use")


def test_wrong_command_is_told_and_the_chat_goes_on(terminal):
    chat = terminal("chat", "--greedy", "-n", "2", "--ctx", "64")
    chat.expect_prompt()
    chat.type("/bogus\n")
    chat.expect("upg: error: there is no command '/bogus'")
    chat.expect_prompt()
    chat.type("many words " * 60 + "\n")
    chat.expect(r"upg: error: the message makes a prompt of \d+ tokens, the context has 64")
    chat.expect_prompt()
    chat.type("/stats\n")
    chat.expect(" 0 messages")


def test_text_on_a_terminal_ends_its_line_and_has_no_control_bytes(terminal, upg):
    escape = upg("tokenize", "-p", "\x1b").out.strip()
    text, status = terminal("run", "-p", "Once", "-n", "3", "-q", "--logit-bias", f"{escape}=1000").finish()
    assert status == 0 and text == "\ufffd\ufffd\ufffd\r\n"
    assert upg("run", "-p", "Once", "-n", "3", "--logit-bias", f"{escape}=1000").raw == b"\x1b" * 3


@pytest.fixture
def long_text(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("Once upon a time there was a little girl. " * 1000)
    return path


def test_bar_shows_time_left_and_is_erased(terminal, long_text):
    job = terminal("eval", long_text, *SMALL_WINDOWS, *SLOW)
    job.expect(r"\r\x1b\[K.*long.txt: \x1b\[36m[a-z ]+\x1b\[m.*\d+%.*\d+:\d\d left")
    job.type("\x03")
    rest, status = job.finish()
    assert status == 130
    assert re.search(r"\r\x1b\[K(\^C)?upg: interrupted\r\n$", rest)


def test_no_color_means_no_colour(terminal, long_text):
    job = terminal("eval", long_text, *SMALL_WINDOWS, *SLOW, NO_COLOR="1")
    assert "\x1b[3" not in job.expect(r"\d+:\d\d left")
    job.type("\x03")
    assert job.finish()[1] == 130


@pytest.mark.parametrize("args, env", [(["--quiet"], {}), (["--json"], {}), ([], {"TERM": "dumb"})],
                         ids=["quiet", "json", "dumb"])
def test_no_bar_where_nobody_wants_one(terminal, long_text, args, env):
    job = terminal("eval", long_text, *SMALL_WINDOWS, *SLOW, "-n", "30", *args, **env)
    text, status = job.finish()
    assert status == 0 and "\x1b" not in text and "left" not in text
