// Streams an answer to the terminal; Ctrl-C stops the completion, not only the program.
//
//   make sdk run                 in one terminal
//   node examples/node.mjs "Why is the sky blue?"
//
// ASSISTANT_URL (default http://127.0.0.1:8090) is the service, ASSISTANT_KEY a key for it. In a
// project of yours the import is from "@assistant/client".
import { stderr, stdout } from "node:process";

import { Assistant, AssistantError } from "./client/index.js";

const { ASSISTANT_URL = "http://127.0.0.1:8090", ASSISTANT_KEY } = process.env;
const assistant = new Assistant({
  url: ASSISTANT_URL,
  ...(ASSISTANT_KEY && { headers: { "x-api-key": ASSISTANT_KEY } }),
});

const question = process.argv.slice(2).join(" ");
/** @type {import("./client/index.js").CompletionRequest} */
const request = question
  ? { text: question }
  : {
      // Answered on every machine, also on one without any model.
      promptName: "summarize-text",
      variables: {
        max_sentences: 1,
        text:
          "A storm tore two cranes from their rails in the harbour of Varde. Nobody was hurt. " +
          "Ferries leave from the old pier until Thursday, when divers will have seen the quay.",
      },
    };

const stream = assistant.stream(request, {
  onText: (piece) => stdout.write(piece),
  onConnection: (change) => {
    if (change.state === "lost") {
      stderr.write(`\n[lost, again in ${change.retryInMs | 0} ms: ${change.reason}]\n`);
    }
  },
});

process.once("SIGINT", () => void stream.cancel());

try {
  const { model, usage, cache, status } = await stream.response;
  const cost = `${usage.cost.amount} ${usage.cost.currency}`;
  const sums = [model.id, `${usage.totalTokens} tokens`, cost, `cache ${cache}`].join(", ");
  stderr.write(`\n\n${status}: ${sums}\n`);
} catch (error) {
  if (!(error instanceof AssistantError)) throw error;
  stderr.write(`\n${error.code}: ${error.message}\n`);
  process.exitCode = 1;
}
