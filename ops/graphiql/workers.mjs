// Stands in for "graphiql/setup-workers/esm.sh" in the local build: Monaco's language services
// run in workers, and a browser starts workers only from the page's own origin.
const files = { json: "json.worker.js", graphql: "graphql.worker.js" };

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) =>
    new Worker(new URL(files[label] ?? "editor.worker.js", import.meta.url)),
};
