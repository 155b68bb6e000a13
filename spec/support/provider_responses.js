// OpenAI's Responses, as a provider of specs speaks them: calls and results belong together, reasoning comes back with
// what it was sealed with, and every event is numbered.
"use strict";

const { created, halves, parts, answer, closed, want, refuse, sign, isObject } = require("./provider_script.js");
const { failure } = require("./provider_openai.js");

exports.takes = ({ method, path }) => method === "POST" && /\/responses($|\?)/.test(path);
exports.streamed = (request) => Boolean(request.stream);
exports.stream_type = "text/event-stream; charset=utf-8";
exports.failure = failure;
exports.other = () => undefined;

// ---- requests ----

const FIELDS = "model input instructions max_output_tokens tools tool_choice parallel_tool_calls text reasoning include stream "
  + "stream_options store previous_response_id conversation background truncation max_tool_calls metadata temperature top_p "
  + "top_logprobs service_tier prompt prompt_cache_key prompt_cache_retention safety_identifier user context_management";

const say = (where) => (name, what) => what === "unknown" ? `Unknown parameter: '${where}${name}'.`
  : `Invalid type for '${where}': ${what}.`;
const sealed = (id) => sign("responses", id);

function checkContent(content, role, where) {
  if (typeof content === "string") return;
  want(Array.isArray(content), `Invalid type for '${where}': expected one of an array of objects or string.`);
  const allowed = role === "assistant" ? ["output_text", "refusal"] : ["input_text", "input_image", "input_file"];
  content.forEach((part, at) => {
    const here = `${where}[${at}]`;
    want(allowed.includes(part.type), `Invalid value: '${part.type}'. Supported values are: ${allowed.join(", ")}. (${here})`);
    const names = { input_text: "text", output_text: "text annotations logprobs", refusal: "refusal",
      input_image: "image_url file_id detail", input_file: "file_id file_data file_url filename" }[part.type];
    closed(part, "type " + names, say(here + "."));
    if (part.type === "input_image") {
      want(/^(https?:|data:image\/[a-z]+;base64,)/.test(part.image_url || "") || part.file_id, `Invalid '${here}.image_url'.`);
    }
  });
}

const ITEMS = {
  message(item, where) {
    closed(item, "type role content id status phase", say(where + "."));
    want(["user", "assistant", "system", "developer"].includes(item.role), `Invalid value: '${item.role}'. (${where}.role)`);
    checkContent(item.content, item.role, where + ".content");
  },
  function_call(item, where) {
    closed(item, "type id call_id name arguments status", say(where + "."));
    want(item.call_id && item.name && typeof item.arguments === "string", `Missing required parameter in '${where}'.`);
    want(!item.id || item.id.startsWith("fc"), `Invalid '${where}.id': '${item.id}'. Expected an ID that begins with 'fc'.`);
  },
  function_call_output(item, where) {
    closed(item, "type id call_id output status", say(where + "."));
    if (Array.isArray(item.output)) return checkContent(item.output, "user", where + ".output");
    return want(typeof item.output === "string", `Invalid type for '${where}.output'.`);
  },
  reasoning(item, where) {
    closed(item, "type id summary content encrypted_content status", say(where + "."));
    want(!item.id || item.id.startsWith("rs"), `Invalid '${where}.id'. Expected an ID that begins with 'rs'.`);
    want(Array.isArray(item.summary), `Missing required parameter: '${where}.summary'.`);
    want(item.encrypted_content, `Item with id '${item.id}' not found. Items are not persisted when \`store\` is set to false.`);
    if (item.encrypted_content !== sealed(item.id || "rs_1")) {
      refuse(`The encrypted content for item ${item.id} could not be verified.`, "invalid_encrypted_content");
    }
  },
};

function checkInput(input) {
  if (typeof input === "string") return;
  want(Array.isArray(input) && input.length > 0, "Missing required parameter: 'input'.");
  const open = new Set();
  input.forEach((item, at) => {
    const type = item.type || "message";
    want(ITEMS[type], `Invalid value: '${type}'. (input[${at}])`);
    ITEMS[type](item, `input[${at}]`);
    if (type === "function_call") open.add(item.call_id);
    if (type === "function_call_output") {
      want(open.delete(item.call_id), `No tool call found for function call output with call_id ${item.call_id}.`);
    }
    if (type === "reasoning") {
      const next = input[at + 1];
      want(next && (["function_call", "reasoning"].includes(next.type) || next.role === "assistant"),
        `Item '${item.id}' of type 'reasoning' was provided without its required following item.`);
    }
  });
  want(open.size === 0, `No tool output found for function call ${[...open].join(", ")}.`);
}

