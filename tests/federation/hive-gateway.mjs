// Hive Gateway in front of a supergraph.
//
//   GATEWAY_SECRET=... node hive-gateway.mjs <supergraph file> <sse|ws>
//
// The last argument says how subscriptions reach our subgraph. Writes its address as JSON when it
// listens, then one line of JSON per request to a subgraph (WebSocket messages are not requests).
import { createGatewayRuntime } from "@graphql-hive/gateway-runtime";
import http from "@graphql-mesh/transport-http";
import ws from "@graphql-mesh/transport-ws";
import { createServer } from "node:http";
import { identityHeaders } from "./identity.mjs";

const [supergraph, leg] = process.argv.slice(2);

// On a WebSocket there are no headers per request: Hive opens one connection per user and tells
// the subgraph who it is for in connection_init's payload.
const overWebSocket = {
  assistant: {
    options: {
      subscriptions: {
        kind: "ws",
        options: {
          connectionParams: Object.fromEntries(
            Object.keys(identityHeaders()).map((name) => [name, `{context.identity.${name}}`]),
          ),
        },
      },
    },
  },
};

const gateway = createGatewayRuntime({
  supergraph,
  logging: false,
  maskedErrors: false,
  transports: { http, ws },
  transportEntries: leg === "ws" ? overWebSocket : undefined,
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => identityHeaders(request.headers.get("authorization")),
  },
  plugins: () => [
    {
      onContextBuilding: ({ context, extendContext }) =>
        extendContext({ identity: identityHeaders(context.headers.authorization) }),
      onFetch: ({ url, options }) => {
        if (!url.startsWith("http")) return;
        const query = options.body
          ? JSON.parse(options.body).query
          : new URL(url).searchParams.get("query");
        console.log(JSON.stringify({ url, method: options.method, query }));
      },
    },
  ],
});
const server = createServer(gateway).listen(0, "127.0.0.1", () =>
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/graphql` })),
);
// The runtime listens for the signal too, and would go on until idle connections have timed out.
process.on("SIGTERM", () => process.exit());
