// Uses the built SDK as a program would, one task after another, and reports what became of each.
//
//   node client.mjs '{"options": {...}, "tasks": [{"do": "stream", "request": {...}}, ...]}'
//
// Writes one JSON array to standard output. A task of "stream", "abort", "break" and "cancel" is
// reported as {events, soFar, response, error, connections}; the last three leave after `after`
// events. "complete" is reported as {response, error}.
import { Assistant, AssistantError } from "../../sdk/typescript/dist/index.js";

const { options, tasks } = JSON.parse(process.argv[2]);
const assistant = new Assistant(options);

async function complete({ request }) {
  return { response: await assistant.complete(request) };
}

async function stream({ do: action, request, after = Infinity, ...streamOptions }) {
  const controller = new AbortController();
  const report = { events: [], connections: 0 };
  const running = assistant.stream(request, {
    ...streamOptions,
    signal: controller.signal,
    onConnection: ({ state }) => (report.connections += state === "open" ? 1 : 0),
  });
  try {
    for await (const { type, eventId, sequence, text } of running) {
      report.events.push({ type, eventId, sequence, text });
      if (report.events.length !== after) continue;
      if (action === "abort") controller.abort();
      if (action === "break") break;
      if (action === "cancel") await running.cancel();
    }
    report.response = await running.response;
  } catch (error) {
    report.error = described(error);
  }
  return { ...report, soFar: running.soFar, completionId: running.completionId };
}

function described(error) {
  if (!(error instanceof AssistantError)) return { name: error.name, message: error.message };
  const { code, message, isRetryable, lastEventId, completionId } = error;
  return { code, message, isRetryable, lastEventId, completionId };
}

const reports = [];
for (const task of tasks) {
  try {
    reports.push(await (task.do === "complete" ? complete(task) : stream(task)));
  } catch (error) {
    reports.push({ error: described(error) });
  }
}
console.log(JSON.stringify(reports));
