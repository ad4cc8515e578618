// Composes subgraphs into a supergraph with the libraries of two gateways' makers.
//
//   node compose.mjs <folder> <name>=<file>=<url> ...
//
// Writes apollo.graphql and guild.graphql into the folder and one JSON object to standard output:
// per composer its version, errors and hints.
import { composeServices } from "@apollo/composition";
import { composeServices as composeServicesOfGuild } from "@theguild/federation-composition";
import { parse } from "graphql";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder, ...subgraphs] = process.argv.slice(2);
const services = subgraphs.map((subgraph) => {
  const [name, file, url] = subgraph.split("=");
  return { name, url, typeDefs: parse(readFileSync(file, "utf8")) };
});

const apollo = composeServices(services);
const guild = composeServicesOfGuild(services);
if (apollo.supergraphSdl) writeFileSync(join(folder, "apollo.graphql"), apollo.supergraphSdl);
if (guild.supergraphSdl) writeFileSync(join(folder, "guild.graphql"), guild.supergraphSdl);

const messages = (list) => (list ?? []).map((item) => item.message);
console.log(
  JSON.stringify({
    apollo: { errors: messages(apollo.errors), hints: messages(apollo.hints) },
    guild: { errors: messages(guild.errors) },
  }),
);
