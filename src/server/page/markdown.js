// markdown.js -- what models write, as elements.
//
// A model's output is not to be trusted: elements are made one by one, text only ever becomes text
// nodes, and links lead to http and https alone.  Nothing here parses HTML.

const INLINE = /(`+)([\s\S]+?)\1(?!`)|\*\*([^\s*](?:[\s\S]*?[^\s*])?)\*\*|\*([^\s*](?:[^*\n]*?[^\s*])?)\*|~~([^\s~](?:[^~\n]*?[^\s~])?)~~|\[([^\[\]\n]+)\]\((https?:\/\/[^\s()<>"]+)\)|(https?:\/\/[^\s()<>"'`*]+[^\s()<>"'`*.,;:!?])/g;
const MAX_DEPTH = 8; // of lists and quotes in each other

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function link(text, address) {
  const made = element("a", text);
  made.href = address;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  return made;
}

// Emphasis, code and links in a line: an array of nodes.
function inline(text, depth = 0) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, , code, strong, emphasis, struck, label, address, bare] = match;
    const inner = (part) => (depth < MAX_DEPTH ? inline(part, depth + 1) : [part]);
    nodes.push(text.slice(end, match.index));
    if (code !== undefined) nodes.push(element("code", code.replace(/^ (.+) $/, "$1")));
    else if (strong !== undefined) nodes.push(element("strong", ...inner(strong)));
    else if (emphasis !== undefined) nodes.push(element("em", ...inner(emphasis)));
    else if (struck !== undefined) nodes.push(element("s", ...inner(struck)));
    else if (label !== undefined) nodes.push(link(label, address));
    else nodes.push(link(bare, bare));
    end = match.index + whole.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

function codeBlock(language, text) {
  const copy = element("button", "Copy");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  const bar = element("div", element("span", language), copy);
  const block = element("div", bar, element("pre", element("code", text)));
  bar.className = "bar";
  block.className = "code";
  return block;
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
}

function table(lines) {
  const row = (line, name) => element("tr", ...cells(line).map((cell) => element(name, ...inline(cell))));
  return element("table", element("thead", row(lines[0], "th")),
    element("tbody", ...lines.slice(2).map((line) => row(line, "td"))));
}

const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;

// A list from lines[i] on, with what is indented below its items: [element, next line].
function list(lines, i, depth) {
  const first = lines[i].match(ITEM);
  const made = element(/\d/.test(first[2]) ? "ol" : "ul");
  if (/\d/.test(first[2])) made.start = parseInt(first[2], 10);
  while (i < lines.length) {
    const match = lines[i].match(ITEM);
    if (!match || match[1].length !== first[1].length) break;
    const inside = [match[3]];
    for (i++; i < lines.length; i++) {
      const indent = lines[i].match(/^ */)[0].length;
      if (lines[i].trim() === "" ? !/^ {2,}\S/.test(lines[i + 1] ?? "") : indent <= first[1].length) break;
      inside.push(lines[i].slice(Math.min(indent, first[1].length + 2)));
    }
    const item = element("li");
    blocks(inside, item, depth + 1);
    made.append(item);
  }
  return [made, i];
}

function isBlockStart(lines, i) {
  return /^ {0,3}(```|~~~|#{1,6}\s|>)/.test(lines[i]) || ITEM.test(lines[i]) || /^ {0,3}([-*_])( *\1){2,} *$/.test(lines[i]) ||
    (lines[i].includes("|") && /^[\s|:-]*-[\s|:-]*$/.test(lines[i + 1] ?? "") && (lines[i + 1] ?? "").includes("|"));
}

function fence(lines, i, parent) {
  const [, mark, language] = lines[i].match(/^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/);
  const inside = [];
  for (i++; i < lines.length && !(lines[i].trim().startsWith(mark) && /^[`~]+$/.test(lines[i].trim())); i++) inside.push(lines[i]);
  parent.append(codeBlock(language, inside.join("\n")));
  return i + 1;
}

function blocks(lines, parent, depth) {
  let i = 0;
  while (i < lines.length) {
    const line = lines[i];
    const heading = line.match(/^ {0,3}(#{1,6})\s+(.*)$/);
    if (line.trim() === "") {
      i++;
    } else if (depth < MAX_DEPTH && /^ {0,3}(`{3,}[^`]*|~{3,}.*)$/.test(line)) {
      i = fence(lines, i, parent);
    } else if (heading) {
      parent.append(element("h3", ...inline(heading[2])));
      i++;
    } else if (/^ {0,3}([-*_])( *\1){2,} *$/.test(line)) {
      parent.append(element("hr"));
      i++;
    } else if (depth < MAX_DEPTH && ITEM.test(line)) {
      let made;
      [made, i] = list(lines, i, depth);
      parent.append(made);
    } else if (depth < MAX_DEPTH && /^ {0,3}>/.test(line)) {
      const inside = [];
      for (; i < lines.length && /^ {0,3}>/.test(lines[i]); i++) inside.push(lines[i].replace(/^ {0,3}> ?/, ""));
      const quote = element("blockquote");
      blocks(inside, quote, depth + 1);
      parent.append(quote);
    } else if (isBlockStart(lines, i) && line.includes("|")) {
      const inside = [];
      for (; i < lines.length && lines[i].includes("|"); i++) inside.push(lines[i]);
      parent.append(table(inside));
    } else {
      const inside = [line];
      for (i++; i < lines.length && lines[i].trim() !== "" && !isBlockStart(lines, i); i++) inside.push(lines[i]);
      parent.append(element("p", ...inline(inside.join("\n"))));
    }
  }
}

/** The text as a fragment of elements. */
export function render(text) {
  const fragment = document.createDocumentFragment();
  blocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), fragment, 0);
  return fragment;
}
