"""What the documents show is run: Python blocks in order, the C program with pkg-config and with CMake."""
import os
import re
import subprocess
import sys

import pytest
from setting import BUILD, PATIENCE, ROOT



def blocks(document, language):
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def run(command, folder, **environment):
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, shell=isinstance(command, str),
                          capture_output=True, text=True, timeout=PATIENCE)


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
    program, = blocks("c-api.md", "c")
    (tmp_path / "story.c").write_text(program)
    return tmp_path


def test_the_python_page(tmp_path):
    code = blocks("python.md", "python")
    assert len(code) > 7
    (tmp_path / "page.py").write_text("\n".join(code))
    done = run([sys.executable, "page.py"], tmp_path, PYTHONPATH=str(BUILD / "python"))
    assert done.returncode == 0, done.stderr
    assert "no-such-file.upg" in done.stdout


def test_the_c_program_with_pkg_config(story, library_path, upg):
    command, = blocks("c-api.md", "sh")
    done = run(command, story, PKG_CONFIG_PATH=f"{library_path}/pkgconfig")
    assert done.returncode == 0 and not done.stderr, done.stderr
    done = run(["./story"], story, LD_LIBRARY_PATH=library_path)
    assert done.stdout == upg("run", "-p", "Once upon a time", "--greedy", "-n", "20").stdout
    done = run(["./story", "/missing"], story, LD_LIBRARY_PATH=library_path)
    assert done.returncode == 1 and done.stderr.startswith("story: /missing")


def test_the_c_program_with_cmake(story, prefix, library_path):
    project, = blocks("c-api.md", "cmake")
    (story / "CMakeLists.txt").write_text(project)
    done = run(["cmake", "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}"], story)
    assert done.returncode == 0, done.stderr
    assert run(["cmake", "--build", "build"], story).returncode == 0
    assert "," in run(["build/story"], story, LD_LIBRARY_PATH=library_path).stdout


def test_every_page_is_linked_from_somewhere():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    texts = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
    for page in pages:
        assert any(page in text for path, text in texts.items() if path.name != page), page
