// Numbers, money and times as people read them: 1.3k, $0.0012, 2.5s, 2h 30m. Pure.

const shortened = (number, places) => number.toFixed(places).replace(/\.?0+$/, "");

// 999, 1.3k, 15k, 100k, 1.2M
export function count(number) {
  if (typeof number !== "number" || !Number.isFinite(number)) return "?";
  const size = Math.abs(number);
  if (size < 1000) return String(Math.round(number * 10) / 10);
  for (const [unit, letter] of [
    [1e12, "T"],
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    // 999,999 is 1M and not 1000k
    if (size < unit * 0.9995 && unit > 1e3) continue;
    const value = number / unit;
    return (
      (Math.abs(value) < 99.95 ? shortened(value, 1) : String(Math.round(value))) + letter
    );
  }
  return String(number);
}

// 14,387
export const exact = (number) => (typeof number === "number" ? number.toLocaleString("en-US") : "?");

// $9.80, $0.0012, $0
export function dollars(usd) {
  if (typeof usd !== "number" || !Number.isFinite(usd)) return "?";
  const size = Math.abs(usd),
    sign = usd < 0 ? "-" : "";
  if (size === 0) return "$0";
  if (size >= 100000) return `${sign}$${count(size)}`;
  if (size >= 0.995) return `${sign}$${size.toFixed(2)}`;
  if (size >= 0.01) return `${sign}$${size.toFixed(3).replace(/0$/, "")}`;
  // Two digits that say something, down to a micro-dollar.
  const places = Math.min(6, 1 - Math.floor(Math.log10(size)));
  return `${sign}$${size.toFixed(places).replace(/0+$/, "").replace(/\.$/, "")}`;
}

export const microdollars = (amount) => dollars(amount / 1e6);

export const percent = (share) => `${Math.round(share * 100)} %`;

// 350ms, 2.5s, 41s, 12m 5s, 2h 30m, 3d 4h
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "?";
  if (seconds < 0.9995)
    return `${seconds > 0 && seconds < 0.0095 ? shortened(seconds * 1000, 2) : Math.round(seconds * 1000)}ms`;
  if (seconds < 9.95) return `${shortened(seconds, 1)}s`;
  const whole = Math.round(seconds);
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "m"],
    [1, "s"],
  ];
  const first = parts.findIndex(([size]) => whole >= size);
  const [size, letter] = parts[first];
  const rest = parts[first + 1] && Math.floor((whole % size) / parts[first + 1][0]);
  return `${Math.floor(whole / size)}${letter}${rest ? ` ${rest}${parts[first + 1][1]}` : ""}`;
}

export const milliseconds = (ms) => duration(ms / 1000);

// How long is left until something: whole seconds, 1s at least.
export const left = (seconds) => duration(Math.max(1, Math.ceil(seconds)));

// 12 s ago, 2h 30m ago
export function ago(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s ago` : `${duration(whole)} ago`;
}

const clockTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayTime = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

// 14:03:59 today, 29 Nov, 14:03 else
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  return date.toDateString() === new Date().toDateString() ? clockTime.format(date) : dayTime.format(date);
}

export const hour = (seconds) => dayTime.format(new Date(seconds * 1000));
export const date = (seconds) => day.format(new Date(seconds * 1000));
