// OpenAI's chat completions, embeddings and models, as a provider of specs speaks them. Requests are judged only where
// the provider was opened `strict`.
"use strict";

const { created, halves, listed, vectors, answer, closed, want, isObject } = require("./provider_script.js");

const FIELDS = "model messages max_completion_tokens max_tokens temperature top_p presence_penalty frequency_penalty n seed "
  + "stop logit_bias logprobs top_logprobs stream stream_options tools tool_choice parallel_tool_calls response_format "
  + "reasoning_effort verbosity service_tier modalities audio prediction store metadata user safety_identifier "
  + "prompt_cache_key web_search_options functions function_call";

exports.takes = () => true;
exports.streamed = (request) => Boolean(request.stream);
exports.stream_type = "text/event-stream; charset=utf-8";

exports.failure = ({ message = "The provider fails on command.", type, code = null, status }) => ({
  error: { message, type: type || (status === 400 ? "invalid_request_error" : "server_error"), param: null, code },
});

// ---- requests ----

const say = (where) => (name, what) => what === "unknown"
  ? `Unrecognized request argument supplied: ${where}${name}` : `Invalid value for '${where}': ${what}.`;

const textOf = (content) => typeof content === "string" ? content
  : (content || []).filter((part) => part.type === "text").map((part) => part.text).join("");

const PARTS = {
  text: (part) => want(typeof part.text === "string", "Invalid type for 'text'."),
  image_url: (part) => want(isObject(part.image_url) && /^(https?:|data:image\/[a-z]+;base64,)/.test(part.image_url.url),
    "Invalid image_url."),
  input_audio: (part) => want(["wav", "mp3"].includes(part.input_audio.format), "Invalid audio format."),
  file: (part) => want(isObject(part.file), "Invalid file."),
  refusal: () => {},
};

