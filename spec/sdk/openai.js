// The official OpenAI SDK, as an application uses it for chat completions; see scenarios.js.
// openai_spec.lua and matrix_spec.lua judge it.
"use strict";

const OpenAI = require("openai");
const { run, weather, schema, png, pdf, wav, result, failure } = require("./scenarios.js");

const tool = { type: "function", function: { name: weather.name, description: weather.description, parameters: weather.schema } };
const image = { type: "image_url", image_url: { url: "data:image/png;base64," + png } };

function usageOf(usage) {
  if (!usage) return null;
  const { cached_tokens: cached = 0, cache_write_tokens: written = 0 } = usage.prompt_tokens_details || {};
  const { reasoning_tokens: reasoning = 0 } = usage.completion_tokens_details || {};
  return { input: usage.prompt_tokens, output: usage.completion_tokens, cached, written, reasoning };
}

const callsOf = (message) => (message.tool_calls || [])
  .map(({ id, function: { name, arguments: text } }) => ({ id, name, arguments: JSON.parse(text) }));

function told({ model, choices: [{ message, finish_reason: finish }], usage }) {
  return { model, text: message.content || "", thinking: message.reasoning_content, calls: callsOf(message), finish,
    usage: usageOf(usage) };
}

// What the provider was asked: its answer, or what it called the forced tool with.
const asked = (reply) => (reply.text ? JSON.parse(reply.text) : reply.calls[0].arguments);

