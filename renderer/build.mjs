// Builds the page's script, and those that only some pages load; `--check` only compares them with the committed ones.
import {createHash} from "node:crypto";
import {readFile, writeFile} from "node:fs/promises";
import {gzipSync} from "node:zlib";
import {build} from "esbuild";
import {minify} from "terser";

/** Every page loads the page's script; the worker's is loaded once per browser and deploy. */
const MAX_GZIPPED_BYTES = 16_000;
const isCheck = process.argv.includes("--check");

async function bundle(entry, define = {}) {
  const result = await build({
    entryPoints: [new URL(`src/${entry}`, import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    define,
    write: false,
  });
  // esbuild's own output is 7 % larger. Without sequences gzip finds more that repeats.
  const compress = {
    passes: 4, hoist_funs: true, sequences: false, inline: 1, unsafe_arrows: true, unsafe_methods: true,
  };
  const {code} = await minify(result.outputFiles[0].text, {ecma: 2022, module: true, compress});
  return code;
}

async function put(name, script) {
  const target = new URL(`../flash_events/static/${name}`, import.meta.url);
  const size = gzipSync(script, {level: 9}).length;
  if (size > MAX_GZIPPED_BYTES) {
    throw new Error(`${name} has ${size} bytes gzipped, more than ${MAX_GZIPPED_BYTES}.`);
  }
  if (!isCheck) await writeFile(target, script);
  else if (script !== (await readFile(target, "utf8").catch(() => ""))) {
    throw new Error(`flash_events/static/${name} is not what renderer/src builds. Run: make build`);
  }
  console.log(`${name}: ${size} bytes gzipped`);
}

const worker = await bundle("tabs/worker.ts");
const connections = await bundle("transport/connections_script.ts");
const waitlist = await bundle("runs/waitlist_script.ts");
// The server compares these with its own files, see flash_events/plugin.py.
const versionOf = (script) => JSON.stringify(createHash("sha256").update(script).digest("hex").slice(0, 16));
await put("flash_events_worker.js", worker);
await put("flash_events_connections.js", connections);
await put("flash_events_waitlist.js", waitlist);
await put("flash_events_components.js", await bundle("tools/components.ts"));
await put("flash_events_devtool.js", await bundle("tools/devtool.ts"));
await put("flash_events_recorder.js", await bundle("tools/recorder.ts"));
await put("flash_events.js", await bundle("index.ts", {WORKER_VERSION: versionOf(worker), CONNECTIONS_VERSION: versionOf(connections), WAITLIST_VERSION: versionOf(waitlist)}));
