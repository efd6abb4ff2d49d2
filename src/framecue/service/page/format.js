/** Numbers for people. */

/** 3.5 -> "0:03.5", 62 -> "1:02", 3723 -> "1:02:03"; tenths only where there are some. */
export function time(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, tenths % 600];
  const tail = `${String(Math.floor(rest / 10)).padStart(2, "0")}${rest % 10 ? `.${rest % 10}` : ""}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export function span(start, end) {
  return `${time(start)} – ${time(end)}`;
}

/** 24 -> "24 s", 90 -> "1 min 30 s", 5400 -> "1 h 30 min". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** 0.629 -> "62 %"; rounded down, as the command line does: what is below the score of a match does not look like one. */
export function percent(score) {
  const whole = Math.floor(100 * Math.min(1, Math.max(0, score)) + 1e-9);
  return score > 0 && !whole ? "<1 %" : `${whole} %`;
}

/** How long a search took: "12 ms" or "1.3 s". */
export function took(seconds) {
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}

export function date(text) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return String(text);
  return when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; number >= 1000 && unit < units.length - 1; unit += 1) number /= 1000;
  return `${number >= 10 || unit === 0 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

/** Up to a digit that the address can hold without noise: 3.5, 12.25, 7. */
export function plain(seconds) {
  return String(Math.round(seconds * 1000) / 1000);
}
