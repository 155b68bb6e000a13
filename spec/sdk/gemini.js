// The official Google Gen AI SDK, as an application uses it; see scenarios.js. matrix_spec.lua judges it.
"use strict";

const { GoogleGenAI } = require("@google/genai");
const { run, weather, schema, png, pdf, wav, result, failure } = require("./scenarios.js");

const tools = [{ functionDeclarations: [{ name: weather.name, description: weather.description,
  parametersJsonSchema: weather.schema }] }];
const thinks = { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } };

const callsOf = (parts) => parts.filter((part) => part.functionCall)
  .map(({ functionCall: { id, name, args } }) => ({ id, name, arguments: args || {} }));
const partsOf = (response) => {
  const [candidate] = response.candidates || [];
  return (candidate && candidate.content && candidate.content.parts) || [];
};

function told(parts, finish, usage, model) {
  const texts = parts.filter((part) => part.text);
  const calls = callsOf(parts);
  const { promptTokenCount: input, cachedContentTokenCount: cached = 0, candidatesTokenCount: said = 0,
    thoughtsTokenCount: reasoning = 0 } = usage || {};
  return {
    model, text: texts.filter((part) => !part.thought).map((part) => part.text).join(""), calls,
    thinking: texts.filter((part) => part.thought).map((part) => part.text).join(""),
    finish: { STOP: calls.length ? "tool_calls" : "stop", MAX_TOKENS: "length", SAFETY: "content_filter" }[finish] || finish,
    usage: { input, output: said + reasoning, cached, written: 0, reasoning },
  };
}

const asked = (reply) => (reply.text ? JSON.parse(reply.text) : reply.calls[0].arguments);

run((address, apiKey) => {
  const make = (key) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: address } });
  const client = make(apiKey);
  const create = (model, contents, config) => client.models.generateContent({ model, contents, config });
  async function ask(model, contents, config) {
    const response = await create(model, contents, config);
    return told(partsOf(response), (response.candidates[0] || {}).finishReason, response.usageMetadata, response.modelVersion);
  }
  const tell = async (model, config, parts = []) => asked(await ask(model,
    [{ role: "user", parts: [{ text: "Case tell." }, ...parts] }], config));

  // The parts of all chunks, in their order.
  async function read(model, contents, config) {
    const parts = [];
    let last = {}, finish, usage, pieces = 0;
    for await (const chunk of await client.models.generateContentStream({ model, contents, config })) {
      const more = partsOf(chunk);
      parts.push(...more);
      pieces += more.some((part) => part.text && !part.thought) ? 1 : 0;
      finish = (chunk.candidates && chunk.candidates[0] && chunk.candidates[0].finishReason) || finish;
      usage = chunk.usageMetadata || usage;
      last = chunk;
    }
    return { parts, finish, usage, model: last.modelVersion, pieces };
  }
  async function gather(model, contents, config) {
    const { parts, finish, usage, model: version, pieces } = await read(model, contents, config);
    return { ...told(parts, finish, usage, version), pieces };
  }

  async function loop(next) {
    const contents = [{ role: "user", parts: [{ text: "Case loop." }] }];
    const calls = [];
    for (let turn = 0; turn < 5; turn++) {
      const parts = await next(contents);
      contents.push({ role: "model", parts });
      const made = callsOf(parts);
      if (!made.length) return { text: parts.filter((part) => !part.thought).map((part) => part.text).join(""), calls, turns: turn + 1 };
      calls.push(...made);
      contents.push({ role: "user", parts: made.map((call) => ({ functionResponse: { id: call.id, name: call.name,
        response: { result: result(call.arguments) } } })) });
    }
    return { text: "no end", calls };
  }
  const whole = (model, config) => async (contents) => partsOf(await create(model, contents, { tools, ...config }));
  const streamed = (model, config) => async (contents) => (await read(model, contents, { tools, ...config })).parts
    .filter((part) => part.text !== "" || part.thoughtSignature);
  const calling = (mode) => ({ tools, toolConfig: { functionCallingConfig: mode } });

  return {
    whole: (model) => ask(model, "Case whole."),
    stream: (model) => gather(model, "Case stream."),
    tools: (model) => ask(model, "Case tools.", { tools }),
    tools_stream: (model) => gather(model, "Case tools.", { tools }),
    loop: (model) => loop(whole(model)),
    loop_stream: (model) => loop(streamed(model)),
    signed: (model) => loop(whole(model, thinks)),
    signed_stream: (model) => loop(streamed(model, thinks)),
    thinking: (model) => ask(model, "Case thinking.", thinks),
    thinking_stream: (model) => gather(model, "Case thinking.", thinks),
    image: (model) => tell(model, {}, [{ inlineData: { mimeType: "image/png", data: png } }]),
    document: (model) => tell(model, {}, [{ inlineData: { mimeType: "application/pdf", data: pdf } }]),
    audio: (model) => tell(model, {}, [{ inlineData: { mimeType: "audio/wav", data: wav } }]),
    schema: (model) => tell(model, { responseMimeType: "application/json", responseJsonSchema: schema }),
    system: (model) => tell(model, { systemInstruction: "Be brief." }),
    sampling: (model) => tell(model, { temperature: 0.5, topK: 5, seed: 7, presencePenalty: 0.25, maxOutputTokens: 64 }),
    choice: (model) => tell(model, calling({ mode: "ANY" })),
    named: (model) => tell(model, calling({ mode: "ANY", allowedFunctionNames: ["weather"] })),
    stop: (model) => ask(model, "Case stop.", { stopSequences: ["END"] }),
    length: (model) => ask(model, "Case length."),
    filtered: (model) => ask(model, "Case filtered."),
    cached: (model) => ask(model, "Case cached."),
    cached_stream: (model) => gather(model, "Case cached."),
    async count(model) {
      return { tokens: (await client.models.countTokens({ model, contents: "Case count." })).totalTokens };
    },
    async embeddings(model) {
      const { embeddings } = await client.models.embedContent({ model, contents: ["a", "b"] });
      return { vectors: embeddings.map(({ values }) => values) };
    },
    async models(model) {
      const ids = [];
      for await (const each of await client.models.list()) ids.push(each.name.replace(/^models\//, ""));
      return { ids: ids.sort(), one: (await client.models.get({ model })).name.replace(/^models\//, "") };
    },
    unknown_key: (model) => make("mg-unknown").models.generateContent({ model, contents: "Case whole." }),
    unknown_model: () => create("smal", "Case whole."),
    bad_request: (model) => create(model, [{ role: "user", parts: [{ functionResponse: { response: {} } }] }]),
    limited: (model) => create(model + "-429", "Case limited."),
    refused: (model) => create(model + "-400", "Case refused."),
    failing: (model) => create(model + "-500", "Case failing."),
    failing_stream: (model) => gather(model + "-500", "Case failing."),
    async fails_stream(model) {
      let content = "";
      try {
        for await (const chunk of await client.models.generateContentStream({ model, contents: "Case broken." })) {
          content += chunk.text || "";
        }
      } catch (error) {
        return { ...failure(error), content };
      }
      return { class: "none", content };
    },
    async abort(model) {
      const controller = new AbortController();
      let chunks = 0;
      try {
        const config = { abortSignal: controller.signal };
        for await (const chunk of await client.models.generateContentStream({ model, contents: "Case endless.", config })) {
          if (chunk.text) chunks += 1;
          if (chunks === 3) controller.abort();
        }
      } catch (error) {
        if (error.name !== "AbortError" && !/abort/i.test(error.message)) throw error;
      }
      return { chunks };
    },
  };
});
