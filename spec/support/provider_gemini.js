// Google's Gemini API, as a provider of specs speaks it: closed field names, the schema subset, and calls that come back
// with the signature they were given. A stream has no terminal event: it ends.
"use strict";

const { parts, vectors, answer, closed, want, sign, isObject } = require("./provider_script.js");

const STATUS = { 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED" };
const PATH = /\/v1(?:beta)?\/models\/([^/?:]+):(\w+)(?:\?(.*))?$/;

const verbOf = (record) => (PATH.exec(record.path) || [])[2];

exports.takes = ({ path }) => PATH.test(path) || /\/v1beta\/models/.test(path);
exports.streamed = (request, record) => verbOf(record) === "streamGenerateContent";
exports.stream_type = "text/event-stream";

exports.failure = ({ message = "The provider fails on command.", status, type }) => ({
  error: { code: status, message, status: type || STATUS[status] || "UNKNOWN" },
});

// ---- requests ----

// What holds the caller's own names; anything else may be written in snake case too.
const OWN = new Set(["args", "response", "properties", "parametersJsonSchema", "responseJsonSchema", "parameters_json_schema",
  "response_json_schema"]);
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

function camelized(value) {
  if (Array.isArray(value)) return value.map(camelized);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value)
    .map(([name, member]) => [camel(name), OWN.has(name) ? member : camelized(member)]));
}

exports.request = (document, record) => ({ ...camelized(document), model: (PATH.exec(record.path) || [])[1] });

const say = (where) => (name, what) => what === "unknown"
  ? `Invalid JSON payload received. Unknown name "${name}" at '${where}': Cannot find field.`
  : `Invalid value at '${where}': ${what}`;

const CONFIG = "temperature topP topK candidateCount maxOutputTokens stopSequences presencePenalty frequencyPenalty seed "
  + "responseMimeType responseSchema responseJsonSchema responseModalities responseLogprobs logprobs thinkingConfig "
  + "mediaResolution speechConfig";
const SCHEMA = "type format title description nullable enum properties required propertyOrdering items minItems maxItems minimum "
  + "maximum minLength maxLength pattern anyOf default example additionalProperties defs ref minProperties maxProperties";
const TYPES = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

function checkSchema(schema, where) {
  closed(schema, SCHEMA, say(where));
  want(schema.anyOf || TYPES.includes(String(schema.type).toUpperCase()),
    `Invalid value at '${where}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), "${schema.type}"`);
  if (String(schema.type).toUpperCase() === "OBJECT" && schema.properties !== undefined) {
    want(Object.keys(schema.properties).length > 0, `* ${where}.properties: should be non-empty for OBJECT type`);
  }
  if (String(schema.type).toUpperCase() === "ARRAY") want(schema.items, `* ${where}.items: missing field.`);
  for (const value of schema.enum || []) {
    want(typeof value === "string" && value !== "", `Invalid value at '${where}.enum' (TYPE_STRING)`);
  }
  if (schema.format !== undefined) {
    want(["date-time", "enum", "int32", "int64", "float", "double"].includes(schema.format),
      `* ${where}.format: only 'enum' and 'date-time' are supported for STRING type`);
  }
  for (const name of schema.required || []) {
    want(schema.properties && schema.properties[name], `* ${where}.required: property is not defined`);
  }
  for (const [name, inner] of Object.entries(schema.properties || {})) checkSchema(inner, `${where}.properties[${name}]`);
  if (schema.items) checkSchema(schema.items, where + ".items");
  for (const inner of schema.anyOf || []) checkSchema(inner, where + ".any_of");
}

const callSignature = (call) => sign("gemini", call.name + JSON.stringify(call.args));
const textSignature = () => sign("gemini", "text");
const BYPASS = "skip_thought_signature_validator";

const KINDS = {
  text: (part, where) => want(typeof part.text === "string" && (part.text !== "" || part.thoughtSignature),
    `* ${where}: contents.parts must not be empty.`),
  inlineData(part, where) {
    closed(part.inlineData, "mimeType data displayName", say(where + ".inline_data"));
    want(/^[a-z]+\/[\w.+-]+$/.test(part.inlineData.mimeType), `* ${where}.inline_data.mime_type: Unsupported MIME type`);
    want(/^[A-Za-z0-9+/_-]+={0,2}$/.test(part.inlineData.data), `Invalid value at '${where}.inline_data.data' (TYPE_BYTES)`);
  },
  fileData: (part, where) => closed(part.fileData, "mimeType fileUri displayName", say(where + ".file_data")),
  functionCall(part, where, role) {
    closed(part.functionCall, "id name args", say(where + ".function_call"));
    want(role === "model", "Please ensure that function call parts are in turns of the model.");
    want(part.functionCall.args === undefined || isObject(part.functionCall.args),
      `Invalid value at '${where}.function_call.args' (type.googleapis.com/google.protobuf.Struct)`);
  },
  functionResponse(part, where, role) {
    closed(part.functionResponse, "id name response parts willContinue scheduling", say(where + ".function_response"));
    want(role !== "model", "Please ensure that function response parts are in turns of the user.");
    want(/^[A-Za-z_][\w.:-]{0,127}$/.test(part.functionResponse.name),
      `* ${where}.function_response.name: Name cannot be empty.`);
    want(isObject(part.functionResponse.response),
      `Invalid value at '${where}.function_response.response' (type.googleapis.com/google.protobuf.Struct)`);
  },
};

