// Anthropic's Messages, as a provider of specs speaks them: it refuses what the real server refuses, and takes back
// only thoughts that it signed.
"use strict";

const { halves, parts, answer, closed, want, sign, isObject } = require("./provider_script.js");

const TYPES = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

exports.takes = ({ method, path, headers }) =>
  /\/v1\/messages(\/count_tokens)?($|\?)/.test(path) ||
  (method === "GET" && headers["anthropic-version"] !== undefined && path.includes("/models"));
exports.streamed = (request) => Boolean(request.stream);
exports.stream_type = "text/event-stream; charset=utf-8";

const counting = (record) => record.path.includes("/count_tokens");

exports.failure = ({ message = "The provider fails on command.", type, status }) => ({
  type: "error",
  error: { type: type || TYPES[status] || "api_error", message },
  request_id: "req_spec",
});

// ---- requests ----

const signature = (thinking) => sign("anthropic", thinking);
const redacted = () => sign("anthropic-redacted", "");
const FORMAT = "cache_control citations";

const say = (where) => (name, what) =>
  what === "unknown" ? `${where}${name}: Extra inputs are not permitted` : `${where}: ${what}`;
const text = (value, where) => {
  want(typeof value === "string", `${where}: Input should be a valid string`);
  want(value !== "", `${where}: text content blocks must be non-empty`);
  want(/\S/.test(value), `${where}: text content blocks must contain non-whitespace text`);
};

function checkSource(source, where, kinds) {
  want(isObject(source), `${where}.source: Field required`);
  if (source.type === "url") return closed(source, "type url", say(where + ".source."));
  if (source.type === "text")
    return want(source.media_type === "text/plain" && source.data, `${where}.source: text/plain only`);
  want(source.type === "base64", `${where}.source.type: Input should be 'base64' or 'url'`);
  closed(source, "type media_type data", say(where + ".source."));
  want(kinds.includes(source.media_type), `${where}.source.base64.media_type: Input should be ${kinds.join(" or ")}`);
  want(/^[A-Za-z0-9+/]+={0,2}$/.test(source.data), `${where}.source.base64: invalid base64 data`);
  const real = [
    ["/9j/", "image/jpeg"],
    ["iVBORw0KGgo", "image/png"],
    ["R0lGOD", "image/gif"],
    ["UklGR", "image/webp"],
  ].find(([start]) => source.data.startsWith(start));
  want(
    !real || real[1] === source.media_type,
    `${where}.source.base64.data: Image does not match the provided media type`,
  );
}

const IMAGES = ["image/jpeg", "image/png", "image/gif", "image/webp"];

const BLOCKS = {
  text(block, where) {
    closed(block, `type text ${FORMAT}`, say(where + "."));
    text(block.text, where);
  },
  image(block, where) {
    closed(block, "type source cache_control", say(where + "."));
    checkSource(block.source, where, IMAGES);
  },
  document(block, where) {
    closed(block, `type source title context ${FORMAT}`, say(where + "."));
    checkSource(block.source, where, ["application/pdf"]);
  },
  tool_use(block, where, role) {
    closed(block, "type id name input caller cache_control", say(where + "."));
    want(role === "assistant", `${where}: tool_use blocks can only be in assistant messages`);
    want(/^[A-Za-z0-9_-]+$/.test(block.id), `${where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
    want(isObject(block.input), `${where}.tool_use.input: Input should be a valid dictionary`);
    want(/^[A-Za-z0-9_-]{1,200}$/.test(block.name), `${where}.tool_use.name: String should match pattern`);
  },
  tool_result(block, where, role) {
    closed(block, "type tool_use_id content is_error cache_control", say(where + "."));
    want(role === "user", `${where}: tool_result blocks can only be in user messages`);
    if (!Array.isArray(block.content)) return;
    block.content.forEach((inner, at) => {
      want(["text", "image", "document", "search_result"].includes(inner.type), `${where}.content.${at}: unknown type`);
      BLOCKS[inner.type](inner, `${where}.content.${at}`, role);
    });
  },
  thinking(block, where, role) {
    closed(block, "type thinking signature", say(where + "."));
    want(role === "assistant", `${where}: thinking blocks can only be in assistant messages`);
    want(typeof block.signature === "string", `${where}.thinking.signature: Field required`);
    want(block.signature === signature(block.thinking), `${where}: Invalid \`signature\` in \`thinking\` block`);
  },
  redacted_thinking(block, where) {
    closed(block, "type data", say(where + "."));
    want(block.data === redacted(), `${where}: Invalid \`data\` in \`redacted_thinking\` block`);
  },
  search_result() {},
};

