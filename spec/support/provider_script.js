// What the words of a spec's behaviour mean in every protocol: the texts, thoughts, calls, figures and reasons of an
// answer. The protocols (provider_openai.js, provider_anthropic.js, ...) only put them into their shapes.
//
//   content | pieces       the text, whole or as it is streamed; {thoughts} in content: how many came back in the request
//   tell: true             the text is what was asked, as JSON: see `asked` in each protocol
//   thinking               thoughts before the text, a string or pieces; redacted: true, unreadable ones (Anthropic)
//   tools                  calls in OpenAI's shape; ids: false leaves their ids out where the protocol can (Gemini)
//   usage                  in OpenAI's shape; false: none
//   finish                 OpenAI's finish_reason, or stop_sequence; false: none
//   model                  default: the one asked for
//   cases                  [{ when, ...behaviour }]: the first whose `when` occurs in the request's body
// As a model does, it ends a text at a stop string that was asked for.
"use strict";

const crypto = require("crypto");

const HELLO = ["Hello", " from", " the", " provider", "."];
const USAGE = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 };

exports.created = 1700000000;

exports.choose = function choose(behaviour, body) {
  if (!behaviour.cases) return behaviour;
  return choose(behaviour.cases.find(({ when }) => !when || body.includes(when)) || {}, body);
};

const listed = (value) => (Array.isArray(value) ? value : [value]);

function halves(text) {
  const half = Math.ceil(text.length / 2);
  return [text.slice(0, half), text.slice(half)].filter((piece) => piece !== "");
}
exports.halves = halves;

function texts(behaviour, asked) {
  if (behaviour.tell) return halves(JSON.stringify(asked));
  if (behaviour.pieces) return behaviour.pieces;
  if (behaviour.content === "") return [];
  if (behaviour.content !== undefined) return [behaviour.content.replace("{thoughts}", asked.thoughts || 0)];
  return behaviour.tools ? [] : HELLO;
}

// Ends the pieces at the first stop string; the string that did it, or null.
function stopAt(pieces, stops) {
  const whole = pieces.join("");
  const found = stops.map((stop) => [whole.indexOf(stop), stop]).filter(([at]) => at >= 0).sort((a, b) => a[0] - b[0])[0];
  if (!found) return [pieces, null];
  return [halves(whole.slice(0, found[0])), found[1]];
}

exports.answer = (behaviour, request, asked) => {
  const [pieces, stop] = stopAt(texts(behaviour, asked), asked.stop || []);
  const thinking = behaviour.thinking === undefined ? []
    : Array.isArray(behaviour.thinking) ? behaviour.thinking : halves(behaviour.thinking);
  return {
    texts: pieces, thinking, redacted: behaviour.redacted === true, ids: behaviour.ids !== false,
    tools: (behaviour.tools || []).map((call) => ({ id: call.id, ...call.function })),
    finish: stop ? "stop_sequence" : behaviour.finish || (behaviour.tools ? "tool_calls" : "stop"), stop,
    usage: behaviour.usage === false ? null : behaviour.usage || USAGE,
    model: behaviour.model || request.model,
  };
};

// A usage in its parts, none of which holds another: the protocols add them up as they do.
exports.parts = (usage) => {
  const { cached_tokens: read = 0, cache_write_tokens: written = 0 } = usage.prompt_tokens_details || {};
  const { reasoning_tokens: reasoning = 0 } = usage.completion_tokens_details || {};
  return { prompt: usage.prompt_tokens, plain: usage.prompt_tokens - read - written, read, written,
    output: usage.completion_tokens || 0, reasoning };
};

exports.vectors = (count) => Array.from({ length: count }, (_, index) => [index, 0.5, -0.25]);
exports.listed = listed;

// A signature that only the protocol `by` gives, and only to this text.
exports.sign = (by, text) => Buffer.from(`${by}:`).toString("base64")
  + crypto.createHmac("sha256", by).update(text).digest("base64");

// ---- judging requests: the first thing that is wrong, thrown ----

class Refusal extends Error {
  constructor(message, status = 400, code = null) {
    super(message);
    Object.assign(this, { status, code });
  }
}
exports.Refusal = Refusal;
exports.refuse = (message, code) => { throw new Refusal(message, 400, code); };
exports.want = (truth, message) => { if (!truth) throw new Refusal(message); };

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
exports.isObject = isObject;

// An object with no member but these.
exports.closed = (value, names, say) => {
  if (!isObject(value)) throw new Refusal(say("", "an object is expected"));
  const list = typeof names === "string" ? names.split(" ") : names;
  for (const name of Object.keys(value)) if (!list.includes(name)) throw new Refusal(say(name, "unknown"));
};
