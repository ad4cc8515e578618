// Opens the example page in headless Chromium and uses it as a person would.
//
//   node visit.mjs <url of the page> <path of chromium> <folder for screenshots> <transport>
//
// Writes a line of JSON for each step: from "cut the network" to "mend the network" whoever started
// it lets no connection of the page's live. The last one is {"step": "done", ...}: what was shown, `refused` every request for
// another machine, `problems` what the page logged beside lost connections.
import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Installed for the tests of the gateways, where a browser is driven too.
const { chromium } = createRequire(new URL("../federation/package.json", import.meta.url))(
  "playwright-core",
);

const [url, executablePath, screenshots, transport] = process.argv.slice(2);
const profile = await mkdtemp(join(tmpdir(), "assistant-chromium-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 900, height: 1000 },
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

const report = { step: "done", refused: [], problems: [] };
const tell = (line) => console.log(JSON.stringify(line));
let page;

try {
  await context.route(
    (address) => address.hostname !== "127.0.0.1",
    (route) => {
      report.refused.push(route.request().url());
      return route.abort();
    },
  );
  page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => report.problems.push(String(error)));
  page.on("console", (message) => {
    const isLoss = /net::ERR_|WebSocket connection/.test(message.text());
    if (message.type() === "error" && !isLoss) report.problems.push(message.text());
  });
  const shot = (name) =>
    page.screenshot({ path: join(screenshots, `${transport}-${name}.png`), fullPage: true });
  const status = (words) => page.locator("#status", { hasText: words }).waitFor();
  // What has been noted stays, however quickly the status changes.
  const noted = (words) => page.locator("#log li", { hasText: words }).first().waitFor();
  const events = (count) =>
    page.waitForFunction(
      (least) => parseInt(document.getElementById("count").textContent) >= least,
      count,
    );
  const resumed = (times) =>
    page.waitForFunction(
      (count) => document.querySelectorAll("#answer mark").length >= count,
      times,
    );

  await page.goto(url);
  await page.selectOption("#transport", transport);
  await shot("1-before");
  await page.click("#send");
  await events(15);
  await shot("2-streaming");

  tell({ step: "cut the network" });
  await noted("Lost after event");
  await shot("3-lost");
  tell({ step: "mend the network" });
  await resumed(1);
  await shot("4-resumed");

  await page.click("#cut");
  await resumed(2);
  await status("Finished");
  report.finished = await shown(page);
  await shot("5-finished");

  await page.fill("#question", "Another story, please.");
  await page.click("#send");
  await events(10);
  await page.click("#cancel");
  await status("Cancelled");
  report.cancelled = await shown(page);
  await shot("6-cancelled");
} catch (error) {
  console.error(await page?.locator("main").innerText());
  throw error;
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
tell(report);

async function shown(page) {
  return page.evaluate(() => {
    const answer = document.getElementById("answer").cloneNode(true);
    for (const mark of answer.querySelectorAll("mark")) mark.remove();
    const sums = Object.fromEntries(
      [...document.querySelectorAll("#sums dd")].map((value) => [value.id, value.textContent]),
    );
    const log = [...document.querySelectorAll("#log li")].map((item) => item.lastChild.textContent);
    return { text: answer.textContent, sums, log };
  });
}