exports.check = (request) => {
  closed(request, FIELDS, say(""));
  want(typeof request.model === "string", "Missing required parameter: 'model'.");
  checkInput(request.input);
  want(request.max_output_tokens === undefined || request.max_output_tokens >= 16,
    "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.");
  (request.tools || []).forEach((tool, at) => {
    want(tool.type === "function", `Invalid value: '${tool.type}'. (tools[${at}].type)`);
    want(tool.name, `Missing required parameter: 'tools[${at}].name'.`);
    closed(tool, "type name description parameters strict", say(`tools[${at}].`));
  });
  if (request.tool_choice && isObject(request.tool_choice)) {
    closed(request.tool_choice, "type name mode tools", say("tool_choice."));
    want(request.tool_choice.type !== "function" || request.tool_choice.name, "Missing required parameter: 'tool_choice.name'.");
  }
  if (request.text) {
    closed(request.text, "format verbosity", say("text."));
    if (request.text.format) {
      closed(request.text.format, "type name schema strict description", say("text.format."));
      want(request.text.format.type !== "json_schema" || (request.text.format.name && request.text.format.schema),
        "Missing required parameter: 'text.format.name'.");
    }
  }
  if (request.reasoning) closed(request.reasoning, "effort summary generate_summary mode context", say("reasoning."));
};

const itemsOf = (request) => (typeof request.input === "string" ? [{ role: "user", content: request.input }] : request.input);
const partsOf = (item) => (typeof item.content === "string" ? [{ type: "input_text", text: item.content }] : item.content || []);
const textOf = (item) => partsOf(item).map((part) => part.text || "").join("");
const media = (url) => (url || "").replace(/^data:([^;]*);.*/, "$1");

exports.asked = (request) => {
  const items = itemsOf(request);
  const content = items.flatMap(partsOf);
  const format = request.text && request.text.format;
  const choice = request.tool_choice;
  const system = items.filter(({ role }) => role === "system" || role === "developer").map(textOf);
  return {
    system: [request.instructions, ...system].filter(Boolean).join("\n\n") || undefined,
    roles: items.map((item) => item.role || item.type).join(" "),
    images: content.filter(({ type }) => type === "input_image").map((part) => media(part.image_url)),
    documents: content.filter(({ type }) => type === "input_file").map((part) => media(part.file_data || part.file_url)),
    audio: [],
    calls: items.filter(({ type }) => type === "function_call")
      .map(({ name, arguments: text }) => ({ name, arguments: JSON.parse(text) })),
    results: items.filter(({ type }) => type === "function_call_output")
      .map(({ output }) => (typeof output === "string" ? output : textOf({ content: output }))),
    thoughts: items.filter(({ type }) => type === "reasoning").length,
    tools: (request.tools || []).map(({ name, description, parameters }) => ({ name, description, parameters })),
    tool_choice: isObject(choice) ? choice.name : choice === "required" ? "any" : choice,
    parallel: request.parallel_tool_calls,
    max_tokens: request.max_output_tokens, temperature: request.temperature, top_p: request.top_p,
    format: format && (format.type === "json_schema" ? { schema: format.schema }
      : format.type === "json_object" ? "json" : undefined),
    reasoning: request.reasoning && request.reasoning.effort, user: request.user || request.safety_identifier,
  };
};

// ---- answers ----

function usageOf(usage) {
  const { prompt, read, written, output, reasoning } = parts(usage);
  return { input_tokens: prompt, input_tokens_details: { cached_tokens: read, cache_write_tokens: written },
    output_tokens: output, output_tokens_details: { reasoning_tokens: reasoning }, total_tokens: prompt + output };
}

