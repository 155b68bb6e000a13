// The route tester: a request is pasted, and what would become of it is shown. Nobody is called.
import { post } from "./api.js";
import { at, put } from "./dom.js";
import { explain } from "./ladder.js";

const EXAMPLE = {
  model: "auto",
  messages: [{ role: "user", content: "Write a function that adds two numbers." }],
  max_tokens: 300,
};

async function test(event) {
  event.preventDefault();
  put(at("tester-fault"), "");
  const text = at("tester-text").value;
  try {
    JSON.parse(text);
  } catch (fault) {
    put(at("tester-fault"), `This is not JSON: ${fault.message}`);
    return;
  }
  try {
    at("tester-body").replaceChildren(...explain(await post("v1/router/debug", text)));
  } catch (fault) {
    at("tester-body").replaceChildren();
    put(at("tester-fault"), fault.message);
  }
}

export function start() {
  at("tester-text").value = JSON.stringify(EXAMPLE, null, 2);
  at("tester-form").addEventListener("submit", test);
  at("tester-text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("tester-form").requestSubmit();
  });
}
