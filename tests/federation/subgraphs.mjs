// Two subgraphs of other teams: accounts.graphql owns users, tickets.graphql points at things of
// ours by every key that accounts does not use. Writes their addresses as JSON when they listen.
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse } from "graphql";
import { readFileSync } from "node:fs";

const users = [
  { id: "ada", name: "Ada Lovelace", favouritePrompt: { name: "summarize-text" } },
  { id: "grace", name: "Grace Hopper", favouritePrompt: { name: "generate-title" } },
  { id: "alan", name: "Alan Turing", favouritePrompt: null },
];
// Sees what everybody used; identity.mjs says so.
const operator = { id: "operator", name: "Olga Operator", favouritePrompt: { name: "summarize-text" } };
const userOf = (id) => [...users, operator].find((user) => user.id === id) ?? null;
const reference = (id) => (id ? { id } : null);

const accounts = {
  Query: {
    me: (_root, _args, { userId }) => userOf(userId),
    users: (_root, { first }) => ({
      nodes: users.slice(0, first),
      pageInfo: { hasNextPage: users.length > first, hasPreviousPage: false },
    }),
    node: (_root, { id }) => userOf(id),
  },
  Node: { __resolveType: () => "User" },
  User: { __resolveReference: ({ id }) => userOf(id) },
};
const tickets = {
  Query: {
    ticket: (_root, ids) => ({
      completion: reference(ids.completionId),
      model: reference(ids.modelId),
      prompt: reference(ids.promptId),
      promptVersion: reference(ids.promptVersionId),
      reporter: reference(ids.reporterId),
      service: reference(ids.serviceId),
    }),
  },
};

const addresses = {};
for (const [name, resolvers] of Object.entries({ accounts, tickets })) {
  const typeDefs = parse(readFileSync(new URL(`${name}.graphql`, import.meta.url), "utf8"));
  const server = new ApolloServer({ schema: buildSubgraphSchema({ typeDefs, resolvers }) });
  const { url } = await startStandaloneServer(server, {
    listen: { host: "127.0.0.1", port: 0 },
    context: async ({ req }) => ({ userId: req.headers["x-user-id"] }),
  });
  addresses[name] = url;
}
console.log(JSON.stringify(addresses));
