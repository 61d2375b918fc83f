// stream.js -- the API of this server, from the page.

function headers(key) {
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

async function refusal(reply) {
  try {
    return (await reply.json()).error.message;
  } catch {
    return `the server answered with status ${reply.status}`;
  }
}

export async function models(key) {
  const reply = await fetch("/v1/models", { headers: headers(key) });
  if (!reply.ok) throw new Error(await refusal(reply));
  return (await reply.json()).data;
}

/** The events of an answer: {text}, {finish}, {usage, timings}. */
export async function* answer(messages, settings, signal) {
  const body = { messages, stream: true, stream_options: { include_usage: true }, separate_reasoning: false };
  for (const name of ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"])
    if (settings[name] !== null && settings[name] !== "") body[name] = settings[name];
  const reply = await fetch("/v1/chat/completions", {
    method: "POST", headers: headers(settings.key), body: JSON.stringify(body), signal,
  });
  if (!reply.ok) throw new Error(await refusal(reply));

  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the connection ended in the middle of the answer");
    held += value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const { choices, usage, timings, error } = JSON.parse(data);
      if (error) throw new Error(error.message);
      if (choices?.[0]?.delta?.content) yield { text: choices[0].delta.content };
      if (choices?.[0]?.finish_reason) yield { finish: choices[0].finish_reason };
      if (usage) yield { usage, timings };
    }
  }
}
