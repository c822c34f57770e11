// Drives Debian's Chromium for the tests in e2e/console_*_test.go: it reads one JSON object per line from
// stdin, does what that says, and answers with one line on stdout. What a test says is what a person does
// and sees: click this button, fill in that field, wait until this text is there.
//
// A request is {"person", "verb", ...}; an answer {"result"} or {"error", "page"}, where page is what a
// screen reader would find at that moment. Each person is a browser profile of its own.
//
// Whatever goes wrong unasked (an error in the console, a violation of the content security policy, a
// request to another host, an answer 5xx) is kept per person until the verb problems asks for it.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../console/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const patience = 60_000; // ms that a condition may take to become true, on a machine that does other things too

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"], // root has no sandbox, CI no graphics
});

/** @type {Map<string, {context: import('playwright-core').BrowserContext, page: import('playwright-core').Page, problems: string[], secrets: Set<string>}>} */
const people = new Map();

/**
 * locator finds one visible element: {role, name} as a screen reader has it, {label} of a field, {text}, or
 * {css}; has: with these texts in it; exact: the whole name; nth: which of several; in: only inside that.
 */
function locator(page, at) {
  if (!at) return page.locator("body");
  const from = at.in ? locator(page, at.in) : page;
  const exact = at.exact ?? false;
  let found;
  if (at.role) found = from.getByRole(at.role, at.name === undefined ? {} : { name: at.name, exact });
  else if (at.label) found = from.getByLabel(at.label, { exact });
  else if (at.text) found = from.getByText(at.text, { exact });
  else found = from.locator(at.css);
  for (const text of at.has ?? []) found = found.filter({ hasText: text });
  found = found.filter({ visible: true });
  return at.nth === undefined ? found : found.nth(at.nth);
}

