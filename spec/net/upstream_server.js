// The server that upstream_spec.lua talks to: it answers well or badly, as the path asks, over TCP, TLS and HTTP/2.
// Usage: node upstream_server.js <folder with cert.pem and key.pem>; prints its ports, then tells every connection,
// request and close as a line to whoever connects to the control port, and exits when that one leaves.
"use strict";
const fs = require("fs");
const http2 = require("http2");
const net = require("net");
const path = require("path");
const tls = require("tls");

const folder = process.argv[2];
const pair = { cert: fs.readFileSync(path.join(folder, "cert.pem")), key: fs.readFileSync(path.join(folder, "key.pem")) };
const lines = [];
let control = null;
let connections = 0;
let written = 0;
let held = null;

function tell(line) {
  if (control) control.write(line + "\n");
  else lines.push(line);
}

function reply(socket, body) {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.write(body, "latin1");
}

function stream(socket, megabytes) {
  const piece = Buffer.alloc(64 * 1024, "x");
  let left = megabytes * 16;
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${left * piece.length}\r\n\r\n`);
  written = 0;
  const next = () => {
    if (left-- === 0 || socket.destroyed) return;
    socket.write(piece, () => { written += piece.length; next(); });
  };
  next();
}

const answers = {
  "/ok": (socket, request) => reply(socket, request.method === "HEAD" ? "" : `${request.method} ${request.body.length}`),
  "/echo": (socket, request) => reply(socket, request.body.toString("latin1")),
  "/head": (socket, request) => reply(socket, request.head),
  "/silent": () => {},
  "/impatient": () => {}, // has answered when the head was there
  "/quiet-body": (socket) => socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
  "/short": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes."),
  "/reset": (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", () => socket.resetAndDestroy()),
  "/held": (socket) => { held = socket; socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"); },
  "/let-go": () => held.write("abc", () => held.resetAndDestroy()),
  "/no-last-chunk": (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
  "/until-close": (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"),
  "/interim": (socket) => socket.write("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
    "HTTP/1.1 429 Too Many\r\nRetry-After:  41 \r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n" +
    "3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n"),
  "/only-interim": (socket) => socket.end("HTTP/1.1 100 Continue\r\n\r\n"),
  "/die": (socket) => socket.destroy(),
  "/garbage": (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"),
  "/huge-head": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n");
    for (let i = 0; i < 300; i++) socket.write(`X-Filler: ${"y".repeat(1000)}\r\n`);
    socket.write("Content-Length: 0\r\n\r\n");
  },
  "/many-fields": (socket) => socket.write("HTTP/1.1 200 OK\r\n" + "a: b\r\n".repeat(2000) + "Content-Length: 0\r\n\r\n"),
  "/stream": (socket, request) => stream(socket, parseInt(request.query, 10)),
  "/written": (socket) => reply(socket, String(written)),
  "/redirect": (socket) => socket.write("HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n"),
};

function serve(socket) {
  const id = ++connections;
  let bytes = Buffer.alloc(0);
  let request = null;
  tell(`open ${id}`);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.on("close", () => tell(`close ${id}`));
  socket.on("data", (data) => {
    if (request) {
      request.received += data.length;
      if (request.slow) return slowly();
      request.parts.push(data);
    } else {
      bytes = Buffer.concat([bytes, data]);
    }
    answer();
  });

  let unread = 0;
  function slowly() {
    if (request.received >= request.length) {
      reply(socket, String(request.received));
      request = null;
      return;
    }
    if (request.received - unread < 1024 * 1024) return;
    unread = request.received;
    socket.pause();
    setTimeout(() => socket.resume(), 50);
  }

  function answer() {
    if (!request) {
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = bytes.subarray(0, end + 4).toString("latin1");
      const [method, target] = head.split(" ");
      const length = Number((/\r\ncontent-length: (\d+)/i.exec(head) || [0, 0])[1]);
      const [name, query] = target.split("?");
      request = { method, name, query, head, length, parts: [bytes.subarray(end + 4)], slow: name === "/slow-upload" };
      request.received = request.parts[0].length;
      bytes = Buffer.alloc(0);
      tell(`request ${id} ${method} ${target}`);
      if (name === "/impatient") reply(socket, "enough");
    }
    if (request.received < request.length || request.slow) return;
    request.body = Buffer.concat(request.parts);
    const done = request;
    request = null;
    answers[done.name](socket, done);
  }
}

const plain = net.createServer(serve);
const secure = tls.createServer(pair, serve);
const second = http2.createSecureServer({ ...pair, allowHTTP1: false });
second.on("session", () => tell(`session ${++connections}`));
second.on("stream", (duplex, headers) => {
  const parts = [];
  duplex.on("error", () => {});
  duplex.on("close", () => tell(`stream closed ${headers[":path"]}`));
  duplex.on("data", (data) => parts.push(data));
  duplex.on("end", () => {
    tell(`stream ${headers[":path"]}`);
    if (headers[":path"] === "/stream") {
      duplex.respond({ ":status": 200 });
      const piece = Buffer.alloc(64 * 1024, "x");
      let left = 256;
      const next = () => (left-- > 0 ? duplex.write(piece, next) : duplex.end());
      return next();
    }
    duplex.respond({ ":status": 200, "x-protocol": "2" });
    duplex.end(Buffer.concat(parts));
  });
});

const watch = net.createServer((socket) => {
  control = socket;
  socket.on("error", () => {});
  socket.on("close", () => process.exit(0));
  socket.resume();
  lines.splice(0).forEach(tell);
});

let pending = 4;
for (const server of [plain, secure, second, watch])
  server.listen(0, "127.0.0.1", () => {
    if (--pending === 0) console.log([plain, secure, second, watch].map((s) => s.address().port).join(" "));
  });
