// Light, dark, or as the system says: the button in the bar goes from one to the next.
import { at, put } from "./dom.js";

const KEY = "moongate.theme",
  ORDER = ["system", "light", "dark"];

let chosen = "system";
try {
  chosen = ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "system";
} catch {
  // A browser that keeps nothing.
}

function apply() {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  put(at("theme"), `Theme: ${chosen}`);
}

export function start() {
  apply();
  at("theme").addEventListener("click", () => {
    chosen = ORDER[(ORDER.indexOf(chosen) + 1) % ORDER.length];
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // As above.
    }
    apply();
  });
}
