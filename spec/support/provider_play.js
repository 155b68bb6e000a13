// What a simulated provider answers: a behaviour (a JSON object of a spec) played on an answer of provider.js, in the
// protocol that the request's path is of.
//
// Every kind takes `headers` (more of them) and `drop: true` (closes the connection after a whole answer, unannounced).
//   answer (the default)  what was asked for, whole or streamed; see provider_script.js for its words
//   error                 status, message, type, code in the protocol's dialect, or body as it is (string or object)
//   silence               nothing at all; `head` gives status line and headers first, then nothing
//   reset, close          the connection ends before a byte of the answer
//   wrong_length          a content-length that is 100 too big (`by`), then the end of the connection (hold: nothing)
//   huge_head             `bytes` of headers
//   drip                  a whole or streamed answer that is `text` again and again, each after `delay` ms, for ever;
//                         `drip_head` does it with the head
//   text                  200 and `body` with `type`
"use strict";

const { choose, Refusal } = require("./provider_script.js");

// By path; OpenAI's chat completions are what is left.
const protocols = ["anthropic", "gemini", "responses", "ollama", "openai"].map((name) => ({
  name,
  ...require(`./provider_${name}.js`),
}));

const JSON_TYPE = { "content-type": "application/json" };

async function whole(out, behaviour, status, type, body) {
  const data = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  await out.head(status, { ...type, "content-length": data.length, ...behaviour.headers }, "length");
  await out.write(data, behaviour.size);
  await out.end();
}

const failure = (behaviour, { protocol }) =>
  behaviour.body !== undefined ? behaviour.body : protocol.failure({ status: 500, ...behaviour });

// Streams: roles (frames before any content, default 1), comments (so many before those), size (bytes in one write),
// delay (ms before each piece), hold ({ after: pieces, name }), repeat (the pieces, so many times; `endless`), crlf,
// and where it goes wrong after so many pieces (`after`): wrong = "silence" | "cut" | "reset" | "error" | "end" |
// "mid_event" | "mid_character" | "bad_json". done = false: no terminal event; finish = false: no reason, no usage.
async function stream(out, behaviour, { protocol, request }) {
  const { comments = 0, size, delay, hold, wrong, after = 0, done = true } = behaviour;
  const frames = protocol.frames(behaviour, request);
  const write = (text) => out.write(behaviour.crlf ? text.replaceAll("\n", "\r\n") : text, size);

  async function goWrong() {
    const text = frames.text("naïve €5 🙂");
    switch (wrong) {
      case "silence":
        return out.silence();
      case "reset":
        return out.reset();
      case "cut":
        return out.cut();
      case "end":
        return out.end();
      case "error":
        await write(frames.error);
        return behaviour.quit ? out.cut() : out.end();
      case "mid_event":
        await out.write(text.slice(0, 40));
        return out.cut();
      case "mid_character": {
        const data = Buffer.from(text);
        await out.write(data.subarray(0, data.indexOf(Buffer.from("€")) + 1));
        return out.cut();
      }
      case "bad_json":
        await write(frames.broken);
        return out.end();
      default:
        throw new Error("unknown way to go wrong: " + wrong);
    }
  }

  await out.head(200, { "content-type": protocol.stream_type, ...behaviour.headers }, behaviour.framing || "chunked");
  for (let n = 0; n < comments; n++) await write(frames.comment);
  for (const frame of frames.head) await write(frame);
  const total = behaviour.endless ? Infinity : frames.pieces.length * (behaviour.repeat || 1);
  for (let n = 0; n < total; n++) {
    if (wrong && n === after) return goWrong();
    if (hold && n === hold.after) await out.hold(hold.name || "go");
    if (delay) await out.delay(delay);
    await write(frames.pieces[n % frames.pieces.length]);
  }
  if (hold && hold.after >= total) await out.hold(hold.name || "go");
  if (wrong) return goWrong();
  for (const frame of frames.finish) await write(frame);
  if (done) for (const frame of frames.end) await write(frame);
  return out.end();
}