const of = (content, kind) => content.parts.filter((part) => part[kind] !== undefined);

function checkPart(part, where, role) {
  closed(part, [...Object.keys(KINDS), "thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"],
    say(where));
  const kinds = Object.keys(KINDS).filter((kind) => part[kind] !== undefined);
  want(kinds.length === 1, `* ${where}.data: required oneof field 'data' must have one initialized field`);
  KINDS[kinds[0]](part, where, role);
  if (part.thoughtSignature !== undefined && part.thoughtSignature !== BYPASS) {
    const real = kinds[0] === "functionCall" ? callSignature(part.functionCall) : textSignature();
    want(part.thoughtSignature === real, "Thought signature is not valid.");
  }
}

function checkContents(contents) {
  want(Array.isArray(contents) && contents.length > 0, "* GenerateContentRequest.contents: contents is not specified");
  contents.forEach((content, at) => {
    const where = `contents[${at}]`;
    closed(content, "role parts", say(where));
    want(["user", "model", undefined].includes(content.role), "Please use a valid role: user, model.");
    want(Array.isArray(content.parts) && content.parts.length > 0,
      `* GenerateContentRequest.${where}.parts: contents.parts must not be empty.`);
    content.parts.forEach((part, number) => checkPart(part, `${where}.parts[${number}]`, content.role));
    const before = contents[at - 1];
    const calls = before ? of(before, "functionCall").length : 0;
    const responses = of(content, "functionResponse").length;
    want(calls === responses, "Please ensure that the number of function response parts is equal to the number of function "
      + "call parts of the function call turn.");
    want(!of(content, "functionCall").length || (before && before.role !== "model"),
      "Please ensure that function call turn comes immediately after a user turn or after a function response turn.");
  });
  want(!of(contents[contents.length - 1], "functionCall").length,
    "Please ensure that the number of function response parts is equal to the number of function call parts.");
  // The current turn: what the model did since the user last spoke.
  const spoke = contents.findLastIndex((content) => content.role !== "model" && !of(content, "functionResponse").length);
  for (const content of contents.slice(spoke + 1)) {
    const [first] = of(content, "functionCall");
    want(!first || first.thoughtSignature, "Function call is missing a thought_signature in functionCall parts. This is "
      + "required for tools to work correctly, and missing thought_signature may lead to degraded model performance.");
  }
}

function checkTools({ tools, toolConfig }) {
  const names = (tools || []).flatMap((tool, at) => {
    closed(tool, "functionDeclarations googleSearch urlContext codeExecution", say(`tools[${at}]`));
    return (tool.functionDeclarations || []).map((declaration, number) => {
      const where = `tools[${at}].function_declarations[${number}]`;
      closed(declaration, "name description parameters parametersJsonSchema response responseJsonSchema behavior", say(where));
      want(/^[A-Za-z_][\w.:-]{0,127}$/.test(declaration.name), `* ${where}.name: Invalid function name.`);
      want(!(declaration.parameters && declaration.parametersJsonSchema),
        `* ${where}: parameters and parameters_json_schema are mutually exclusive`);
      if (declaration.parameters) checkSchema(declaration.parameters, where + ".parameters");
      return declaration.name;
    });
  });
  const mode = toolConfig && toolConfig.functionCallingConfig;
  if (!mode) return;
  closed(mode, "mode allowedFunctionNames streamFunctionCallArguments", say("tool_config.function_calling_config"));
  want(["AUTO", "ANY", "NONE", "VALIDATED"].includes(mode.mode), "Invalid value at 'tool_config.function_calling_config.mode'");
  want(!mode.allowedFunctionNames || mode.mode === "ANY" || mode.mode === "VALIDATED",
    "Allowed function names should be set only when function calling mode is ANY.");
  for (const name of mode.allowedFunctionNames || []) want(names.includes(name), `Unknown function in allowed names: ${name}`);
}

