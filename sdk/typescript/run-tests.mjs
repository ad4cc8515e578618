// Runs the tests that tsc has left in build/. Node 20 has a WebSocket only when it is asked for.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

const folder = new URL("build/tests/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".test.js"));
const flags = globalThis.WebSocket ? [] : ["--experimental-websocket", "--no-warnings"];
const { status } = spawnSync(
  process.execPath,
  [...flags, "--test", "--test-reporter=spec", ...files.map((name) => `build/tests/${name}`)],
  { cwd: new URL(".", import.meta.url), stdio: "inherit" },
);
process.exit(status ?? 1);
