import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["tests/**/*.test.ts"],
    testTimeout: 10_000,
    // Without it vitest gives tests an empty text for every style sheet.
    css: true,
  },
});