function checkConfig(config) {
  closed(config, CONFIG, say("generation_config"));
  want(!(config.temperature < 0 || config.temperature > 2), "temperature must be in the range [0.0, 2.0].");
  want((config.stopSequences || []).length <= 5, "The number of stop sequences must be no more than 5.");
  want(config.maxOutputTokens === undefined || config.maxOutputTokens > 0, "max_output_tokens must be positive.");
  want(["text/plain", "application/json", "text/x.enum", undefined].includes(config.responseMimeType),
    "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are ...");
  want(!(config.responseSchema || config.responseJsonSchema) || config.responseMimeType === "application/json",
    "Response schema requires response_mime_type to be application/json");
  if (config.responseSchema) checkSchema(config.responseSchema, "generation_config.response_schema");
  if (config.thinkingConfig) {
    closed(config.thinkingConfig, "includeThoughts thinkingBudget thinkingLevel", say("generation_config.thinking_config"));
    want(config.thinkingConfig.thinkingBudget === undefined || config.thinkingConfig.thinkingLevel === undefined,
      "You can only set only one of thinking budget and thinking level.");
    want(["MINIMAL", "LOW", "MEDIUM", "HIGH", undefined].includes(config.thinkingConfig.thinkingLevel),
      "Invalid value at 'generation_config.thinking_config.thinking_level'");
  }
}

function checkEmbedding(request) {
  closed(request, "model content taskType title outputDimensionality", say("requests"));
  closed(request.content, "role parts", say("requests.content"));
  want(request.content.parts.every((part) => part.text), "* EmbedContentRequest.content: contains empty part.");
}

function checkGeneration(request) {
  closed(request, "model contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent store "
    + "serviceTier labels", say("request"));
  checkContents(request.contents);
  if (request.systemInstruction) {
    closed(request.systemInstruction, "role parts", say("system_instruction"));
    want(request.systemInstruction.parts.length > 0 && request.systemInstruction.parts.every((part) => part.text),
      "* GenerateContentRequest.system_instruction.parts: contents.parts must not be empty.");
  }
  checkTools(request);
  if (request.generationConfig) checkConfig(request.generationConfig);
}

exports.check = (request, record) => {
  want(record.headers["x-goog-api-key"] || /[?&]key=/.test(record.path), "API key not valid. Please pass a valid API key.");
  const verb = verbOf(record);
  if (verb === "batchEmbedContents") {
    return request.requests.forEach((one) => {
      want(one.model === "models/" + request.model, "* BatchEmbedContentsRequest.requests[0].model: model mismatch");
      checkEmbedding(one);
    });
  }
  if (verb === "embedContent") return checkEmbedding(request);
  if (verb !== "countTokens") return checkGeneration(request);
  closed(request, "model contents generateContentRequest", say("request"));
  const inner = request.generateContentRequest;
  want(!inner || inner.model === "models/" + request.model, "generate_content_request.model: model mismatch");
  return inner ? checkGeneration(inner) : checkContents(request.contents);
};

// A schema as JSON Schema writes its types, so that it can be compared.
function plainTypes(schema) {
  if (Array.isArray(schema)) return schema.map(plainTypes);
  if (!isObject(schema)) return schema;
  return Object.fromEntries(Object.entries(schema).map(([name, value]) =>
    [name, name === "type" && typeof value === "string" ? value.toLowerCase() : plainTypes(value)]));
}

exports.asked = (request) => {
  if (!request.contents) return {};
  const all = request.contents.flatMap((content) => content.parts);
  const media = all.map((part) => (part.inlineData || part.fileData || {}).mimeType || "");
  const declared = (request.tools || []).flatMap((tool) => tool.functionDeclarations || []);
  const { mode, allowedFunctionNames } = (request.toolConfig || {}).functionCallingConfig || {};
  const config = request.generationConfig || {};
  const schema = config.responseJsonSchema || plainTypes(config.responseSchema);
  const { thinkingBudget, thinkingLevel, includeThoughts } = config.thinkingConfig || {};
  return {
    system: request.systemInstruction && request.systemInstruction.parts.map((part) => part.text).join("\n\n"),
    roles: request.contents.map((content) => content.role).join(" "),
    images: media.filter((type) => type.startsWith("image/")), audio: media.filter((type) => type.startsWith("audio/")),
    documents: media.filter((type) => type.startsWith("application/")),
    calls: all.filter((part) => part.functionCall).map(({ functionCall: { name, args } }) => ({ name, arguments: args || {} })),
    results: all.filter((part) => part.functionResponse)
      .map(({ functionResponse: { response } }) => String(response.result || response.output || JSON.stringify(response))),
    thoughts: all.filter((part) => part.thoughtSignature && part.thoughtSignature !== BYPASS).length,
    tools: declared.map(({ name, description, parameters, parametersJsonSchema }) =>
      ({ name, description, parameters: parametersJsonSchema || plainTypes(parameters) })),
    tool_choice: allowedFunctionNames && allowedFunctionNames.length === 1 ? allowedFunctionNames[0]
      : mode && mode.toLowerCase(),
    max_tokens: config.maxOutputTokens, temperature: config.temperature, top_p: config.topP, top_k: config.topK,
    seed: config.seed, presence_penalty: config.presencePenalty, frequency_penalty: config.frequencyPenalty,
    stop: config.stopSequences,
    format: schema ? { schema } : config.responseMimeType === "application/json" ? "json" : undefined,
    reasoning: thinkingBudget === undefined ? thinkingLevel || includeThoughts : thinkingBudget,
  };
};