const verbs = {
  /** open starts a person's browser: {url, width, height, dark, record}. */
  async open({ person, url, width = 1280, height = 900, dark = false }) {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: dark ? "dark" : "light",
      reducedMotion: "reduce",
      acceptDownloads: true,
    });
    context.setDefaultTimeout(patience);
    await context.grantPermissions(["clipboard-read", "clipboard-write"], {
      origin: new URL(url).origin,
    });
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (e) => {
        console.error(`content security policy: ${e.violatedDirective} blocks ${e.blockedURI || "inline"} ${e.sample}`);
      });
    });
    const it = {
      context,
      page: await context.newPage(),
      problems: [],
      secrets: new Set(),
    };
    watch(it, new URL(url).origin);
    people.set(person, it);
    await it.page.goto(url);
  },

  /** tab opens another tab of the same person's browser, and goes on there. */
  async tab({ it, url }) {
    it.page = await it.context.newPage();
    await it.page.goto(url);
  },
  /** back goes on in the person's first tab. */
  async firstTab({ it }) {
    it.page = it.context.pages()[0];
    await it.page.bringToFront();
  },
  async goto({ it, url }) {
    await it.page.goto(url);
  },
  async reload({ it }) {
    await it.page.reload();
  },
  /** reloadCold reloads the page with nothing in the cache. */
  async reloadCold({ it }) {
    const devtools = await it.context.newCDPSession(it.page);
    await devtools.send("Network.clearBrowserCache");
    await it.page.reload();
  },
  async leave({ it, person }) {
    await it.context.close();
    people.delete(person);
  },
  async resize({ it, width, height }) {
    await it.page.setViewportSize({ width, height });
  },
  async scheme({ it, dark }) {
    await it.page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
  },

  async click({ it, at }) {
    await locator(it.page, at).click();
  },
  async rightClick({ it, at }) {
    await locator(it.page, at).click({ button: "right" });
  },
  async hover({ it, at }) {
    await locator(it.page, at).hover();
  },
  /** fill puts text into a field and leaves the field, as Tab would. */
  async fill({ it, at, text }) {
    const field = locator(it.page, at);
    await field.fill(text);
    await field.dispatchEvent("change");
  },
  /** press presses keys one after the other, on what has the focus: "Tab", "Shift+Tab", "Enter", "a". */
  async press({ it, keys }) {
    for (const key of keys) await it.page.keyboard.press(key);
  },
  async type({ it, text }) {
    await it.page.keyboard.type(text);
  },

  /** see waits until something is there. */
  async see({ it, at }) {
    await locator(it.page, at).first().waitFor({ state: "visible" });
  },
  /** gone waits until it is not. */
  async gone({ it, at }) {
    await locator(it.page, at).first().waitFor({ state: "hidden" });
  },
  async enabled({ it, at }) {
    return await locator(it.page, at).isEnabled();
  },
  async count({ it, at }) {
    return await locator(it.page, at).count();
  },
  /** focused describes what has the focus, as a screen reader would: role and name. */
  async focused({ it }) {
    const snapshot = await it.page
      .locator(":focus")
      .first()
      .ariaSnapshot({ timeout: 1000 })
      .catch(() => "");
    return snapshot.split("\n")[0].replace(/^- /, "");
  },
  /** tabTo presses Tab until what has the focus has a name with text in it. */
  async tabTo({ it, text, max = 150 }) {
    const met = [];
    for (let n = 0; n < max; n++) {
      await it.page.keyboard.press("Tab");
      const what = await verbs.focused({ it });
      if (what.includes(text)) return;
      met.push(what);
    }
    throw new Error(`${max} times Tab do not lead to ${text}, but to ${met.join("; ")}`);
  },
  async url({ it }) {
    return it.page.url();
  },

  /**
   * axe runs axe-core's checks of WCAG 2.2 A and AA, only those that are named, or all without some; the result is
   * what it holds for serious or critical.
   */
  async axe({ it, only, without = [] }) {
    // Its source is put in by the debugger, which the content security policy does not bind.
    await it.page.evaluate(`if (!window.axe) { ${axe} }`);
    const options = {
      runOnly: only ?? ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      rules: Object.fromEntries(without.map((rule) => [rule, { enabled: false }])),
      resultTypes: ["violations"],
    };
    return await it.page.evaluate(async (options) => {
      const { violations } = await window.axe.run(document, options);
      return violations
        .filter((v) => v.impact === "serious" || v.impact === "critical")
        .flatMap((v) =>
          v.nodes.map((n) => `${v.impact} ${v.id}: ${v.help}: ${n.target.join(" ")}: ${n.html.slice(0, 300)}`),
        );
    }, options);
  },

  /** overflow is by how many pixels the page is wider than the window: what a phone would have to scroll sideways. */
  async overflow({ it }) {
    return await it.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  },

  /** leaks are places outside of the page's memory where one of the session's keys stands. */
  async leaks({ it }) {
    const places = await it.page.evaluate(() => ({
      localStorage: JSON.stringify({ ...localStorage }),
      sessionStorage: JSON.stringify({ ...sessionStorage }),
      cookie: document.cookie,
      address: location.href,
      history: JSON.stringify(history.state),
    }));
    const databases = await it.page.evaluate(async () => (await indexedDB.databases()).map((d) => d.name));
    return {
      known: it.secrets.size,
      leaks: [
        ...databases.map((name) => `indexedDB ${name}`),
        ...Object.entries(places).flatMap(([where, text]) =>
          [...it.secrets].filter((s) => text.includes(s)).map((s) => `${where}: ${s.slice(0, 6)}…`),
        ),
      ],
    };
  },

  /**
   * scroll goes down the page to its end, as fast as a finger flicks it: so many pixels a frame. Frames are ms from one
   * to the next; work is what the page itself took of all that, in ms: scripts, styles and layout.
   */
  async scroll({ it, step }) {
    const devtools = await it.context.newCDPSession(it.page);
    await devtools.send("Performance.enable");
    const work = async () => {
      const { metrics } = await devtools.send("Performance.getMetrics");
      const its = ["ScriptDuration", "RecalcStyleDuration", "LayoutDuration"];
      return 1000 * metrics.filter((m) => its.includes(m.name)).reduce((sum, m) => sum + m.value, 0);
    };
    const before = await work();
    const { pixels, frames } = await it.page.evaluate(async (step) => {
      const frame = () => new Promise(requestAnimationFrame);
      const root = document.documentElement;
      const frames = [];
      for (let last = await frame(); root.scrollTop + root.clientHeight < root.scrollHeight - 1;) {
        scrollBy(0, step);
        const now = await frame();
        frames.push(now - last);
        last = now;
      }
      return { pixels: root.scrollTop, frames };
    }, step);
    return { pixels, frames, work: (await work()) - before };
  },

  /** paint is when things were first to be seen, in ms since the page was asked for. */
  async paint({ it, at }) {
    await locator(it.page, at).first().waitFor({ state: "visible" });
    return await it.page.evaluate(() => ({
      now: performance.now(),
      firstContentfulPaint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
      javascript: performance
        .getEntriesByType("resource")
        .filter((r) => /\.m?js$/.test(new URL(r.name).pathname))
        .map((r) => ({
          path: new URL(r.name).pathname,
          encoded: r.encodedBodySize,
          decoded: r.decodedBodySize,
        })),
    }));
  },

  async cookies({ it }) {
    return await it.context.cookies();
  },
  async forgetCookies({ it }) {
    await it.context.clearCookies();
  },
  /** download clicks, and returns the name and the text of the file that comes. */
  async download({ it, at }) {
    const [file] = await Promise.all([it.page.waitForEvent("download"), locator(it.page, at).click()]);
    const chunks = [];
    for await (const chunk of await file.createReadStream()) chunks.push(chunk);
    return {
      name: file.suggestedFilename(),
      text: Buffer.concat(chunks).toString("utf8"),
    };
  },
  async screenshot({ it, file, full = false }) {
    await it.page.screenshot({
      path: file,
      fullPage: full,
      animations: "disabled",
    });
  },
  async snapshot({ it }) {
    return await it.page.locator("body").ariaSnapshot();
  },

  /** problems returns what went wrong since it was last asked. */
  async problems({ it }) {
    return it.problems.splice(0);
  },
};

