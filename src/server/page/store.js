// store.js -- conversations, kept in this browser alone.
//
// {conversations: [{id, title, system, messages: [{role, content, note}]}], current, settings}

const KEY = "upg-chat";
const DEFAULTS = { temperature: 0.7, top_p: 0.95, top_k: 0, min_p: 0, max_tokens: null, seed: null, key: "" };

let state = { conversations: [], current: null, settings: { ...DEFAULTS } };

const isText = (value) => typeof value === "string";

// What a file or an older page left: only what has the right form is taken over.
function conversation(value) {
  if (!value || !Array.isArray(value.messages)) return null;
  const messages = value.messages.filter((m) => m && ["user", "assistant"].includes(m.role) && isText(m.content));
  return {
    id: crypto.randomUUID?.() ?? String(Math.random()),
    title: isText(value.title) ? value.title.slice(0, 200) : "Conversation",
    system: isText(value.system) ? value.system : "",
    messages: messages.map((m) => ({ role: m.role, content: m.content, note: isText(m.note) ? m.note : "" })),
  };
}

export function load() {
  try {
    const saved = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const conversations = (saved.conversations ?? []).map(conversation).filter(Boolean);
    const index = (saved.conversations ?? []).findIndex((c) => c.id === saved.current);
    state = { conversations, current: conversations[index]?.id ?? null, settings: { ...DEFAULTS, ...saved.settings } };
  } catch {
    localStorage.removeItem(KEY);
  }
  if (!current()) create();
}

/** false: the browser has no room left. */
export function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
    return true;
  } catch {
    return false;
  }
}

export const conversations = () => state.conversations;
export const settings = () => state.settings;
export const current = () => state.conversations.find((c) => c.id === state.current);

export function create() {
  if (current()?.messages.length === 0) return;
  const made = conversation({ messages: [], title: "New conversation" });
  state.conversations.unshift(made);
  state.current = made.id;
}

export function select(id) {
  state.current = id;
}

export function remove(id) {
  state.conversations = state.conversations.filter((c) => c.id !== id);
  if (!current()) state.current = state.conversations[0]?.id ?? null;
  if (!current()) create();
}

export function exported() {
  return JSON.stringify({ format: "upg-chat", version: 1, conversations: state.conversations }, null, 2);
}

/** The number of conversations that came in. */
export function importFrom(text) {
  const found = (JSON.parse(text).conversations ?? []).map(conversation).filter((c) => c?.messages.length > 0);
  state.conversations.unshift(...found);
  if (found.length > 0) state.current = found[0].id;
  return found.length;
}