// The items of an answer, each with the events that build it: [its beginning, itself, the deltas between].
function build(said, request) {
  const list = [];
  const wanted = (request.include || []).includes("reasoning.encrypted_content");
  if (said.thinking.length) {
    const item = { id: "rs_1", type: "reasoning", summary: [], ...(wanted ? { encrypted_content: sealed("rs_1") } : {}) };
    const summary = request.reasoning && request.reasoning.summary;
    const text = said.thinking.join("");
    const at = { item_id: "rs_1", summary_index: 0 };
    list.push([item, { ...item, summary: summary ? [{ type: "summary_text", text }] : [] }, !summary ? [] : [
      { type: "response.reasoning_summary_part.added", ...at, part: { type: "summary_text", text: "" } },
      ...said.thinking.map((delta) => ({ type: "response.reasoning_summary_text.delta", ...at, delta })),
      { type: "response.reasoning_summary_text.done", ...at, text },
      { type: "response.reasoning_summary_part.done", ...at, part: { type: "summary_text", text } },
    ]]);
  }
  if (said.texts.length) {
    const item = { id: "msg_1", type: "message", status: "in_progress", role: "assistant", content: [] };
    const text = said.texts.join("");
    const at = { item_id: "msg_1", content_index: 0 };
    const part = (written) => ({ type: "output_text", text: written, annotations: [], logprobs: [] });
    list.push([item, { ...item, status: "completed", content: [part(text)] }, [
      { type: "response.content_part.added", ...at, part: part("") },
      ...said.texts.map((delta) => ({ type: "response.output_text.delta", ...at, delta, logprobs: [] })),
      { type: "response.output_text.done", ...at, text, logprobs: [] },
      { type: "response.content_part.done", ...at, part: part(text) },
    ]]);
  }
  said.tools.forEach(({ id, name, arguments: text }, index) => {
    const item = { id: `fc_${index + 1}`, type: "function_call", status: "in_progress", call_id: id, name, arguments: "" };
    const at = { item_id: item.id };
    list.push([item, { ...item, status: "completed", arguments: text }, [
      ...halves(text).map((delta) => ({ type: "response.function_call_arguments.delta", ...at, delta })),
      { type: "response.function_call_arguments.done", ...at, name, arguments: text },
    ]]);
  });
  return list;
}

function read(behaviour, request) {
  const said = answer(behaviour, request, exports.asked(request));
  return request.reasoning && request.reasoning.effort !== "none" ? said : { ...said, thinking: [] };
}

const INCOMPLETE = { length: "max_output_tokens", content_filter: "content_filter" };

function response(said, request, fields) {
  return { id: "resp_1", object: "response", created_at: created, status: "in_progress", background: false, error: null,
    incomplete_details: null, instructions: request.instructions || null, max_output_tokens: request.max_output_tokens || null,
    model: said.model, output: [], parallel_tool_calls: true, previous_response_id: null, reasoning: request.reasoning || null,
    store: request.store !== false, temperature: 1, text: request.text || { format: { type: "text" } },
    tool_choice: request.tool_choice || "auto", tools: request.tools || [], top_p: 1, truncation: "disabled", usage: null,
    metadata: {}, ...fields };
}

function ended(said, request, output) {
  const reason = INCOMPLETE[said.finish];
  return response(said, request, { status: reason ? "incomplete" : "completed", output,
    incomplete_details: reason ? { reason } : null, usage: said.usage && usageOf(said.usage) });
}

exports.whole = (behaviour, request) => {
  const said = read(behaviour, request);
  return { ...ended(said, request, build(said, request).map(([, item]) => item)), ...behaviour.extra };
};

const isDelta = (event) => event.type.endsWith(".delta");

exports.frames = (behaviour, request) => {
  const said = read(behaviour, request);
  const list = build(said, request);
  let number = 0;
  const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify({ ...value, sequence_number: number++ })}\n\n`;
  const start = response(said, request);
  const head = [event({ type: "response.created", response: start }), event({ type: "response.in_progress", response: start })];
  // A piece is what ends with a delta; what follows the last delta belongs to the next piece, or to the finish.
  const pieces = [];
  let before = "";
  list.forEach(([item, done, events], output_index) => {
    before += event({ type: "response.output_item.added", output_index, item });
    for (const one of events) {
      before += event({ ...one, output_index });
      if (!isDelta(one)) continue;
      pieces.push(before);
      before = "";
    }
    before += event({ type: "response.output_item.done", output_index, item: done });
  });
  const last = ended(said, request, list.map(([, item]) => item));
  const finish = before ? [before] : [];
  const end = behaviour.finish === false ? [] : [event({ type: "response." + last.status, response: last })];
  const { message = "The provider fails on command.", code = "server_error" } = behaviour;
  return {
    head, pieces, finish, end, comment: ": keep-alive\n\n",
    text: (delta) => event({ type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta }),
    error: event({ type: "error", code, message, param: null }), broken: "event: response.output_text.delta\ndata: {\"type\": [\n\n",
  };
};
