"""The LlamaIndex example of docs/ecosystem.md against a real server.  Run by `make ecosystem`, which installs the package."""
import os
import pathlib
import re
import subprocess
import sys

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.openai_like import OpenAILike

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ecosystem.md"


@pytest.fixture(scope="module")
def url():
    command = [sys.executable, "-m", "upg", "serve", "--port", "0", "--model-name", "phi-4", "--threads", "1"]
    server = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True)
    yield next(found[1] for line in server.stderr if (found := re.search(r"event=listening.* url=(\S+)", line)))
    server.terminate()
    assert server.wait() == 0
    server.stderr.close()


def test_the_example_of_the_page(url):
    program, = re.findall(r"^```python\n([^`]*openai_like[^`]*)^```$", PAGE.read_text(encoding="utf-8"), re.M)
    assert "http://127.0.0.1:8080" in program
    subprocess.run([sys.executable, "-c", program.replace("http://127.0.0.1:8080", url)], check=True)


def test_a_conversation_in_pieces(url):
    model = OpenAILike(api_base=f"{url}/v1", api_key="none", model="phi-4", is_chat_model=True, temperature=0, max_tokens=16)
    messages = [ChatMessage(role="system", content="You tell stories."), ChatMessage(role="user", content="Hello")]
    whole = model.chat(messages).message.content
    assert whole and "".join(piece.delta for piece in model.stream_chat(messages)) == whole
