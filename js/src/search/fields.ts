/** The number fields: what may stand in them, and what to say otherwise. No DOM. */

export interface Limits {
  name: string;
  min: number;
  max: number;
  /** True = empty is allowed and means null. */
  optional: boolean;
}

export const K = { name: "hits (k)", min: 1, max: 10_000, optional: false } as const;
export const N_JUDGED: Limits = { name: "judged", min: 0, max: 10_000, optional: true };

export function readNumber(text: string, limits: Limits & { optional: false }): number | Error;
export function readNumber(text: string, limits: Limits): number | null | Error;
/** The number, null for an allowed empty field, or an Error that says what is wrong. */
export function readNumber(text: string, limits: Limits): number | null | Error {
  const { name, min, max, optional } = limits;
  const bare = text.trim();
  if (!bare && optional) return null;
  const value = Number(bare);
  if (/^\d+$/.test(bare) && value >= min && value <= max) return value;
  const range = `a whole number from ${min} to ${max}`;
  const got = bare ? `${name} = ${bare} is not allowed` : `${name} is empty`;
  return new Error(`${got}: give ${range}${optional ? ", or nothing for the preset's" : ""}`);
}

export const NO_JUDGE = "none";

/** What the list of judges shows for one of its values. */
export function judgeLabel(name: string): string {
  return name === NO_JUDGE
    ? "none (stage 1 only)"
    : name === "default"
      ? "default (the index's)"
      : name;
}
