"""The package as it lies in the build folder (UPG_BUILD, default: build/ of this checkout), and models to try it on."""
import sys

import pytest
from setting import BUILD

PACKAGE = BUILD / "python"
if not list(PACKAGE.glob("upg/_native*")):
    pytest.exit(f"{PACKAGE} has no package; build with UPG_PYTHON, which needs Python's header files", returncode=2)
sys.path.insert(0, str(PACKAGE))


@pytest.fixture(scope="session")
def package_path():
    """The folder to import upg from, for tests that start another Python."""
    return PACKAGE


@pytest.fixture(scope="session")
def model():
    """The embedded model, with one thread."""
    import upg

    with upg.Model.open(threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def folder_model(tmp_path_factory):
    """A folder with a model of random weights (one layer, a tokenizer of bytes) as Hugging Face has them."""
    import upg

    path = tmp_path_factory.mktemp("models") / "tiny"
    upg.synth(path, shape="tiny", format="hf", layers=1)
    return path


@pytest.fixture(scope="session")
def packed_model(tmp_path_factory):
    """A .upg file of random codes with all three numbers of bits that a packed matrix can have."""
    import upg

    path = tmp_path_factory.mktemp("models") / "tiny.upg"
    upg.synth(path, shape="tiny", layers=2)
    return path


@pytest.fixture(scope="session")
def program(upg):
    """The command line, as tests/conftest.py has it; here `upg` is the package."""
    return upg
