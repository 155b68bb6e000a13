// The official Ollama SDK, as an application uses it; see scenarios.js. matrix_spec.lua judges it.
"use strict";

const { Ollama } = require("ollama");
const { run, weather, schema, png, result, failure } = require("./scenarios.js");

const tool = {
  type: "function",
  function: { name: weather.name, description: weather.description, parameters: weather.schema },
};

const callsOf = (message) =>
  (message.tool_calls || []).map(({ id, function: { name, arguments: input } }) => ({ id, name, arguments: input }));

function told(last, message) {
  const calls = callsOf(message);
  return {
    model: last.model,
    text: message.content,
    thinking: message.thinking,
    calls,
    finish: calls.length && last.done_reason === "stop" ? "tool_calls" : last.done_reason,
    usage: { input: last.prompt_eval_count || 0, output: last.eval_count || 0, cached: 0, written: 0, reasoning: 0 },
  };
}

const asked = (reply) => JSON.parse(reply.text);

run((address, key) => {
  const make = (bearer) => new Ollama({ host: address, headers: { authorization: "Bearer " + bearer } });
  const client = make(key);
  const create = (model, content, more) => client.chat({ model, messages: [{ role: "user", content }], ...more });
  async function ask(model, content, more) {
    const reply = await create(model, content, more);
    return told(reply, reply.message);
  }
  const tell = async (model, more, fields) =>
    asked(await ask(model, undefined, { messages: [{ role: "user", content: "Case tell.", ...fields }], ...more }));

  // The pieces of a streamed message, put together as an application does.
  async function read(request) {
    const message = { role: "assistant", content: "" };
    let last,
      pieces = 0;
    for await (const part of await client.chat({ ...request, stream: true })) {
      message.content += part.message.content;
      pieces += part.message.content ? 1 : 0;
      if (part.message.thinking) message.thinking = (message.thinking || "") + part.message.thinking;
      if (part.message.tool_calls) message.tool_calls = [...(message.tool_calls || []), ...part.message.tool_calls];
      last = part;
    }
    return { last, message, pieces };
  }
  async function gather(model, content, more) {
    const { last, message, pieces } = await read({ model, messages: [{ role: "user", content }], ...more });
    return { ...told(last, message), pieces };
  }

  async function loop(next) {
    const messages = [{ role: "user", content: "Case loop." }];
    const calls = [];
    for (let turn = 0; turn < 5; turn++) {
      const message = await next(messages);
      messages.push(message);
      const made = callsOf(message);
      if (!made.length) return { text: message.content, calls, turns: turn + 1 };
      calls.push(...made);
      for (const call of made) messages.push({ role: "tool", tool_name: call.name, content: result(call.arguments) });
    }
    return { text: "no end", calls };
  }
  const whole = (model, more) => async (messages) =>
    (await client.chat({ model, messages, tools: [tool], ...more })).message;
  const streamed = (model, more) => async (messages) =>
    (await read({ model, messages, tools: [tool], ...more })).message;

  return {
    whole: (model) => ask(model, "Case whole."),
    stream: (model) => gather(model, "Case stream."),
    tools: (model) => ask(model, "Case tools.", { tools: [tool] }),
    tools_stream: (model) => gather(model, "Case tools.", { tools: [tool] }),
    loop: (model) => loop(whole(model)),
    loop_stream: (model) => loop(streamed(model)),
    signed: (model) => loop(whole(model, { think: true })),
    signed_stream: (model) => loop(streamed(model, { think: true })),
    thinking: (model) => ask(model, "Case thinking.", { think: true }),
    thinking_stream: (model) => gather(model, "Case thinking.", { think: true }),
    image: (model) => tell(model, {}, { images: [png] }),
    schema: (model) => tell(model, { format: schema }),
    system: (model) =>
      tell(model, {
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Case tell." },
        ],
      }),
    sampling: (model) =>
      tell(model, { options: { temperature: 0.5, top_k: 5, seed: 7, presence_penalty: 0.25, num_predict: 64 } }),
    stop: (model) => ask(model, "Case stop.", { options: { stop: ["END"] } }),
    length: (model) => ask(model, "Case length."),
    filtered: (model) => ask(model, "Case filtered."),
    cached: (model) => ask(model, "Case cached."),
    cached_stream: (model) => gather(model, "Case cached."),
    async generate(model) {
      const reply = await client.generate({ model, prompt: "Case whole.", system: "Be brief." });
      let streamed = "";
      for await (const part of await client.generate({ model, prompt: "Case stream.", stream: true }))
        streamed += part.response;
      return { text: reply.response, streamed };
    },
    async embeddings(model) {
      return { vectors: (await client.embed({ model, input: ["a", "b"] })).embeddings };
    },
    async models(model) {
      const { models } = await client.list();
      const ids = models.map(({ model: id }) => id).sort();
      return { ids, one: ids.find((id) => id === model) };
    },
    unknown_key: (model) => make("mg-unknown").chat({ model, messages: [{ role: "user", content: "Case whole." }] }),
    unknown_model: () => create("smal", "Case whole."),
    bad_request: (model) => client.chat({ model, messages: [{ role: "nobody", content: "Hello." }] }),
    limited: (model) => create(model + "-429", "Case limited."),
    refused: (model) => create(model + "-400", "Case refused."),
    failing: (model) => create(model + "-500", "Case failing."),
    failing_stream: (model) => gather(model + "-500", "Case failing."),
    async fails_stream(model) {
      let content = "";
      try {
        const stream = await client.chat({
          model,
          messages: [{ role: "user", content: "Case broken." }],
          stream: true,
        });
        for await (const part of stream) content += part.message.content;
      } catch (error) {
        return { ...failure(error), content };
      }
      return { class: "none", content };
    },
    async abort(model) {
      // This SDK aborts all its streams at once.
      const own = make(key);
      const stream = await own.chat({ model, messages: [{ role: "user", content: "Case endless." }], stream: true });
      let chunks = 0;
      try {
        for await (const part of stream) {
          if (part.message.content) chunks += 1;
          if (chunks === 3) stream.abort();
        }
      } catch (error) {
        if (error.name !== "AbortError") throw error;
      }
      return { chunks };
    },
  };
});
