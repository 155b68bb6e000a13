// Callers for spec/bench/soak.lua. The last line on stdout is a JSON object with what was seen.
//
//   node soak_load.js bulk ADDRESS COUNT      so many requests of model "echo", on 64 connections, one after the other
//   node soak_load.js mixed ADDRESS SECONDS   32 callers: whole and streamed, failing over, cut, cancelled
//   node soak_load.js park ADDRESS COUNT      so many streams that stand behind their first event, until SIGTERM
"use strict";

const http = require("http");
const net = require("net");

const [mode, address, size] = process.argv.slice(2);
const [host, port] = address.split(":");
const CONNECTIONS = 64;
const CALLERS = 32;

const finish = (seen) => process.stdout.write(JSON.stringify(seen) + "\n");

function bulk(count) {
  const body = JSON.stringify({ model: "echo", messages: [{ role: "user", content: "Say hello." }] });
  const request = Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const seen = { answered: 0, odd: 0 };
  let left = count;
  let open = CONNECTIONS;
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = net.connect({ host, port, noDelay: true });
    let text = "";
    const next = () => (left-- > 0 ? socket.write(request) : socket.end());
    socket.on("connect", next);
    socket.on("data", (piece) => {
      text += piece.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/.exec(text.slice(0, head + 2))[1]);
      if (text.length < head + 4 + length) return;
      if (text.startsWith("HTTP/1.1 200 ")) seen.answered += 1;
      else seen.odd += 1;
      text = "";
      next();
    });
    socket.on("error", () => { seen.odd += 1; });
    socket.on("close", () => { if (--open === 0) finish(seen); });
  }
}

// What a caller asks for, what the first provider does by the word in it, and what must come of it.
const KINDS = [
  { word: "plain", model: "plain", stream: false, expect: "whole" },
  { word: "plain", model: "plain", stream: true, expect: "whole" },
  { word: "do-500", model: "plain", stream: false, expect: "whole" },
  { word: "do-reset", model: "plain", stream: true, expect: "whole" },
  { word: "do-early", model: "plain", stream: true, expect: "whole" },
  { word: "do-cut", model: "harm", stream: true, expect: "broken" },
  { word: "do-endless", model: "harm", stream: true, expect: "left" },
  { word: "do-silence", model: "harm", stream: false, expect: "left" },
];

const agent = new http.Agent({ keepAlive: true, maxSockets: CALLERS });

function ask(kind) {
  const body = JSON.stringify({
    model: kind.model, stream: kind.stream, messages: [{ role: "user", content: `${kind.word}. Say hello.` }],
  });
  return new Promise((resolve) => {
    const options = { host, port, agent, method: "POST", path: "/v1/chat/completions",
      headers: { "content-type": "application/json", "content-length": body.length } };
    const request = http.request(options, (answer) => {
      let text = "";
      answer.on("data", (piece) => {
        text += piece;
        if (kind.expect === "left" && text.includes('"content":" from"')) request.destroy();
      });
      answer.on("error", () => resolve("left"));
      answer.on("end", () => {
        const whole = kind.stream ? text.endsWith("data: [DONE]\n\n") : text.endsWith("}");
        if (answer.statusCode === 200 && whole && !text.includes('"error"')) return resolve("whole");
        if (answer.statusCode === 200 && text.includes('"error"')) return resolve("broken");
        return resolve(`${answer.statusCode} ${text.slice(0, 300)}`);
      });
    });
    request.on("error", () => resolve("left"));
    request.end(body);
    // Behind the provider's silence nothing ever comes: this caller goes away by itself.
    if (kind.word === "do-silence") setTimeout(() => request.destroy(), 50);
  });
}

async function mixed(seconds) {
  const until = Date.now() + seconds * 1000;
  const seen = { asked: 0, whole: 0, broken: 0, left: 0, odd: [] };
  let number = 0;
  const caller = async () => {
    while (Date.now() < until) {
      const kind = KINDS[number++ % KINDS.length];
      seen.asked += 1;
      const came = await ask(kind);
      if (came === kind.expect) seen[came] += 1;
      else seen.odd.push(`${kind.word}: ${came}`);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  agent.destroy();
  seen.odd_count = seen.odd.length;
  seen.odd = seen.odd.slice(0, 5);
  finish(seen);
}

function park(count) {
  const body = JSON.stringify({ model: "plain", stream: true, messages: [{ role: "user", content: "do-park." }] });
  const request =
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const sockets = [];
  let parked = 0;
  let begun = 0;
  let refused = 0;
  let closing = false;
  const told = () => { if (parked + refused === count) finish({ parked, refused }); };
  const begin = () => {
    if (begun >= count) return;
    begun += 1;
    const socket = net.connect({ host, port });
    let text = "";
    sockets.push(socket);
    socket.on("connect", () => socket.write(request));
    socket.on("data", (piece) => {
      if (text === null) return;
      text += piece;
      if (!text.includes('"content":"Hello"')) return;
      text = null;
      parked += 1;
      told();
      begin();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      if (text === null || closing) return;
      refused += 1;
      told();
      begin();
    });
  };
  for (let i = 0; i < 64; i++) begin();
  process.on("SIGTERM", () => {
    closing = true;
    for (const socket of sockets) socket.destroy();
    process.exit(0);
  });
}

({ bulk, mixed, park })[mode](Number(size));
