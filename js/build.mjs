/**
 * Builds what the Python package ships, into `matir_nb/static/`: `matir.js` (the widgets' ES
 * module, with their style in it), `page.js` and `matir.css` (the standalone page's), and
 * `build.json` (a hash of the sources, so that a test can tell a stale bundle, and the sizes).
 *
 * Every saved widget carries `matir.js` whole, so the module is shipped deflated and unpacks
 * itself; that is also why the style is in it. `--watch` builds again on each change, readable and with source maps. Sizes per folder
 * are printed; over budget is an error.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import * as esbuild from "esbuild";

const ROOT = dirname(fileURLToPath(import.meta.url));
const OUT = join(ROOT, "..", "matir_nb", "static");
/** Bytes of the files. */
const BUDGETS = { "matir.js": 70_000, "page.js": 104_000, "matir.css": 32_000 };
const STYLE = "src/style/index.css";

const BUNDLES = {
  "matir.js": { entryPoints: ["src/widget.ts"], format: "esm" },
  "page.js": { entryPoints: ["src/page.ts"], format: "iife" },
  "matir.css": { entryPoints: [STYLE] },
};
const SHARED = {
  absWorkingDir: ROOT,
  bundle: true,
  charset: "utf8",
  legalComments: "none",
  target: "es2022",
};

/** Gives a script that imports the style sheet its text, bundled and minified. */
const styleAsText = {
  name: "style-as-text",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\.css$/ }, ({ kind }) =>
      kind === "import-statement" ? { path: STYLE, namespace: "text" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "text" }, async () => {
      const style = { ...SHARED, entryPoints: [STYLE], minify: true, write: false, metafile: true };
      const { outputFiles, metafile } = await esbuild.build(style);
      const watchFiles = Object.keys(metafile.inputs).map((path) => join(ROOT, path));
      return { contents: outputFiles[0].text.trim(), loader: "text", watchFiles };
    });
  },
};

const optionsOf = (name) => ({
  ...SHARED,
  ...BUNDLES[name],
  outfile: join(OUT, name),
  plugins: [styleAsText],
});

/** A module that inflates `code`, another module, and exports its default. */
function packed(code) {
  const letters = deflateRawSync(code, { level: 9 }).toString("base64");
  return `/* js/build.mjs packed this: the sources are in js/src. */
const bytes=Uint8Array.from(atob("${letters}"),c=>c.charCodeAt(0));
const inflated=new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
const text=await new Response(inflated).text();
const url=URL.createObjectURL(new Blob([text],{type:"text/javascript"}));
const module=await import(url).finally(()=>URL.revokeObjectURL(url));
export default module.default;
`;
}

/** sha256 over path and text of all that decides what is built, by path (as hatch_build.py). */
function hashOfSources() {
  const hash = createHash("sha256");
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => relative(ROOT, path).split(sep).join("/"));
  for (const file of ["build.mjs", "package-lock.json", ...sources].sort()) {
    hash.update(`${file}\0`);
    hash.update(readFileSync(join(ROOT, file)));
    hash.update("\0");
  }
  return hash.digest("hex");
}

/** Bytes of a bundle by folder of `src/`; "core" = the files right in it. */
function sizesByFolder(metafile) {
  const sizes = {};
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const [, folder, file] = path.replace(/^text:/, "").split("/");
      const name = file === undefined ? "core" : folder;
      sizes[name] = (sizes[name] ?? 0) + bytesInOutput;
    }
  }
  return sizes;
}

/** Write one bundle; returns its sizes by name. */
async function ship(name) {
  const options = { ...optionsOf(name), minify: true, metafile: true, write: false };
  const { outputFiles, metafile } = await esbuild.build(options);
  const { text } = outputFiles[0];
  const shipped = name === "matir.js" ? packed(text) : text;
  writeFileSync(join(OUT, name), shipped);
  console.log(name, Buffer.byteLength(text), JSON.stringify(sizesByFolder(metafile)));
  const bytes = { [name]: Buffer.byteLength(shipped) };
  return shipped === text ? bytes : { ...bytes, unpacked: Buffer.byteLength(text) };
}

async function build() {
  const bytes = {};
  for (const name of Object.keys(BUNDLES)) Object.assign(bytes, await ship(name));
  const record = { sources_sha256: hashOfSources(), bytes };
  writeFileSync(join(OUT, "build.json"), `${JSON.stringify(record, null, 2)}\n`);
  console.log("shipped", JSON.stringify(bytes));
  for (const [name, budget] of Object.entries(BUDGETS)) {
    if (bytes[name] <= budget) continue;
    console.error(`${name}: ${bytes[name]} bytes, ${bytes[name] - budget} above the budget`);
    process.exitCode = 1;
  }
}

/** Without the record, `make static` and a package build make the shipped files again. */
async function watch() {
  rmSync(join(OUT, "build.json"), { force: true });
  for (const name of Object.keys(BUNDLES)) {
    const context = await esbuild.context({
      ...optionsOf(name),
      sourcemap: "inline",
      logLevel: "info",
    });
    await context.watch();
  }
}

mkdirSync(OUT, { recursive: true });
await (process.argv.includes("--watch") ? watch() : build());
