import { expect, it } from "vitest";
import { marksCsv } from "../src/csv";
import { tableOf } from "./support";

it("lists marked hits by rank and quotes what needs it", () => {
  const table = { ...tableOf("r", ["a.jpg", 'b,"c".jpg', "d\n.jpg"]), query: "a dog" };
  const marks = { "d\n.jpg": "unsure", 'b,"c".jpg': "not relevant", "gone.jpg": "unsure" } as const;
  expect(marksCsv(table, marks)).toBe(
    "query,rank,image_id,final_score,mark\r\n" +
      'a dog,2,"b,""c"".jpg",0,not relevant\r\n' +
      'a dog,3,"d\n.jpg",-1,unsure\r\n',
  );
});

it("has its names without any mark", () => {
  expect(marksCsv(tableOf("r", ["constructor"]), {})).toBe(
    "query,rank,image_id,final_score,mark\r\n",
  );
});
