// The page at /graphql. Bundled by ops/graphiql where Node is at hand, else run as it is
// with its imports resolved to a CDN by the page's import map.
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { getOperationAST } from "graphql";
import { createClient, NetworkError } from "graphql-sse";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import "graphiql/setup-workers/esm.sh";

const { endpoint, tabs } = JSON.parse(document.getElementById("config").textContent);

async function answer(params, headers) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
      ...headers,
    },
    body: JSON.stringify(params),
  });
  return readResult(response);
}

// A proxy in between may answer with a page: its text says more than a JSON syntax error.
async function readResult(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

// Server-sent events and not a WebSocket: the header editor's headers travel with the request,
// as they do for queries, and no proxy needs to be told to upgrade.
function events(params, headers) {
  return {
    subscribe({ next, error, complete }) {
      const client = createClient({ url: endpoint, headers, retryAttempts: 0 });
      // A refused subscription is answered like a query: show the errors, not the status.
      const refused = (failure) =>
        failure instanceof NetworkError && failure.response
          ? readResult(failure.response).then(next).then(complete, error)
          : error(failure);
      return { unsubscribe: client.subscribe(params, { next, complete, error: refused }) };
    },
  };
}

function fetcher(params, { headers, documentAST } = {}) {
  const operation = documentAST && getOperationAST(documentAST, params.operationName);
  return operation?.operation === "subscription"
    ? events(params, headers)
    : answer(params, headers);
}

// GraphiQL 5.4 forgets the variables of the first of its defaultTabs; given at a later visit they
// would open one more tab.
const isFirstVisit = localStorage.getItem("graphiql:tabState") === null;

createRoot(document.getElementById("graphiql")).render(
  createElement(GraphiQL, {
    fetcher,
    defaultTabs: tabs,
    initialVariables: isFirstVisit ? tabs[0].variables : undefined,
    customScalarSchemas: { JSON: {} }, // any value: else the editor underlines objects as errors
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false, // a key typed into the header editor does not outlive the page
    plugins: [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })],
  }),
);