const kinds = {
  async answer(out, behaviour, asked) {
    const { protocol, record, request } = asked;
    const other = protocol.other(behaviour, record, request);
    if (other !== undefined) return whole(out, behaviour, 200, JSON_TYPE, other);
    if (protocol.streamed(request, record)) return stream(out, behaviour, asked);
    if (behaviour.hold) await out.hold(behaviour.hold.name || "go");
    return whole(out, behaviour, 200, JSON_TYPE, protocol.whole(behaviour, request));
  },
  async error(out, behaviour, asked) {
    if (behaviour.hold) await out.hold(behaviour.hold.name || "go");
    return whole(out, behaviour, behaviour.status || 500, JSON_TYPE, failure(behaviour, asked));
  },
  text: (out, behaviour) =>
    whole(
      out,
      behaviour,
      behaviour.status || 200,
      { "content-type": behaviour.type || "text/html" },
      behaviour.body || "<html><body>Bad gateway</body></html>",
    ),
  silence: (out) => out.silence(),
  async head(out, behaviour, { protocol, record, request }) {
    const streamed = protocol.streamed(request, record);
    const type = streamed ? { "content-type": protocol.stream_type } : { ...JSON_TYPE, "content-length": 1000 };
    await out.head(200, { ...type, ...behaviour.headers }, streamed ? "chunked" : "length");
    return out.silence();
  },
  reset: (out) => out.reset(),
  close: (out) => out.cut(),
  async wrong_length(out, behaviour, { protocol, request }) {
    const data = Buffer.from(JSON.stringify(protocol.whole(behaviour, request)));
    await out.head(200, { ...JSON_TYPE, "content-length": data.length + (behaviour.by || 100) }, "length");
    await out.write(data);
    return behaviour.hold ? out.silence() : out.cut();
  },
  async drip(out, behaviour, { protocol, record, request }) {
    const type = protocol.streamed(request, record) ? { "content-type": protocol.stream_type } : JSON_TYPE;
    await out.head(200, { ...type, ...behaviour.headers }, "chunked");
    for (;;) {
      if (behaviour.delay) await out.delay(behaviour.delay);
      await out.write(behaviour.text.repeat(behaviour.times || 1));
    }
  },
  async drip_head(out, behaviour) {
    await out.bytes("HTTP/1.1 200 OK\r\nx-slow: ");
    for (;;) {
      await out.delay(behaviour.delay);
      await out.bytes("x");
    }
  },
  huge_head: (out, behaviour, asked) => {
    const headers = {};
    for (let n = 0; n * 1000 < behaviour.bytes; n++) headers["x-filler-" + n] = "x".repeat(980);
    return kinds.answer(out, { ...behaviour, headers }, asked);
  },
};

// What is wrong with a request, as the real server would say; it is refused whatever the behaviour.
function refusal({ protocol, record, request }, strict) {
  if (record.method !== "POST" || !protocol.check || (protocol.name === "openai" && !strict)) return null;
  try {
    protocol.check(request, record);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error;
    return new Refusal("The request cannot be read: " + error.message);
  }
}

exports.play = (behaviour, record, out, options) => {
  const protocol = protocols.find((each) => each.takes(record));
  record.protocol = protocol.name;
  const chosen = choose(behaviour, record.body);
  const kind = chosen.kind || "answer";
  let request = {};
  if (record.method === "POST") {
    try {
      request = protocol.request ? protocol.request(JSON.parse(record.body), record) : JSON.parse(record.body);
    } catch (error) {
      if (kind === "answer") throw error;
    }
  }
  const asked = { protocol, record, request };
  const refused = kind === "answer" && refusal(asked, options.strict);
  if (refused) {
    record.refused = refused.message;
    return kinds.error(out, { status: refused.status, message: refused.message, code: refused.code }, asked);
  }
  return kinds[kind](out, chosen, asked);
};
