/** Numbers as text, the same everywhere: a real minus sign, "–" for what a stage did not find. */

const NONE = "–";

type Maybe = number | null | undefined;

/** "0.412", "−1.240"; "–" for null. */
export function score(value: Maybe, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** "+0.412", "−1.240", "0.000": a summand or a change. */
export function signed(value: Maybe, digits = 3): string {
  const text = score(value, digits);
  return value && value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** 0.874 -> "87 %"; below 1 % and above 99 % with one more digit: "0.4 %". */
export function percent(fraction: Maybe): string {
  if (fraction === null || fraction === undefined || Number.isNaN(fraction)) return NONE;
  const value = fraction * 100;
  const isEdge = value !== 0 && value !== 100 && (value < 1 || value > 99);
  return `${value.toFixed(isEdge ? 1 : 0)} %`;
}

/** "0 ms", "35 ms", "0.42 s", "12.3 s", "2 min 5 s". */
export function seconds(value: Maybe): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.995) return `${value.toFixed(2)} s`;
  if (value < 59.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** "1,000". */
export function count(value: Maybe): string {
  return value === null || value === undefined ? NONE : value.toLocaleString("en-US");
}

/** "1 hit", "1,000 hits". */
export function plural(n: number, noun: string, nouns = `${noun}s`): string {
  return `${count(n)} ${n === 1 ? noun : nouns}`;
}
