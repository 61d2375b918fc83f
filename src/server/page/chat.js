// chat.js -- the chat page: what is on the screen, and what happens when it is touched.
import { render } from "./markdown.js";
import * as store from "./store.js";
import { answer, models } from "./stream.js";

const $ = (id) => document.getElementById(id);
let running = null; // the AbortController of the answer that is being written

function showError(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

function keep() {
  if (!store.save()) showError("This browser has no room left: export and delete conversations.");
}

function button(text, label, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
}

function showList() {
  const current = store.current();
  $("conversations").replaceChildren(...store.conversations().map((conversation) => {
    const item = document.createElement("li");
    const open = button(conversation.title, "", () => {
      stop();
      store.select(conversation.id);
      keep();
      $("sidebar").classList.remove("open");
      showAll();
    });
    open.setAttribute("aria-current", String(conversation === current));
    item.append(open, button("\u2715", `Delete ${conversation.title}`, () => {
      if (!confirm(`Delete "${conversation.title}"?`)) return;
      stop();
      store.remove(conversation.id);
      keep();
      showAll();
    }));
    return item;
  }));
  $("title").textContent = current.title;
}

function fillBody(body, message) {
  body.replaceChildren(message.role === "user" ? message.content : render(message.content));
}

function edit(index, article) {
  const message = store.current().messages[index];
  const text = document.createElement("textarea");
  text.value = message.content;
  text.rows = Math.min(12, message.content.split("\n").length + 1);
  text.setAttribute("aria-label", "Edit the message");
  const tools = document.createElement("div");
  tools.className = "tools";
  tools.append(
    button("Save and answer", "", () => {
      if (!text.value.trim()) return;
      message.content = text.value;
      store.current().messages.length = index + 1;
      keep();
      showMessages();
      respond();
    }),
    button("Cancel", "", showMessages));
  article.replaceChildren(text, tools);
  text.focus();
}

function messageTools(message, index, article) {
  const tools = document.createElement("div");
  const isLast = index === store.current().messages.length - 1;
  tools.className = "tools";
  if (message.note) tools.append(Object.assign(document.createElement("span"), { textContent: message.note }));
  if (message.content) tools.append(button("Copy", "Copy the message", () => navigator.clipboard.writeText(message.content)));
  if (message.role === "user") tools.append(button("Edit", "Edit the message", () => !running && edit(index, article)));
  if (isLast) tools.append(button(message.role === "user" ? "Answer" : "Regenerate", "", () => {
    if (running) return;
    if (message.role === "assistant") store.current().messages.pop();
    showMessages();
    respond();
  }));
  return tools;
}

function messageArticle(message, index) {
  const article = document.createElement("article");
  const name = document.createElement("h2");
  const body = document.createElement("div");
  article.className = `message ${message.role}`;
  name.textContent = message.role === "user" ? "You" : "Assistant";
  body.className = "body";
  fillBody(body, message);
  article.append(name, body, messageTools(message, index, article));
  return article;
}

function showMessages() {
  $("messages").replaceChildren(...store.current().messages.map(messageArticle));
  $("messages").scrollTop = $("messages").scrollHeight;
}

function showAll() {
  showError("");
  showList();
  showMessages();
}

function setRunning(controller) {
  running = controller;
  $("stop").hidden = !controller;
  $("send").hidden = !!controller;
  $("status").textContent = controller ? "Answering\u2026" : "";
}

function stop() {
  running?.abort();
}

// "31 tokens, 14.2 tokens/s"
function noteOf(usage, timings) {
  const cached = usage.prompt_tokens_details.cached_tokens;
  return `${usage.completion_tokens} tokens, ${timings.predicted_per_second.toFixed(1)} tokens/s; prompt ${usage.prompt_tokens}` +
    (cached ? ` (${cached} known)` : "");
}

// Write the events of an answer into a message and its body, once a frame.
async function write(message, body, events) {
  let frame = 0;
  const log = $("messages");
  const draw = () => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    frame = 0;
    fillBody(body, message);
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  try {
    for await (const event of events) {
      if (event.text) message.content += event.text;
      if (event.finish === "length") message.cut = true;
      if (event.usage) message.note = noteOf(event.usage, event.timings) + (message.cut ? "; cut at the limit" : "");
      if (event.text && !frame) frame = requestAnimationFrame(draw);
    }
  } finally {
    cancelAnimationFrame(frame);
  }
}

async function respond() {
  const conversation = store.current();
  const message = { role: "assistant", content: "", note: "" };
  const controller = new AbortController();
  const prompt = conversation.messages.map(({ role, content }) => ({ role, content }));
  if (conversation.system) prompt.unshift({ role: "system", content: conversation.system });

  showError("");
  setRunning(controller);
  conversation.messages.push(message);
  const article = messageArticle(message, -1);
  article.classList.add("writing");
  $("messages").append(article);
  $("messages").scrollTop = $("messages").scrollHeight;
  try {
    await write(message, article.querySelector(".body"), answer(prompt, store.settings(), controller.signal));
  } catch (failure) {
    if (controller.signal.aborted) message.note = "stopped";
    else showError(failure instanceof TypeError ? "The server cannot be reached." : `The answer failed: ${failure.message}`);
  }
  delete message.cut;
  if (!message.content) conversation.messages.splice(conversation.messages.indexOf(message), 1);
  setRunning(null);
  $("status").textContent = message.note && message.note !== "stopped" ? "The answer is complete." : "";
  keep();
  if (store.current() === conversation) showMessages();
}

function send(event) {
  const text = $("input").value.trim();
  const conversation = store.current();
  event.preventDefault();
  if (!text || running) return;
  $("input").value = "";
  fitInput();
  if (conversation.messages.length === 0) conversation.title = text.split("\n")[0].slice(0, 60);
  conversation.messages.push({ role: "user", content: text, note: "" });
  keep();
  showAll();
  respond();
}

function fitInput() {
  $("input").style.height = "auto";
  $("input").style.height = `${$("input").scrollHeight + 2}px`;
}

function openSettings() {
  const fields = $("settings-form").elements;
  for (const [name, value] of Object.entries(store.settings())) if (fields[name]) fields[name].value = value ?? "";
  fields.system.value = store.current().system;
  $("settings").showModal();
}

function closeSettings() {
  if ($("settings").returnValue !== "save") return;
  const fields = $("settings-form").elements;
  const settings = store.settings();
  for (const name of Object.keys(settings)) {
    const value = fields[name].value.trim();
    settings[name] = name === "key" ? value : value === "" ? null : Number(value);
  }
  store.current().system = fields.system.value;
  keep();
  showModel();
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([store.exported()], { type: "application/json" }));
  link.download = "conversations.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function upload() {
  const [file] = $("import-file").files;
  $("import-file").value = "";
  if (!file) return;
  try {
    const n = store.importFrom(await file.text());
    keep();
    showAll();
    $("status").textContent = `${n} conversations imported.`;
  } catch {
    showError("This file has no conversations in it.");
  }
}

async function showModel() {
  try {
    const [model] = await models(store.settings().key);
    $("model").textContent = `${model.id}, ${model.max_model_len} tokens`;
    showError("");
  } catch (failure) {
    showError(failure instanceof TypeError ? "The server cannot be reached." : failure.message);
  }
}

$("form").addEventListener("submit", send);
$("input").addEventListener("input", fitInput);
$("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("settings").open) stop();
});
$("stop").addEventListener("click", stop);
$("new").addEventListener("click", () => {
  stop();
  store.create();
  keep();
  $("sidebar").classList.remove("open");
  showAll();
  $("input").focus();
});
$("open-sidebar").addEventListener("click", () => $("sidebar").classList.add("open"));
$("close-sidebar").addEventListener("click", () => $("sidebar").classList.remove("open"));
$("open-settings").addEventListener("click", openSettings);
$("settings").addEventListener("close", closeSettings);
$("export").addEventListener("click", download);
$("import").addEventListener("click", () => $("import-file").click());
$("import-file").addEventListener("change", upload);
window.addEventListener("beforeunload", keep);

store.load();
showAll();
showModel();
$("input").focus();