// ---- answers ----

const REASONS = { stop: "STOP", length: "MAX_TOKENS", tool_calls: "STOP", stop_sequence: "STOP", content_filter: "SAFETY" };

function usageOf(usage) {
  const { prompt, read, output, reasoning } = parts(usage);
  return { promptTokenCount: prompt, ...(read ? { cachedContentTokenCount: read } : {}),
    candidatesTokenCount: output - reasoning, ...(reasoning ? { thoughtsTokenCount: reasoning } : {}),
    totalTokenCount: prompt + output };
}

const frame = (said, list, extra, usage) => ({
  candidates: [{ index: 0, content: { role: "model", parts: list }, ...extra }],
  ...(usage ? { usageMetadata: usageOf(usage) } : {}), modelVersion: said.model, responseId: "r1",
});

// Only the first of parallel calls is signed.
const callParts = (said) => said.tools.map(({ id, name, arguments: text }, index) => {
  const call = { ...(said.ids ? { id } : {}), name, args: JSON.parse(text) };
  return { functionCall: call, ...(index === 0 ? { thoughtSignature: callSignature(call) } : {}) };
});

function read(behaviour, request) {
  const said = answer(behaviour, request, exports.asked(request));
  const { includeThoughts } = (request.generationConfig || {}).thinkingConfig || {};
  return includeThoughts ? said : { ...said, thinking: [] };
}

const thought = (text) => ({ text, thought: true });
const reasonOf = (said) => ({ finishReason: REASONS[said.finish] || said.finish });

exports.whole = (behaviour, request) => {
  const said = read(behaviour, request);
  const list = said.thinking.length ? [thought(said.thinking.join(""))] : [];
  if (said.texts.length) {
    list.push({ text: said.texts.join(""), ...(said.thinking.length ? { thoughtSignature: textSignature() } : {}) });
  }
  return { ...frame(said, [...list, ...callParts(said)], reasonOf(said), said.usage), ...behaviour.extra };
};

const event = (value) => `data: ${JSON.stringify(value)}\n\n`;

exports.frames = (behaviour, request) => {
  const said = read(behaviour, request);
  const calls = callParts(said);
  // Two calls in one event, the others on their own.
  const groups = calls.length > 1 ? [calls.slice(0, 2), ...calls.slice(2).map((part) => [part])] : calls.map((part) => [part]);
  const lists = [...said.thinking.map((text) => [thought(text)]), ...said.texts.map((text) => [{ text }]), ...groups];
  const usage = said.usage && { ...said.usage, completion_tokens: 1, completion_tokens_details: undefined };
  const last = said.thinking.length && !calls.length ? [{ text: "", thoughtSignature: textSignature() }] : [{ text: "" }];
  return {
    head: [], pieces: lists.map((list) => event(frame(said, list, {}, usage))),
    finish: behaviour.finish === false ? [] : [event(frame(said, last, reasonOf(said), said.usage))], end: [],
    text: (text) => event(frame(said, [{ text }], {}, usage)), comment: ": keep-alive\n\n",
    error: event(exports.failure({ status: 503, ...behaviour })), broken: "data: {\"candidates\": [\n\n",
  };
};

exports.other = (behaviour, record, request) => {
  if (record.method === "GET") {
    const models = (behaviour.models || ["small", "large"]).map((id) => ({ name: "models/" + id, displayName: id,
      inputTokenLimit: 1000000, outputTokenLimit: 8192, supportedGenerationMethods: ["generateContent", "countTokens"] }));
    return { models };
  }
  const verb = verbOf(record);
  if (verb === "batchEmbedContents") return { embeddings: vectors(request.requests.length).map((values) => ({ values })) };
  if (verb === "embedContent") return { embedding: { values: vectors(1)[0] } };
  if (verb === "countTokens") return { totalTokens: (behaviour.usage || { prompt_tokens: 9 }).prompt_tokens };
  return undefined;
};
