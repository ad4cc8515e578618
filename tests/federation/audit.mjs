// Runs the GraphQL-over-HTTP server audit of graphql-http against <url>.
//
//   node audit.mjs <url>
//
// Writes a JSON list of { id, name, status, reason }; `status` is ok, notice, warn or error.
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
console.log(
  JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))),
);