const blocksOf = (content) => (typeof content === "string" ? [{ type: "text", text: content }] : content);

function checkMessages(request) {
  const { messages } = request;
  want(Array.isArray(messages) && messages.length > 0, "messages: at least one message is required");
  let open = [];
  messages.forEach((message, at) => {
    const where = `messages.${at}`;
    closed(message, "role content", say(where + "."));
    want(
      message.role === (at % 2 === 0 ? "user" : "assistant"),
      at === 0
        ? 'messages: first message must use the "user" role'
        : 'messages: roles must alternate between "user" and "assistant"',
    );
    want(typeof message.content === "string" || Array.isArray(message.content), `${where}.content: Field required`);
    const blocks = blocksOf(message.content);
    want(blocks.length > 0 && message.content !== "", `${where}: all messages must have non-empty content`);
    blocks.forEach((block, number) => {
      want(
        BLOCKS[block.type],
        `${where}.content.${number}: Input tag '${block.type}' found using 'type' does not match`,
      );
      BLOCKS[block.type](block, `${where}.content.${number}`, message.role);
    });
    const results = blocks.filter(({ type }) => type === "tool_result").map((block) => block.tool_use_id);
    for (const id of results) {
      want(
        open.includes(id),
        `${where}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}. Each ` +
          "`tool_result` block must have a corresponding `tool_use` block in the previous message.",
      );
    }
    want(new Set(results).size === results.length, `${where}: each tool_use must have a single result`);
    want(
      blocks.slice(0, open.length).every(({ type }) => type === "tool_result") && results.length === open.length,
      `${where}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${open.join(", ")}. Each ` +
        "`tool_use` block must have a corresponding `tool_result` block in the next message.",
    );
    open = blocks.filter(({ type }) => type === "tool_use").map(({ id }) => id);
    want(new Set(open).size === open.length, `${where}: \`tool_use\` ids must be unique`);
  });
  want(open.length === 0, "messages: `tool_use` ids were found without `tool_result` blocks");
  const last = messages[messages.length - 1];
  const final = last.role === "assistant" && blocksOf(last.content).pop();
  want(
    !final || final.type !== "text" || !/\s$/.test(final.text),
    "messages: final assistant content cannot end with trailing whitespace",
  );
}

