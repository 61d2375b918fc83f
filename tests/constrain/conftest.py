"""The library that the tests call: libupg.so of the build folder."""
import pytest

import byte_vocabulary
import constraints
from setting import BUILD


@pytest.fixture(scope="session")
def library():
    return constraints.Library(str(BUILD / "libupg.so"))


@pytest.fixture(scope="session")
def vocabulary(library, tmp_path_factory):
    """The 256 bytes as tokens."""
    folder = tmp_path_factory.mktemp("bytes")
    byte_vocabulary.make(folder)
    return constraints.Vocabulary(library, folder, [byte_vocabulary.STOP])


@pytest.fixture(scope="session")
def longer_vocabulary(library, tmp_path_factory):
    """The 256 bytes and some longer tokens, also such that go beyond a lexeme."""
    folder = tmp_path_factory.mktemp("longer")
    byte_vocabulary.make(folder, [b'{"', b'": "', b'", "', b'":', b'"}', b'"]', b"]}", b"}}", b"}]", b'},{"', b"name",
                                  b"value", b"null", b"true", b"  ", b"00", b"aaaa", b", ", b": ", b'"a": {"',
                                  "größe".encode(), 24 * b"a", b'"' + 18 * b"a" + b'", "', b"null, " + 12 * b"b"])
    return constraints.Vocabulary(library, folder, [byte_vocabulary.STOP])
