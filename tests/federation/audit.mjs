// Runs the GraphQL-over-HTTP server audit of graphql-http against <url>.
//
//   node audit.mjs <url> <headers as JSON>
//
// The headers say who asks: some checks use introspection, which needs a caller.
// Writes a JSON list of { id, name, status, reason }; `status` is ok, notice, warn or error.
import { auditServer } from "graphql-http";

const [url, identity] = process.argv.slice(2);
const results = await auditServer({
  url,
  fetchFn: (address, init) =>
    fetch(address, { ...init, headers: { ...init?.headers, ...JSON.parse(identity) } }),
});
console.log(
  JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))),
);
