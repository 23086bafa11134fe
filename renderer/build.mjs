// Builds src/index.ts into one classic script; `--check` only compares it with the committed one.
import {readFile, writeFile} from "node:fs/promises";
import {gzipSync} from "node:zlib";
import {build} from "esbuild";

const LIMIT_BYTES = 12 * 1024;
const target = new URL("../flash_events/static/flash_events.js", import.meta.url);

const result = await build({
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  write: false,
});
const script = result.outputFiles[0].text;
const size = gzipSync(script, {level: 9}).length;
if (size > LIMIT_BYTES) {
  throw new Error(`The script has ${size} bytes gzipped, more than ${LIMIT_BYTES}.`);
}
if (process.argv.includes("--check")) {
  if (script !== (await readFile(target, "utf8"))) {
    throw new Error("flash_events/static is not what renderer/src builds. Run: make build");
  }
} else {
  await writeFile(target, script);
}
console.log(`flash_events.js: ${size} bytes gzipped`);
