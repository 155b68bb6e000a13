// A Redis that fails: stands before a real one and spoils what passes. The first line on stdout is its port and that of
// its control, where a POST sets the rules and answers how many commands each kind of fault has met:
//   { "rules": [ { "kind", "every", "match"?, "text"?, "ms"? } ] }   each N-th command whose name matches
// Kinds: "error" (text is answered, nothing is carried out), "refuse" (the connection ends, nothing is carried out),
// "vanish" (it is carried out, and the connection ends), "cut" (the same, in the middle of the answer), "garbage" (it is
// carried out, and what is answered is no RESP), "nonsense" (it is carried out, and the answer is of another kind),
// "slow" (the answer comes ms later).
//   node redis_faults.js SOCKET
"use strict";

const http = require("http");
const net = require("net");

const [redis] = process.argv.slice(2);
let rules = [];
let counts = {};

// Where the RESP value that begins at `at` ends; -1: not all of it is there yet.
function endOf(bytes, at) {
  const line = bytes.indexOf("\r\n", at);
  if (line < 0) return -1;
  const kind = String.fromCharCode(bytes[at]);
  const number = Number(bytes.toString("latin1", at + 1, line));
  let end = line + 2;
  if (kind === "$" && number >= 0) {
    end += number + 2;
    return end <= bytes.length ? end : -1;
  }
  if (kind !== "*") return end;
  for (let i = 0; i < number && end >= 0; i++) end = end < bytes.length ? endOf(bytes, end) : -1;
  return end;
}

// Calls `onValue` with each whole value of what comes in.
function values(socket, onValue) {
  let rest = Buffer.alloc(0);
  socket.on("data", (piece) => {
    rest = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
    while (rest.length > 0) {
      const end = endOf(rest, 0);
      if (end < 0) return;
      const value = rest.subarray(0, end);
      rest = rest.subarray(end);
      onValue(value);
    }
  });
}

const nameOf = (command) => command.toString("latin1").split("\r\n", 3)[2].toUpperCase();

function ruleFor(name) {
  for (const rule of rules) {
    if (rule.match && !new RegExp(rule.match).test(name)) continue;
    rule.met = (rule.met || 0) + 1;
    if (rule.met % rule.every !== 0) continue;
    counts[rule.kind] = (counts[rule.kind] || 0) + 1;
    return rule;
  }
  return null;
}

const server = net.createServer({ noDelay: true }, (caller) => {
  const real = net.connect({ path: redis });
  const waiting = []; // one entry a command: { rule, answer }
  const end = () => {
    caller.destroy();
    real.destroy();
  };
  const release = () => {
    while (waiting.length > 0 && waiting[0].answer) {
      const { rule, answer } = waiting[0];
      const kind = rule ? rule.kind : "";
      if (kind === "slow" && !waiting[0].late) {
        const entry = waiting[0];
        if (!entry.timer) entry.timer = setTimeout(() => { entry.late = true; release(); }, rule.ms);
        return;
      }
      waiting.shift();
      if (kind === "vanish") return end();
      if (kind === "cut") {
        caller.write(answer.subarray(0, Math.max(1, answer.length >> 1)), end);
        return;
      }
      if (kind === "garbage") caller.write("\u0000\u00ff!! no answer \r\n:::\r\n", "latin1");
      else if (kind === "nonsense") caller.write(answer[0] === 0x2a ? ":-7\r\n" : "*1\r\n$3\r\nodd\r\n");
      else caller.write(answer);
    }
  };
  values(caller, (command) => {
    const rule = ruleFor(nameOf(command));
    if (rule && rule.kind === "refuse") return end();
    if (rule && rule.kind === "error") {
      waiting.push({ rule: null, answer: Buffer.from(`-${rule.text}\r\n`) });
      return release();
    }
    waiting.push({ rule });
    real.write(command);
  });
  values(real, (answer) => {
    const entry = waiting.find((each) => !each.answer);
    if (!entry) return caller.write(answer); // what was subscribed to
    entry.answer = Buffer.from(answer);
    release();
  });
  for (const socket of [caller, real]) socket.on("error", end).on("close", end);
});

const control = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => { text += piece; });
  request.on("end", () => {
    const answer = JSON.stringify(counts);
    rules = JSON.parse(text).rules;
    counts = {};
    response.end(answer);
  });
});

server.listen(0, "127.0.0.1", () => control.listen(0, "127.0.0.1", () =>
  process.stdout.write(`${server.address().port} ${control.address().port}\n`)));
