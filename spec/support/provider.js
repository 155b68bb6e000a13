// A provider that speaks the protocols of OpenAI, Anthropic, Gemini and Ollama, and misbehaves on command. Specs start it
// through provider.lua: it prints the port of its control server, where providers are opened, told what to do with the
// next requests, let go on from the points where they hold, and asked what they have seen. It knows no time of its own
// but a `delay` that a spec asks for.
"use strict";

const fs = require("fs");
const http = require("http");
const http2 = require("http2");
const net = require("net");
const tls = require("tls");
const { play } = require("./provider_play.js");

class Left extends Error {}

const providers = [];

class Provider {
  constructor(options) {
    this.options = options;
    this.forget();
    this.connections = 0;
    this.sockets = new Set();
    this.permits = {};
    this.waiting = {};
  }

  forget() {
    this.seen = [];
    this.next = [];
    this.usual = {};
  }

  open(port) {
    const { cert, key, http2: two } = this.options;
    const secret = cert && { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
    const serve = (socket) => serveConnection(this, socket);
    if (two) {
      this.server = http2.createSecureServer({ ...secret, allowHTTP1: false });
      this.server.on("session", (session) => session.on("error", () => {}));
      this.server.on("secureConnection", (socket) => { socket.number = ++this.connections; });
      this.server.on("stream", (stream, headers) => serveStream(this, stream, headers));
    } else if (secret) {
      this.server = tls.createServer(secret, serve);
      this.server.on("tlsClientError", () => {});
    } else {
      this.server = net.createServer(serve);
    }
    return new Promise((resolve) => this.server.listen(port, "127.0.0.1", () => {
      this.port = this.server.address().port;
      resolve();
    }));
  }

  // Connections are refused from here on, and those that stand are closed.
  close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    return closed;
  }

  // A point where a behaviour waits for the spec's go; Infinity permits leave it open for good.
  hold(name, record) {
    if (this.permits[name] > 0) {
      this.permits[name] -= 1;
      return Promise.resolve();
    }
    record.held = name;
    return new Promise((resolve, reject) => {
      (this.waiting[name] = this.waiting[name] || []).push({ record, resolve });
      record.reject = reject;
    }).finally(() => { record.held = undefined; });
  }

  go(name, count) {
    this.permits[name] = (this.permits[name] || 0) + (count === "all" ? Infinity : count || 1);
    const waiting = (this.waiting[name] || []).filter(({ record }) => record.state !== "left");
    while (waiting.length && this.permits[name] > 0) {
      this.permits[name] -= 1;
      waiting.shift().resolve();
    }
    this.waiting[name] = waiting;
  }

  record(fields) {
    const record = { number: this.seen.length + 1, at: Date.now(), state: "reading", written: 0, body: "", ...fields };
    this.seen.push(record);
    return record;
  }

  behaviour() {
    return this.next.length ? this.next.shift() : this.usual;
  }
}

function leave(record) {
  if (record.state === "answered" || record.state === "cut" || record.state === "left") return;
  record.state = "left";
  record.left_at = Date.now();
  if (record.reject) record.reject(new Left());
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

// What a behaviour may do with its connection, the same for HTTP/1.1 and HTTP/2: head, write, end, cut, reset, ...
class Answer {
  constructor(provider, record, stream) {
    Object.assign(this, { provider, record, stream });
  }

  hold(name) { return this.provider.hold(name, this.record); }
  silence() { return this.hold("silence " + this.record.number); }

  delay(ms) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      this.record.reject = (error) => { clearTimeout(timer); reject(error); };
    });
  }

  // Written in pieces of `size` bytes, each handed over before the next; waits while the peer does not read.
  async bytes(data, size) {
    data = Buffer.from(data);
    for (let from = 0; from < data.length; from += size || data.length) {
      if (this.record.state === "left") throw new Left();
      const piece = data.subarray(from, from + (size || data.length));
      this.record.written += piece.length;
      if (!this.stream.write(piece)) await this.drained();
      if (size) await tick();
    }
  }

  drained() {
    this.record.blocked = true;
    return new Promise((resolve, reject) => {
      this.stream.once("drain", resolve);
      this.record.reject = reject;
    }).finally(() => { this.record.blocked = false; });
  }
}

class PlainAnswer extends Answer {
  async head(status, headers, framing) {
    this.chunked = framing === "chunked";
    const lines = [`HTTP/1.1 ${status} ${http.STATUS_CODES[status] || "Unknown"}`];
    for (const [name, value] of Object.entries(headers)) for (const one of [].concat(value)) lines.push(`${name}: ${one}`);
    if (this.chunked) lines.push("transfer-encoding: chunked");
    if (framing === "close") lines.push("connection: close");
    await this.bytes(lines.join("\r\n") + "\r\n\r\n");
  }

  async write(data, size) {
    if (!this.chunked) return this.bytes(data, size);
    data = Buffer.from(data);
    for (let from = 0; from < data.length; from += size || data.length) {
      const piece = data.subarray(from, from + (size || data.length));
      await this.bytes(Buffer.concat([Buffer.from(piece.length.toString(16) + "\r\n"), piece, Buffer.from("\r\n")]));
      if (size) await tick();
    }
  }

  async end() {
    if (this.chunked) await this.bytes("0\r\n\r\n");
    this.record.state = "answered";
  }

