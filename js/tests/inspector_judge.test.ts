/** The judge's verdict in words: colour and a bar are never alone. */

import { describe, expect, it } from "vitest";
import { judgedInTable, verdict } from "../src/inspector/judge";
import type { Columns } from "../src/protocol";

describe("verdict", () => {
  it.each([
    [0.5, false, "relevant"],
    [0.49, false, "rather not relevant"],
    [0.9, true, "not here: the judge named no place"],
  ])("p %d, abstained %s: %s", (p_relevant, abstained, words) => {
    expect(verdict({ p_relevant, abstained })).toBe(words);
  });
});

describe("judgedInTable", () => {
  const columns = { p_relevant: [0.874, null, 0.2], abstained: [0, 0, 1] } as unknown as Columns;

  it("says what the table knows", () => {
    expect(judgedInTable(columns, 0)).toBe("p 87 %, relevant");
    expect(judgedInTable(columns, 1)).toBe("not judged");
    expect(judgedInTable(columns, 2)).toBe("p 20 %, not here: the judge named no place");
  });
});
