// Opens GraphiQL in headless Chromium, uses it as a person would and reports what was seen.
//
//   node browse.mjs <url> <path of chromium> <folder for screenshots>
//
// Writes one JSON object to standard output: `query` and `subscription` are the texts of the
// result editor as they changed, `shown` what the page showed of them in the end, `refused` every
// request for another host (none may leave this machine), `problems` what the page logged as
// errors, `mediaTypes` what was served as what.
import { chromium } from "playwright-core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [url, executablePath, screenshots] = process.argv.slice(2);
const profile = await mkdtemp(join(tmpdir(), "assistant-chromium-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 1440, height: 900 },
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

const report = { shown: {}, refused: [], problems: [], mediaTypes: {} };

try {
  await context.route(
    (address) => address.host !== new URL(url).host,
    (route) => {
      report.refused.push(route.request().url());
      return route.abort();
    },
  );
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => report.problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") report.problems.push(message.text());
  });
  page.on("response", (response) => {
    const path = new URL(response.url()).pathname;
    report.mediaTypes[path] = response.headers()["content-type"];
  });

  await page.goto(url);
  await page.locator(".graphiql-query-editor .view-line").first().waitFor();
  // The documentation appears once introspection has been answered.
  await page.locator('[aria-label="Show Documentation Explorer"]').click();
  await page.locator(".graphiql-doc-explorer-title").waitFor();
  await page.locator('[aria-label="Hide Documentation Explorer"]').click();

  report.query = await run(page);
  report.shown.query = await shown(page);
  await page.screenshot({ path: join(screenshots, "graphiql-query.png") });

  await page.getByRole("tab", { name: "SummaryStream" }).click();
  await page.waitForTimeout(500); // GraphiQL parses what is in the editor after a pause
  report.subscription = await run(page);
  report.shown.subscription = await shown(page);
  await page.screenshot({ path: join(screenshots, "graphiql-subscription.png") });
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(report));

// Clicks the execute button and returns every text that the result pane showed until the
// operation was over.
async function run(page) {
  await page.evaluate(() => {
    const editor = globalThis.__MONACO.editor
      .getModels()
      .find((model) => model.uri.path.endsWith("response.json"));
    globalThis.seen = [];
    globalThis.watcher?.dispose();
    globalThis.watcher = editor.onDidChangeContent(() => globalThis.seen.push(editor.getValue()));
  });
  const execute = page.locator(".graphiql-execute-button");
  await execute.click();
  await page.waitForFunction(() => globalThis.seen.some((text) => text.includes('"data"')));
  await page.locator('.graphiql-execute-button[aria-label^="Execute"]').waitFor();
  return page.evaluate(() => globalThis.seen);
}

// The text that the result pane shows; Monaco keeps indentation with non-breaking spaces.
async function shown(page) {
  const lines = await page.locator(".result-window .view-line").allInnerTexts();
  return lines.join("\n").replaceAll("\u00a0", " ");
}
