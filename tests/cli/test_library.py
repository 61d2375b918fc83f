"""The libraries beside the program: what they let others see."""
import re
import shutil
import subprocess

import pytest
from setting import BUILD, ROOT, UPG

DECLARED = set(re.findall(r"\b(upg_\w+)\s*\((?!\*)", re.sub(r"/\*.*?\*/", "", (ROOT / "include/upg/upg.h").read_text(),
                                                      flags=re.S)))


def defined_symbols(*flags):
    out = subprocess.run(["nm", "--defined-only", *flags], capture_output=True, check=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if len(line.split()) == 3}


def test_shared_library_shows_the_public_api_and_nothing_else():
    assert defined_symbols("--dynamic", BUILD / "libupg.so") == DECLARED


def test_static_library_has_the_whole_api():
    assert DECLARED <= defined_symbols("--extern-only", BUILD / "libupg.a")


def test_program_is_one_file():
    out = subprocess.run(["readelf", "--dynamic", UPG], capture_output=True, check=True, text=True).stdout
    assert "NEEDED" in out and "libupg" not in out


@pytest.mark.parametrize("library", ["libupg.a", "libupg.so"])
@pytest.mark.parametrize("compiler", [c for c in ("cc", "c++") if shutil.which(c)])
def test_a_program_of_the_header_alone_links_and_runs(tmp_path, library, compiler):
    source = tmp_path / ("program.c" if compiler == "cc" else "program.cc")
    source.write_text("""#include <upg/upg.h>
#include <stdio.h>
int main(void)
{
    upg_model *model;
    upg_error err;
    upg_model_info info;

    if (upg_model_open(&model, NULL, NULL, &err) != UPG_OK)
        return 1;
    upg_model_get_info(model, &info);
    printf("%s %s\\n", upg_version(), info.architecture);
    upg_model_free(model);
    return 0;
}
""")
    private = subprocess.run(["pkg-config", "--libs", "jansson", "libpcre2-8", "libutf8proc", "libxxhash"],
                             capture_output=True, check=True, text=True).stdout.split()
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT}/include", source,
                    BUILD / library, *private, "-lpthread", "-lm", f"-Wl,-rpath,{BUILD}", "-o", tmp_path / "program"],
                   check=True)
    out = subprocess.run([tmp_path / "program"], capture_output=True, check=True, text=True).stdout
    assert out == f"{(ROOT / 'VERSION').read_text().strip()} Phi3ForCausalLM\n"
