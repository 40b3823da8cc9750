/** Seconds per stage: one bar of the whole search, and the numbers. */

import { h } from "../dom";
import { percent, seconds as say } from "../format";
import type { Stage } from "../protocol";

export function createSeconds(seconds: Partial<Record<Stage, number>>): HTMLElement {
  const stages = Object.entries(seconds);
  const total = stages.reduce((sum, [, value]) => sum + value, 0);
  const segments = stages.map(([stage, value]) =>
    h("div", { "data-stage": stage, style: `flex-grow:${total ? value / total : 1}` }),
  );
  const items = stages.map(([stage, value]) =>
    h(
      "li",
      null,
      h("i", { "data-stage": stage }),
      `${stage} `,
      h("b", null, say(value)),
      total ? ` (${percent(value / total)})` : "",
    ),
  );
  return h(
    "section",
    { "aria-label": "Seconds per stage" },
    h("h3", null, "Time per stage ", h("span", null, `${say(total)} in all`)),
    h("div", { class: "matir-flow-bar", "aria-hidden": true }, ...segments),
    h("ul", { class: "matir-flow-seconds" }, ...items),
  );
}
