// The official OpenAI SDK, as an application uses it for Responses; see scenarios.js. matrix_spec.lua judges it.
"use strict";

const OpenAI = require("openai");
const { run, weather, schema, png, pdf, result, failure } = require("./scenarios.js");

const tool = { type: "function", name: weather.name, description: weather.description, parameters: weather.schema, strict: false };

const callsOf = (response) => response.output.filter(({ type }) => type === "function_call")
  .map(({ call_id, name, arguments: text }) => ({ id: call_id, name, arguments: JSON.parse(text) }));

function told(response) {
  const { usage } = response;
  const { cached_tokens: cached = 0, cache_write_tokens: written = 0 } = usage.input_tokens_details || {};
  const reason = response.incomplete_details && response.incomplete_details.reason;
  const calls = callsOf(response);
  return {
    model: response.model, text: response.output_text, calls,
    thinking: response.output.filter(({ type }) => type === "reasoning")
      .map((item) => item.summary.map((part) => part.text).join("")).join(""),
    finish: { max_output_tokens: "length", content_filter: "content_filter" }[reason] || (calls.length ? "tool_calls" : "stop"),
    status: response.status,
    usage: { input: usage.input_tokens, output: usage.output_tokens, cached, written,
      reasoning: usage.output_tokens_details.reasoning_tokens },
  };
}

const asked = (reply) => (reply.text ? JSON.parse(reply.text) : reply.calls[0].arguments);

run((address, apiKey) => {
  const client = new OpenAI({ baseURL: address + "/v1", apiKey, maxRetries: 0 });
  const create = (model, input, more) => client.responses.create({ model, input, store: false, ...more });
  const ask = async (model, input, more) => told(await create(model, input, more));
  const tell = async (model, more, parts = []) => asked(await ask(model,
    [{ role: "user", content: [{ type: "input_text", text: "Case tell." }, ...parts] }], more));

  // All events in their order, and the helper's own view of the end.
  async function gather(model, input, more) {
    const runner = client.responses.stream({ model, input, store: false, ...more });
    const numbers = [];
    let pieces = 0, text = "";
    runner.on("event", (event) => {
      numbers.push(event.sequence_number);
      if (event.type !== "response.output_text.delta") return;
      pieces += 1;
      text += event.delta;
    });
    const reply = told(await runner.finalResponse());
    return { ...reply, pieces, same: text === reply.text, numbered: numbers.every((number, index) => number === index) };
  }

  async function loop(next) {
    const input = [{ role: "user", content: "Case loop." }];
    const calls = [];
    for (let turn = 0; turn < 5; turn++) {
      const response = await next(input);
      input.push(...response.output);
      const made = callsOf(response);
      if (!made.length) return { text: response.output_text, calls, turns: turn + 1 };
      calls.push(...made);
      for (const call of made) input.push({ type: "function_call_output", call_id: call.id, output: result(call.arguments) });
    }
    return { text: "no end", calls };
  }
  const thinks = { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"] };
  const whole = (model, more) => (input) => create(model, input, { tools: [tool], ...more });
  // The helper's own view adds fields of its own, which do not go back: the items are those of the last event.
  const streamed = (model, more) => async (input) => {
    let last;
    const events = await create(model, input, { tools: [tool], stream: true, ...more });
    for await (const event of events) last = event.response || last;
    const text = last.output.filter(({ type }) => type === "message").flatMap(({ content }) => content).map((part) => part.text);
    return { ...last, output_text: text.join("") };
  };

  return {
    whole: (model) => ask(model, "Case whole."),
    stream: (model) => gather(model, "Case stream."),
    tools: (model) => ask(model, "Case tools.", { tools: [tool] }),
    tools_stream: (model) => gather(model, "Case tools.", { tools: [tool] }),
    loop: (model) => loop(whole(model)),
    loop_stream: (model) => loop(streamed(model)),
    signed: (model) => loop(whole(model, thinks)),
    signed_stream: (model) => loop(streamed(model, thinks)),
    thinking: (model) => ask(model, "Case thinking.", thinks),
    thinking_stream: (model) => gather(model, "Case thinking.", thinks),
    image: (model) => tell(model, {}, [{ type: "input_image", image_url: "data:image/png;base64," + png, detail: "auto" }]),
    document: (model) => tell(model, {}, [{ type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64," + pdf }]),
    schema: (model) => tell(model, { text: { format: { type: "json_schema", name: "place", schema, strict: true } } }),
    system: (model) => tell(model, { instructions: "Be brief." }),
    sampling: (model) => tell(model, { temperature: 0.5, max_output_tokens: 64 }),
    choice: (model) => tell(model, { tools: [tool], tool_choice: "required" }),
    named: (model) => tell(model, { tools: [tool], tool_choice: { type: "function", name: "weather" } }),
    one_call: (model) => tell(model, { tools: [tool], parallel_tool_calls: false }),
    length: (model) => ask(model, "Case length."),
    filtered: (model) => ask(model, "Case filtered."),
    cached: (model) => ask(model, "Case cached."),
    cached_stream: (model) => gather(model, "Case cached."),
    unknown_key: (model) => new OpenAI({ baseURL: address + "/v1", apiKey: "mg-unknown", maxRetries: 0 })
      .responses.create({ model, input: "Case whole." }),
    unknown_model: () => create("smal", "Case whole."),
    bad_request: (model) => create(model, [{ type: "function_call_output", output: "of no call" }]),
    stored: (model) => create(model, "Case whole.", { previous_response_id: "resp_1" }),
    limited: (model) => create(model + "-429", "Case limited."),
    refused: (model) => create(model + "-400", "Case refused."),
    failing: (model) => create(model + "-500", "Case failing."),
    failing_stream: (model) => gather(model + "-500", "Case failing."),
    async fails_stream(model) {
      let content = "";
      try {
        for await (const event of await create(model, "Case broken.", { stream: true })) {
          if (event.type === "response.output_text.delta") content += event.delta;
          if (event.type === "response.failed") return { class: event.type, message: event.response.error.message, content };
          if (event.type === "error") return { class: event.type, message: event.message, content };
        }
      } catch (error) {
        return { ...failure(error), content };
      }
      return { class: "none", content };
    },
    async abort(model) {
      const events = await create(model, "Case endless.", { stream: true });
      let chunks = 0;
      for await (const event of events) {
        if (event.type.endsWith(".delta")) chunks += 1;
        if (chunks === 3) events.controller.abort();
      }
      return { chunks };
    },
  };
});
