// What a simulated provider answers: a behaviour (a JSON object of a spec) played on an answer of provider.js.
//
// Every kind takes `headers` (more of them) and `drop: true` (closes the connection after a whole answer, unannounced).
//   answer (the default)  chat, streamed if asked for, embeddings or models, by the request's path; see `chat`
//   error                 status, message, type, code, or body as it is (a string or an object)
//   silence               nothing at all; `head` gives status line and headers first, then nothing
//   reset, close          the connection ends before a byte of the answer
//   wrong_length          a content-length that is 100 too big (`by`), then the end of the connection
//   huge_head             `bytes` of headers
//   text                  200 and `body` with `type`
"use strict";

const HELLO = ["Hello", " from", " the", " provider", "."];
const USAGE = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 };
const JSON_TYPE = { "content-type": "application/json" };
const EVENTS = { "content-type": "text/event-stream; charset=utf-8" };

const created = 1700000000;

async function whole(out, behaviour, status, type, body) {
  const data = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  await out.head(status, { ...type, "content-length": data.length, ...behaviour.headers }, "length");
  await out.write(data, behaviour.size);
  await out.end();
}

function failure(behaviour) {
  if (behaviour.body !== undefined) return behaviour.body;
  const { message = "The provider fails on command.", type = "server_error", code = null } = behaviour;
  return { error: { message, type, param: null, code } };
}

// content or pieces; usage (false: none; at: "own" chunk if asked for, "last" chunk, "always" an own chunk); finish
// (reason); tools (whole tool calls); model (default: the request's); error instead of a completion inside the 200.
function completion(behaviour, request) {
  const content = behaviour.content !== undefined ? behaviour.content : (behaviour.pieces || HELLO).join("");
  const message = { role: "assistant", content: behaviour.tools ? null : content };
  if (behaviour.tools) message.tool_calls = behaviour.tools;
  const body = {
    id: "chatcmpl-1", object: "chat.completion", created, model: behaviour.model || request.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: behaviour.finish || (behaviour.tools ? "tool_calls" : "stop") }],
    ...behaviour.extra,
  };
  if (behaviour.usage !== false) body.usage = behaviour.usage || USAGE;
  return body;
}

function toolDeltas(tools) {
  return tools.flatMap((call, index) => {
    const half = Math.ceil(call.function.arguments.length / 2);
    return [
      { tool_calls: [{ index, id: call.id, type: "function", function: { name: call.function.name, arguments: "" } }] },
      { tool_calls: [{ index, function: { arguments: call.function.arguments.slice(0, half) } }] },
      { tool_calls: [{ index, function: { arguments: call.function.arguments.slice(half) } }] },
    ];
  });
}