exports.check = (request, record) => {
  if (record.path.endsWith("/embeddings")) return closed(request, "model input encoding_format dimensions user", say(""));
  closed(request, FIELDS, say(""));
  want(typeof request.model === "string", "You must provide a model parameter.");
  want(Array.isArray(request.messages) && request.messages.length > 0, "[] is too short - 'messages'");
  want(!request.stream_options || request.stream, "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  let open = new Set();
  request.messages.forEach((message, index) => {
    const where = `messages[${index}]`;
    want(["developer", "system", "user", "assistant", "tool"].includes(message.role), `Invalid value for '${where}.role'.`);
    if (message.role === "tool") {
      want(open.delete(message.tool_call_id),
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.");
    } else {
      want(open.size === 0, "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        + `'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open].join(", ")}`);
    }
    if (Array.isArray(message.content)) {
      want(message.content.length > 0, `Invalid '${where}.content': empty array.`);
      for (const part of message.content) {
        want(PARTS[part.type], `Invalid value: '${part.type}' for '${where}.content'.`);
        PARTS[part.type](part);
      }
    } else if (typeof message.content !== "string") {
      want(message.role === "assistant" && (message.tool_calls || message.refusal),
        `Invalid value for 'content': expected a string, got null in ${where}.`);
    }
    if (message.tool_calls) {
      want(message.tool_calls.length > 0, `Invalid '${where}.tool_calls': empty array.`);
      for (const call of message.tool_calls) {
        want(call.id && call.type === "function" && call.function.name && typeof call.function.arguments === "string",
          `Invalid '${where}.tool_calls'.`);
      }
      open = new Set(message.tool_calls.map((call) => call.id));
    }
  });
  want(open.size === 0, "An assistant message with 'tool_calls' must be followed by tool messages.");
  for (const tool of request.tools || []) {
    want(tool.type === "function" && /^[\w-]{1,64}$/.test(tool.function.name), "Invalid 'tools[0].function.name'.");
  }
  want(!request.tool_choice || request.tools, "'tool_choice' is only allowed when 'tools' are specified.");
  want(request.parallel_tool_calls === undefined || request.tools,
    "'parallel_tool_calls' is only allowed when 'tools' are specified.");
};

function choice(value) {
  if (isObject(value)) return value.function.name;
  return value === "required" ? "any" : value;
}

exports.asked = (request) => {
  if (!request.messages) return {};
  const content = request.messages.flatMap((message) => Array.isArray(message.content) ? message.content : []);
  const of = (type) => content.filter((part) => part.type === type);
  const format = request.response_format && { text: undefined, json_object: "json" }[request.response_format.type];
  return {
    system: request.messages.filter(({ role }) => role === "system" || role === "developer")
      .map((message) => textOf(message.content)).join("\n\n") || undefined,
    roles: request.messages.map(({ role }) => role).join(" "),
    images: of("image_url").map((part) => part.image_url.url.replace(/^data:([^;]*);.*/, "$1")),
    audio: of("input_audio").map((part) => part.input_audio.format),
    documents: of("file").map((part) => (part.file.file_data || "").replace(/^data:([^;]*);.*/, "$1")),
    calls: request.messages.flatMap((message) => message.tool_calls || [])
      .map((call) => ({ name: call.function.name, arguments: JSON.parse(call.function.arguments) })),
    results: request.messages.filter(({ role }) => role === "tool").map((message) => textOf(message.content)),
    thoughts: request.messages.filter((message) => message.reasoning_content).length,
    tools: (request.tools || []).map(({ function: { name, description, parameters } }) => ({ name, description, parameters })),
    tool_choice: choice(request.tool_choice), parallel: request.parallel_tool_calls,
    max_tokens: request.max_completion_tokens || request.max_tokens, temperature: request.temperature, top_p: request.top_p,
    seed: request.seed, presence_penalty: request.presence_penalty, frequency_penalty: request.frequency_penalty,
    stop: request.stop ? listed(request.stop) : undefined, user: request.user,
    format: format || (request.response_format && request.response_format.json_schema
      && { schema: request.response_format.json_schema.schema }),
    reasoning: request.reasoning_effort,
  };
};

// ---- answers ----

const reasonOf = (finish) => (finish === "stop_sequence" ? "stop" : finish);
const call = ({ id, name, arguments: text }) => ({ id, type: "function", function: { name, arguments: text } });

exports.whole = (behaviour, request) => {
  const said = answer(behaviour, request, exports.asked(request));
  const message = { role: "assistant", content: said.texts.length || !said.tools.length ? said.texts.join("") : null };
  if (said.thinking.length) message.reasoning_content = said.thinking.join("");
  if (said.tools.length) message.tool_calls = said.tools.map(call);
  const body = {
    id: "chatcmpl-1", object: "chat.completion", created, model: said.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: reasonOf(said.finish) }],
    ...behaviour.extra,
  };
  if (said.usage) body.usage = said.usage;
  return body;
};

function toolDeltas(tools) {
  return tools.flatMap((tool, index) => [
    { tool_calls: [{ index, id: tool.id, type: "function", function: { name: tool.name, arguments: "" } }] },
    ...halves(tool.arguments).map((text) => ({ tool_calls: [{ index, function: { arguments: text } }] })),
  ]);
}

// roles: frames before any content (default 1); at: the usage's place, "own" chunk if asked for, "last" chunk, "always"
// an own chunk.
exports.frames = (behaviour, request) => {
  const { roles = 1, at = "own" } = behaviour;
  const said = answer(behaviour, request, exports.asked(request));
  const wanted = Boolean(request.stream_options && request.stream_options.include_usage);
  const shape = (choices, extra) => ({
    id: "chatcmpl-1", object: "chat.completion.chunk", created, model: said.model, choices,
    ...(wanted && at === "own" ? { usage: null } : {}), ...behaviour.extra, ...extra,
  });
  const event = (value) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
  const delta = (fields) => event(shape([{ index: 0, delta: fields, finish_reason: null }]));
  const deltas = [
    ...said.thinking.map((text) => ({ reasoning_content: text })),
    ...said.texts.map((content) => ({ content })),
    ...toolDeltas(said.tools),
  ];
  const finish = [];
  if (behaviour.finish !== false) {
    const extra = said.usage && at === "last" ? { usage: said.usage } : {};
    finish.push(event(shape([{ index: 0, delta: {}, logprobs: null, finish_reason: reasonOf(said.finish) }], extra)));
  }
  if (said.usage && (at === "always" || (at === "own" && wanted))) finish.push(event(shape([], { usage: said.usage })));
  return {
    head: Array.from({ length: roles }, () => delta({ role: "assistant", content: "", refusal: null })),
    pieces: deltas.map(delta), finish, end: [event("[DONE]")],
    text: (content) => delta({ content }), comment: ": keep-alive\n\n",
    error: event(exports.failure(behaviour)), broken: event("{\"choices\": ["),
  };
};

function embeddings(request) {
  const inputs = listed(request.input);
  const data = vectors(inputs.length).map((values, index) => {
    const coded = request.encoding_format === "base64" ? Buffer.from(Float32Array.from(values).buffer).toString("base64")
      : values;
    return { object: "embedding", index, embedding: coded };
  });
  const usage = { prompt_tokens: 4 * inputs.length, total_tokens: 4 * inputs.length };
  return { object: "list", data, model: request.model, usage };
}

exports.other = (behaviour, record, request) => {
  if (record.method === "GET") {
    const data = (behaviour.models || ["small", "large"]).map((id) => ({ id, object: "model", created, owned_by: "spec" }));
    return { object: "list", data };
  }
  if (record.path.endsWith("/embeddings")) return embeddings(request);
  return undefined;
};
