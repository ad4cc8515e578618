// Does with OpenAI's own package what its users do, and reports what came of it as one JSON object.
//   node client.mjs <base url> <base url through a network that cuts> <user>
import { randomUUID } from "node:crypto";
import OpenAI from "openai";

const [baseURL, cuttingURL, user] = process.argv.slice(2);
const model = "openai/gpt-4o-mini";

const open = (who, options = {}) =>
  new OpenAI({
    apiKey: "sk-local",
    baseURL,
    maxRetries: 0,
    defaultHeaders: { "x-tenant-id": "acme", "x-user-id": who },
    ...options,
  });

const asked = (more = {}) => ({
  model,
  messages: [{ role: "user", content: `Say hello, ${randomUUID()}.` }],
  ...more,
});

const textOf = async (stream) => {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  return text;
};

const refusal = async (asking) => {
  try {
    await asking();
  } catch (error) {
    const { status, code, param, type, requestID } = error;
    return { is: error.constructor.name, status, code, param, type, requestID };
  }
  return null;
};

const client = open(user);

async function answers() {
  const whole = await client.chat.completions.create(asked());
  const stream = await client.chat.completions.create(
    asked({ stream: true, stream_options: { include_usage: true } }),
  );
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const helped = await client.chat.completions.stream(asked()).finalContent();
  const prompted = await client.chat.completions.create({
    model: "builtin/extractive",
    messages: [],
    assistant: { promptName: "generate-title", variables: { text: "A storm closed the harbour." } },
  });
  return {
    whole: { text: whole.choices[0].message.content, usage: whole.usage, assistant: whole.assistant },
    streamed: {
      text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
      finish: chunks.at(-2).choices[0].finish_reason,
      usage: chunks.at(-1).usage,
    },
    helped,
    prompted: prompted.choices[0].message.content,
  };
}

async function others() {
  const input = ["The harbour is closed.", "Ferries leave from the old pier."];
  const inBase64 = await client.embeddings.create({ model: "auto", input });
  const asNumbers = await client.embeddings.create({ model: "auto", input, encoding_format: "float" });
  const models = [];
  for await (const found of client.models.list()) models.push(found.id);
  return {
    differences: inBase64.data.flatMap(({ embedding }, index) =>
      embedding.map((number, at) => Math.abs(number - asNumbers.data[index].embedding[at])),
    ),
    models,
    one: (await client.models.retrieve(model)).id,
  };
}

async function refusals() {
  const create = (more, who = client, options = {}) =>
    refusal(() => who.chat.completions.create(asked(more), options));
  const key = { headers: { "idempotency-key": randomUUID() } };
  await client.chat.completions.create(asked(), key);
  return {
    badRequest: await create({ temperature: 7 }),
    notFound: await create({ model: "gpt-9" }),
    unauthenticated: await create({}, open(user, { apiKey: `ak_01234567_${"x".repeat(43)}` })),
    forbidden: await create({}, client, { headers: { "x-scopes": "assistant:usage:read" } }),
    conflict: await create({}, client, { ...key, maxRetries: 2 }),
    budget: await create({}, open(`${user}-poor`, { maxRetries: 2 })),
  };
}

async function retries() {
  const hasty = open(`${user}-hasty`, { maxRetries: 2 });
  await hasty.chat.completions.create(asked());
  const limited = await refusal(() =>
    hasty.chat.completions.create(asked(), { maxRetries: 0 }),
  );
  const waited = await hasty.chat.completions.create(asked());

  // The first answer through it is cut as it begins, the next long one in its middle.
  const cut = open(`${user}-cut`, { baseURL: cuttingURL, maxRetries: 2 });
  const keyed = () => ({ headers: { "idempotency-key": randomUUID() } });
  const repeated = await cut.chat.completions.create(asked(), keyed());
  const request = asked({ stream: true });
  const key = keyed();
  let broken = null;
  try {
    await textOf(await cut.chat.completions.create(request, key));
  } catch (error) {
    broken = error.constructor.name;
  }
  const again = await textOf(await cut.chat.completions.create(request, key));
  return {
    limited,
    waited: waited.choices[0].message.content,
    repeated: repeated.choices[0].message.content,
    broken,
    again,
  };
}

async function leaving() {
  const stream = await client.chat.completions.create(asked({ stream: true }));
  for await (const _ of stream) break; // which aborts the request
  return true;
}

console.log(
  JSON.stringify({
    answers: await answers(),
    others: await others(),
    refusals: await refusals(),
    retries: await retries(),
    left: await leaving(),
  }),
);
