/**
 * Layout of terms that add up to a score: where each bar starts and ends, and with how many
 * decimals the shown numbers still add up. Knows no DOM.
 */

export interface Bar {
  /** Fractions (0 to 1) of the axis; `from` is where the sum stood before this term. */
  from: number;
  to: number;
}

export interface Waterfall {
  bars: Bar[];
  total: Bar;
  /** Where 0 stands on the axis. */
  zero: number;
  /** Decimals that all numbers are shown with. */
  digits: number;
  /** Total minus the sum of the terms; 0 when that is no more than rounding. */
  rest: number;
}

const DIGITS = [3, 4, 5, 6];
/** Relative to the largest term: scores are float32 in the index. */
const ROUNDING = 1e-5;

/** Lay out `values` and their `total` on one axis that holds 0 and every partial sum. */
export function waterfall(values: readonly number[], total: number): Waterfall {
  const ends: number[] = [];
  let sum = 0;
  for (const value of values) {
    sum += value;
    ends.push(sum);
  }
  const low = Math.min(0, total, ...ends);
  const span = Math.max(0, total, ...ends) - low || 1;
  const at = (value: number): number => (value - low) / span;
  const largest = Math.max(1e-3, Math.abs(total), ...values.map(Math.abs));
  return {
    bars: ends.map((end, i) => ({ from: at(ends[i - 1] ?? 0), to: at(end) })),
    total: { from: at(0), to: at(total) },
    zero: at(0),
    digits: digitsFor(values, total),
    rest: Math.abs(total - sum) <= largest * ROUNDING ? 0 : total - sum,
  };
}

/** Fewest decimals (3 to 6) with which the rounded values add up to the rounded total, else 3. */
export function digitsFor(values: readonly number[], total: number): number {
  const isExact = (digits: number): boolean => {
    const unit = 10 ** digits;
    const sum = values.reduce((whole, value) => whole + Math.round(value * unit), 0);
    return sum === Math.round(total * unit);
  };
  return DIGITS.find(isExact) ?? 3;
}