run((address, apiKey) => {
  const client = new OpenAI({ baseURL: address + "/v1", apiKey, maxRetries: 0 });
  const say = (content) => [{ role: "user", content }];
  const create = (model, content, more) => client.chat.completions.create({ model, messages: say(content), ...more });
  const ask = async (model, content, more) => told(await create(model, content, more));
  const tell = async (model, more, content = "Case tell.") => asked(await ask(model, content, more));
  const stream = (model, content, more) => client.chat.completions.stream(
    { model, messages: say(content), stream_options: { include_usage: true }, ...more });

  async function gather(model, content, more) {
    let pieces = 0, thinking = "";
    const runner = stream(model, content, more).on("chunk", (chunk) => {
      const { delta = {} } = chunk.choices[0] || {};
      pieces += delta.content ? 1 : 0;
      thinking += delta.reasoning_content || "";
    });
    return { ...told(await runner.finalChatCompletion()), pieces, thinking };
  }

  // An agent's turns until there is nothing more to call; `next` answers a message to the messages.
  async function loop(content, next) {
    const messages = say(content);
    const calls = [];
    for (let turn = 0; turn < 5; turn++) {
      const message = await next(messages);
      messages.push(message);
      const made = callsOf(message);
      if (!made.length) return { text: message.content, calls, turns: turn + 1 };
      calls.push(...made);
      for (const call of made) messages.push({ role: "tool", tool_call_id: call.id, content: result(call.arguments) });
    }
    return { text: "no end", calls };
  }
  const whole = (model, more) => async (messages) => {
    const completion = await client.chat.completions.create({ model, messages, tools: [tool], ...more });
    return completion.choices[0].message;
  };
  const streamed = (model, more) => async (messages) => {
    const runner = client.chat.completions.stream({ model, messages, tools: [tool], ...more });
    const completion = await runner.finalChatCompletion();
    return completion.choices[0].message;
  };

  return {
    async chat(model) {
      const { data, response, request_id } = await create(model, "Say hello.").withResponse();
      return { content: data.choices[0].message.content, usage: data.usage, request_id,
        provider: response.headers.get("x-moongate-provider"), attempts: response.headers.get("x-moongate-attempts") };
    },
    async chunks(model) {
      let content = "", chunks = 0;
      for await (const chunk of await create(model, "Say hello.", { stream: true })) {
        content += chunk.choices[0].delta.content || "";
        chunks += 1;
      }
      return { content, chunks };
    },
    whole: (model) => ask(model, "Case whole."),
    stream: (model) => gather(model, "Case stream."),
    tools: (model) => ask(model, "Case tools.", { tools: [tool] }),
    tools_stream: (model) => gather(model, "Case tools.", { tools: [tool] }),
    loop: (model) => loop("Case loop.", whole(model)),
    loop_stream: (model) => loop("Case loop.", streamed(model)),
    signed: (model) => loop("Case loop.", whole(model, { reasoning_effort: "low" })),
    signed_stream: (model) => loop("Case loop.", streamed(model, { reasoning_effort: "low" })),
    agent: (model) => loop("Case long loop.", whole(model)),
    agent_stream: (model) => loop("Case long loop.", streamed(model, { reasoning_effort: "low" })),
    thinking: (model) => ask(model, "Case thinking.", { reasoning_effort: "low" }),
    thinking_stream: (model) => gather(model, "Case thinking.", { reasoning_effort: "low" }),
    image: (model) => tell(model, {}, [{ type: "text", text: "Case tell." }, image]),
    document: (model) => tell(model, {}, [{ type: "text", text: "Case tell." },
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64," + pdf } }]),
    audio: (model) => tell(model, {}, [{ type: "text", text: "Case tell." },
      { type: "input_audio", input_audio: { data: wav, format: "wav" } }]),
    schema: (model) => tell(model, { response_format: { type: "json_schema", json_schema: { name: "place", schema, strict: true } } }),
    system: (model) => tell(model, { messages: [{ role: "system", content: "Be brief." }, ...say("Case tell.")] }),
    sampling: (model) => tell(model, { temperature: 0.5, seed: 7, presence_penalty: 0.25, max_completion_tokens: 64 }),
    choice: (model) => tell(model, { tools: [tool], tool_choice: "required" }),
    named: (model) => tell(model, { tools: [tool], tool_choice: { type: "function", function: { name: "weather" } } }),
    one_call: (model) => tell(model, { tools: [tool], parallel_tool_calls: false }),
    stop: (model) => ask(model, "Case stop.", { stop: ["END"] }),
    length: (model) => ask(model, "Case length."),
    filtered: (model) => ask(model, "Case filtered."),
    cached: (model) => ask(model, "Case cached."),
    cached_stream: (model) => gather(model, "Case cached."),
    async embeddings(model) {
      const { data, usage } = await client.embeddings.create({ model, input: ["a", "b"] });
      return { vectors: data.map((one) => Array.from(one.embedding)), usage };
    },
    async models(model) {
      const ids = [];
      for await (const each of client.models.list()) ids.push(each.id);
      return { ids: ids.sort(), one: (await client.models.retrieve(model)).id };
    },
    unknown_key: (model) => new OpenAI({ baseURL: address + "/v1", apiKey: "mg-unknown", maxRetries: 0 })
      .chat.completions.create({ model, messages: say("Case whole.") }),
    unknown_model: () => create("smal", "Case whole."),
    bad_request: (model) => client.chat.completions.create({ model, messages: [] }),
    limited: (model) => create(model + "-429", "Case limited."),
    refused: (model) => create(model + "-400", "Case refused."),
    failing: (model) => create(model + "-500", "Case failing."),
    failing_stream: (model) => gather(model + "-500", "Case failing."),
    // Whether one provider after the other fails is up to the config.
    async fails(model) {
      await create(model, "Say hello.");
      return { class: "none" };
    },
    async fails_stream(model) {
      let content = "";
      try {
        for await (const chunk of await create(model, "Case broken.", { stream: true })) {
          content += chunk.choices[0].delta.content || "";
        }
      } catch (error) {
        return { ...failure(error), content };
      }
      return { class: "none", content };
    },
    async abort(model) {
      const events = await create(model, "Case endless.", { stream: true });
      let chunks = 0;
      for await (const chunk of events) {
        chunks += chunk.choices.length;
        if (chunks === 3) events.controller.abort();
      }
      return { chunks };
    },
  };
});
