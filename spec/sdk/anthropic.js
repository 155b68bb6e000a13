// The official Anthropic SDK, as an application uses it; see scenarios.js. matrix_spec.lua judges it.
"use strict";

const Anthropic = require("@anthropic-ai/sdk");
const { run, weather, schema, png, pdf, result, failure } = require("./scenarios.js");

const tool = { name: weather.name, description: weather.description, input_schema: weather.schema };
const thinks = { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 4096 };

const callsOf = (message) => message.content.filter(({ type }) => type === "tool_use")
  .map(({ id, name, input }) => ({ id, name, arguments: input }));

function told(message) {
  const of = (type) => message.content.filter((block) => block.type === type);
  const { input_tokens: plain, cache_read_input_tokens: cached, cache_creation_input_tokens: written, output_tokens: output,
    output_tokens_details: details } = message.usage;
  return {
    model: message.model, text: of("text").map((block) => block.text).join(""), calls: callsOf(message),
    thinking: of("thinking").map((block) => block.thinking).join(""),
    finish: { end_turn: "stop", max_tokens: "length", tool_use: "tool_calls", refusal: "content_filter" }[message.stop_reason]
      || message.stop_reason,
    stop: message.stop_sequence,
    usage: { input: plain + (cached || 0) + (written || 0), output, cached: cached || 0, written: written || 0,
      reasoning: (details && details.thinking_tokens) || 0 },
  };
}

const asked = (reply) => (reply.text ? JSON.parse(reply.text) : reply.calls[0].arguments);

run((address, apiKey) => {
  const client = new Anthropic({ baseURL: address, apiKey, maxRetries: 0 });
  const body = (model, content, more) => ({ model, max_tokens: 1024, messages: [{ role: "user", content }], ...more });
  const create = (model, content, more) => client.messages.create(body(model, content, more));
  const ask = async (model, content, more) => told(await create(model, content, more));
  const tell = async (model, more, parts = []) => asked(await ask(model, [{ type: "text", text: "Case tell." }, ...parts], more));

  async function gather(model, content, more) {
    let pieces = 0;
    const stream = client.messages.stream(body(model, content, more)).on("text", () => { pieces += 1; });
    return { ...told(await stream.finalMessage()), pieces };
  }

  async function loop(content, next) {
    const messages = [{ role: "user", content }];
    const calls = [];
    for (let turn = 0; turn < 5; turn++) {
      const message = await next(messages);
      messages.push({ role: "assistant", content: message.content });
      const made = callsOf(message);
      if (!made.length) return { text: told(message).text, calls, turns: turn + 1 };
      calls.push(...made);
      messages.push({ role: "user", content: made.map((call) => ({ type: "tool_result", tool_use_id: call.id,
        content: result(call.arguments) })) });
    }
    return { text: "no end", calls };
  }
  const base = { max_tokens: 1024, tools: [tool] };
  const whole = (model, more) => (messages) => client.messages.create({ model, messages, ...base, ...more });
  const streamed = (model, more) => (messages) =>
    client.messages.stream({ model, messages, ...base, ...more }).finalMessage();

  return {
    whole: (model) => ask(model, "Case whole."),
    stream: (model) => gather(model, "Case stream."),
    tools: (model) => ask(model, "Case tools.", { tools: [tool] }),
    tools_stream: (model) => gather(model, "Case tools.", { tools: [tool] }),
    loop: (model) => loop("Case loop.", whole(model)),
    loop_stream: (model) => loop("Case loop.", streamed(model)),
    signed: (model) => loop("Case loop.", whole(model, thinks)),
    signed_stream: (model) => loop("Case loop.", streamed(model, thinks)),
    agent: (model) => loop("Case long loop.", whole(model)),
    agent_stream: (model) => loop("Case long loop.", streamed(model, thinks)),
    thinking: (model) => ask(model, "Case thinking.", thinks),
    thinking_stream: (model) => gather(model, "Case thinking.", thinks),
    image: (model) => tell(model, {}, [{ type: "image", source: { type: "base64", media_type: "image/png", data: png } }]),
    document: (model) => tell(model, {},
      [{ type: "document", source: { type: "base64", media_type: "application/pdf", data: pdf } }]),
    schema: (model) => tell(model, { output_config: { format: { type: "json_schema", schema } } }),
    system: (model) => tell(model, { system: "Be brief." }),
    sampling: (model) => tell(model, { temperature: 0.5, top_k: 5, max_tokens: 64 }),
    choice: (model) => tell(model, { tools: [tool], tool_choice: { type: "any" } }),
    named: (model) => tell(model, { tools: [tool], tool_choice: { type: "tool", name: "weather" } }),
    one_call: (model) => tell(model, { tools: [tool], tool_choice: { type: "auto", disable_parallel_tool_use: true } }),
    stop: (model) => ask(model, "Case stop.", { stop_sequences: ["END"] }),
    length: (model) => ask(model, "Case length."),
    filtered: (model) => ask(model, "Case filtered."),
    cached: (model) => ask(model, "Case cached."),
    cached_stream: (model) => gather(model, "Case cached."),
    async count(model) {
      const { input_tokens: tokens } = await client.messages.countTokens({ model, messages: [{ role: "user", content: "Case count." }] });
      return { tokens };
    },
    async models(model) {
      const ids = [];
      for await (const each of client.models.list()) ids.push(each.id);
      return { ids: ids.sort(), one: (await client.models.retrieve(model)).id };
    },
    unknown_key: (model) => new Anthropic({ baseURL: address, apiKey: "mg-unknown", maxRetries: 0 })
      .messages.create(body(model, "Case whole.")),
    unknown_model: () => create("smal", "Case whole."),
    bad_request: (model) => client.messages.create({ model, max_tokens: 10, messages: [] }),
    limited: (model) => create(model + "-429", "Case limited."),
    refused: (model) => create(model + "-400", "Case refused."),
    failing: (model) => create(model + "-500", "Case failing."),
    failing_stream: (model) => gather(model + "-500", "Case failing."),
    async fails_stream(model) {
      let content = "";
      try {
        for await (const event of client.messages.stream(body(model, "Case broken."))) {
          if (event.type === "content_block_delta") content += event.delta.text;
        }
      } catch (error) {
        return { ...failure(error), content };
      }
      return { class: "none", content };
    },
    async abort(model) {
      const stream = await client.messages.create(body(model, "Case endless.", { stream: true }));
      let chunks = 0;
      for await (const event of stream) {
        if (event.type === "content_block_delta") chunks += 1;
        if (chunks === 3) stream.controller.abort();
      }
      return { chunks };
    },
  };
});
