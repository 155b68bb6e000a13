// Ollama's own API, as a provider of specs speaks it: lines of JSON, streamed unless asked otherwise. Unlike the real
// server, which ignores them, it refuses fields that it does not know.
"use strict";

const { listed, parts, vectors, answer, closed, want, isObject } = require("./provider_script.js");

exports.takes = ({ path }) => path.startsWith("/api/");
exports.streamed = (request) => request.stream !== false;
exports.stream_type = "application/x-ndjson";

exports.failure = ({ message = "The provider fails on command." }) => ({ error: message });

// ---- requests ----

const CHAT = "model messages stream think format keep_alive options tools truncate shift logprobs top_logprobs";
const OPTIONS = "num_keep seed num_predict top_k top_p min_p typical_p repeat_last_n temperature repeat_penalty "
  + "presence_penalty frequency_penalty stop num_ctx num_batch num_gpu main_gpu use_mmap num_thread";
const NUMBERS = new Set(OPTIONS.split(" ").filter((name) => name !== "stop" && name !== "use_mmap"));

const say = (where) => (name, what) => what === "unknown" ? `unknown field "${name}" in ${where}` : `${where}: ${what}`;
const kind = (name, field, type) => `json: cannot unmarshal ${name} into Go struct field ChatRequest.${field} of type ${type}`;

function checkMessage(message) {
  closed(message, "role content images thinking tool_calls tool_name tool_call_id", say("message"));
  want(["system", "user", "assistant", "tool"].includes(message.role), `invalid role: ${message.role}`);
  want(message.content === undefined || typeof message.content === "string", kind("array", "messages.content", "string"));
  for (const image of message.images || []) {
    want(/^[A-Za-z0-9+/]+={0,2}$/.test(image), "illegal base64 data at input byte 4");
  }
  for (const call of message.tool_calls || []) {
    closed(call, "id function type", say("tool_call"));
    closed(call.function, "index name arguments description", say("tool_call.function"));
    want(isObject(call.function.arguments), kind("string", "messages.tool_calls.function.arguments", "api.ToolCallFunctionArguments"));
  }
  want(message.role !== "tool" || message.tool_name, "a tool's message without its tool_name");
}

exports.check = (request, record) => {
  if (record.path === "/api/embed") return closed(request, "model input truncate dimensions keep_alive options", say("request"));
  if (record.path !== "/api/chat") return;
  closed(request, CHAT, say("request"));
  want(request.model, "model is required");
  want(Array.isArray(request.messages) && request.messages.length > 0, "messages are required");
  request.messages.forEach(checkMessage);
  want(["undefined", "boolean"].includes(typeof request.think) || ["low", "medium", "high", "max"].includes(request.think),
    `invalid think value: "${request.think}" (must be "high", "medium", "low", true, or false)`);
  want(request.format === undefined || request.format === "json" || isObject(request.format), "invalid format");
  for (const [name, value] of Object.entries(request.options || {})) {
    want(NUMBERS.has(name) ? typeof value === "number" : ["stop", "use_mmap"].includes(name), `option "${name}" is invalid`);
  }
  const { stop } = request.options || {};
  want(stop === undefined || Array.isArray(stop), 'option "stop" must be of type array');
  for (const tool of request.tools || []) {
    closed(tool, "type function", say("tool"));
    closed(tool.function, "name description parameters", say("tool.function"));
    want(isObject(tool.function.parameters) && tool.function.parameters.type === "object",
      "a tool's parameters are an object");
  }
};

const imageType = (data) => (data.startsWith("/9j/") ? "image/jpeg" : data.startsWith("iVBORw0KGgo") ? "image/png" : "image");

exports.asked = (request) => {
  if (!request.messages) return {};
  const options = request.options || {};
  return {
    system: request.messages.filter(({ role }) => role === "system").map(({ content }) => content).join("\n\n") || undefined,
    roles: request.messages.map(({ role }) => role).join(" "),
    images: request.messages.flatMap(({ images }) => images || []).map(imageType), audio: [], documents: [],
    calls: request.messages.flatMap((message) => message.tool_calls || [])
      .map((call) => ({ name: call.function.name, arguments: call.function.arguments })),
    results: request.messages.filter(({ role }) => role === "tool").map(({ content }) => content),
    thoughts: request.messages.filter((message) => message.thinking).length,
    tools: (request.tools || []).map((tool) => tool.function),
    max_tokens: options.num_predict, temperature: options.temperature, top_p: options.top_p, top_k: options.top_k,
    seed: options.seed, presence_penalty: options.presence_penalty, frequency_penalty: options.frequency_penalty,
    stop: options.stop, format: isObject(request.format) ? { schema: request.format } : request.format,
    reasoning: request.think,
  };
};

// ---- answers ----

const at = "2026-01-01T00:00:00.000000Z";
const call = ({ id, name, arguments: text }, index) => ({ id, function: { index, name, arguments: JSON.parse(text) } });

// Counts of 0 are left out, as is what is not counted.
function figures(said) {
  const { prompt, output } = said.usage ? parts(said.usage) : { prompt: 0, output: 0 };
  return { total_duration: 3000000000, load_duration: 1000000, prompt_eval_duration: 1000000000, eval_duration: 1900000000,
    ...(prompt ? { prompt_eval_count: prompt } : {}), ...(output ? { eval_count: output } : {}) };
}

function read(behaviour, request) {
  const said = answer(behaviour, request, exports.asked(request));
  return request.think ? said : { ...said, thinking: [] };
}

const reasonOf = (said) => (said.finish === "length" ? "length" : "stop");
const message = (fields) => ({ role: "assistant", content: "", ...fields });

exports.whole = (behaviour, request) => {
  const said = read(behaviour, request);
  const fields = { content: said.texts.join("") };
  if (said.thinking.length) fields.thinking = said.thinking.join("");
  if (said.tools.length) fields.tool_calls = said.tools.map(call);
  return { model: said.model, created_at: at, message: message(fields), done: true, done_reason: reasonOf(said), ...figures(said),
    ...behaviour.extra };
};

exports.frames = (behaviour, request) => {
  const said = read(behaviour, request);
  const line = (fields, more) => JSON.stringify({ model: said.model, created_at: at, message: message(fields), done: false,
    ...more }) + "\n";
  const pieces = [
    ...said.thinking.map((thinking) => ({ thinking })),
    ...said.texts.map((content) => ({ content })),
    ...said.tools.map((tool, index) => ({ tool_calls: [call(tool, index)] })),
  ].map((fields) => line(fields));
  const last = behaviour.finish === false ? [] : [line({}, { done: true, done_reason: reasonOf(said), ...figures(said) })];
  return {
    head: [], pieces, finish: [], end: last, text: (content) => line({ content }), comment: "\n",
    error: JSON.stringify(exports.failure(behaviour)) + "\n", broken: "{\"message\": [\n",
  };
};

const details = { format: "gguf", family: "spec", families: ["spec"], parameter_size: "1B", quantization_level: "Q4_0" };

exports.other = (behaviour, record, request) => {
  if (record.path === "/api/tags") {
    return { models: (behaviour.models || ["small", "large"]).map((name) => ({ name, model: name, modified_at: at, size: 1,
      digest: "0", details })) };
  }
  if (record.path === "/api/show") return { details, model_info: { "spec.context_length": 8192 }, capabilities: ["completion", "tools"] };
  if (record.path === "/api/embed") {
    const inputs = listed(request.input);
    return { model: request.model, embeddings: vectors(inputs.length), prompt_eval_count: 4 * inputs.length };
  }
  return undefined;
};
