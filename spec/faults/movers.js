// Callers who must not notice that the gateway is replaced under them: on kept connections, on new ones, and in long
// streams. Runs until its standard input ends, lets everything finish, and prints one line of JSON: { ids, problems }.
//   node movers.js ADDRESS [CA]
"use strict";

const fs = require("fs");
const [address, ca] = process.argv.slice(2);
const secure = Boolean(ca);
const http = require(secure ? "https" : "http");
const [host, port] = address.split(":");
const trust = secure ? { ca: fs.readFileSync(ca) } : {};

const ids = [];
const problems = [];
let going = true;
let number = 0;

function ask(agent, content, stream) {
  const id = `mover-${++number}`;
  const body = JSON.stringify({ model: "small", stream, messages: [{ role: "user", content }] });
  return new Promise((resolve) => {
    const fail = (why) => {
      problems.push(`${id} (${stream ? "stream" : "whole"}): ${why}`);
      resolve();
    };
    const request = http.request(
      { host, port, agent, method: "POST", path: "/v1/chat/completions", ...trust,
        headers: { "x-request-id": id, "content-type": "application/json", "content-length": Buffer.byteLength(body) } },
      (answer) => {
        const pieces = [];
        answer.on("data", (piece) => pieces.push(piece));
        answer.on("error", (error) => fail(`the answer broke: ${error.code || error.message}`));
        answer.on("end", () => {
          const text = Buffer.concat(pieces).toString();
          if (answer.statusCode !== 200) return fail(`${answer.statusCode} ${text}`);
          if (stream && !text.endsWith("data: [DONE]\n\n")) return fail(`ends with ${text.slice(-80)}`);
          ids.push(id);
          resolve();
        });
      },
    );
    request.on("error", (error) => fail(error.code || error.message));
    request.end(body);
  });
}

async function caller(agent, content, stream) {
  while (going) await ask(agent(), content, stream);
}

const kept = new http.Agent({ keepAlive: true, maxSockets: 64 });
const callers = [];
for (let i = 0; i < 6; i++) callers.push(caller(() => kept, "mock: delay=0.005", false));
for (let i = 0; i < 3; i++) callers.push(caller(() => new http.Agent(), "mock: delay=0.005", false));
for (let i = 0; i < 8; i++) callers.push(caller(() => kept, `mock: chunks=${10 + i * 5} chunk-delay=0.03`, true));

process.stdin.resume();
process.stdin.on("end", () => {
  going = false;
});
Promise.all(callers).then(() => {
  process.stdout.write(JSON.stringify({ ids, problems }) + "\n", () => process.exit(0));
});