  cut() {
    this.record.state = "cut";
    this.stream.end();
  }

  reset() {
    this.record.state = "cut";
    this.stream.resetAndDestroy();
  }
}

class StreamAnswer extends Answer {
  async head(status, headers) {
    const kept = Object.entries(headers).filter(([name]) => !["connection", "content-length"].includes(name));
    this.stream.respond({ ":status": status, ...Object.fromEntries(kept) });
  }

  write(data, size) { return this.bytes(data, size); }

  async end() {
    this.record.state = "answered";
    this.stream.end();
  }

  cut() {
    this.record.state = "cut";
    this.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  }

  reset() { this.cut(); }
}

async function answer(provider, behaviour, record, out) {
  record.state = "answering";
  try {
    await play(behaviour, record, out, provider.options);
  } catch (error) {
    if (!(error instanceof Left)) {
      record.state = "broken";
      process.stderr.write(error.stack + "\n");
    }
  }
}

function serveStream(provider, stream, headers) {
  const record = provider.record({
    method: headers[":method"], path: headers[":path"], version: "2", connection: stream.session.socket.number,
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(":"))),
  });
  const behaviour = provider.behaviour();
  stream.on("error", () => {});
  stream.on("close", () => leave(record));
  stream.on("data", (data) => { record.body += data; });
  stream.on("end", () => answer(provider, behaviour, record, new StreamAnswer(provider, record, stream)));
}

function parseHead(text) {
  const [first, ...lines] = text.split("\r\n");
  const [method, path] = first.split(" ");
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { method, path, headers, version: "1.1" };
}

// How many bytes of `buffer` the body takes, and the body; null while it is not whole.
function parseBody(buffer, headers) {
  if (headers["transfer-encoding"] !== "chunked") {
    const length = Number(headers["content-length"] || 0);
    return buffer.length >= length ? { used: length, body: buffer.subarray(0, length) } : null;
  }
  const pieces = [];
  for (let at = 0; ;) {
    const line = buffer.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = parseInt(buffer.subarray(at, line).toString(), 16);
    if (buffer.length < line + 2 + size + 2) return null;
    if (size === 0) return { used: line + 4, body: Buffer.concat(pieces) };
    pieces.push(buffer.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

async function serveConnection(provider, socket) {
  const connection = ++provider.connections;
  let buffer = Buffer.alloc(0);
  let record = null;
  let behaviour = null;
  socket.setNoDelay(true);
  provider.sockets.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => {
    provider.sockets.delete(socket);
    if (record) leave(record);
  });
  // A peer that closes its half has left: an HTTP client has no reason to do that before its answer.
  socket.on("end", () => record && leave(record));

  async function onData() {
    if (!record) {
      const end = buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      record = provider.record({ ...parseHead(buffer.subarray(0, end).toString()), connection });
      buffer = buffer.subarray(end + 4);
      behaviour = provider.behaviour();
      if (behaviour.read === "hold") {
        socket.pause();
        await provider.hold("read", record).catch(() => {});
        socket.resume();
      }
    }
    const found = record.state === "reading" && parseBody(buffer, record.headers);
    if (!found) return;
    record.body = found.body.toString();
    buffer = buffer.subarray(found.used);
    const current = record;
    await answer(provider, behaviour, current, new PlainAnswer(provider, current, socket));
    if (current.state !== "answered") return;
    if (behaviour.drop) socket.end();
    record = null;
    if (buffer.length) onData();
  }

  socket.on("data", (data) => {
    buffer = Buffer.concat([buffer, data]);
    onData();
  });
}

const commands = {
  async open(options) {
    const provider = new Provider(options);
    providers.push(provider);
    await provider.open(0);
    return { id: providers.length - 1, port: provider.port };
  },
  async behave(order, provider) {
    if (order.next) provider.next.push(...order.next);
    if (order.usual) provider.usual = order.usual;
  },
  async seen(order, provider) {
    return provider.seen.map(({ reject, ...record }) => record);
  },
  // How many requests with each of these words in their body are in which state: { word: { state: count } }.
  async count(order, provider) {
    const counts = {};
    for (const { body, state } of provider.seen) {
      const word = order.words.find((each) => body.includes(each)) || "other";
      counts[word] = counts[word] || {};
      counts[word][state] = (counts[word][state] || 0) + 1;
    }
    return counts;
  },
  async go(order, provider) { provider.go(order.name, order.count); },
  async refuse(order, provider) { await provider.close(); },
  async accept(order, provider) { await provider.open(provider.port); },
  async forget(order, provider) { provider.forget(); },
  // Closes every connection that stands idle, as a provider does after a while.
  hang_up(order, provider) {
    return Promise.all([...provider.sockets].map((socket) => new Promise((resolve) => socket.end(resolve)))).then(() => {});
  },
};

const control = http.createServer((request, response) => {
  let body = "";
  request.on("data", (data) => { body += data; });
  request.on("end", async () => {
    try {
      const order = JSON.parse(body);
      const result = await commands[order.act](order, providers[order.provider]);
      response.end(JSON.stringify(result === undefined ? {} : result));
    } catch (error) {
      response.statusCode = 400;
      response.end(error.stack);
    }
  });
});
control.listen(0, "127.0.0.1", () => process.stdout.write(control.address().port + "\n"));
