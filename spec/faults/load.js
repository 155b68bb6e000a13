// Callers without end, for specs that kill what they call: node load.js ADDRESS CALLERS PREFIX
// Each asks again and again, in turn whole and streamed, on two surfaces, and stops when its connection breaks. Prints
// `begin ID` before a request and `done ID` once its answer was seen to be complete. An ID ends in -K, a figure from 0
// to 9 by which the provider tells its usage.
"use strict";

const http = require("http");

const [address, callers, prefix] = process.argv.slice(2);
const [host, port] = address.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(callers) });

const kinds = [
  { path: "/v1/chat/completions", stream: false, ends: (text) => text.endsWith("}") },
  { path: "/v1/chat/completions", stream: true, ends: (text) => text.endsWith("data: [DONE]\n\n") },
  { path: "/v1/messages", stream: true, ends: (text) => text.includes("event: message_stop") },
  { path: "/v1/messages", stream: false, ends: (text) => text.endsWith("}") },
];

let number = 0;

function ask(kind, id) {
  const content = `load-${id.slice(-1)}. This is ${id}.`;
  const body = JSON.stringify({
    model: "small",
    max_tokens: 100,
    stream: kind.stream,
    messages: [{ role: "user", content }],
  });
  const headers = { "content-type": "application/json", "content-length": body.length, "x-request-id": id };
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, agent, method: "POST", path: kind.path, headers }, (answer) => {
      let text = "";
      answer.on("data", (piece) => { text += piece; });
      answer.on("aborted", reject);
      answer.on("error", reject);
      answer.on("end", () => {
        if (!answer.complete) return reject(new Error("cut"));
        if (answer.statusCode !== 200 || !kind.ends(text)) process.stdout.write(`odd ${id} ${answer.statusCode} ${text}\n`);
        else process.stdout.write(`done ${id}\n`);
        return resolve();
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function call() {
  try {
    for (;;) {
      number += 1;
      const id = `${prefix}-${number}-${(number * 7) % 10}`;
      process.stdout.write(`begin ${id}\n`);
      await ask(kinds[number % kinds.length], id);
    }
  } catch {
    // The gateway is gone.
  }
}

for (let i = 0; i < Number(callers); i++) call();