/** watch keeps what goes wrong in a person's browser, and learns which keys the session has. */
function watch(it, origin) {
  const { context, problems, secrets } = it;
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !["data:", "blob:"].includes(url.protocol))
      problems.push(`request to another host: ${url}`);
    if (/[?&](X-Amz-|Signature|.*Token|.*Secret)/i.test(url.search)) problems.push(`a secret in an address: ${url}`);
  });
  context.on("response", async (response) => {
    const path = new URL(response.url()).pathname;
    if (response.status() >= 500) problems.push(`${response.request().method()} ${path}: ${response.status()}`);
    if (response.status() >= 400 && response.request().method() === "GET")
      problems.push(`GET ${path}: ${response.status()}`);
    if (path === "/session" && response.ok()) {
      const keys = await response.json().catch(() => ({}));
      for (const key of [keys.AccessKeyId, keys.SecretAccessKey, keys.SessionToken]) if (key) secrets.add(key);
    }
  });
  context.on("console", (message) => {
    // The browser's own remark on an answer 4xx: which of those are wrong is judged above.
    if (/^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text())) return;
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => problems.push(`uncaught: ${error.error().stack ?? error.error()}`));
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const it = people.get(request.person);
  let answer;
  try {
    if (!it && request.verb !== "open") throw new Error(`${request.person} has no browser`);
    answer = { result: await verbs[request.verb]({ ...request, it }) };
  } catch (error) {
    const page = await it?.page
      .locator("body")
      .ariaSnapshot({ timeout: 2000 })
      .catch((e) => String(e));
    if (it && process.env.SCREENSHOTS) {
      await it.page
        .screenshot({
          path: `${process.env.SCREENSHOTS}/${request.person}-failed.png`,
        })
        .catch(() => {});
    }
    answer = { error: String(error.message ?? error), page };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
