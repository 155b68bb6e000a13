// The servers that upstream_tls_spec.lua talks to: one for each certificate, and each says in its answer what it saw of
// the handshake: server name, protocol agreed on, TLS version, whether a session was resumed.
// Usage: node upstream_tls_server.js FOLDER NAME[:OPTION]...; FOLDER has NAME.pem and NAME-key.pem. Options: old (TLS 1.1
// at most), tls12, rude (hangs up without a farewell), dumb (agrees on no protocol). Prints the ports.
"use strict";
const fs = require("fs");
const net = require("net");
const path = require("path");
const tls = require("tls");

const [folder, ...wanted] = process.argv.slice(2);

function serve(socket) {
  socket.on("error", () => {});
  socket.on("data", (data) => {
    const target = data.toString("latin1").split(" ")[1];
    const seen = [socket.servername || "-", socket.alpnProtocol || "-", socket.getProtocol(), socket.isSessionReused()];
    const body = seen.join(" ");
    if (target === "/until-close") {
      socket.end("HTTP/1.1 200 OK\r\n\r\n" + body);
      return;
    }
    const last = target === "/last" ? "Connection: close\r\n" : "";
    socket.write(`HTTP/1.1 200 OK\r\n${last}Content-Length: ${body.length}\r\n\r\n${body}`);
    if (last) socket.end();
  });
}

const ports = [];
function start(index) {
  if (index === wanted.length) {
    console.log(ports.join(" "));
    return;
  }
  const [name, option] = wanted[index].split(":");
  const options = {
    cert: fs.readFileSync(path.join(folder, name + ".pem")), key: fs.readFileSync(path.join(folder, name + "-key.pem")),
    ALPNProtocols: ["http/1.1"],
  };
  if (option === "old") Object.assign(options, { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
  if (option === "tls12") options.maxVersion = "TLSv1.2";
  if (option === "dumb") delete options.ALPNProtocols;
  let server;
  if (option === "rude") {
    // TLS by hand over a plain socket, so that this can be ended without a word of TLS.
    const secure = tls.createSecureContext(options);
    server = net.createServer((plain) => {
      plain.on("error", () => {});
      const socket = new tls.TLSSocket(plain, { isServer: true, secureContext: secure });
      socket.on("error", () => {});
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\nall of it", () => plain.destroy()));
    });
  } else {
    server = tls.createServer(options, serve);
  }
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1", () => {
    ports.push(server.address().port);
    start(index + 1);
  });
}
start(0);
