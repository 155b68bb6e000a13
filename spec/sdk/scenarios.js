// Runs scenarios of one SDK and prints what it got, as JSON by model and scenario: { small: { chat: ... } }.
//
//   node openai.js ADDRESS KEY MODEL,MODEL SCENARIO,SCENARIO
//
// Each scenario asks a question that names it ("Case whole."), so that a simulated provider knows what to answer; see
// matrix_spec.lua. What an SDK throws is a result too.
"use strict";

exports.weather = { name: "weather", description: "The weather of a city.",
  schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false } };
exports.schema = { type: "object", properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"], additionalProperties: false };
exports.png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
exports.pdf = Buffer.from("%PDF-1.4\n%%EOF\n").toString("base64");
exports.wav = Buffer.from("RIFF\x24\0\0\0WAVEfmt ").toString("base64");
// The result of a call, as an application would give it.
exports.result = (input) => `It is 21 degrees in ${input.city}.`;

exports.failure = (error) => ({
  class: error.constructor.name, status: error.status || error.status_code, code: error.code, type: error.type,
  message: error.message, request_id: error.requestID,
});

const SECONDS = 20;

const late = () => new Promise((_, reject) => setTimeout(reject, SECONDS * 1000, new Error("no end"))
  .unref());

async function one(scenario, model) {
  try {
    return await Promise.race([scenario(model), late()]);
  } catch (error) {
    return exports.failure(error);
  }
}

exports.run = async (make) => {
  const [address, key, models, names] = process.argv.slice(2);
  const scenarios = make(address, key);
  const results = {};
  for (const model of models.split(",")) {
    const of = results[model] = {};
    await Promise.all(names.split(",").map(async (name) => { of[name] = await one(scenarios[name], model); }));
  }
  process.stdout.write(JSON.stringify(results));
  process.exit(0);
};
