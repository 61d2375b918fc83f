"""The chat page in a real browser: headless Chromium, driven by ChromeDriver."""
import json
import shutil
import signal
import urllib.request

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import setting

HOSTILE = "\n\n".join([
    "<script>window.hacked = 1</script>", "<img src=x onerror='window.hacked = 2'>",
    "[click](javascript:window.hacked=3)", "[click](data:text/html,<script>window.hacked=4</script>)",
    "```html\n<svg onload='window.hacked = 5'></svg>\n```", "`<b>bold</b>` **<i>italic</i>**",
    "| a | <script>window.hacked = 6</script> |\n|---|---|\n| <iframe src='javascript:parent.hacked=7'> | b |",
    "<style>body { display: none }</style>", "> " * 500 + "deep", "- " * 500 + "deep", "*" * 5000 + "a" * 100,
    "[" * 2000 + "](https://example.org)", "https://example.org/\"onmouseover=\"window.hacked=8",
])


@pytest.fixture(scope="session")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,800"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


class Page:
    def __init__(self, driver, url):
        self.driver = driver
        driver.get(url)
        self.wait(lambda: self.one("#model").text)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition):
        """What is drawn anew between being found and being read is looked at again."""
        waiting = WebDriverWait(self.driver, setting.PATIENCE, 0.05, [NoSuchElementException, StaleElementReferenceException])
        return waiting.until(lambda _: condition())

    def click(self, selector, text=None):
        next(e for e in self.all(selector) if text is None or e.text == text).click()

    def reload(self, n_answers):
        """Load the page anew, and wait until it shows what it had kept."""
        self.driver.refresh()
        self.wait(lambda: self.one("#model").text and len(self.answers()) == n_answers)

    def say(self, text):
        self.one("#input").send_keys(text, Keys.ENTER)

    def idle(self):
        return not self.one("#stop").is_displayed()

    def answers(self):
        """All at once: an answer is drawn anew when it ends."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('.assistant .body')].map(body => body.innerText.trim())")

    def set(self, **settings):
        self.click("#open-settings")
        for name, value in settings.items():
            field = self.one(f"#settings [name={name}]")
            field.clear()
            field.send_keys(str(value))
        self.click("#settings button[value=save]")

    def errors_of_the_console(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(browser, server):
    browser.get(server.url + "/health")
    browser.execute_script("localStorage.clear()")
    browser.get_log("browser")  # that document has no icon
    page = Page(browser, server.url + "/")
    page.set(temperature=0, max_tokens=40)
    yield page
    assert page.errors_of_the_console() == []


def test_a_question_is_answered_as_the_api_answers_it(page, server):
    page.say("Tell me a story about a brave turtle.")
    page.wait(lambda: page.answers() and page.answers()[0] and page.idle())
    _, reply = server.post("/v1/chat/completions", {
        "messages": [{"role": "user", "content": "Tell me a story about a brave turtle."}], "temperature": 0,
        "top_p": 0.95, "max_tokens": 40})
    assert page.answers()[0].split() == reply["choices"][0]["message"]["content"].split()
    assert "tokens/s" in page.one(".assistant .tools").text
    assert page.one("#title").text.startswith("Tell me a story")


def test_text_appears_while_it_is_written(page):
    """Each length that the answer had is noted by the page itself, however seldom it is looked at from here."""
    page.set(max_tokens=1500)
    page.driver.execute_script("""
        window.lengths = new Set();
        new MutationObserver(() => {
            const body = document.querySelector('.assistant .body');
            if (body) window.lengths.add(body.innerText.length);
        }).observe(document.querySelector('#messages'), {childList: true, subtree: true, characterData: true});""")
    page.say("Tell me a very long story with many words in it.")
    page.wait(lambda: page.idle() and page.answers())
    assert page.driver.execute_script("return window.lengths.size") > 3


def test_stop_ends_an_answer(page, server):
    page.set(max_tokens=1500)
    page.say("Tell me a very long story with many words in it.")
    for _ in range(50):  # the answer may be complete before the button is reached: then once more
        page.wait(lambda: page.idle() or page.answers() and page.answers()[0])
        page.driver.execute_script("const stop = document.querySelector('#stop'); if (stop.offsetParent) stop.click()")
        page.wait(page.idle)
        if "stopped" in page.one(".assistant .tools").text:
            break
        page.click(".assistant button", "Regenerate")
    assert "stopped" in page.one(".assistant .tools").text
    server.wait_idle()
    before = page.answers()
    page.reload(len(before))
    assert page.answers() == before  # what came is kept


def test_conversation_survives_a_reload_and_a_second_turn(page):
    page.say("Tell me a story. " * 12)
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    page.say("Tell me more.")
    page.wait(lambda: page.idle() and len(page.answers()) == 2)
    before = page.answers()
    assert "known" in page.all(".assistant .tools")[1].text  # the first turn was not computed again
    page.reload(len(before))
    assert page.answers() == before
    assert [e.text for e in page.all(".user .body")] == [("Tell me a story. " * 12).strip(), "Tell me more."]


def test_regenerate_and_edit(page):
    page.say("Hello")
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    first = page.answers()[0]
    page.click(".assistant button", "Regenerate")
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    assert page.answers() == [first]  # greedy
    page.click(".user button", "Edit")
    text = page.one(".user textarea")
    text.clear()
    text.send_keys("Tell me about a dog.")
    page.click(".user button", "Save and answer")
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    assert page.answers() != [first]
    assert page.one(".user .body").text == "Tell me about a dog."


def test_system_prompt_is_used(page, server):
    page.set(system="You only speak of cats.")
    page.say("Hello")
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    _, reply = server.post("/v1/chat/completions", {
        "messages": [{"role": "system", "content": "You only speak of cats."}, {"role": "user", "content": "Hello"}],
        "temperature": 0, "top_p": 0.95, "max_tokens": 40})
    assert page.answers()[0].split() == reply["choices"][0]["message"]["content"].split()


def test_several_conversations_export_and_import(page, tmp_path):
    page.say("Hello")
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    page.click("#new")
    assert page.answers() == []
    page.click("#conversations button", "Hello")
    assert len(page.answers()) == 1
    text = page.driver.execute_async_script(
        "const done = arguments[0]; import('/page/store.js').then(s => { s.load(); done(s.exported()) })")
    assert "key" not in json.loads(text)
    (tmp_path / "saved.json").write_text(text)
    page.driver.execute_script("localStorage.clear()")
    page.driver.get(page.driver.current_url)
    page.one("#import-file").send_keys(str(tmp_path / "saved.json"))
    page.wait(lambda: "imported" in page.one("#status").text)
    assert [e.text for e in page.all(".user .body")] == ["Hello"]
    (tmp_path / "broken.json").write_text("{")
    page.one("#import-file").send_keys(str(tmp_path / "broken.json"))
    page.wait(lambda: page.one("#error").is_displayed())


def test_hostile_output_stays_text(page, tmp_path):
    hostile = {"conversations": [{"title": "<img src=x onerror=hacked=9>", "messages": [
        {"role": "user", "content": HOSTILE}, {"role": "assistant", "content": HOSTILE, "note": "<b>note</b>"},
        {"role": "system", "content": "not shown"}, {"role": "assistant", "content": 5}]}]}
    (tmp_path / "hostile.json").write_text(json.dumps(hostile))
    page.one("#import-file").send_keys(str(tmp_path / "hostile.json"))
    page.wait(lambda: len(page.answers()) == 1)
    assert page.driver.execute_script("return window.hacked") is None
    for name in ("script", "img", "iframe", "svg", "style", "b", "i"):
        assert page.all(f"#messages {name}") == []
    assert all(a.get_attribute("href").startswith("https://example.org") for a in page.all("#messages a"))
    assert "<script>window.hacked = 1</script>" in page.answers()[0]
    assert page.all("#messages [onmouseover], #messages [onerror], #messages [onload]") == []


def test_markdown(page, tmp_path):
    text = ("# Head\n\nSome **bold**, *slanted* and `code` [link](https://example.org/a).\n\n- one\n- two\n  1. inner\n\n"
            "> quote\n\n```python\nprint('<b>')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n2 * 3 * 4 and a_b_c")
    (tmp_path / "m.json").write_text(json.dumps({"conversations": [{"messages": [{"role": "assistant", "content": text}]}]}))
    page.one("#import-file").send_keys(str(tmp_path / "m.json"))
    page.wait(lambda: len(page.answers()) == 1)
    for selector, content in (("h3", "Head"), ("strong", "bold"), ("em", "slanted"), ("p code", "code"), ("a", "link"),
                              ("li:first-child", "one"), ("li ol li", "inner"), ("blockquote", "quote"),
                              ("pre code", "print('<b>')"), (".bar span", "python"), ("th", "a"), ("td", "1")):
        assert page.one(f".assistant .body {selector}").text == content
    assert "2 * 3 * 4 and a_b_c" in page.answers()[0]
    page.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite",
                                                                             "clipboardSanitizedWrite"]})
    page.click(".bar button")
    page.wait(lambda: page.one(".bar button").text == "Copied")
    assert page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == "print('<b>')"


def test_every_control_has_a_name_and_the_keyboard_suffices(page):
    for control in page.all("button, input, textarea"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert page.driver.switch_to.active_element.get_attribute("id") in ("input", "open-settings")
    page.say("Hello")
    page.wait(lambda: page.idle() and len(page.answers()) == 1)
    page.one("#input").send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    assert page.one("#input").get_attribute("value") == "one\ntwo"


def test_dark_light_and_a_phone(page):
    def background():
        return page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")

    seen = {}
    for scheme in ("dark", "light"):
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme",
                                                                                 "value": scheme}]})
        seen[scheme] = background()
    assert seen == {"dark": "rgb(23, 23, 26)", "light": "rgb(255, 255, 255)"}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 640, "mobile": True,
                                                                       "deviceScaleFactor": 2})
    try:
        assert not page.one("#sidebar").is_displayed()
        page.click("#open-sidebar")
        page.wait(lambda: page.one("#sidebar").is_displayed())
        page.click("#close-sidebar")
        page.say("Hello")
        page.wait(lambda: page.idle() and len(page.answers()) == 1)
        assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_page_is_strict_about_where_things_come_from(server):
    with urllib.request.urlopen(server.url + "/") as reply:
        policy = reply.headers["Content-Security-Policy"]
        text = reply.read().decode()
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "http://" not in text and "https://" not in text
    assert server.get("/page/nothing.js")[0] == server.get("/page/../server.c")[0] == 404


def test_a_server_that_dies_is_told_and_a_key_is_asked_for(browser, start_server):
    with start_server("--api-key", "secret") as server:
        browser.get(server.url + "/health")
        browser.execute_script("localStorage.clear()")
        browser.get(server.url + "/")
        page = Page.__new__(Page)
        page.driver = browser
        page.wait(lambda: "API key" in page.one("#error").text)
        page.set(key="secret", max_tokens=1500, temperature=0)
        page.wait(lambda: "default" in page.one("#model").text)
        page.say("Tell me a long story.")
        page.wait(lambda: page.answers() and len(page.answers()[0]) > 5)
        server.stop(signal.SIGKILL)
        page.wait(page.idle)
        assert page.one("#error").is_displayed() or "tokens/s" in page.one(".assistant .tools").text  # it was faster
        page.say("Hello")
        page.wait(lambda: "cannot be reached" in page.one("#error").text)
        browser.get_log("browser")  # the failed connections are in there