function checkThinking({ thinking, messages, ...request }) {
  if (!thinking) return;
  want(["enabled", "adaptive", "disabled"].includes(thinking.type), "thinking.type: Input tag does not match");
  closed(thinking, thinking.type === "enabled" ? "type budget_tokens display" : "type display", say("thinking."));
  if (thinking.type === "disabled") return;
  if (thinking.type === "enabled") {
    want(
      thinking.budget_tokens >= 1024,
      "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    );
    want(
      request.max_tokens === undefined || thinking.budget_tokens < request.max_tokens,
      "`max_tokens` must be greater than `thinking.budget_tokens`.",
    );
    const last = messages.filter(({ role }) => role === "assistant").pop();
    const first = last && blocksOf(last.content)[0].type;
    want(
      !last || !blocksOf(last.content).some(({ type }) => type === "tool_use") || /thinking/.test(first),
      `Expected \`thinking\` or \`redacted_thinking\`, but found \`${first}\`. When \`thinking\` is enabled, a final ` +
        "`assistant` message must start with a thinking block.",
    );
  }
  want(
    request.temperature === undefined || request.temperature === 1,
    "`temperature` may only be set to 1 when thinking is enabled.",
  );
  want(request.top_k === undefined, "`top_k` must be unset when thinking is enabled.");
  want(
    !request.tool_choice || !["any", "tool"].includes(request.tool_choice.type),
    "Thinking may not be enabled when tool_choice forces tool use.",
  );
}

// What structured outputs take of JSON Schema.
function checkSchema(schema, where) {
  if (!isObject(schema)) return;
  for (const name of ["minimum", "maximum", "multipleOf", "minLength", "maxLength", "oneOf", "patternProperties"]) {
    want(schema[name] === undefined, `${where}: For '${schema.type}' type, property '${name}' is not supported`);
  }
  if (schema.type === "object") {
    want(
      schema.additionalProperties === false,
      `${where}: For 'object' type, 'additionalProperties' must be explicitly set to false`,
    );
  }
  for (const [name, inner] of Object.entries(schema.properties || {}))
    checkSchema(inner, `${where}.properties.${name}`);
  checkSchema(schema.items, where + ".items");
}

function checkTools({ tools, tool_choice: choice, output_config: config }) {
  const names = (tools || []).map((tool, at) => {
    closed(
      tool,
      "type name description input_schema strict cache_control input_examples eager_input_streaming",
      say(`tools.${at}.`),
    );
    want(/^[A-Za-z0-9_-]{1,128}$/.test(tool.name), `tools.${at}.custom.name: String should match pattern`);
    want(tool.description === undefined || typeof tool.description === "string", `tools.${at}.custom.description`);
    want(
      isObject(tool.input_schema) && tool.input_schema.type === "object",
      `tools.${at}.custom.input_schema.type: Input should be 'object'`,
    );
    return tool.name;
  });
  want(new Set(names).size === names.length, "tools: Tool names must be unique.");
  if (choice) {
    want(["auto", "any", "tool", "none"].includes(choice.type), "tool_choice: Input tag does not match");
    closed(
      choice,
      { tool: "type name disable_parallel_tool_use", none: "type" }[choice.type] || "type disable_parallel_tool_use",
      say("tool_choice."),
    );
    want(choice.type === "none" || names.length, "tool_choice may only be specified while providing tools.");
    want(choice.type !== "tool" || names.includes(choice.name), `Tool '${choice.name}' not found in provided tools`);
  }
  if (config) {
    closed(config, "effort format", say("output_config."));
    if (config.format) {
      closed(config.format, "type schema", say("output_config.format."));
      want(config.format.type === "json_schema", "output_config.format.type: Input should be 'json_schema'");
      checkSchema(config.format.schema, "output_config.format.schema");
    }
  }
}

exports.check = (request, record) => {
  want(record.headers["anthropic-version"], "anthropic-version: header is required");
  want(record.headers["x-api-key"] || record.headers.authorization, "x-api-key header is required");
  closed(
    request,
    counting(record)
      ? "model messages system tools tool_choice thinking output_config cache_control"
      : "model messages system max_tokens stop_sequences stream metadata service_tier temperature top_p top_k thinking " +
          "output_config tools tool_choice cache_control container inference_geo",
    say(""),
  );
  want(typeof request.model === "string", "model: Field required");
  if (!counting(record)) {
    want(request.max_tokens !== undefined, "max_tokens: Field required");
    want(
      Number.isInteger(request.max_tokens) && request.max_tokens > 0,
      "max_tokens: Input should be greater than or equal to 1",
    );
  }
  want(!(request.temperature < 0 || request.temperature > 1), "temperature: range: 0..1");
  want(
    request.temperature === undefined || request.top_p === undefined,
    "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
  );
  if (request.metadata) closed(request.metadata, "user_id", say("metadata."));
  for (const stop of request.stop_sequences || []) {
    want(/\S/.test(stop), "stop_sequences: each stop sequence must contain non-whitespace");
  }
  if (Array.isArray(request.system)) {
    want(request.system.length > 0, "system: at least one block is required");
    request.system.forEach((block, at) => {
      want(block.type === "text", `system.${at}.type: Input should be 'text'`);
      BLOCKS.text(block, `system.${at}`);
    });
  } else if (request.system !== undefined) {
    want(typeof request.system === "string", "system: Input should be a valid string");
  }
  checkMessages(request);
  checkThinking(request);
  checkTools(request);
};

const textOf = (content) =>
  content === undefined
    ? ""
    : blocksOf(content)
        .filter(({ type }) => type === "text")
        .map((block) => block.text)
        .join("");
const mediaOf = ({ source }) => source.media_type || source.url;

exports.asked = (request) => {
  const blocks = request.messages.flatMap(({ content }) => blocksOf(content));
  const of = (type) => blocks.filter((block) => block.type === type);
  const choice = request.tool_choice || {};
  const { format, effort } = request.output_config || {};
  const thinking =
    request.thinking && { enabled: request.thinking.budget_tokens, disabled: "none" }[request.thinking.type];
  return {
    system: Array.isArray(request.system) ? request.system.map((block) => block.text).join("\n\n") : request.system,
    roles: request.messages.map(({ role }) => role).join(" "),
    images: of("image").map(mediaOf),
    documents: of("document").map(mediaOf),
    audio: [],
    calls: of("tool_use").map(({ name, input }) => ({ name, arguments: input })),
    results: of("tool_result").map(({ content }) => textOf(content)),
    thoughts: of("thinking").length + of("redacted_thinking").length,
    tools: (request.tools || []).map(({ name, description, input_schema }) => ({
      name,
      description,
      parameters: input_schema,
    })),
    tool_choice: choice.type === "tool" ? choice.name : choice.type,
    parallel: choice.disable_parallel_tool_use ? false : undefined,
    max_tokens: request.max_tokens,
    temperature: request.temperature,
    top_p: request.top_p,
    top_k: request.top_k,
    stop: request.stop_sequences,
    user: request.metadata && request.metadata.user_id,
    format: format && { schema: format.schema },
    reasoning: effort || thinking,
  };
};

// ---- answers ----

const REASONS = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
  stop_sequence: "stop_sequence",
};

