"""What the documents show is run: whole pages, the C program with pkg-config and with CMake; commands and options exist."""
import functools
import re
import sys

import pytest
from page import blocks_in, read_page, reader, run
from setting import BUILD, ROOT, UPG

PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installed upg."""
    path = tmp_path_factory.mktemp("prefix")
    done = run(["cmake", "--install", str(BUILD), "--prefix", str(path)], ROOT)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def library_path(prefix):
    return str(next(prefix.glob("lib*/**/libupg.so")).parent)


@pytest.fixture
def story(tmp_path):
    """A folder with the program of the C page."""
    program, = blocks_in("docs/c-api.md", "c")
    (tmp_path / "story.c").write_text(program)
    return tmp_path


def test_the_python_page(tmp_path):
    assert "no-such-file.upg" in read_page("docs/python.md", tmp_path)


def test_the_tutorial(tmp_path):
    printed = read_page("docs/tutorial.md", tmp_path)
    assert printed.startswith("1\n") and float(printed.split()[-1]) > 0  # the format, and the last distance
    assert {path.name for path in tmp_path.iterdir()} == {"shelly", "shelly.upg", "story.txt"}


def test_the_readme(tmp_path):
    (tmp_path / "build").symlink_to(UPG.parent)
    read_page("README.md", tmp_path)


def test_langchain(tmp_path):
    with reader(tmp_path) as person:
        person.serve("upg serve --port 8080 --model-name phi-4")
        program, = (text for text in blocks_in("docs/ecosystem.md", "python") if "langchain_openai" in text)
        person.run_program(program)


def test_the_c_program_with_pkg_config(story, library_path, upg):
    command, = blocks_in("docs/c-api.md", "sh")
    done = run(command, story, PKG_CONFIG_PATH=f"{library_path}/pkgconfig")
    assert done.returncode == 0 and not done.stderr, done.stderr
    done = run(["./story"], story, LD_LIBRARY_PATH=library_path)
    assert done.stdout == upg("run", "-p", "Once upon a time", "--greedy", "-n", "20").stdout
    done = run(["./story", "/missing"], story, LD_LIBRARY_PATH=library_path)
    assert done.returncode == 1 and done.stderr.startswith("story: /missing")


def test_the_c_program_with_cmake(story, prefix, library_path):
    project, = blocks_in("docs/c-api.md", "cmake")
    (story / "CMakeLists.txt").write_text(project)
    done = run(["cmake", "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}"], story)
    assert done.returncode == 0, done.stderr
    assert run(["cmake", "--build", "build"], story).returncode == 0
    assert "," in run(["build/story"], story, LD_LIBRARY_PATH=library_path).stdout


@pytest.fixture(scope="module")
def options_of(upg):
    """options_of(command): what its help lists; KeyError if there is no such command."""
    commands = upg("help", "--list").stdout.split()

    @functools.lru_cache(maxsize=None)
    def options(command):
        if command not in commands:
            raise KeyError(command)
        return set(re.findall(r"--[a-z][a-z-]*", upg(command, "--help").stdout))

    return options


@pytest.mark.parametrize("document", PAGES)
def test_commands_and_options_exist(options_of, document):
    """Every `upg COMMAND ...` in code of a page."""
    text = (ROOT / document).read_text(encoding="utf-8")
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^(?:    |\$ )(.+)", text, re.M)
    for line in code:
        for command, arguments in re.findall(r"(?:^|/)upg ([a-z]+)\b([^|]*)", line):
            known = options_of(command)
            for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", arguments):
                assert option in known, line


def test_the_readme_has_every_command(upg):
    shown = set(re.findall(r"^\| `upg ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert set(upg("help", "--list").stdout.split()) - shown <= {"help", "completion"}


def test_the_picture_of_the_readme_finds_its_tables(tmp_path):
    done = run([sys.executable, ROOT / "bench" / "at_a_glance.py", tmp_path / "a.svg"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.svg").read_text().count("<circle") > 3


def test_every_page_is_linked_from_somewhere():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    texts = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
    for page in pages:
        assert any(page in text for path, text in texts.items() if path.name != page), page
