"""Manual pages and shell completions, made from the table of commands."""
import itertools
import re
import shutil
import subprocess

import pytest
from program import UPG, environment, run
from setting import PATIENCE

COMMANDS = run("help", "--list").out.split()
FORMATTERS = {  # what reports a mistake in a page, where it is installed
    "groff": ["groff", "-man", "-ww", "-Tutf8", "-rLL=100n"],
    "man": ["man", "--warnings", "-l", "-"],
    "mandoc": ["mandoc", "-Tlint", "-Wwarning"],
}


def options_of(command):
    return re.findall(r"^  (?:-\w, |    )--([\w-]+)", run(command, "--help").out, re.M)


def shell(name, script, *args, **env):
    """Run a script in a shell with upg on its path; returns standard output."""
    done = subprocess.run([name, *args, "-c", script], capture_output=True, timeout=PATIENCE, check=False,
                          env=environment(UPG=UPG, **env))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_page_has_its_sections_and_options(command):
    page = run("help", "--man", *command.split()).out
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT"):
        assert f'.SH "{section}"\n' in page
    for option in options_of(command) if command else COMMANDS:
        assert option.replace("-", "\\-") in page
    assert not re.search(r"^[.'](?!TH |nh$|SH |SS |PP$|TP$|EX$|EE$|in( \+4n)?$)", page, re.M)


def test_pages_are_formatted_without_warnings():
    for formatter, command in itertools.product(filter(shutil.which, FORMATTERS), ["", *COMMANDS]):
        page = run("help", "--man", *command.split()).raw
        done = subprocess.run(FORMATTERS[formatter], input=page, capture_output=True, check=False,
                              env=environment(MANWIDTH="100"))
        said = done.stderr + (done.stdout if formatter == "mandoc" else b"")
        warnings = [line for line in said.splitlines() if b"missing date" not in line]  # a page has a version instead
        assert warnings == [], (formatter, command)
        if formatter == "groff" and command == "chat":
            text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode())
            assert "printf 'Hello\\nWho are you?\\n' | upg chat --greedy" in text  # as it can be typed


BASH = """
eval "$("$UPG" completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_upg 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash_offers(words, **more):
    return set(shell("bash", BASH.format(words=words), "--norc", **more).split())


def test_bash_offers_commands():
    assert bash_offers("upg ''") == {*COMMANDS, "--help", "--version"}
    assert bash_offers("upg in") == {"inspect"}
    assert bash_offers("upg help ''") == set(COMMANDS)
    assert bash_offers("upg completion ''") == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_offers_every_option(command):
    assert bash_offers(f"upg {command} --") == {f"--{option}" for option in options_of(command)}


def test_bash_offers_values():
    assert bash_offers("upg run --compute ''") == {"fast", "reference"}
    assert bash_offers("upg run --compute = r") == {"reference"}
    assert bash_offers("upg run --compute =") == {"fast", "reference"}
    assert bash_offers("upg run -n ''") == set()


def test_bash_offers_files(tmp_path):
    (tmp_path / "phi 4.upg").write_text("")
    for words in ("upg run '{}/phi'", "upg run -f '{}/phi'", "upg eval a '{}/phi'"):
        out = shell("bash", BASH.format(words=words.format(tmp_path)), "--norc")
        assert out == f"{tmp_path}/phi 4.upg\n"


ZSH = """
autoload -U compinit; compinit -D 2>/dev/null
eval "$("$UPG" completion zsh)"
_describe() { print -l ${(P)2} }
_arguments() { print -l -- "$@" }
words=(%s); CURRENT=${#words}
_upg
"""
FISH = """
set -g fish_complete_path
"$UPG" completion fish | source
complete -C "%s"
"""


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_zsh_and_fish_know_every_option(name):
    script = run("completion", name).out
    for command in COMMANDS:
        assert command in script
        for option in options_of(command):
            assert (f"--{option}" if name == "zsh" else f"from {command}' -l {option} ") in script


def test_zsh_and_fish_offer_commands_and_options(tmp_path):
    """In the shells themselves, where they are installed."""
    scripts = {"zsh": (ZSH % "upg ''", ZSH % "upg run ''", ["-f"], ":"),
               "fish": (FISH % "upg ", FISH % "upg run --", ["--no-config"], "\t")}
    for name in filter(shutil.which, scripts):
        commands, options, args, separator = scripts[name]
        env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        offered = {line.split(separator)[0] for line in shell(name, commands, *args, **env).splitlines()}
        assert set(COMMANDS) <= offered
        text = shell(name, options, *args, **env)
        for option in options_of("run"):
            assert re.search(rf"--{option}\b", text)
