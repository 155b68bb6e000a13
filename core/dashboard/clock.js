// The gateway's time, and the texts on the page that change with it: each is written anew once a second, and only then.

let ahead = 0; // seconds, of the gateway's clock before this machine's

export const now = () => Date.now() / 1000 + ahead;

export function set(seconds) {
  ahead = seconds - Date.now() / 1000;
}

const texts = new Map(); // node -> function that gives its text

// From now on the node says what write() answers.
export function timed(node, write) {
  texts.set(node, write);
  const text = write();
  if (node.textContent !== text) node.textContent = text;
}

export function untimed(node) {
  texts.delete(node);
}

const seen = new WeakSet();

setInterval(() => {
  if (document.hidden) return;
  for (const [node, write] of texts) {
    if (node.isConnected) seen.add(node);
    else if (seen.has(node)) {
      texts.delete(node);
      continue;
    }
    const text = write();
    if (node.textContent !== text) node.textContent = text;
  }
}, 1000);
