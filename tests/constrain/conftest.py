"""The library that the tests call: libupg.so beside the program."""
import pytest

import byte_vocabulary
import constraints


@pytest.fixture(scope="session")
def library(upg_binary):
    return constraints.Library(str(upg_binary.parent / "libupg.so"))


@pytest.fixture(scope="session")
def vocabulary(library, tmp_path_factory):
    """The 256 bytes as tokens."""
    folder = tmp_path_factory.mktemp("bytes")
    byte_vocabulary.make(folder)
    return constraints.Vocabulary(library, folder, [byte_vocabulary.STOP])
