"""One version in one place, and archives that come out the same each time."""
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile

from setting import BUILD, ROOT

VERSION = (ROOT / "VERSION").read_text().strip()
TEXT_FILES = {".c", ".h", ".py", ".pyi", ".toml", ".txt", ".cmake", ".in", ".md", ".yml", ".yaml", ".json", ""}
MAY_NAME_A_VERSION = {"VERSION", "CHANGELOG.md"}


def text(*names):
    return (ROOT.joinpath(*names)).read_text(encoding="utf-8")


def test_everything_tells_the_version_of_the_file(upg):
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert upg("--version").stdout.splitlines()[0] == f"upg {VERSION}"
    assert f"\nVersion: {VERSION}\n" in (BUILD / "upg.pc").read_text()
    assert f'PACKAGE_VERSION "{VERSION}"' in (BUILD / "upgConfigVersion.cmake").read_text()
    done = subprocess.run([sys.executable, "-c", "import upg; print(upg.__version__)"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(BUILD / "python")})
    assert done.stdout.strip() == VERSION, done.stderr


def test_no_other_file_names_the_version():
    folders = ["cmake", "deploy", "docs", "include", "python", "scripts", "src", "tests/release"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*"))
    found = [path.name for path in files if path.is_file() and path.suffix in TEXT_FILES
             and path.stat().st_size < 2**20 and re.search(rf"(?<![\d.]){re.escape(VERSION)}(?![\d.])",
                                                           path.read_text(encoding="utf-8", errors="replace"))]
    assert set(found) <= MAY_NAME_A_VERSION


def test_the_changes_begin_with_this_version():
    assert re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M).group(1) == VERSION


def git(folder, *arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], cwd=folder, check=True)


def make_dist(folder):
    subprocess.run(["make", "--silent", "dist"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return (folder / "dist" / f"upg-{VERSION}.tar.gz").read_bytes()


def test_dist_is_the_commit_and_the_same_bytes_each_time(tmp_path):
    for name in ("Makefile", "VERSION"):
        shutil.copy(ROOT / name, tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "Makefile", "VERSION")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    first = make_dist(tmp_path)
    (tmp_path / "not-committed").write_text("a")
    os.utime(tmp_path / "Makefile", (1, 1))
    (tmp_path / "VERSION").chmod(0o600)
    assert hashlib.sha256(make_dist(tmp_path)).digest() == hashlib.sha256(first).digest()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(first))) as archive:
        assert archive.getnames() == [f"upg-{VERSION}", f"upg-{VERSION}/Makefile", f"upg-{VERSION}/VERSION"]
