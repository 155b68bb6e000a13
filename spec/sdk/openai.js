// The official OpenAI SDK, as an application uses it: `node openai.js BASE_URL KEY SCENARIO` prints what it got, as JSON.
// openai_spec.lua judges it.
"use strict";

const OpenAI = require("openai");

const [baseURL, apiKey, scenario] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Say hello." }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];

async function failure(call) {
  try {
    await call();
    return { class: "none" };
  } catch (error) {
    return {
      class: error.constructor.name, status: error.status, code: error.code, type: error.type, message: error.message,
      request_id: error.requestID,
    };
  }
}

const scenarios = {
  async chat() {
    const { data, response, request_id } = await client.chat.completions.create({ model: "small", messages }).withResponse();
    return { content: data.choices[0].message.content, usage: data.usage, request_id,
      provider: response.headers.get("x-moongate-provider"), attempts: response.headers.get("x-moongate-attempts") };
  },
  async stream() {
    const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
    let content = "";
    let chunks = 0;
    for await (const chunk of stream) {
      content += chunk.choices[0].delta.content || "";
      chunks += 1;
    }
    return { content, chunks };
  },
  async stream_usage() {
    const options = { model: "small", messages, stream: true, stream_options: { include_usage: true } };
    let usage = null;
    for await (const chunk of await client.chat.completions.create(options)) usage = chunk.usage || usage;
    return { usage };
  },
  async stream_helper() {
    const runner = client.chat.completions.stream({ model: "small", messages, tools });
    const completion = await runner.finalChatCompletion();
    return { calls: completion.choices[0].message.tool_calls, finish: completion.choices[0].finish_reason };
  },
  async tools() {
    const completion = await client.chat.completions.create({ model: "small", messages, tools });
    return { calls: completion.choices[0].message.tool_calls, finish: completion.choices[0].finish_reason };
  },
  async embeddings() {
    const { data, usage } = await client.embeddings.create({ model: "small", input: ["a", "b"] });
    return { vectors: data.map((one) => Array.from(one.embedding)), usage };
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return { ids: ids.sort(), one: (await client.models.retrieve("small")).id };
  },
  async unknown_model() {
    return failure(() => client.chat.completions.create({ model: "smal", messages }));
  },
  async bad_request() {
    return failure(() => client.chat.completions.create({ model: "small", messages: [] }));
  },
  async failing() {
    return failure(() => client.chat.completions.create({ model: "small", messages }));
  },
  async failing_stream() {
    let content = "";
    const result = await failure(async () => {
      const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
      for await (const chunk of stream) content += chunk.choices[0].delta.content || "";
    });
    return { ...result, content };
  },
  async abort() {
    const stream = await client.chat.completions.create({ model: "small", messages, stream: true });
    let chunks = 0;
    for await (const chunk of stream) {
      chunks += chunk.choices.length;
      if (chunks === 3) stream.controller.abort();
    }
    return { chunks };
  },
};

scenarios[scenario]().then((result) => process.stdout.write(JSON.stringify(result)));