// Streams: roles (frames before any content, default 1), comments (so many before those), size (bytes in one write),
// delay (ms before each piece), hold ({ after: pieces, name }), repeat (the pieces, so many times; `endless`),
// and where it goes wrong after so many pieces (`after`): wrong = "silence" | "cut" | "reset" | "error" | "end" |
// "mid_event" | "mid_character" | "bad_json". done = false: no [DONE]; finish = false: no finish_reason.
async function stream(out, behaviour, request) {
  const { roles = 1, comments = 0, size, delay, hold, wrong, after = 0, at = "own", done = true } = behaviour;
  const asked = Boolean(request.stream_options && request.stream_options.include_usage);
  const usage = behaviour.usage === false ? null : behaviour.usage || USAGE;
  const line = behaviour.crlf ? "\r\n" : "\n";
  const shape = (choices, extra) => ({
    id: "chatcmpl-1", object: "chat.completion.chunk", created, model: behaviour.model || request.model, choices,
    ...(asked && at === "own" ? { usage: null } : {}), ...behaviour.extra, ...extra,
  });
  const event = (value) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}${line}${line}`;
  const delta = (fields, finish = null) => event(shape([{ index: 0, delta: fields, finish_reason: finish }]));

  async function goWrong() {
    const text = delta({ content: "naïve €5 🙂" });
    switch (wrong) {
      case "silence": return out.silence();
      case "reset": return out.reset();
      case "cut": return out.cut();
      case "end": return out.end();
      case "error": await out.write(event(failure(behaviour))); return behaviour.quit ? out.cut() : out.end();
      case "mid_event": await out.write(text.slice(0, 40)); return out.cut();
      case "mid_character": {
        const data = Buffer.from(text);
        await out.write(data.subarray(0, data.indexOf(Buffer.from("€")) + 1));
        return out.cut();
      }
      case "bad_json": await out.write(event("{\"choices\": [")); return out.end();
      default: throw new Error("unknown way to go wrong: " + wrong);
    }
  }

  await out.head(200, { ...EVENTS, ...behaviour.headers }, behaviour.framing || "chunked");
  for (let n = 0; n < comments; n++) await out.write(`: keep-alive${line}${line}`, size);
  for (let n = 0; n < roles; n++) await out.write(delta({ role: "assistant", content: "", refusal: null }), size);
  const deltas = behaviour.tools ? toolDeltas(behaviour.tools)
    : (behaviour.pieces || (behaviour.content !== undefined ? [behaviour.content] : HELLO)).map((content) => ({ content }));
  const total = behaviour.endless ? Infinity : deltas.length * (behaviour.repeat || 1);
  for (let n = 0; n < total; n++) {
    if (wrong && n === after) return goWrong();
    if (hold && n === hold.after) await out.hold(hold.name || "go");
    if (delay) await out.delay(delay);
    await out.write(delta(deltas[n % deltas.length]), size);
  }
  if (hold && hold.after >= total) await out.hold(hold.name || "go");
  if (wrong) return goWrong();
  if (behaviour.finish !== false) {
    const reason = behaviour.finish || (behaviour.tools ? "tool_calls" : "stop");
    const extra = usage && at === "last" ? { usage } : {};
    await out.write(event(shape([{ index: 0, delta: {}, logprobs: null, finish_reason: reason }], extra)), size);
  }
  if (usage && (at === "always" || (at === "own" && asked))) await out.write(event(shape([], { usage })), size);
  if (done) await out.write(event("[DONE]"), size);
  return out.end();
}

function embeddings(request) {
  const inputs = [].concat(request.input);
  const data = inputs.map((text, index) => {
    const vector = Float32Array.from([index, 0.5, -0.25]);
    const coded = request.encoding_format === "base64" ? Buffer.from(vector.buffer).toString("base64") : Array.from(vector);
    return { object: "embedding", index, embedding: coded };
  });
  const usage = { prompt_tokens: 4 * inputs.length, total_tokens: 4 * inputs.length };
  return { object: "list", data, model: request.model, usage };
}

const kinds = {
  async answer(out, behaviour, record) {
    if (record.method === "GET") {
      const data = (behaviour.models || ["small", "large"]).map((id) => ({ id, object: "model", created, owned_by: "spec" }));
      return whole(out, behaviour, 200, JSON_TYPE, { object: "list", data });
    }
    const request = JSON.parse(record.body);
    if (record.path.endsWith("/embeddings")) return whole(out, behaviour, 200, JSON_TYPE, embeddings(request));
    if (request.stream) return stream(out, behaviour, request);
    if (behaviour.hold) await out.hold(behaviour.hold.name || "go");
    return whole(out, behaviour, 200, JSON_TYPE, completion(behaviour, request));
  },
  error: (out, behaviour) => whole(out, behaviour, behaviour.status || 500, JSON_TYPE, failure(behaviour)),
  text: (out, behaviour) => whole(out, behaviour, behaviour.status || 200, { "content-type": behaviour.type || "text/html" },
    behaviour.body || "<html><body>Bad gateway</body></html>"),
  silence: (out) => out.silence(),
  async head(out, behaviour, record) {
    const streamed = JSON.parse(record.body).stream;
    const type = streamed ? EVENTS : { ...JSON_TYPE, "content-length": 1000 };
    await out.head(200, { ...type, ...behaviour.headers }, streamed ? "chunked" : "length");
    return out.silence();
  },
  reset: (out) => out.reset(),
  close: (out) => out.cut(),
  async wrong_length(out, behaviour, record) {
    const data = Buffer.from(JSON.stringify(completion(behaviour, JSON.parse(record.body))));
    await out.head(200, { ...JSON_TYPE, "content-length": data.length + (behaviour.by || 100) }, "length");
    await out.write(data);
    return out.cut();
  },
  huge_head: (out, behaviour, record) => {
    const headers = {};
    for (let n = 0; n * 1000 < behaviour.bytes; n++) headers["x-filler-" + n] = "x".repeat(980);
    return kinds.answer(out, { ...behaviour, headers }, record);
  },
};

exports.play = (behaviour, record, out) => kinds[behaviour.kind || "answer"](out, behaviour, record);