function usageOf(usage) {
  const { plain, read, written, output, reasoning } = parts(usage);
  return {
    input_tokens: plain,
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    cache_creation: { ephemeral_5m_input_tokens: written, ephemeral_1h_input_tokens: 0 },
    output_tokens: output,
    ...(reasoning ? { output_tokens_details: { thinking_tokens: reasoning } } : {}),
    service_tier: "standard",
  };
}

// A forced tool gets what would have been the text, where that is an object: so models answer such requests.
function forced(said, request) {
  const name = (request.tool_choice || {}).type === "tool" && request.tool_choice.name;
  if (!name || said.tools.length) return said;
  try {
    const input = JSON.parse(said.texts.join(""));
    return isObject(input)
      ? {
          ...said,
          texts: [],
          tools: [{ id: "toolu_forced", name, arguments: JSON.stringify(input) }],
          finish: "tool_calls",
        }
      : said;
  } catch {
    return said;
  }
}

// Thoughts come only where they were asked for.
function read(behaviour, request) {
  const said = forced(answer(behaviour, request, exports.asked(request)), request);
  const thinks = request.thinking && request.thinking.type !== "disabled";
  return thinks ? said : { ...said, thinking: [], redacted: false };
}

const head = (said) => ({ id: "msg_1", type: "message", role: "assistant", model: said.model });

