// Bundles GraphiQL, its plugins and Monaco's workers into static files that need no other host.
//
//   node build.mjs <directory>
//
// graphiql.js, graphiql.css and the workers keep their names; everything below chunks/ carries
// a hash of its content in its name and may be cached for ever.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

const here = dirname(fileURLToPath(import.meta.url));
const page = resolve(here, "../../assistant/api/graphiql.mjs");

const directory = process.argv[2] && resolve(process.argv[2]);
if (!directory) {
  console.error("usage: node build.mjs <directory>");
  process.exit(2);
}

await mkdir(dirname(directory), { recursive: true });
// Built beside its place and then moved, so that a service never reads half a build.
const outdir = await mkdtemp(`${directory}.`);

const common = {
  absWorkingDir: here,
  outdir,
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "eof",
  logLevel: "warning",
  nodePaths: [join(here, "node_modules")],
  define: { "process.env.NODE_ENV": '"production"' },
};

try {
  await Promise.all([
    build({
      ...common,
      entryPoints: { graphiql: page },
      format: "esm",
      splitting: true,
      chunkNames: "chunks/[name]-[hash]",
      alias: { "graphiql/setup-workers/esm.sh": "./workers.mjs" },
      // graphiql/style.css, bundled below, already holds Monaco's styles and fonts.
      loader: { ".css": "empty", ".ttf": "empty" },
    }),
    build({ ...common, entryPoints: { graphiql: "style.css" } }),
    build({
      ...common,
      format: "iife",
      entryPoints: {
        "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
        "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
        "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
      },
    }),
  ]);
  await rm(directory, { recursive: true, force: true });
  await rename(outdir, directory);
} catch (error) {
  await rm(outdir, { recursive: true, force: true });
  throw error;
}
