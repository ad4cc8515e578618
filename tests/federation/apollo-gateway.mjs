// Apollo Gateway in front of a supergraph.
//
//   GATEWAY_SECRET=... node apollo-gateway.mjs <supergraph file>
//
// Writes its address as JSON when it listens, then one line of JSON per request to a subgraph.
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { readFileSync } from "node:fs";
import { identityHeaders } from "./identity.mjs";

class Subgraph extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    for (const [name, value] of Object.entries(identityHeaders(context.authorization))) {
      request.http.headers.set(name, value);
    }
    console.log(JSON.stringify({ url: this.url, method: "POST", query: request.query }));
  }
}

const gateway = new ApolloGateway({
  supergraphSdl: readFileSync(process.argv[2], "utf8"),
  buildService: ({ url }) => new Subgraph({ url }),
});
const server = new ApolloServer({ gateway });
const { url } = await startStandaloneServer(server, {
  listen: { host: "127.0.0.1", port: 0 },
  context: async ({ req }) => ({ authorization: req.headers.authorization }),
});
console.log(JSON.stringify({ url }));