exports.whole = (behaviour, request) => {
  const said = read(behaviour, request);
  const content = [];
  const thinking = said.thinking.join("");
  if (thinking) content.push({ type: "thinking", thinking, signature: signature(thinking) });
  if (said.redacted) content.push({ type: "redacted_thinking", data: redacted() });
  if (said.texts.length) content.push({ type: "text", text: said.texts.join("") });
  for (const { id, name, arguments: input } of said.tools)
    content.push({ type: "tool_use", id, name, input: JSON.parse(input) });
  return {
    ...head(said),
    content,
    stop_reason: REASONS[said.finish] || said.finish,
    stop_sequence: said.stop,
    ...(said.usage ? { usage: usageOf(said.usage) } : {}),
    ...behaviour.extra,
  };
};

const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
const delta = (index, fields) => event({ type: "content_block_delta", index, delta: fields });

// The blocks of a stream: what opens each, and its deltas.
function blocks(said) {
  const list = [];
  const thinking = said.thinking.map((piece) => ({ type: "thinking_delta", thinking: piece }));
  if (thinking.length) {
    const last = { type: "signature_delta", signature: signature(said.thinking.join("")) };
    list.push([{ type: "thinking", thinking: "", signature: "" }, [...thinking, last]]);
  }
  if (said.redacted) list.push([{ type: "redacted_thinking", data: redacted() }, []]);
  if (said.texts.length)
    list.push([{ type: "text", text: "" }, said.texts.map((piece) => ({ type: "text_delta", text: piece }))]);
  for (const { id, name, arguments: input } of said.tools) {
    const fragments = ["", ...halves(input)].map((piece) => ({ type: "input_json_delta", partial_json: piece }));
    list.push([{ type: "tool_use", id, name, input: {} }, fragments]);
  }
  return list;
}

exports.frames = (behaviour, request) => {
  const said = read(behaviour, request);
  const usage = usageOf(said.usage || { prompt_tokens: 0, completion_tokens: 0 });
  const list = blocks(said);
  const start = (index) => event({ type: "content_block_start", index, content_block: list[index][0] });
  const stop = (index) => event({ type: "content_block_stop", index });
  const first =
    event({
      type: "message_start",
      message: {
        ...head(said),
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...usage, output_tokens: 1 },
      },
    }) + event({ type: "ping" });
  // One block's deltas may be repeated without end: what frames them then stands outside the pieces.
  const only = list.length === 1 && list[0][1].length > 0;
  const pieces = list.flatMap(([, deltas], index) => {
    const written = deltas.map((fields) => delta(index, fields));
    if (only) return written;
    if (!written.length) return [start(index) + stop(index)];
    written[0] = start(index) + written[0];
    written[written.length - 1] += stop(index);
    return written;
  });
  const reason = { stop_reason: REASONS[said.finish] || said.finish, stop_sequence: said.stop };
  const finish = only ? [stop(0)] : [];
  if (behaviour.finish !== false) {
    finish.push(event({ type: "message_delta", delta: reason, usage: said.usage ? usage : { output_tokens: 0 } }));
  }
  return {
    head: only ? [first, start(0)] : [first],
    pieces,
    finish,
    end: [event({ type: "message_stop" })],
    text: (content) => delta(Math.max(0, list.length - 1), { type: "text_delta", text: content }),
    comment: event({ type: "ping" }),
    error: event(exports.failure({ status: 529, ...behaviour })),
    broken: 'event: content_block_delta\ndata: {"type": [\n\n',
  };
};

exports.other = (behaviour, record) => {
  if (record.method === "GET") {
    const data = (behaviour.models || ["small", "large"]).map((id) => ({
      type: "model",
      id,
      display_name: id,
      created_at: "2026-01-01T00:00:00Z",
    }));
    return { data, has_more: false, first_id: data[0].id, last_id: data[data.length - 1].id };
  }
  if (counting(record)) return { input_tokens: (behaviour.usage || { prompt_tokens: 9 }).prompt_tokens };
  return undefined;
};
